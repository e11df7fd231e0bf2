"""`eegprep electrodes ...`: list the vocabulary, resolve channel names, merge the tables of two labs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .frame import Commands

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eegprep.electrodes import Vocabulary

Json = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]
Table = Annotated[
    Path | None,
    typer.Option("--vocabulary", help="extended, or a lab's vocabulary (.parquet, or rows to add in .tsv or .csv)."),
]
Kinds = Annotated[str, typer.Option("--kinds", help="Kinds of channels, e.g. eeg,eog,emg,ecg,respiration,other.")]


def register(app: typer.Typer) -> None:
    """Add the group `electrodes` to the app."""
    group = typer.Typer(name="electrodes", cls=Commands, help="The electrode vocabulary.", no_args_is_help=True)
    group.command(name="list")(list_electrodes)
    group.command()(resolve)
    group.command()(merge)
    app.add_typer(group)


def _vocabulary(path: Path | None, kinds: Sequence[str]) -> Vocabulary:
    from eegprep.electrodes import load_vocabulary
    from eegprep.electrodes.vocabulary import KINDS
    from eegprep.errors import UsageError

    if unknown := sorted(set(kinds) - set(KINDS)):
        raise UsageError(f"unknown kind of channel {unknown[0]!r}", expected=", ".join(KINDS))
    return load_vocabulary(path).with_kinds(kinds)


def list_electrodes(vocabulary: Table = None, kinds: Kinds = "eeg", json_output: Json = False) -> None:
    """Print the vocabulary: id, name, position (mm, MNE head frame), aliases; the kind of rows that are not EEG.

    Example: `eegprep electrodes list --json`
    """
    import json

    chosen = kinds.split(",")
    table = _vocabulary(vocabulary, chosen)
    shown = [(i, e) for i, e in enumerate(table) if e.kind in chosen]
    if json_output:
        rows = [
            {
                "id": i,
                "name": e.name,
                "aliases": e.aliases,
                "position_m": e.position_m,
                "source": e.source,
                "kind": e.kind,
            }
            for i, e in shown
        ]
        print(json.dumps(rows, indent=1, ensure_ascii=False))
        return
    for i, electrode in shown:
        xyz = "" if electrode.position_m is None else " ".join(f"{v * 1000:7.1f}" for v in electrode.position_m)
        kind = "" if electrode.kind == "eeg" else f"{electrode.kind}  {electrode.source}"
        print(f"{i:4d}  {electrode.name:8s}{xyz:>24s}  {' '.join(electrode.aliases)}{kind}".rstrip())


def resolve(
    names: Annotated[list[str], typer.Argument(help="Channel names as in the files.")],
    vocabulary: Table = None,
    kinds: Kinds = "eeg",
    system: Annotated[str | None, typer.Option(help="Cap system: biosemi128, egi128, bbci, ...")] = None,
    json_output: Json = False,
) -> None:
    """Resolve channel names to electrodes, as the channels of one file. Exit code 1 if none is an electrode.

    Example: `eegprep electrodes resolve "EEG Fp1-REF" T3 vEOG`
    """
    import dataclasses
    import json

    from eegprep.electrodes import resolve_all
    from eegprep.electrodes.resolve import NamedChannel

    chosen = kinds.split(",")
    channels = [NamedChannel(name=n) for n in names]
    found = resolve_all(_vocabulary(vocabulary, chosen), channels, system=system, kinds=chosen)
    if json_output:
        print(json.dumps([dataclasses.asdict(r) for r in found], indent=1, ensure_ascii=False))
    else:
        width = max(len(n) for n in names) + 2
        for r in found:
            place = r.electrode or "-"
            print(f"{r.channel:<{width}}{place:8s}{r.reference or '':8s}{r.code:19s}{r.reason}")
    if not any(r.electrode for r in found):
        raise typer.Exit(1)


def merge(
    first: Annotated[Path, typer.Argument(help="The vocabulary whose ids are kept (Parquet).")],
    second: Annotated[Path, typer.Argument(help="The vocabulary to add (Parquet).")],
    out: Annotated[Path, typer.Option(help="Output file.")],
    json_output: Json = False,
) -> None:
    """Merge the vocabularies of two labs: same position, same row; ids of the first are kept.

    If there are conflicts they are listed and nothing is written (exit code 1).

    Example: `eegprep electrodes merge ours.parquet theirs.parquet --out both.parquet`
    """
    import dataclasses
    import json
    import sys

    from eegprep.electrodes import load_vocabulary
    from eegprep.electrodes.merge import merge as unite

    merged = unite(load_vocabulary(first), load_vocabulary(second))
    if not merged.conflicts:
        merged.vocabulary.to_parquet(out)
    if json_output:
        report = {
            "electrodes": len(merged.vocabulary),
            "added": merged.added,
            "same": len(merged.same),
            "aliases": [list(a) for a in merged.aliases],
            "conflicts": [dataclasses.asdict(c) for c in merged.conflicts],
            "written": None if merged.conflicts else str(out),
        }
        print(json.dumps(report, indent=1, ensure_ascii=False))
    else:
        print(
            f"{len(merged.same)} the same, {len(merged.added)} added, {len(merged.aliases)} new aliases, "
            f"{len(merged.conflicts)} conflicts"
        )
        for conflict in merged.conflicts:
            print(f"conflict: {conflict.name}: {conflict.reason}", file=sys.stderr)
    if merged.conflicts:
        print("nothing was written: rename or remove these rows in one of the two tables", file=sys.stderr)
        raise typer.Exit(1)
