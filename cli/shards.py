"""`eegprep shard` and `eegprep verify`: build a shard set from stores, and verify a shard set."""

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


def register(app: typer.Typer) -> None:
    """Add `shard` and `verify` to the app."""

    @app.command()
    def shard(
        stores: Annotated[list[Path], typer.Argument(help="Stores written by `eegprep ingest`.", show_default=False)],
        out: Annotated[
            str, typer.Option(help="Output folder of the shard set, or an address (s3://...).", show_default=False)
        ],
        extends: Annotated[
            Path | None, typer.Option(help="A complete shard set to extend; only new recordings are written.")
        ] = None,
        vocabulary: Annotated[
            Path | None, typer.Option(help="Vocabulary (.parquet, .tsv, .csv); default: that of the stores.")
        ] = None,
        reference: Annotated[
            str | None,
            typer.Option(
                help="Re-reference EEG to an electrode, a recorded scheme or average, where the derivations allow it.",
                show_default=False,
            ),
        ] = None,
        max_shard_size: Annotated[str, typer.Option(help="Maximum size of a shard, e.g. 512M or 1G.")] = "1G",
        workers: Annotated[int, typer.Option(min=1, help="Number of electrodes written in parallel.")] = 2,
        allow_unfinished: Annotated[
            bool, typer.Option(help="Accept a store whose ingest was stopped or is still running.")
        ] = False,
        private: Annotated[
            bool, typer.Option("--private", help="Only those who may read the data can read the address.")
        ] = False,
        as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
    ) -> None:
        """Write standardised recordings as per-electrode shards.

        Run the same command again to resume after an interruption. Example: `eegprep shard stores/eegmat --out shards`
        """
        from eegprep.api import shard as run

        with _progress("writing electrodes") as report:
            summary = run(
                stores,
                out,
                extends=extends,
                vocabulary=vocabulary,
                max_shard_size=max_shard_size,
                workers=workers,
                allow_unfinished=allow_unfinished,
                private=private,
                reference=reference,
                progress=report,
            )
        if as_json:
            print(json.dumps({**dataclasses.asdict(summary), "path": out}, default=str, indent=1))
            return
        print(
            f"{out}: {summary.n_recordings} recordings, {summary.n_electrodes} electrodes, "
            f"{summary.hours:.2f} electrode hours, {summary.n_trials} trials in {summary.n_shards} shards, "
            f"{summary.n_bytes / 1e6:.1f} MB{' (already complete)' if summary.already_done else ''}"
        )
        print(f"  split: {', '.join(f'{name} {n}' for name, n in summary.splits.items())} recordings")
        for task, n in summary.trials.items():
            print(f"  task {task}: {n} trials")
            if not n:
                print(f"warning: task {task} has no trials; see the output of `eegprep ingest`", file=sys.stderr)
        _warn_of_unfinished(summary.unfinished)
        for code, count, n_samples in _by_code(summary.left_out):
            print(f"left out, {code}: {count} stretches, {n_samples} samples (listed in lock.yaml)", file=sys.stderr)

    @app.command()
    def verify(
        shards: Annotated[str, typer.Argument(help="A shard set: a folder or an address.", show_default=False)],
        deep: Annotated[bool, typer.Option(help="Read every byte and check all hashes.")] = False,
        rebuild: Annotated[
            list[Path] | None, typer.Option(help="A store to rebuild the set from, to compare byte by byte.")
        ] = None,
        workers: Annotated[int, typer.Option(min=1, help="Number of shards checked in parallel.")] = 2,
        as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    ) -> None:
        """Verify a shard set: index against shards, hashes, counts, names, alignment, vocabulary.

        Exit code 3 if anything is damaged, with the names of shard and member. Example: `eegprep verify shards --deep`
        """
        from eegprep.api import verify as run
        from eegprep.errors import UsageError

        if "://" in shards:
            if rebuild:
                raise UsageError(
                    "--rebuild compares a set on this machine",
                    found=shards,
                    todo="download it (`eegprep manifest pull`), or leave out --rebuild: every hash is checked",
                )
            _verify_remote(shards, as_json)
            return
        with _progress("checking shards") as report:
            checked = run(shards, deep=deep, rebuild=rebuild or None, workers=workers, progress=report)
        if as_json:
            print(json.dumps(dataclasses.asdict(checked) | {"rebuilt": bool(rebuild)}, default=str, indent=1))
            return
        print(
            f"{checked.path}: complete; {checked.n_shards} shards, {checked.n_blocks} blocks, "
            f"{checked.n_trials} trials ({'every byte' if deep else 'index and frames'}: "
            f"{checked.n_bytes / 1e6:.1f} MB read"
            f"{', rebuilt byte by byte' if rebuild else ''})"
        )
        _warn_of_unfinished(checked.unfinished)


def _warn_of_unfinished(names: Sequence[str]) -> None:
    for name in names:
        print(f"warning: the ingest of {name} had not ended: recordings may be missing", file=sys.stderr)


def _verify_remote(address: str, as_json: bool) -> None:
    """Fetch every shard into the cache, which checks its hash; opening checks the index."""
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
        print(f"{address}: complete; {len(opened.shards)} shards, {n_bytes / 1e6:.1f} MB, every hash matches the index")


def _by_code(left_out: Any) -> list[tuple[str, int, int]]:
    codes = sorted({x.code for x in left_out})
    return [(c, sum(x.code == c for x in left_out), sum(x.n_samples for x in left_out if x.code == c)) for c in codes]


@contextmanager
def _progress(title: str) -> Iterator[Callable[[str, int, int], None] | None]:
    """A progress bar on stderr if that is a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.progress import Progress

    with Progress(console=console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)

        def report(name: str, done: int, total: int) -> None:
            bar.update(task, completed=done, total=total, description=f"{title}: {name}")

        yield report
