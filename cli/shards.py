"""`eegprep shard` and `eegprep verify`: stores to a shard set, and the proof that a shard set is whole."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from .tables import console

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def register(app: typer.Typer) -> None:
    """Add `shard` and `verify` to the app."""

    @app.command()
    def shard(
        stores: Annotated[list[Path], typer.Argument(help="Folders that `eegprep ingest` wrote.", show_default=False)],
        out: Annotated[Path, typer.Option(help="Folder of the new shard set.", show_default=False)],
        extends: Annotated[
            Path | None, typer.Option(help="A finished shard set to take over; only what it lacks is written.")
        ] = None,
        vocabulary: Annotated[
            Path | None, typer.Option(help="Electrodes (.parquet, .tsv, .csv); default: those of the stores.")
        ] = None,
        max_shard_size: Annotated[str, typer.Option(help="Close a shard before it grows larger: 512M, 1G.")] = "1G",
        workers: Annotated[int, typer.Option(min=1, help="Electrodes written at once.")] = 2,
        allow_unfinished: Annotated[
            bool, typer.Option(help="Take what is there of a store whose ingest was stopped or still runs.")
        ] = False,
        as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
    ) -> None:
        """Write standardised recordings as per-electrode shards.

        After an interruption the same command goes on. Example: `eegprep shard stores/eegmat --out shards`
        """
        from eegprep.shards import build_shard_set

        with _progress("writing electrodes") as report:
            summary = build_shard_set(
                stores,
                out,
                vocabulary=_vocabulary(vocabulary),
                max_shard_bytes=_n_bytes(max_shard_size),
                workers=workers,
                extends=extends,
                allow_unfinished=allow_unfinished,
                progress=report,
            )
        if as_json:
            print(json.dumps(dataclasses.asdict(summary), default=str, indent=1))
            return
        print(
            f"{summary.path}: {summary.n_recordings} recordings, {summary.n_electrodes} electrodes, "
            f"{summary.hours:.2f} electrode hours, {summary.n_trials} trials in {summary.n_shards} shards, "
            f"{summary.n_bytes / 1e6:.1f} MB{' (was complete already)' if summary.already_done else ''}"
        )
        print(f"  split: {', '.join(f'{name} {n}' for name, n in summary.splits.items())} recordings")
        for task, n in summary.trials.items():
            print(f"  task {task}: {n} trials")
            if not n:
                print(f"warning: task {task} has no trial; `eegprep ingest` tells why", file=sys.stderr)
        _warn_of_unfinished(summary.unfinished)
        for code, count, n_samples in _by_code(summary.left_out):
            print(f"left out, {code}: {count} stretches, {n_samples} samples (listed in lock.yaml)", file=sys.stderr)

    @app.command()
    def verify(
        shards: Annotated[str, typer.Argument(help="A shard set: a folder or an address.", show_default=False)],
        deep: Annotated[bool, typer.Option(help="Read every byte: all hashes.")] = False,
        rebuild: Annotated[
            list[Path] | None, typer.Option(help="A store to write the set anew from, and compare byte by byte.")
        ] = None,
        workers: Annotated[int, typer.Option(min=1, help="Shards checked at once.")] = 2,
        as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    ) -> None:
        """Prove a shard set: index against shards, hashes, counts, names, alignment, vocabulary.

        Exit code 3 and the names of shard and member where anything is wrong. Example: `eegprep verify shards --deep`
        """
        from eegprep.shards import verify_shard_set
        from eegprep.shards.verify.rebuild import compare_rebuilt

        if "://" in shards:
            _verify_remote(shards, as_json)
            return
        with _progress("checking shards") as report:
            checked = verify_shard_set(Path(shards), deep=deep, workers=workers, progress=report)
        if rebuild:
            with _progress("writing anew") as report:
                compare_rebuilt(Path(shards), rebuild, workers=workers, progress=report)
        if as_json:
            print(json.dumps(dataclasses.asdict(checked) | {"rebuilt": bool(rebuild)}, default=str, indent=1))
            return
        print(
            f"{checked.path}: whole; {checked.n_shards} shards, {checked.n_blocks} blocks, {checked.n_trials} trials "
            f"({'every byte' if deep else 'index and frames'}: {checked.n_bytes / 1e6:.1f} MB read"
            f"{', rebuilt byte by byte' if rebuild else ''})"
        )
        _warn_of_unfinished(checked.unfinished)


def _warn_of_unfinished(names: Sequence[str]) -> None:
    for name in names:
        print(f"warning: the ingest of {name} had not ended: recordings may be missing", file=sys.stderr)


def _verify_remote(address: str, as_json: bool) -> None:
    """Fetch every shard into the cache: each is checked by its hash on the way, and the index at opening."""
    from eegprep.remote import open_shards

    opened = open_shards(address)
    with _progress("fetching shards") as report:
        for k, shard in enumerate(opened.shards, 1):
            opened.shard_paths([k - 1])
            if report is not None:
                report(shard.name, k, len(opened.shards))
    n_bytes = sum(s.n_bytes for s in opened.shards)
    if as_json:
        print(json.dumps({"path": address, "n_shards": len(opened.shards), "n_bytes": n_bytes}, indent=1))
    else:
        print(f"{address}: whole; {len(opened.shards)} shards, {n_bytes / 1e6:.1f} MB, every hash as the index says")


def _vocabulary(path: Path | None) -> Any:
    if path is None:
        return None
    from eegprep.electrodes import load_vocabulary

    return load_vocabulary(path)


def _n_bytes(text: str) -> int:
    """`512M` and the like to bytes."""
    from eegprep.errors import UsageError

    number, unit = text.strip().upper().removesuffix("B").removesuffix("I"), ""
    if number[-1:] in _UNITS:
        number, unit = number[:-1], number[-1:]
    if not number.isdigit() or int(number) < 1:
        raise UsageError("not a size", found=repr(text), expected="a whole number with K, M or G, e.g. 512M")
    return int(number) * _UNITS[unit]


def _by_code(left_out: Any) -> list[tuple[str, int, int]]:
    codes = sorted({x.code for x in left_out})
    return [(c, sum(x.code == c for x in left_out), sum(x.n_samples for x in left_out if x.code == c)) for c in codes]


@contextmanager
def _progress(title: str) -> Iterator[Callable[[str, int, int], None] | None]:
    """A bar on stderr where that is a terminal, else nothing."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.progress import Progress

    with Progress(console=console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)

        def report(name: str, done: int, total: int) -> None:
            bar.update(task, completed=done, total=total, description=f"{title}: {name}")

        yield report
