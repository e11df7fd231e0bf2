"""`eegprep report`: a quality report as one HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add `report` to the app."""

    @app.command()
    def report(
        folder: Annotated[Path, typer.Argument(help="A store or a shard set.", show_default=False)],
        out: Annotated[
            Path | None, typer.Option(help="Output page; default: FOLDER.report.html, beside the folder.")
        ] = None,
        json_: Annotated[bool, typer.Option("--json", help="Print the page's contents as JSON.")] = False,
    ) -> None:
        """Write one self-contained HTML page: coverage, spectra, what was left out and why, worst recordings.

        Example: `eegprep report stores/eegmat --out eegmat.html`
        """
        import dataclasses
        import sys

        from eegprep.api import report as run
        from eegprep.files import canonical_json

        page, contents = run(folder, out)
        if json_:
            print(canonical_json(dataclasses.asdict(contents)), end="")
        print(f"wrote {page} ({page.stat().st_size / 1024:.0f} KiB)", file=sys.stderr)
