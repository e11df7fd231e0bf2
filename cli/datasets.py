"""`eegprep datasets`: the catalogue as a table or as JSON."""

from __future__ import annotations

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add `datasets` to the app."""

    @app.command()
    def datasets(
        name: Annotated[str | None, typer.Argument(help="Tell everything about one data set.")] = None,
        json_output: Annotated[bool, typer.Option("--json", help="Machine-readable output.")] = False,
    ) -> None:
        """List the catalogue: name, tasks, subjects, electrodes, licence, how to get it.

        Example: `eegprep datasets eegmat`
        """
        from eegprep.manifest import catalogue, dump_manifest, find_manifest
        from eegprep.manifest.overview import overview

        if name is not None:
            manifest = find_manifest(name)
            if json_output:
                print(manifest.model_dump_json(indent=1))
            else:
                print(dump_manifest(manifest), end="")
            return
        rows = [overview(m) for m in catalogue()]
        if json_output:
            import json

            print(json.dumps([row.as_dict() for row in rows], indent=1, ensure_ascii=False))
            return
        from rich.console import Console
        from rich.table import Table

        table = Table(box=None, header_style="bold", pad_edge=False)
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
        Console(width=None if _terminal() else 180).print(table)


NUMBERS = ("subjects", "electrodes", "Hz")


def _or_dash(value: object) -> str:
    return "-" if value is None else str(value)


def _terminal() -> bool:
    import sys

    return sys.stdout.isatty()
