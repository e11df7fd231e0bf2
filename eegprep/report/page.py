"""The report of a store or a shard set as one HTML page: what was included, what was left out and why.

The page has no scripts or external resources, and the same folder gives the same bytes.
"""

from __future__ import annotations

from pathlib import Path

from eegprep.errors import UsageError
from eegprep.report.contents import Contents, contents_of_shards, contents_of_store
from eegprep.report.figures import Page, Section, write_page
from eegprep.report.sections import contents as show
from eegprep.report.sections import signal as show_signal
from eegprep.report.sections.left_out import left_out


def write_report(folder: Path, out: Path) -> Contents:
    """Write the report of `folder` to the file `out` and return its contents as plain data.

    Raises
    ------
    UsageError
        If `folder` is neither a store nor a shard set, or `out` is a folder.
    InputError, RefusedError
        If something in it cannot be read.
    """
    out = Path(out)
    if out.is_dir():
        raise UsageError(
            "the report must be a file", where=out, found="a folder", todo="choose a file such as report.html"
        )
    contents = read_contents(Path(folder))
    write_page(report_page(contents), out)
    return contents


def read_contents(folder: Path) -> Contents:
    """`Contents` of the store or shard set in the folder."""
    if (folder / "recordings").is_dir():
        return contents_of_store(folder)
    if (folder / "shards").is_dir() or (folder / "blocks.parquet").is_file():
        return contents_of_shards(folder)
    raise UsageError(
        "neither a store nor a shard set",
        where=folder,
        found="a folder without recordings/ and without shards/" if folder.is_dir() else "no such folder",
        todo="pass a folder written by `eegprep ingest` or `eegprep shard`",
    )


def report_page(contents: Contents) -> Page:
    """The page of `contents`."""
    notes = show_signal.findings(contents)
    first = [Section(anchor="first", heading="Warnings", parts=notes)] if notes else []
    sections = [
        show.datasets(contents),
        show.coverage(contents),
        show_signal.signal(contents),
        left_out(contents),
        show.failures(contents),
        show_signal.worst(contents),
        show.trials(contents),
        show.provenance(contents),
    ]
    one = contents.datasets[0] if len(contents.datasets) == 1 else None
    title = one.title if one is not None else ", ".join(d.name for d in contents.datasets) or contents.name
    return Page(
        title=title,
        kicker=f"Quality report of a {contents.kind}",
        subtitle=_subtitle(contents),
        tiles=show.tiles(contents),
        sections=[*first, *(s for s in sections if s is not None)],
    )


def _subtitle(contents: Contents) -> str:
    if not contents.recordings:
        return "It contains no recordings."
    names = ", ".join(f"{d.name} {d.version}" for d in contents.datasets)
    return f"Standardised EEG, microvolt at 256 Hz · {names}"
