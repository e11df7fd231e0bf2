"""Run a plan: write the signal to a sink and return the results that need the whole signal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from eegprep.recording import STANDARD_SFREQ_HZ, LeftOut, Stretch, merge, seconds_to_samples, subtract
from eegprep.splits.fingerprint import Fingerprinter
from eegprep.standardise.account import Found, entries, first_reason_counts
from eegprep.standardise.decide import Plan, marked
from eegprep.standardise.measure import StreamMeasure
from eegprep.standardise.rows import Bridged
from eegprep.standardise.signal import standardise
from eegprep.standardise.spans import drop_short


class Sink(Protocol):
    """A sink for the signal."""

    def append(self, signal_uv: NDArray[np.float32], /) -> None:
        """(n_electrodes, n) float32, in time order, NaN in gaps."""
        ...


class Nowhere:
    """A sink for a dry run."""

    def append(self, signal_uv: NDArray[np.float32], /) -> None:
        """Discards the signal."""


@dataclass(frozen=True, kw_only=True)
class Judged:
    """Results per electrode that need the whole signal.

    Attributes
    ----------
    rejected : dict of str to tuple of Stretch
        Stretches rejected in addition to the plan's gaps, by input; inputs without any are absent.
    sigma_uv : tuple of float
        Robust standard deviation of the kept samples, in row order; 0 if no samples are left.
    fingerprint : str
        Fingerprint that finds altered copies of the signal (`eegprep.splits.fingerprint`).
    left_out : tuple of LeftOut
        Rejected parts by reason, and channels without remaining signal.
    """

    rejected: dict[str, tuple[Stretch, ...]]
    sigma_uv: tuple[float, ...]
    fingerprint: str
    left_out: tuple[LeftOut, ...]


def run(plan: Plan, sink: Sink, pool: ThreadPoolExecutor | None = None) -> Judged:
    """Filter everything into `sink`, at 256 Hz in microvolt, and check it; a pool only changes the speed."""
    timeline = plan.timeline
    missing = [plan.checks.missing(row) for row in plan.checked]
    signal = Bridged(plan.signal, missing, timeline.source) if any(missing) else plan.signal
    n_rows = len(plan.channels)
    measure = StreamMeasure(n_rows, timeline.n_samples, _limits_uv(plan), STANDARD_SFREQ_HZ)
    eeg = plan.rows_of("eeg") or list(range(n_rows))
    fingerprinter = Fingerprinter([plan.electrodes[row] for row in eeg])
    position = 0
    for start, chunk in _standardised(plan, signal, pool):
        _fill_gap(sink, position, start, n_rows)
        measure.add(start, chunk)
        fingerprinter.add(start, chunk if len(eeg) == n_rows else chunk[eeg])
        sink.append(chunk)
        position = start + chunk.shape[1]
    _fill_gap(sink, position, timeline.n_samples, n_rows)
    return _judged(plan, measure, str(fingerprinter.finish()))


def _limits_uv(plan: Plan) -> float | list[float] | None:
    """The largest amplitude of each row; None if no kind has a limit."""
    rejects = [plan.chains[c.kind].reject for c in plan.channels]
    limits = [None if reject is None else reject.above_uv for reject in rejects]
    if all(limit == limits[0] for limit in limits):
        return limits[0]
    return [np.inf if limit is None else limit for limit in limits]


def _standardised(
    plan: Plan, signal: Any, pool: ThreadPoolExecutor | None
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """`(start_sample, chunk)` of all rows: each kind is filtered by its own chain."""
    kinds = [kind for kind in plan.chains if plan.rows_of(kind)]
    streams = [
        standardise(signal, plan.timeline, plan.chains[kind], rows=plan.rows_of(kind), pool=pool) for kind in kinds
    ]
    if len(streams) == 1:
        yield from streams[0]
        return
    rows = [plan.rows_of(kind) for kind in kinds]
    held: list[tuple[int, NDArray[np.float32]]] = [next(stream) for stream in streams]
    while True:
        # All streams cover the same samples, in chunks of different lengths.
        start = held[0][0]
        n = min(chunk.shape[1] for _, chunk in held)
        out = np.empty((len(plan.channels), n), np.float32)
        for k, (_, chunk) in enumerate(held):
            out[rows[k]] = chunk[:, :n]
            held[k] = (start + n, chunk[:, n:])
        yield start, out
        ended = [k for k, (_, chunk) in enumerate(held) if not chunk.shape[1]]
        following = [next(streams[k], None) for k in ended]
        for k, one in zip(ended, following, strict=True):
            if one is None:
                return
            held[k] = one


def _judged(plan: Plan, measure: StreamMeasure, fingerprint: str) -> Judged:
    rejected: dict[str, tuple[Stretch, ...]] = {}
    sigmas: list[float] = []
    left_out: list[LeftOut] = []
    for i, name in enumerate(plan.inputs):
        found = _rejected(i, plan, measure)
        parts = merge([s for _, _, s in found])
        sigma = measure.sigma_uv(i, parts)
        if sigma == 0.0:
            reason = _silent(plan.timeline.stretches, found)
            parts = plan.timeline.stretches
            left_out.append(LeftOut(kind="channel", name=plan.channels[i].name, code="silent", reason=reason))
        else:
            left_out += entries(plan.channels[i].name, found)
        if parts:
            rejected[name] = parts
        sigmas.append(sigma)
    return Judged(rejected=rejected, sigma_uv=tuple(sigmas), fingerprint=fingerprint, left_out=tuple(left_out))


def _rejected(i: int, plan: Plan, measure: StreamMeasure) -> list[Found]:
    """Rejected parts of one row at the standard rate, each sample for one reason, sorted by time."""
    checks, stretches, reject, row = (
        plan.checks,
        plan.timeline.stretches,
        plan.chains[plan.channels[i].kind].reject,
        plan.checked[i],
    )
    own = [(code, reason, (part,)) for code, reason, part in marked(plan.recording.left_out, plan.channels[i].name)]
    sources = [
        ("not_finite", "samples are not finite", checks.not_finite[row]),
        ("zeros", "all channels are zero at once, as if lost samples were filled in", checks.zeros),
        ("held", "all channels are constant at once, as if lost samples were filled in", checks.held),
    ]
    if reject is not None and reject.flat_s is not None:
        sources.append(("flat", f"constant for {reject.flat_s:g} s or longer", checks.flat[row]))
    if reject is not None and reject.clipped_s is not None:
        sources.append(("clipped", f"at its limit for {reject.clipped_s:g} s or longer", checks.clipped[row]))
    found: list[Found] = [
        (code, reason, out)
        for code, reason, parts in (*own, *sources)
        for part in parts
        for out in plan.timeline.span(part)
    ]
    if reject is None:
        return first_reason_counts(found)
    if reject.above_uv is not None:
        large = f"beyond {reject.above_uv:g} µV"
        found += [("too_large", large, p) for part in measure.too_large(i) for p in _within(part, stretches)]
    if found:
        least = seconds_to_samples(reject.shortest_kept_s, STANDARD_SFREQ_HZ)
        rest = drop_short(subtract(stretches, merge([s for _, _, s in found])), least)
        found += [("short_rest", f"less than {reject.shortest_kept_s:g} s between rejected parts", s) for s in rest]
    return first_reason_counts(found)


def _silent(stretches: Sequence[Stretch], found: Sequence[Found]) -> str:
    """Why an electrode has no amplitude: everything is rejected, or the rest is constant."""
    if subtract(stretches, [s for _, _, s in found]):
        return "only a constant signal is left"
    samples: Counter[str] = Counter()
    for code, _, stretch in found:
        samples[code] += stretch.n_samples
    parts = [f"{code.replace('_', ' ')} {n / STANDARD_SFREQ_HZ:.1f} s" for code, n in samples.most_common()]
    return "nothing is left: " + ", ".join(parts)


def _within(part: Stretch, stretches: Sequence[Stretch]) -> list[Stretch]:
    out = []
    for s in stretches:
        start, stop = max(part.start_sample, s.start_sample), min(part.stop_sample, s.stop_sample)
        if start < stop:
            out.append(Stretch(start_sample=start, n_samples=stop - start))
    return out


def _fill_gap(sink: Sink, position: int, start: int, n_rows: int) -> None:
    """Set samples outside all stretches to NaN."""
    while position < start:
        n = min(start - position, 1 << 16)
        sink.append(np.full((n_rows, n), np.nan, np.float32))
        position += n
