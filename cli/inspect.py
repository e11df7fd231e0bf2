"""`eegprep inspect`: a dry run over a file, a folder or a data set; nothing is written."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from eegprep.ingest import Inspection
    from eegprep.ingest.inspection import Inspected, InspectedChannel

#: More files than this are shown as one table of files and one of channels.
_IN_FULL = 3
#: Rows of the table of files without --channels.
_MAX_ROWS = 100
#: Event texts shown, the most frequent first.
_MAX_TEXTS = 40
#: Reasons that name the recording to which a file belongs.
_REASON = re.compile(r"(?<=^read with ).*|(?<=^belongs to ).*(?=, which)|(?<=^a later part of ).*")
_WORDS = {"sidecar": "sidecar", "no_recording": "not a recording", "foreign": "foreign"}
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e[+-]\d+)?(?![\w.])")


def register(app: typer.Typer) -> None:
    """Add `inspect` to the app."""

    @app.command()
    def inspect(
        what: Annotated[
            str,
            typer.Argument(help="A file, folder, BIDS tree, manifest, data set, openneuro:ID or address."),
        ],
        source: Annotated[Path | None, typer.Option(help="Folder of the data set's files.")] = None,
        recipe: options.Recipe = None,
        vocabulary: options.Vocabulary = None,
        kinds: options.Kinds = None,
        workers: Annotated[
            int, typer.Option(min=0, help="Number of worker processes; 0 runs everything in this process.")
        ] = 1,
        partial: options.Partial = False,
        subjects: options.Subjects = None,
        tasks: options.Tasks = None,
        limit_hours: options.LimitHours = None,
        channels: Annotated[bool, typer.Option("--channels", help="Show every channel of every file.")] = False,
        json_output: Annotated[bool, typer.Option("--json", help="Machine-readable output.")] = False,
    ) -> None:
        """Dry run of `eegprep ingest`: show what would be stored of each file and channel, and why others are left out.

        Shows electrodes, units with their evidence, rates, line noise, and hours kept and left out by reason.
        Exit code 1 if a file cannot be read.

        Example: `eegprep inspect recordings/ --json`
        """
        import json

        from eegprep.api import inspect as run

        from .progress import bar

        with bar("inspect") as report:
            found = run(
                what,
                source,
                recipe=recipe,
                vocabulary=vocabulary,
                kinds=kinds,
                workers=workers,
                partial=partial,
                subjects=subjects,
                tasks=tasks,
                limit_hours=limit_hours,
                progress=report,
            )
        if json_output:
            print(json.dumps(_plain(found), indent=1, ensure_ascii=False))
        else:
            _print(found, every_channel=channels)
        if found.exit_code:
            raise typer.Exit(found.exit_code)


def _plain(found: Inspection) -> dict[str, object]:
    from eegprep.sources.entry import count_files

    return {
        "dataset": found.dataset,
        "recordings": [r.to_plain() for r in found.recordings],
        "skipped": [e.to_plain() for e in found.entries if e.code not in ("recording", "failed")],
        "files": count_files(found.entries),
        "refused": found.refused,
        "unmet": list(found.unmet),
        "montage_warning": found.montage_warning,
        "unmatched": [dataclasses.asdict(m) for m in found.unmatched],
        "totals": _totals(found.recordings) | found.seen,
    }


def _totals(results: Sequence[Inspected]) -> dict[str, float | int]:
    """Sums. Hours are of recordings that ingest would store."""
    stored = [r for r in results if r.usable]
    kept = [c for r in stored for c in r.channels if c.electrode is not None]
    return {
        "recordings": len(results),
        "stored": len(stored),
        "refused": sum(r.error is not None for r in results),
        "without_electrode": sum(bool(r.channels) and not any(c.electrode for c in r.channels) for r in results),
        "duplicates": sum(bool(r.duplicate_of) for r in results),
        "channels": sum(len(r.channels) for r in results),
        "channels_kept": len(kept),
        "hours": sum(r.hours for r in stored),
        "electrode_hours_kept": sum(c.hours_kept for c in kept),
        "electrode_hours_left_out": sum(c.hours_left_out for c in kept),
    }


def _print(found: Inspection, *, every_channel: bool) -> None:
    from eegprep.errors import printable

    from . import tables

    console = tables.console()
    results = found.recordings
    if results:
        shown = results if every_channel else results[:_MAX_ROWS]
        console.print(_files(shown))
        if len(shown) < len(results):
            console.print(f"... and {len(results) - len(shown)} more: --json or --channels lists them all")
    if every_channel or len(results) <= _IN_FULL:
        for r in results:
            if r.channels:
                console.print(_channel_table(r))
    else:
        console.print(_summary_table(results))
    for kind, title in (("events", "events"), ("labels", "labels of epochs")):
        if found.seen[kind]:
            console.print(_text_table(results, kind, title, found.seen[kind], whole=every_channel))
    for line in _lines(found):
        console.print(printable(line), markup=False, soft_wrap=True)


def _files(results: Sequence[Inspected]) -> Table:
    from rich.markup import escape

    from eegprep.errors import printable

    from . import tables

    table = tables.plain_table("recordings")
    for column in ("file", "format", "Hz", "minutes", "parts", "channels", "line", "montage"):
        table.add_column(
            column,
            overflow="fold",
            justify="left" if column in ("file", "format") else "right",
            no_wrap=column != "file",
        )
    for r in results:
        if not r.channels:
            table.add_row(escape(printable(r.file)), "-", "-", "-", "-", "refused", "-", "-")
            continue
        kept = sum(c.electrode is not None for c in r.channels)
        table.add_row(
            escape(printable(r.file)),
            r.format,
            f"{r.sfreq_hz:g}",
            f"{60 * r.hours:.2f}",
            str(r.n_stretches),
            "duplicate" if r.duplicate_of else "refused" if r.error else f"{kept} of {len(r.channels)}",
            f"{r.line_freq_hz:g} Hz" if r.line_freq_hz else "-",
            f"{r.montage.figure:.2f}" if r.montage else "-",
        )
    return table


def _channel_table(result: Inspected) -> Table:
    from rich.markup import escape

    from eegprep.errors import printable

    from . import tables

    table = tables.plain_table(f"channels of {escape(printable(result.file))}")
    for column in ("channel", "electrode", "against", "unit", "noise", "minutes", "reason, seconds left out"):
        number = column in ("noise", "minutes")
        table.add_column(column, justify="right" if number else "left", overflow="fold", no_wrap=number)
    for c in result.channels:
        kept = c.electrode is not None
        table.add_row(
            escape(c.name),
            c.electrode or "-",
            escape(c.reference) if kept else "",
            c.unit or "-",
            _noise([c]),
            f"{60 * c.hours_kept:.2f}",
            escape("; ".join(x for x in (c.reason, _parts([c]) if kept else "") if x)),
        )
    return table


def _summary_table(results: Sequence[Inspected]) -> Table:
    """Channels of all files, grouped by name and outcome."""
    from rich.markup import escape

    from . import tables

    groups: defaultdict[tuple[str, str, str, str], list[InspectedChannel]] = defaultdict(list)
    for r in results:
        for c in r.channels:
            groups[(c.name, c.electrode or "-", c.code if c.electrode is None else "", c.unit)].append(c)
    table = tables.plain_table("channels of all recordings (--channels lists each file)")
    for column in ("channel", "electrode", "unit", "files", "noise", "hours", "reason, seconds left out"):
        number = column in ("files", "noise", "hours")
        table.add_column(column, justify="right" if number else "left", overflow="fold", no_wrap=number)
    for (name, electrode, code, unit), found in sorted(groups.items(), key=lambda g: (g[0][1] == "-", g[0])):
        reason = Counter(c.reason for c in found).most_common(1)[0][0] if code else ""
        table.add_row(
            escape(name),
            electrode,
            unit or "-",
            str(len(found)),
            _noise(found),
            f"{sum(c.hours_kept for c in found):.4f}",
            escape(reason or _parts(found)),
        )
    return table


def _text_table(results: Sequence[Inspected], kind: str, title: str, total: dict[str, int], *, whole: bool) -> Table:
    """Each text with its total count, and its count per recording if these are few."""
    from rich.markup import escape

    from . import tables

    shown = list(total) if whole else list(total)[:_MAX_TEXTS]
    more = f" ({len(total) - len(shown)} more: --json or --channels lists them all)" if len(shown) < len(total) else ""
    counts: list[dict[str, int]] = [dict(getattr(r, kind)) for r in results]
    own = counts if len(results) <= _IN_FULL else []
    table = tables.plain_table(title + more)
    table.add_column("text", overflow="fold")
    for r in results[: len(own)]:
        table.add_column(escape(r.file), justify="right", overflow="fold")
    for column in ("total", "recordings", "each"):
        table.add_column(column, justify="right", no_wrap=True)
    for text in shown:
        having = sorted(c[text] for c in counts if text in c)
        each = str(having[0]) if having[0] == having[-1] else f"{having[0]} to {having[-1]}"
        row = [str(c.get(text, 0)) for c in own]
        table.add_row(escape(text), *row, str(total[text]), f"{len(having)} of {len(counts)}", each)
    return table


def _noise(channels: Sequence[InspectedChannel]) -> str:
    """The median ratio of line noise to neighbouring frequencies."""
    noise = sorted(c.line_noise_ratio for c in channels if c.line_noise_ratio is not None)
    return f"{noise[len(noise) // 2]:.1f}" if noise else "-"


def _parts(channels: Sequence[InspectedChannel]) -> str:
    """Seconds left out of kept channels, by reason."""
    seconds: Counter[str] = Counter()
    for c in channels:
        seconds.update(c.left_out_s)
    return ", ".join(f"{code.replace('_', ' ')} {s:.1f} s" for code, s in seconds.most_common() if s > 0)


def _lines(found: Inspection) -> list[str]:
    """Everything outside the tables: errors, units, notes, skipped files and totals."""
    from eegprep.sources.entry import count_files

    from .entries import files_line, refused_lines

    results = found.recordings
    lines = []
    for r in results:
        if r.error is not None:
            detail = f"; found {r.error['found']}" if r.error.get("found") else ""
            todo = f"; to do: {r.error['todo']}" if r.error.get("todo") else ""
            lines.append(f"refused: {r.file}: {r.error['what']}{detail}{todo}")
    files = {r.key: r.file for r in results}
    lines += [f"duplicate: {r.file} has the same signal as {files[r.duplicate_of]}" for r in results if r.duplicate_of]
    said: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for r in results:
        if r.units_evidence:
            said["unit", r.units_evidence].append(r.file)
        for note in r.notes:
            said["note", note].append(r.file)
        for x in r.left_out:
            if x["kind"] == "trial" or (x["kind"] == "channel" and x["name"] not in {c.stored_as for c in r.channels}):
                said["left out", f"{x['kind']} {x['name']}: {x['reason']}"].append(r.file)
    lines += _grouped(said)
    skipped: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for e in found.entries:
        if e.kind in _WORDS:
            skipped[_WORDS[e.kind], _REASON.sub("a recording", e.reason)].append(e.path)
    lines += refused_lines(found.left_out)
    lines += _grouped(skipped)
    if found.refused is not None:
        parts = (("found", "found"), ("expected", "expected"), ("todo", "to do:"))
        said_more = "".join(f"; {word} {found.refused[part]}" for part, word in parts if found.refused.get(part))
        lines.append(f"data set refused: {found.refused['what']}{said_more}")
    if len(results) > _IN_FULL:
        lines += _events_by_file(results)
    lines += [f"{'matches nothing' if m.fails else 'note'}: {m}{m.hint}" for m in found.unmatched]
    lines += [f"does not match the manifest's `expect:`: {text}" for text in found.unmet]
    lines += [f"warning: {found.montage_warning}"] if found.montage_warning else []
    if found.entries:
        lines.append(files_line(count_files(found.entries)))
    t = _totals(results)
    lines.append(
        f"{t['recordings']} recordings ({t['refused']} refused, {t['without_electrode']} of them without an electrode, "
        f"{t['duplicates']} duplicates); to be stored: {t['stored']}, {t['hours']:.4f} h, "
        f"{t['channels_kept']} of {t['channels']} channels, {t['electrode_hours_kept']:.4f} electrode-hours kept, "
        f"{t['electrode_hours_left_out']:.4f} left out"
    )
    return lines


def _events_by_file(results: Sequence[Inspected]) -> list[str]:
    """The events of each recording; recordings with the same events share a line."""
    alike: defaultdict[tuple[tuple[str, int], ...], list[str]] = defaultdict(list)
    for r in results:
        if r.events or r.labels:
            both = [*sorted(r.events.items()), *sorted(r.labels.items())]
            alike[tuple(both)].append(r.file)
    lines = []
    for counts, files in list(alike.items())[:_MAX_ROWS]:
        told = ", ".join(f"{text} {n}" for text, n in counts[:_MAX_TEXTS])
        told += f" and {len(counts) - _MAX_TEXTS} more" if len(counts) > _MAX_TEXTS else ""
        lines.append(f"events: {files[0]}{f' and {len(files) - 1} more' if len(files) > 1 else ''}: {told}")
    if len(alike) > _MAX_ROWS:
        lines.append(f"events: {sum(map(len, alike.values()))} recordings in total; --json lists them")
    return lines


def _grouped(said: dict[tuple[str, str], list[str]]) -> list[str]:
    """One line for all files with the same text; numbers that differ become ranges."""
    alike: defaultdict[tuple[str, str], list[tuple[str, list[str]]]] = defaultdict(list)
    for (word, text), files in said.items():
        alike[word, _NUMBER.sub("#", text)].append((text, files))
    lines = []
    for (word, _), found in alike.items():
        files = [f for _, some in found for f in some]
        more = f" and {len(files) - 1} more" if len(files) > 1 else ""
        lines.append(f"{word}: {files[0]}{more}: {_ranges([text for text, _ in found])}")
    return lines


def _ranges(texts: Sequence[str]) -> str:
    """Merge texts that differ only in numbers into one, with ranges such as `3.5 to 7.8`."""
    words = _NUMBER.split(texts[0])
    columns = [sorted(set(found), key=float) for found in zip(*(_NUMBER.findall(t) for t in texts), strict=True)]
    shown = [c[0] if len(c) == 1 else f"{c[0]} to {c[-1]}" for c in columns]
    return "".join(part for pair in zip(words, [*shown, ""], strict=True) for part in pair)
