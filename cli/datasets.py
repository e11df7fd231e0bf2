"""`eegprep datasets` and `eegprep fetch`: list the catalogue and download data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .tables import console


def register(app: typer.Typer) -> None:
    """Add `datasets` and `fetch` to the app."""
    app.command()(fetch)

    @app.command()
    def datasets(
        name: Annotated[str | None, typer.Argument(help="Show the manifest of this data set.")] = None,
        openneuro: Annotated[
            bool, typer.Option("--openneuro", help="Data sets on OpenNeuro that are known without a network.")
        ] = False,
        json_output: Annotated[bool, typer.Option("--json", help="Machine-readable output.")] = False,
    ) -> None:
        """List the data sets of the catalogue, with tasks, subjects, electrodes, licence and how to get them.

        Example: `eegprep datasets eegmat`
        """
        from eegprep.api import catalogue
        from eegprep.manifest import dump_manifest, find_manifest

        if openneuro:
            _print_openneuro(name, json_output)
            return
        if name is not None:
            manifest = find_manifest(name)
            if json_output:
                print(manifest.model_dump_json(indent=1))
            else:
                print(dump_manifest(manifest), end="")
            return
        rows = catalogue()
        if json_output:
            import json

            print(json.dumps([row.as_dict() for row in rows], indent=1, ensure_ascii=False))
            return
        from .tables import plain_table

        table = plain_table()
        for title in ("name", "tasks (classes)", "subjects", "electrodes", "Hz", "licence", "how to get it", "checked"):
            table.add_column(title, overflow="fold", justify="right" if title in NUMBERS else "left")
        for row in rows:
            table.add_row(
                row.name,
                ", ".join(f"{task} ({n})" for task, n in row.tasks) or "none",
                _or_dash(row.subjects),
                _or_dash(row.electrodes),
                _or_dash(None if row.sfreq_hz is None else f"{row.sfreq_hz:g}"),
                row.licence,
                row.get,
                row.checked,
            )
        console().print(table)


def _print_openneuro(word: str | None, json_output: bool) -> None:
    """The table of OpenNeuro's data sets, or those with a word in id or title."""
    import dataclasses
    import json

    from eegprep.remote.openneuro import known_datasets

    from .tables import plain_table

    rows = [d for d in known_datasets() if word is None or word.lower() in f"{d.id} {d.title}".lower()]
    if json_output:
        print(json.dumps([dataclasses.asdict(row) for row in rows], indent=1, ensure_ascii=False))
        return
    table = plain_table()
    for title in ("id", "title", "subjects", "modality", "licence"):
        table.add_column(title, overflow="fold", justify="right" if title in NUMBERS else "left")
    for row in rows:
        table.add_row(row.id, row.title, str(row.subjects), row.modality, row.licence)
    console().print(table)


def fetch(
    name: Annotated[str, typer.Argument(help="Name of a catalogue data set, or path of a manifest.")],
    out: Annotated[Path | None, typer.Option(help="Folder for the files; default: the user's cache.")] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="Only files whose path begins with this; may be repeated.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=32, help="Number of parallel downloads.")] = 4,
    json_output: Annotated[bool, typer.Option("--json", help="Machine-readable output.")] = False,
) -> None:
    """Download a data set, if its licence permits: resumable, verified.

    Example: `eegprep fetch eegmat --only Subject00`
    """
    import json
    import sys

    from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn

    from eegprep.api import fetch as bring

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        console=console(stderr=True),
        disable=not sys.stderr.isatty(),
    )
    rows: dict[str, TaskID] = {}

    def show(file: str, done: int, total: int | None) -> None:
        if file not in rows:
            rows[file] = bar.add_task(file, total=total)
        bar.update(rows[file], completed=done, total=total)
        if total is not None and done >= total:
            bar.remove_task(rows.pop(file))

    with bar:
        folder = bring(name, out, only=only, workers=workers, progress=show)
    print(json.dumps({"folder": str(folder)}) if json_output else folder)


NUMBERS = ("subjects", "electrodes", "Hz")


def _or_dash(value: object) -> str:
    return "-" if value is None else str(value)
