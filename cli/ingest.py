"""`eegprep ingest`: recordings of a data set, folder or file into a standardised store."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import options
from .settings import complete_datasets

if TYPE_CHECKING:
    from eegprep.ingest import IngestSummary


def register(app: typer.Typer) -> None:
    """Add `ingest` to the app."""

    @app.command()
    def ingest(
        dataset: Annotated[
            str,
            typer.Argument(
                help="Data set of the catalogue, manifest (.yaml), openneuro:ID, s3://..., folder or file.",
                show_default=False,
                autocompletion=complete_datasets,
            ),
        ],
        source: Annotated[
            Path | None,
            typer.Option(help="Folder of the data set's files; default: EEGPT_DATA/NAME, else downloaded."),
        ] = None,
        out: Annotated[Path | None, typer.Option(help="Output store; default: stores/NAME.")] = None,
        recipe: options.Recipe = None,
        vocabulary: options.Vocabulary = None,
        kinds: options.Kinds = None,
        workers: Annotated[
            int,
            typer.Option(
                min=0,
                help="Number of worker processes (Slurm jobs with --cluster slurm); 0 runs everything in this process.",
            ),
        ] = 1,
        cluster: Annotated[
            str | None, typer.Option(help="Dask scheduler (tcp://host:port), or slurm.", show_default=False)
        ] = None,
        keep_duplicates: Annotated[
            bool, typer.Option("--keep-duplicates", help="Keep recordings with duplicate signals.")
        ] = False,
        partial: options.Partial = False,
        prune: Annotated[
            bool, typer.Option("--prune", help="Delete recordings from the store that are no longer in the source.")
        ] = False,
        subjects: options.Subjects = None,
        tasks: options.Tasks = None,
        limit_hours: options.LimitHours = None,
        as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
    ) -> None:
        """Standardise recordings: 256 Hz, microvolt, electrodes by name.

        Run the same command again to resume after an interruption; finished recordings are skipped.

        Exit code 1 if some recordings failed (they are listed). Example: `eegprep ingest eegmat --out stores/eegmat`
        """
        from eegprep.api import ingest as run

        from .progress import bar, downloads, one_at_a_time

        with one_at_a_time(downloads, lambda: bar("ingest", plan=True)) as (fetched, report):
            summary = run(
                dataset,
                source,
                out=out,
                recipe=recipe,
                vocabulary=vocabulary,
                kinds=kinds,
                workers=workers,
                cluster=cluster,
                keep_duplicates=keep_duplicates,
                partial=partial,
                prune=prune,
                subjects=subjects,
                tasks=tasks,
                limit_hours=limit_hours,
                progress=report,
                downloads=fetched,
            )
        if as_json:
            refused = [entry.to_plain() for entry in summary.refused]
            plain = {**dataclasses.asdict(summary), "refused": refused, "exit_code": summary.exit_code}
            print(json.dumps(plain, default=str, indent=1, ensure_ascii=False))
        else:
            _print(summary)
        if summary.exit_code:
            raise typer.Exit(summary.exit_code)


def _print(summary: IngestSummary) -> None:
    from eegprep.errors import printable

    from .entries import files_line, refused_lines

    before = f" ({summary.done_before} from earlier runs)" if summary.done_before else ""
    print(
        f"{summary.out}: {summary.recordings} recordings{before} of {summary.subjects} subjects, "
        f"{summary.electrodes} electrodes, {summary.hours:.2f} h, {summary.electrode_hours:.2f} electrode hours"
    )
    if lost := sorted(summary.electrode_hours_left_out.items(), key=lambda x: -x[1]):
        whole = summary.electrode_hours + sum(hours for _, hours in lost)
        parts = ", ".join(f"{code.replace('_', ' ')} {hours:.3f}" for code, hours in lost)
        print(f"  of {whole:.2f} electrode hours recorded, left out: {parts}")
    if summary.montage is not None:
        print(f"  montage check: {summary.montage:.2f} (median of {summary.montage_recordings} recordings)")
    if summary.montage_warning:
        print(f"warning: {summary.montage_warning}", file=sys.stderr)
    if any(summary.files.values()):
        print(f"  {files_line(summary.files)}")
    for task, n in summary.trials.items():
        classes = [f"{label} {count}" for label, count in summary.classes.get(task, {}).items()]
        print(f"  task {task}: {n} trials" + (f" ({', '.join(classes)})" if 0 < len(classes) <= 12 else ""))
    for kind, codes in summary.left_out.items():
        for code, n in codes.items():
            print(f"  left out, {kind}, {code}: {n}", file=sys.stderr)
    for copy, of in summary.duplicates.items():
        print(f"  duplicate left out: {copy} has the same signal as {of}", file=sys.stderr)
    for text in summary.notes:
        print(f"note: {text}", file=sys.stderr)
    for one in summary.unmatched:
        print(f"{'warning' if one.fails else 'note'}: {one}{one.hint}", file=sys.stderr)
    for text in summary.unmet:
        print(f"error: {summary.out} does not match its manifest's `expect:`: {text}", file=sys.stderr)
    if summary.unmet:
        print("  to do:    if the data set is complete, correct `expect:` in the manifest", file=sys.stderr)
    if summary.failed:
        print(f"{len(summary.failed)} recordings failed (errors are kept in quarantine/):", file=sys.stderr)
    for identity, error in summary.failed.items():
        found = f"; found {error['found']}" if error.get("found") else ""
        where = f" ({error['where']})" if error.get("where") else ""
        print(printable(f"  {identity}{where}: {error['what']}{found}"), file=sys.stderr)
    for line in refused_lines(summary.refused):
        print(printable(line), file=sys.stderr)
