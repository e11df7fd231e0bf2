"""`eegprep report`: one page that tells everything, renders without errors, and is the same each time."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from eegprep.errors import UsageError
from eegprep.report.page import write_report

Browse = Callable[[Path], tuple[str, list[str]]]


def plain(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def test_store_page_names_everything(toy_store: Path, tmp_path: Path) -> None:
    """The page of a store names every recording, reason and failure."""
    contents = write_report(toy_store, tmp_path / "page.html")
    said = plain((tmp_path / "page.html").read_text(encoding="utf-8"))
    for recording in contents.recordings:
        assert recording.id in said
    for words in ("unknown_name", "no change for 6 s", "the header is truncated", "CC-BY-4.0", "band_pass"):
        assert words in said
    assert said.index("toy/s3/-/2") < said.index("toy/s1/-/1")


def test_store_page_has_both_spectra(toy_store: Path, toy_shards: Path, tmp_path: Path) -> None:
    """A store shows spectra before and after, and a shard set says where they are."""
    write_report(toy_store, tmp_path / "store.html")
    write_report(toy_shards, tmp_path / "shards.html")
    assert "only in the reports of the stores" not in plain((tmp_path / "store.html").read_text(encoding="utf-8"))
    assert "only in the reports of the stores" in plain((tmp_path / "shards.html").read_text(encoding="utf-8"))


def test_bars_keep_size_on_narrow_screens() -> None:
    """Bars in several columns keep their size on a narrow screen."""
    from eegprep.report.figures import Bar, bar_chart

    bars = [Bar(label=f"E{k}", value=float(k)) for k in range(64)]
    assert 'class="figure wide"' in bar_chart(bars, label="hours", columns=4)
    assert 'class="figure wide"' not in bar_chart(bars, label="hours")


def test_words_of_a_manifest_stay_words(toy_store: Path, tmp_path: Path) -> None:
    """Words of a manifest or header stay words."""
    write_report(toy_store, tmp_path / "page.html")
    html = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<b>toy</b>" not in html
    assert "<i>X1</i>" not in html
    assert "&lt;i&gt;X1&lt;/i&gt;" in html


def test_page_is_small_and_names_no_path(toy_store: Path, tmp_path: Path) -> None:
    """The page is small and has equal bytes and no path."""
    write_report(toy_store, tmp_path / "a.html")
    write_report(toy_store, tmp_path / "b.html")
    first = (tmp_path / "a.html").read_bytes()
    assert first == (tmp_path / "b.html").read_bytes()
    assert len(first) < 3 << 20
    assert str(toy_store.parent).encode() not in first


def test_empty_store_still_has_a_page(tmp_path: Path, toy_store: Path) -> None:
    """A store without recordings still has a page."""
    (tmp_path / "store" / "recordings").mkdir(parents=True)
    (tmp_path / "store" / "manifest.yaml").write_bytes((toy_store / "manifest.yaml").read_bytes())
    write_report(tmp_path / "store", tmp_path / "page.html")
    assert "It contains no recording" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_other_folders_are_refused(tmp_path: Path) -> None:
    """What is neither a store nor a shard set is refused."""
    with pytest.raises(UsageError, match="neither a store nor a shard set"):
        write_report(tmp_path, tmp_path / "page.html")
    with pytest.raises(UsageError, match="must be a file"):
        write_report(tmp_path, tmp_path)
    assert not (tmp_path / "page.html").exists()


def test_command_writes_and_prints_the_page(toy_shards: Path, tmp_path: Path) -> None:
    """The command writes the page and prints what it shows."""
    out = tmp_path / "page.html"
    code = "import typer; from _eegpt_cli import report; app = typer.Typer(); report.register(app); app()"
    command = [sys.executable, "-c", code, str(toy_shards), "--out", str(out), "--json"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    printed = json.loads(done.stdout)
    assert printed["kind"] == "shard set"
    assert len(printed["recordings"]) == 8
    assert out.read_text(encoding="utf-8").startswith("<!doctype html>")


@pytest.mark.parametrize("kind", ["store", "shards"])
def test_the_page_renders_without_errors(
    kind: str, toy_store: Path, toy_shards: Path, tmp_path: Path, browse: Browse
) -> None:
    page = tmp_path / "page.html"
    write_report(toy_store if kind == "store" else toy_shards, page)
    dom, console = browse(page)
    assert console == []
    assert dom.count("<svg") >= 4
    assert 'id="coverage"' in dom


def test_page_is_painted_with_figures(toy_store: Path, tmp_path: Path, photograph: Callable[[Path], Path]) -> None:
    """The page is painted with its figures."""
    import matplotlib.image
    import numpy as np

    page = tmp_path / "page.html"
    write_report(toy_store, page)
    pixels = (np.asarray(matplotlib.image.imread(photograph(page)))[..., :3] * 255).round().astype(np.int64)
    painted = pixels @ np.array([65536, 256, 1])
    for name, colour in {"bars": 0x1F6FB4, "largest value on the head": 0x0B2F63}.items():
        assert (painted == colour).any(), name


def test_browser_reports_what_is_forbidden(tmp_path: Path, browse: Browse) -> None:
    """The browser would report what a page must not do."""
    page = tmp_path / "bad.html"
    page.write_text("<!doctype html><title>x</title><script>throw new Error('on purpose')</script>", encoding="utf-8")
    _, console = browse(page)
    assert any("on purpose" in line for line in console)
