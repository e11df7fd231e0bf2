"""One recording, from what the source gives to what the store holds.

What enters: a `Plan`. What leaves: the signal at 256 Hz in microvolt, chunk by chunk into whoever takes it, and its
`RecordingInfo` with every channel, stretch and trial that was left out. Equal recordings give equal bytes: nothing
here looks at a clock, a path or another recording.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from eegprep.electrodes import Vocabulary
from eegprep.ingest.account import Found, entries, first_reason_counts
from eegprep.ingest.before import spectrum_before
from eegprep.ingest.decide import Plan, decide, identity, make_plan
from eegprep.ingest.measure import StreamMeasure
from eegprep.ingest.rows import Bridged
from eegprep.ingest.trials import cut_trials
from eegprep.manifest.recipe import Recipe
from eegprep.manifest.schema import Manifest
from eegprep.recording import STANDARD_SFREQ_HZ, LeftOut, RecordingInfo, Stretch, seconds_to_samples, subtract
from eegprep.sources.base import SourceRecording
from eegprep.sources.hashing import signal_hash
from eegprep.steps.reject import drop_short, merge
from eegprep.steps.standardise import standardise
from eegprep.store import Store

__all__ = ["Sink", "Nowhere", "carry_out", "process", "write"]


class Sink(Protocol):
    """Who takes the signal."""

    def append(self, signal_uv: NDArray[np.float32], /) -> None:
        """(n_electrodes, n) float32, in order of time, NaN in gaps."""
        ...


class Nowhere:
    """A sink for a dry run."""

    def append(self, signal_uv: NDArray[np.float32], /) -> None:
        """Nothing is kept."""


def process(
    recording: SourceRecording,
    *,
    manifest: Manifest,
    recipe: Recipe,
    vocabulary: Vocabulary,
    store: Store,
    made_from: str = "",
) -> RecordingInfo:
    """Standardise one recording into the store.

    Raises
    ------
    InputError
        Where it cannot be used; the store is then as it was.
    """
    decision = decide(recording, manifest=manifest, recipe=recipe, vocabulary=vocabulary)
    return write(make_plan(decision), store, made_from)


def write(plan: Plan, store: Store, made_from: str = "") -> RecordingInfo:
    """Carry a plan out into the store: the whole recording, or nothing."""
    with store.writer(identity(plan.recording, plan.manifest), plan.electrodes, made_from) as writer:
        return writer.finish(carry_out(plan, writer))


def carry_out(plan: Plan, sink: Sink) -> RecordingInfo:
    """Filter everything into `sink` and describe it."""
    timeline, chain = plan.timeline, plan.chain
    missing = [plan.checks.not_finite[row] for row in plan.checked]
    signal = Bridged(plan.signal, missing, timeline.source) if any(missing) else plan.signal
    n_rows = len(plan.channels)
    above_uv = chain.reject.above_uv if chain.reject is not None else None
    measure = StreamMeasure(n_rows, timeline.n_samples, above_uv, STANDARD_SFREQ_HZ)
    position = 0
    for start, chunk in standardise(signal, timeline, chain, rows=range(n_rows)):
        _fill_gap(sink, position, start, n_rows)
        measure.add(start, chunk)
        sink.append(chunk)
        position = start + chunk.shape[1]
    _fill_gap(sink, position, timeline.n_samples, n_rows)
    return _describe(plan, measure)


def _describe(plan: Plan, measure: StreamMeasure) -> RecordingInfo:
    recording, timeline, checks = plan.recording, plan.timeline, plan.checks
    electrodes = plan.electrodes
    rejected: dict[str, tuple[Stretch, ...]] = {}
    sigmas: list[float] = []
    left_out = list(plan.left_out)
    for i, electrode in enumerate(electrodes):
        found = _rejected(i, plan, measure)
        parts = merge([s for _, _, s in found])
        sigma = measure.sigma_uv(i, parts)
        if sigma == 0.0:
            parts = timeline.stretches
            reason = "nothing but one value is left of it"
            left_out.append(LeftOut(kind="channel", name=plan.channels[i].name, code="silent", reason=reason))
        else:
            left_out += entries(plan.channels[i].name, found)
        if parts:
            rejected[electrode] = parts
        sigmas.append(sigma)
    attributes = dict(recording.attributes)
    trials, without = cut_trials(recording, plan.manifest, timeline, attributes)
    spectrum, step_hz = spectrum_before(plan.signal, recording.sfreq_hz, recording.stretches)
    quality = {
        "line_noise_ratio": tuple(checks.line_noise_ratio[r] for r in plan.checked),
        "amplitude_uv": tuple(checks.amplitude_uv[r] for r in plan.checked),
        "slope": tuple(checks.slope[r] for r in plan.checked),
        "minimum_uv": tuple(checks.minimum_uv[r] for r in plan.checked),
        "maximum_uv": tuple(checks.maximum_uv[r] for r in plan.checked),
        "kept_s": tuple(_kept_s(timeline.stretches, rejected.get(e, ())) for e in electrodes),
    }
    references = tuple(c.reference for c in plan.channels)
    return RecordingInfo(
        dataset=plan.manifest.name,
        subject=recording.subject,
        session=recording.session,
        run=recording.run,
        n_samples=timeline.n_samples,
        electrodes=electrodes,
        references=("average",) * len(electrodes) if plan.chain.average else references,
        stretches=timeline.stretches,
        rejected=rejected,
        trials=trials,
        line_freq_hz=plan.line_freq_hz,
        sigma_uv=tuple(sigmas),
        quality=quality,
        source_channels=tuple(c.name for c in plan.channels),
        source_files=tuple(name for name, _ in recording.files),
        source_sha256=_together(recording.files),
        signal_sha256=signal_hash(plan.signal, recording.sfreq_hz),
        source_sfreq_hz=recording.sfreq_hz,
        source_format=recording.format,
        steps=plan.chain.described,
        units_evidence=recording.units_evidence,
        attributes=attributes,
        spectrum_before_uv2_hz=spectrum,
        spectrum_step_hz=step_hz,
        left_out=(*left_out, *without),
    )


def _rejected(i: int, plan: Plan, measure: StreamMeasure) -> list[Found]:
    """What is rejected of one electrode at the standard rate, each sample for one reason, in order of time."""
    checks, stretches, reject, row = plan.checks, plan.timeline.stretches, plan.chain.reject, plan.checked[i]
    sources = [("not_finite", "samples are missing (NaN)", checks.not_finite[row])]
    if reject is not None and reject.flat_s is not None:
        sources.append(("flat", f"one value for {reject.flat_s:g} s or longer", checks.flat[row]))
    if reject is not None and reject.clipped_s is not None:
        sources.append(("clipped", f"at its limit for {reject.clipped_s:g} s or longer", checks.clipped[row]))
    found: list[Found] = [
        (code, reason, out) for code, reason, parts in sources for part in parts for out in plan.timeline.span(part)
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


def _within(part: Stretch, stretches: Sequence[Stretch]) -> list[Stretch]:
    out = []
    for s in stretches:
        start, stop = max(part.start_sample, s.start_sample), min(part.stop_sample, s.stop_sample)
        if start < stop:
            out.append(Stretch(start_sample=start, n_samples=stop - start))
    return out


def _kept_s(stretches: tuple[Stretch, ...], rejected: tuple[Stretch, ...]) -> float:
    return sum(s.n_samples for s in subtract(stretches, rejected)) / STANDARD_SFREQ_HZ


def _fill_gap(sink: Sink, position: int, start: int, n_rows: int) -> None:
    """NaN for the samples that no stretch covers, so that nobody takes a gap for signal."""
    while position < start:
        n = min(start - position, 1 << 16)
        sink.append(np.full((n_rows, n), np.nan, np.float32))
        position += n


def _together(files: Sequence[tuple[str, str]]) -> str:
    """One hash for one file: its own. For several: of their names and hashes."""
    if len(files) == 1:
        return files[0][1]
    return hashlib.sha256("".join(f"{name} {digest}\n" for name, digest in sorted(files)).encode()).hexdigest()
