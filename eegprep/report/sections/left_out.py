"""What was left out, as a section of a page: bars by reason, and a table of reasons with counts."""

from __future__ import annotations

from collections import defaultdict

from eegprep.report.contents.facts import Contents, LeftOutGroup
from eegprep.report.contents.reasons import meaning
from eegprep.report.figures import (
    Bar,
    Column,
    Drawing,
    Note,
    Row,
    Section,
    Table,
    bar_chart,
    format_duration,
    format_number,
)


def left_out(contents: Contents) -> Section | None:
    """What was left out, by reason, with counts and names."""
    if contents.left_out is None:
        return None
    if not contents.left_out:
        nothing = Note(text="Nothing was left out.", tone="good")
        return Section(anchor="left-out", heading="What was left out, and why", parts=[nothing])
    parts: list[Drawing | Table | Note | Row] = []
    drawings = []
    for kind, words in (("channel", "Channels"), ("stretch", "Stretches"), ("trial", "Trials")):
        groups = [g for g in contents.left_out if g.kind == kind]
        if groups:
            drawings.append(_left_out_bars(groups, words))
    parts.append(Row(parts=drawings))
    several = len({g.dataset for g in contents.left_out}) > 1
    named = any(g.names for g in contents.left_out)
    columns = [
        *([Column(label="data set")] if several else []),
        *(Column(label=x) for x in ("what", "code", "reason")),
        *(Column(label=x, numeric=True) for x in ("count", "recordings", "electrode-hours")),
        *([Column(label="which")] if named else []),
    ]
    rows = [
        [
            *([g.dataset] if several else []),
            *(g.kind, g.code, g.reason or meaning(g.code), g.count, g.n_recordings, g.hours),
            *([_names(g.names)] if named else []),
        ]
        for g in contents.left_out
    ]
    note = "The sidecar of each recording in the store lists names and reasons."
    if named:
        note = "If a reason contains values, the most frequent text is shown. " + note
    parts.append(Table(caption="Every reason", columns=columns, rows=rows, note=note))
    return Section(
        anchor="left-out",
        heading="What was left out, and why",
        opening="Every channel, stretch and trial that was left out is counted here, with its reason.",
        parts=parts,
    )


def _left_out_bars(groups: list[LeftOutGroup], words: str) -> Drawing:
    counts: dict[str, int] = defaultdict(int)
    hours: dict[str, float] = defaultdict(float)
    for group in groups:
        counts[group.code] += group.count
        hours[group.code] += group.hours or 0.0
    codes = sorted(counts, key=lambda c: (-counts[c], c))
    bars = [
        Bar(
            label=c.replace("_", " "),
            value=counts[c],
            shown=format_number(counts[c]) + (f" · {format_duration(hours[c] * 3600)}" if hours[c] else ""),
            colour=1,
        )
        for c in codes
    ]
    return Drawing(
        heading=words,
        svg=bar_chart(bars, label=f"{words} left out, by reason", width=470.0),
        caption=f"{words} left out, by reason" + (", with their electrode-time." if any(hours.values()) else "."),
    )


def _names(names: tuple[str, ...], limit: int = 12) -> str:
    more = f", and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
