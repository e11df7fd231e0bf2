"""`eegprep inspect`: a dry run over a file, a tree or a data set; nothing is written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.table import Table

    from eegprep.sources import PlannedRecording
    from eegprep.sources.inspection import Inspected, InspectedChannel

#: More files than this are shown as one table of files and one of channels.
_IN_FULL = 3


def register(app: typer.Typer) -> None:
    """Add `inspect` to the app."""

    @app.command()
    def inspect(
        what: Annotated[
            str, typer.Argument(help="A file, a folder, a BIDS tree, a manifest, a data set, or moabb:CODE.")
        ],
        source: Annotated[Path | None, typer.Option(help="Folder of the data set's files.")] = None,
        channels: Annotated[bool, typer.Option("--channels", help="Every channel of every file.")] = False,
        json_output: Annotated[bool, typer.Option("--json", help="Machine-readable output.")] = False,
    ) -> None:
        """Dry run: what every file and channel would become, or why it is left out.

        Shows electrode or reason, unit with its evidence, rate, line noise, flat and clipped seconds, hours kept and
        left out. Exit code 1 where a file can't be used.

        Example: `eegprep inspect recordings/ --json`
        """
        import json
        import sys

        from eegprep.electrodes import Vocabulary
        from eegprep.sources import isolated_reader, open_source
        from eegprep.sources.inspection import inspect_recording
        from eegprep.sources.locate import find_argument

        manifest, folder = find_argument(what, source)
        opened = open_source(manifest, folder)
        plan = opened.plan()
        vocabulary = Vocabulary.base()
        seen: dict[str, str] = {}
        results: list[Inspected] = []
        with isolated_reader(manifest, folder) as reader:
            for planned in _progress(plan):
                results.append(inspect_recording(planned, reader.read, manifest, vocabulary, seen=seen))
        skipped = opened.skipped()
        if json_output:
            import dataclasses

            print(
                json.dumps(
                    {
                        "dataset": manifest.name,
                        "recordings": [r.to_plain() for r in results],
                        "skipped": [dataclasses.asdict(s) for s in skipped],
                        "totals": _totals(results),
                    },
                    indent=1,
                    ensure_ascii=False,
                )
            )
        else:
            _print(results, in_full=channels or len(results) <= _IN_FULL)
            beside = "files that are read with a recording"
            _print_rest(results, [(s.path, beside if s.reason.startswith("read with") else s.reason) for s in skipped])
        if not results:
            print("no recording was found", file=sys.stderr)
        if not all(r.usable for r in results) or not results:
            raise typer.Exit(1)


def _progress(plan: list[PlannedRecording]) -> Iterable[PlannedRecording]:
    """The plan, with a bar on a terminal only."""
    import sys

    if not sys.stderr.isatty() or len(plan) < 2:
        return plan
    from rich.console import Console
    from rich.progress import track

    return track(plan, description="reading", console=Console(stderr=True), transient=True)


def _totals(results: list[Inspected]) -> dict[str, float | int]:
    kept = [c for r in results for c in r.channels if c.electrode is not None]
    return {
        "recordings": len(results),
        "refused": sum(r.error is not None for r in results),
        "without_electrode": sum(r.error is None and not r.usable for r in results),
        "duplicates": sum(bool(r.duplicate_of) for r in results),
        "channels": sum(len(r.channels) for r in results),
        "channels_kept": len(kept),
        "hours": sum(r.hours for r in results),
        "electrode_hours_kept": sum(c.hours_kept for r in results for c in r.channels),
        "electrode_hours_left_out": sum(c.hours_left_out for c in kept),
    }


def _print(results: list[Inspected], *, in_full: bool) -> None:
    from rich.markup import escape
    from rich.table import Table

    from . import tables

    console = tables.console()
    files = Table(title="recordings", title_justify="left")
    for column in ("file", "format", "rate", "hours", "stretches", "kept", "line", "unit", "notes"):
        files.add_column(
            column, overflow="fold", justify="right" if column in ("rate", "hours", "stretches") else "left"
        )
    for r in results:
        if r.error is not None:
            reason = r.error["what"] or ""
            found = f" ({r.error['found']})" if r.error["found"] else ""
            files.add_row(escape(r.file), "-", "-", "-", "-", "refused", "-", "-", escape(reason + found))
            continue
        kept = sum(c.electrode is not None for c in r.channels)
        notes = [*r.notes, f"same signal as {r.duplicate_of}"] if r.duplicate_of else list(r.notes)
        if not r.usable:
            notes.insert(0, "no channel can be used: see why below, and name its electrodes in a manifest")
        notes += sorted({f"{x['name']}: {x['reason']}" for x in r.left_out})[:3]
        files.add_row(
            escape(r.file),
            r.format,
            f"{r.sfreq_hz:g} Hz",
            f"{r.hours_in_stretches:.4f}",
            str(r.n_stretches),
            f"{kept} of {len(r.channels)}",
            f"{r.line_freq_hz:g} Hz" if r.line_freq_hz else "-",
            escape(r.units_evidence),
            escape("; ".join(notes)),
        )
    console.print(files)
    if in_full:
        for r in results:
            if r.channels:
                console.print(_channel_table(r))
    else:
        console.print(_summary_table(results))


def _channel_table(result: Inspected) -> Table:
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=f"channels of {escape(result.file)}", title_justify="left")
    for column in ("channel", "electrode", "against", "why", "unit", "rate", "line noise", "flat", "clipped", "kept"):
        table.add_column(column, overflow="fold")
    for c in result.channels:
        kept = c.electrode is not None
        table.add_row(
            escape(c.name),
            c.electrode or "-",
            escape(c.reference) if kept else "",
            escape(c.reason),
            c.unit or "-",
            f"{c.sfreq_hz:g}",
            "-" if c.line_noise_ratio is None else f"{c.line_noise_ratio:.1f}",
            f"{c.flat_s:.1f} s",
            f"{c.clipped_s:.1f} s",
            f"{c.hours_kept:.4f} h" if kept else "left out",
        )
    return table


def _summary_table(results: list[Inspected]) -> Table:
    """Channels of all files by name and what becomes of them."""
    from collections import defaultdict

    from rich.markup import escape
    from rich.table import Table

    groups: defaultdict[tuple[str, str, str, str], list[InspectedChannel]] = defaultdict(list)
    for r in results:
        for c in r.channels:
            why = c.reason if c.electrode is None else ""
            groups[(c.name, c.electrode or "-", why if c.code != "disconnected" else "disconnected", c.unit)].append(c)
    table = Table(title="channels of all recordings (--channels shows each file)", title_justify="left")
    for column in (
        "channel",
        "electrode",
        "why left out",
        "unit",
        "files",
        "line noise",
        "flat",
        "clipped",
        "kept",
        "left out",
    ):
        table.add_column(column, overflow="fold")
    for (name, electrode, why, unit), found in sorted(groups.items(), key=lambda g: (g[0][1] == "-", g[0])):
        noise = sorted(c.line_noise_ratio for c in found if c.line_noise_ratio is not None)
        table.add_row(
            escape(name),
            electrode,
            escape(why),
            unit or "-",
            str(len(found)),
            f"{noise[len(noise) // 2]:.1f}" if noise else "-",
            f"{sum(c.flat_s for c in found):.1f} s",
            f"{sum(c.clipped_s for c in found):.1f} s",
            f"{sum(c.hours_kept for c in found):.4f} h",
            f"{sum(c.hours_left_out for c in found):.4f} h",
        )
    return table


def _print_rest(results: list[Inspected], skipped: list[tuple[str, str]]) -> None:
    from collections import Counter

    from . import tables

    console = tables.console()
    for reason, count in sorted(Counter(reason for _, reason in skipped).items()):
        example = next(path for path, own in skipped if own == reason)
        more = f" and {count - 1} more" if count > 1 else ""
        console.print(f"no recording: {example}{more}: {reason}", markup=False)
    t = _totals(results)
    console.print(
        f"{t['recordings']} recordings ({t['refused']} refused, {t['without_electrode']} without an electrode, "
        f"{t['duplicates']} duplicates), {t['hours']:.4f} h; "
        f"{t['channels_kept']} of {t['channels']} channels, {t['electrode_hours_kept']:.4f} electrode-hours kept, "
        f"{t['electrode_hours_left_out']:.4f} left out",
        markup=False,
    )
