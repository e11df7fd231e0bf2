"""Draw the pages' pictures again: `python docs/screenshots.py demo/sample`, which needs Chromium.

The pictures are committed, so that the documentation can be built without a browser. The pages are those that
`make demo` leaves. `python docs/screenshots.py --claims CLAIMS` draws that of a folder of `eegpt claims`.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from PIL import Image

import eegprep
from eegprep.files import write_atomic

HERE = Path(__file__).resolve().parent
PICTURES = HERE / "_static" / "pages"
WIDTH = 1100
MAX_BYTES = 150_000
#: First line and height of what is shown of each page
PARTS = {"store": (0, 1620), "shards": (1590, 1100), "run": (0, 1540), "encoder": (0, 1450), "claims": (0, 1700)}


def main(demo: Path) -> None:
    """Take the pictures of what `make demo` left in the folder."""
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        (store,) = (demo / "stores").iterdir()
        pages = {
            "store": eegprep.report(store, work / "store.html")[0],
            "shards": eegprep.report(demo / "shards", work / "shards.html")[0],
            "run": demo / "index.html",
            "encoder": demo / "encoder-0" / "index.html",
        }
        draw(pages)


def draw(pages: Mapping[str, Path]) -> None:
    """Take a picture of a part of each page."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        sys.exit("error: no Chromium on the path")
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        for page, path in pages.items():
            top, height = PARTS[page]
            picture = Path(work) / f"{page}.png"
            size = f"--window-size={WIDTH},{top + height}"
            line = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", size]
            subprocess.run([*line, f"--screenshot={picture}", path.resolve().as_uri()], check=True, capture_output=True)
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
    if sys.argv[1] == "--claims":
        draw({"claims": Path(sys.argv[2]) / "index.html"})
    else:
        main(Path(sys.argv[1]))
