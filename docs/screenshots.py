"""Draw the pages' pictures again: `python docs/screenshots.py`, which needs Chromium.

The pictures are committed, so that the documentation can be built without a browser. The pages are those of the demo's
recordings, made as the gallery makes them.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import gallery_data
from PIL import Image

from eegprep.files import write_atomic

HERE = Path(__file__).resolve().parent
PICTURES = HERE / "_static" / "pages"
WIDTH = 1100
MAX_BYTES = 150_000
#: First line and height of what is shown of each page
PARTS = {"store": (0, 1620), "shards": (1590, 1100), "run": (0, 1500), "encoder": (0, 1500)}


def main() -> None:
    """Make every page and take its picture."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        sys.exit("error: no Chromium on the path")
    made = gallery_data.prepare(HERE / "_build" / "demo")
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        for part in ("store", "shards"):
            gallery_data.run("prep", "report", made / part, "--out", work / f"{part}.html")
        title = "Rest or mental arithmetic"
        gallery_data.run("model", "evaluate", made / "model", "--shards", made / "shards", "--out", work / "scores",
                         "--page", work / "run.html", "--title", title)  # fmt: skip
        shutil.copy(made / "encoder-0" / "index.html", work / "encoder.html")
        for page, (top, height) in PARTS.items():
            picture = work / f"{page}.png"
            subprocess.run(
                [browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                 f"--screenshot={picture}", f"--window-size={WIDTH},{top + height}", (work / f"{page}.html").as_uri()],
                check=True, capture_output=True,
            )  # fmt: skip
            with Image.open(picture) as image:
                write_atomic(PICTURES / f"{page}.webp", small(image.convert("RGB").crop((0, top, WIDTH, top + height))))


def small(image: Image.Image) -> bytes:
    """WebP below the limit."""
    for quality in (90, 80, 70, 60, 50):
        out = io.BytesIO()
        image.save(out, "WEBP", quality=quality, method=6)
        if out.tell() < MAX_BYTES:
            return out.getvalue()
    raise RuntimeError(f"the picture has {out.tell()} bytes at the lowest quality")


if __name__ == "__main__":
    main()
