"""`Contents` as sections of a page: spectra, amplitudes, noise per electrode, and the worst recordings."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from eegprep.report.contents.facts import Contents, Spectrum
from eegprep.report.figures import (
    Column,
    Drawing,
    Line,
    Mark,
    Note,
    Row,
    Section,
    Table,
    format_number,
    format_percent,
    head,
    histogram,
    line_chart,
)
from eegprep.report.sections.contents import montage

# A robust SD this many times above or below its data set's median suggests a wrong unit.
UNIT_FACTOR = 30.0
LINE_PEAK = 3.0
# Figures that ingest measures per electrode and the table of recordings is sorted by, in words.
FIGURES = {"line_noise_ratio": "line noise / 4–30 Hz", "amplitude_uv": "4–30 Hz, µV", "montage": "montage check"}


def findings(contents: Contents) -> list[Note]:
    """The most important findings as sentences, worst first."""
    notes = []
    if contents.failures:
        n = len(contents.failures)
        notes.append(
            Note(text=f"{n} file{'s' if n > 1 else ''} failed and are in quarantine, listed below.", tone="bad")
        )
    notes += [Note(text=f"{text[:1].upper()}{text[1:]}.", tone="warn") for text in contents.warnings]
    suspects = _unit_suspects(contents)
    if suspects:
        named = ", ".join(suspects[:4]) + (f" and {len(suspects) - 4} more" if len(suspects) > 4 else "")
        text = f"The amplitude of {named} is over {UNIT_FACTOR:g} times off the median of its data set: check the unit."
        notes.append(Note(text=text, tone="warn"))
    for spectrum in contents.spectra:
        if spectrum.stage == "after" and (peak := _line_peak(spectrum)) is not None:
            hz, ratio = peak
            text = f"{spectrum.dataset}: {hz:g} Hz line noise remains ({format_number(ratio)} times its neighbours)."
            notes.append(Note(text=text, tone="warn"))
    lost = [r for r in contents.recordings if r.lost > 0.2]
    if lost:
        text = f"{len(lost)} of {len(contents.recordings)} recordings lost more than a fifth of their electrode-hours."
        notes.append(Note(text=text, tone="warn"))
    within = [d.name for d in contents.datasets if d.within_subject]
    if within:
        named = ", ".join(within)
        text = f"Within subject: {named} split trials of the same subjects; scores do not apply to new subjects."
        notes.append(Note(text=text))
    return notes


def _unit_suspects(contents: Contents) -> list[str]:
    out = []
    for dataset in contents.datasets:
        own = [r for r in contents.recordings if r.dataset == dataset.name and (r.sigma_uv_median or 0.0) > 0]
        values = sorted(r.sigma_uv_median or 0.0 for r in own)
        if len(values) >= 3:
            middle = values[len(values) // 2]
            out += [r.id for r in own if not 1 / UNIT_FACTOR < (r.sigma_uv_median or 0.0) / middle < UNIT_FACTOR]
    return out


def _line_peak(spectrum: Spectrum) -> tuple[float, float] | None:
    """Line frequency and its power relative to that 3 to 6 Hz away, if more than `LINE_PEAK`."""
    for line_hz in (50.0, 60.0):
        near = [p for f, p in zip(spectrum.freq_hz, spectrum.median, strict=True) if abs(f - line_hz) <= 1]
        around = [p for f, p in zip(spectrum.freq_hz, spectrum.median, strict=True) if 3 <= abs(f - line_hz) <= 6]
        if near and around:
            base = sorted(around)[len(around) // 2]
            if base > 0 and max(near) / base > LINE_PEAK:
                return line_hz, max(near) / base
    return None


def signal(contents: Contents) -> Section | None:
    """Spectra, amplitudes, and the noise of each electrode on the head."""
    parts: list[Drawing | Table | Note | Row] = []
    after = [s for s in contents.spectra if s.stage == "after"]
    for spectrum in after:
        before = next((s for s in contents.spectra if s.stage == "before" and s.dataset == spectrum.dataset), None)
        parts.append(_spectrum(spectrum, before, heading=spectrum.dataset if len(after) > 1 else ""))
    if len(parts) > 1:
        parts = [Row(parts=[p for p in parts[i : i + 2] if isinstance(p, Drawing)]) for i in range(0, len(parts), 2)]
    sides: list[Drawing | Table | Note] = []
    if contents.amplitudes is not None:
        a = contents.amplitudes
        sides.append(
            Drawing(
                heading="Amplitudes",
                svg=histogram(
                    a.edges_uv,
                    a.counts,
                    label="Histogram of sample values in microvolt",
                    x_label="µV",
                    y_label="samples",
                    width=480.0,
                    height=300.0,
                    y_log=True,
                ),
                caption=f"{format_number(a.n_samples)} samples; {format_percent(a.n_beyond / max(a.n_samples, 1))} "
                "are outside the axis. Counts are on a logarithmic axis.",
            )
        )
    sigmas = {e.name: e.sigma_uv for e in contents.electrodes}
    if any(v is not None for v in sigmas.values()):
        places = {e.name: e.position_m for e in contents.electrodes if e.position_m is not None}
        sides.append(
            Drawing(
                heading="Robust standard deviation",
                svg=head(
                    sigmas,
                    places,
                    every=montage(),
                    label="Robust standard deviation of each electrode, on a head",
                    unit="µV",
                ),
                caption="1.4826 times the median absolute deviation; the median over recordings.",
            )
        )
    if sides:
        parts.append(Row(parts=sides))
    if not parts:
        return None
    n = contents.n_looked_at
    opening = "Spectra and amplitudes are computed from short, evenly spread windows of every recording."
    if n < len(contents.recordings):
        opening = (
            f"Spectra and amplitudes are computed from short windows of {n} of the {len(contents.recordings)} "
            "recordings, evenly spread over the list."
        )
    if contents.kind != "store" and after:
        opening += " Spectra before the steps are only in the reports of the stores."
    return Section(anchor="signal", heading="Signal", opening=opening, parts=parts)


def _spectrum(after: Spectrum, before: Spectrum | None, heading: str) -> Drawing:
    lines = [
        Line(
            label="after the steps, median",
            x=after.freq_hz,
            y=after.median,
            low=after.low,
            high=after.high,
            colour=0,
        )
    ]
    caption = f"Median power density of {format_number(after.n)} electrodes of recordings; the band is the middle 80 %."
    top = max(after.freq_hz, default=1.0)
    if before is not None:
        inside = [i for i, f in enumerate(before.freq_hz) if f <= top]
        lines.append(
            Line(
                label="before, median",
                x=[before.freq_hz[i] for i in inside],
                y=[before.median[i] for i in inside],
                colour=1,
                dashed=True,
            )
        )
    floor = max((p for p in after.median if p > 0), default=1.0) * 1e-6
    top = max((f for f, p in zip(after.freq_hz, after.high, strict=True) if p >= floor), default=top)
    lines = [_floored(line, floor, top) for line in lines]
    return Drawing(
        heading=heading,
        svg=line_chart(
            lines,
            label="Power spectra" + (" before and after the steps" if before is not None else ""),
            x_label="frequency, Hz",
            y_label="µV²/Hz",
            y_log=True,
            marks=[Mark(label=f"{hz} Hz", x=float(hz)) for hz in (50, 60) if top > hz],
            width=1020.0 if not heading else 520.0,
            height=340.0 if not heading else 300.0,
        ),
        caption=caption,
    )


def _floored(line: Line, floor: float, top: float) -> Line:
    """Drop values below `floor` (a filter's stop band) and frequencies above `top`, which would dominate the axes."""
    inside = [i for i, f in enumerate(line.x) if f is not None and f <= top]

    def above(values: Sequence[float | None], least: float | None = None) -> list[float | None]:
        picked = [values[i] for i in inside]
        return [v if v is not None and v >= floor else least for v in picked]

    return dataclasses.replace(
        line,
        x=[line.x[i] for i in inside],
        y=above(line.y),
        low=None if line.low is None else above(line.low, floor),
        high=None if line.high is None else above(line.high),
    )


def worst(contents: Contents, limit: int = 50) -> Section | None:
    """Recordings, worst first."""
    if not contents.recordings:
        return None
    ranked = contents.worst_first()
    channels = any(r.n_channels_left_out is not None for r in ranked)
    names = [name for name in FIGURES if any(name in r.figures for r in ranked)]
    columns = [
        Column(label="recording"),
        Column(label="kept", numeric=True),
        Column(label="time lost", numeric=True),
        Column(label="electrodes", numeric=True),
        *([Column(label="channels left out", numeric=True)] if channels else []),
        Column(label="SD µV, low", numeric=True),
        Column(label="median", numeric=True),
        Column(label="high", numeric=True),
        *(Column(label=FIGURES[n], numeric=True) for n in names),
    ]
    rows = [
        [
            r.id,
            _minutes(r.hours),
            format_percent(r.lost),
            r.n_electrodes,
            *([r.n_channels_left_out] if channels else []),
            r.sigma_uv_low,
            r.sigma_uv_median,
            r.sigma_uv_high,
            *(r.figures.get(n) for n in names),
        ]
        for r in ranked
    ]
    note = "SD is robust, over electrodes; the columns to its right are the maximum over the recording's electrodes. "
    "The montage check is the rank correlation between how alike and how near electrodes are: 0.7 to 0.9 is usual."
    return Section(
        anchor="worst",
        heading="Recordings, worst first",
        opening="Ordered by the share of electrode-hours lost to gaps and rejected stretches, "
        "then by the noisiest electrode.",
        parts=[Table(caption="Recordings", columns=columns, rows=rows, limit=limit, note=note)],
    )


def _minutes(hours: float) -> str:
    from eegprep.report.figures import format_duration

    return format_duration(hours * 3600) if math.isfinite(hours) else format_duration(None)
