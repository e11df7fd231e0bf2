"""One recording, from what the source gives to what the store holds.

What enters: a `SourceRecording`. What leaves: the signal in the store at 256 Hz in microvolt, and its `RecordingInfo`
with every channel, stretch and trial that was left out. Equal recordings give equal bytes: nothing here looks at a
clock, a path or another recording.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from eegprep.electrodes import Vocabulary
from eegprep.errors import InputError
from eegprep.ingest.before import spectrum_before
from eegprep.ingest.channels import Chosen, choose, without_bad
from eegprep.ingest.mains import mains_hz
from eegprep.ingest.measure import StreamMeasure
from eegprep.ingest.rows import Bridged, in_memory
from eegprep.ingest.trials import cut_trials
from eegprep.manifest.recipe import Recipe, Reject
from eegprep.manifest.schema import Manifest
from eegprep.recording import STANDARD_SFREQ_HZ, LeftOut, RecordingInfo, Stretch, seconds_to_samples, subtract
from eegprep.sources.base import SourceRecording
from eegprep.sources.checks import ChannelChecks, check_signal
from eegprep.sources.hashing import signal_hash
from eegprep.steps.chain import Chain, plan_chain
from eegprep.steps.reject import drop_short, merge
from eegprep.steps.standardise import standardise
from eegprep.steps.timeline import Timeline, lay_out
from eegprep.store import Store

__all__ = ["process", "Plan", "plan_recording"]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All that is decided before the first sample is filtered."""

    chosen: Chosen
    chain: Chain
    timeline: Timeline
    checks: ChannelChecks
    kept: tuple[int, ...]
    line_freq_hz: float | None
    left_out: tuple[LeftOut, ...]
    signal: Any


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
    plan = plan_recording(recording, manifest=manifest, recipe=recipe, vocabulary=vocabulary)
    chosen, timeline, chain = plan.chosen, plan.timeline, plan.chain
    missing = [plan.checks.not_finite[i] for i in plan.kept]
    signal = Bridged(plan.signal, missing, timeline.source) if any(missing) else plan.signal
    above_uv = chain.reject.above_uv if chain.reject is not None else None
    measure = StreamMeasure(len(chosen.rows), timeline.n_samples, above_uv, STANDARD_SFREQ_HZ)
    identity = _identity(recording, manifest)
    with store.writer(identity, chosen.electrodes, made_from) as writer:
        position = 0
        for start, chunk in standardise(signal, timeline, chain, rows=range(len(chosen.rows))):
            position = _fill_gap(writer, position, start, len(chosen.rows))
            measure.add(start, chunk)
            writer.append(chunk)
            position += chunk.shape[1]
        _fill_gap(writer, position, timeline.n_samples, len(chosen.rows))
        info = _describe(recording, manifest, plan, measure)
        return writer.finish(info)


def plan_recording(recording: SourceRecording, *, manifest: Manifest, recipe: Recipe, vocabulary: Vocabulary) -> Plan:
    """Channels, filters, stretches and checks of one recording; nothing is filtered yet."""
    chosen = choose(recording, manifest, vocabulary)
    _expected(recording, manifest, chosen)
    signal = in_memory(recording.signal, chosen.rows)
    reject = next((s for s in recipe.steps if isinstance(s, Reject)), None)
    stated = manifest.line_freq_hz or recording.line_freq_hz or mains_hz(manifest.country)
    limits = {k: v for k in ("flat_s", "clipped_s") if reject is not None and (v := getattr(reject, k)) is not None}
    checks = check_signal(
        signal,
        recording.sfreq_hz,
        recording.stretches,
        line_freq_hz=None if stated is None else float(stated),
        **limits,
    )
    line_freq_hz = float(stated) if stated is not None else checks.line_freq_hz
    chain = plan_chain(recipe, sfreq_hz=recording.sfreq_hz, line_freq_hz=line_freq_hz)
    chosen, kept = without_bad(chosen, recording, checks)
    if len(kept) < signal.shape[0]:
        signal = in_memory(signal, kept)
    shortest = chain.longest_filter
    if reject is not None:
        shortest = max(shortest, seconds_to_samples(reject.shortest_kept_s, recording.sfreq_hz))
    stretches = [s for s in recording.stretches if s.n_samples >= shortest]
    timeline = lay_out(stretches, recording.n_samples, chain.ratio)
    left_out = [*chosen.left_out, *(_at_standard_rate(x, chain) for x in recording.left_out)]
    left_out += [_short(s, shortest, chain) for s in recording.stretches if s.n_samples < shortest]
    if not stretches:
        longest = max((s.n_samples for s in recording.stretches), default=0)
        raise InputError(
            f"{_identity(recording, manifest)} holds no stretch that is long enough",
            found=f"{len(recording.stretches)} stretches, the longest {longest / recording.sfreq_hz:.2f} s",
            expected=f"{shortest / recording.sfreq_hz:.2f} s or more (longest filter: {chain.longest_filter} samples)",
            todo="use a recipe without high-pass and notch for short trials, e.g. --recipe epochs",
        )
    return Plan(
        chosen=chosen,
        chain=chain,
        timeline=timeline,
        checks=checks,
        kept=kept,
        line_freq_hz=line_freq_hz,
        left_out=tuple(left_out),
        signal=signal,
    )


def _describe(recording: SourceRecording, manifest: Manifest, plan: Plan, measure: StreamMeasure) -> RecordingInfo:
    chosen, timeline, checks = plan.chosen, plan.timeline, plan.checks
    rejected: dict[str, tuple[Stretch, ...]] = {}
    sigmas: list[float] = []
    left_out = list(plan.left_out)
    for i, electrode in enumerate(chosen.electrodes):
        parts, why = _rejected(i, plan, measure)
        if parts:
            rejected[electrode] = parts
            left_out += why
        sigma = measure.sigma_uv(i, parts)
        if sigma == 0.0:
            rejected[electrode] = timeline.stretches
            left_out.append(
                LeftOut(
                    kind="channel", name=chosen.names[i], code="silent", reason="nothing but one value is left of it"
                )
            )
        sigmas.append(sigma)
    attributes = dict(recording.attributes)
    trials, without = cut_trials(recording, manifest, timeline, attributes)
    rows = plan.kept
    spectrum, step_hz = spectrum_before(plan.signal, recording.sfreq_hz, recording.stretches)
    quality = {
        "line_noise_ratio": tuple(checks.line_noise_ratio[r] for r in rows),
        "amplitude_uv": tuple(checks.amplitude_uv[r] for r in rows),
        "slope": tuple(checks.slope[r] for r in rows),
        "minimum_uv": tuple(checks.minimum_uv[r] for r in rows),
        "maximum_uv": tuple(checks.maximum_uv[r] for r in rows),
        "kept_s": tuple(_kept_s(timeline.stretches, rejected.get(e, ())) for e in chosen.electrodes),
    }
    return RecordingInfo(
        dataset=manifest.name,
        subject=recording.subject,
        session=recording.session,
        run=recording.run,
        n_samples=timeline.n_samples,
        electrodes=chosen.electrodes,
        references=("average",) * len(chosen.electrodes) if plan.chain.average else chosen.references,
        stretches=timeline.stretches,
        rejected=rejected,
        trials=trials,
        line_freq_hz=plan.line_freq_hz,
        sigma_uv=tuple(sigmas),
        quality=quality,
        source_channels=chosen.names,
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


def _rejected(i: int, plan: Plan, measure: StreamMeasure) -> tuple[tuple[Stretch, ...], list[LeftOut]]:
    """What is rejected of one electrode at the standard rate, merged, and the list of it by reason."""
    checks, timeline, reject = plan.checks, plan.timeline, plan.chain.reject
    row, name = plan.kept[i], plan.chosen.names[i]
    found: list[tuple[str, str, Stretch]] = []
    sources = [("not_finite", "samples are missing (NaN)", checks.not_finite[row])]
    if reject is not None and reject.flat_s is not None:
        sources.append(("flat", f"one value for {reject.flat_s:g} s or longer", checks.flat[row]))
    if reject is not None and reject.clipped_s is not None:
        sources.append(("clipped", f"at its limit for {reject.clipped_s:g} s or longer", checks.clipped[row]))
    for code, reason, parts in sources:
        found += [(code, reason, out) for part in parts for out in timeline.span(part)]
    for part in measure.too_large(i):
        for inside in _within(part, timeline.stretches):
            limit = reject.above_uv if reject is not None else None
            found.append(("too_large", f"beyond {limit:g} µV", inside))
    parts_uv = merge([part for _, _, part in found])
    if parts_uv and reject is not None:
        least = seconds_to_samples(reject.shortest_kept_s, STANDARD_SFREQ_HZ)
        for rest in drop_short(subtract(timeline.stretches, parts_uv), least):
            found.append(("short_rest", f"less than {reject.shortest_kept_s:g} s between rejected parts", rest))
        parts_uv = merge([part for _, _, part in found])
    left_out = [
        LeftOut(kind="stretch", name=name, code=code, reason=reason, start_sample=s.start_sample, n_samples=s.n_samples)
        for code, reason, s in sorted(found, key=lambda f: (f[2], f[0]))
    ]
    return parts_uv, left_out


def _within(part: Stretch, stretches: Sequence[Stretch]) -> list[Stretch]:
    out = []
    for s in stretches:
        start, stop = max(part.start_sample, s.start_sample), min(part.stop_sample, s.stop_sample)
        if start < stop:
            out.append(Stretch(start_sample=start, n_samples=stop - start))
    return out


def _kept_s(stretches: tuple[Stretch, ...], rejected: tuple[Stretch, ...]) -> float:
    return sum(s.n_samples for s in subtract(stretches, rejected)) / STANDARD_SFREQ_HZ


def _fill_gap(writer: Any, position: int, start: int, n_rows: int) -> int:
    """NaN for the samples that no stretch covers, so that nobody takes a gap for signal."""
    while position < start:
        n = min(start - position, 1 << 16)
        writer.append(np.full((n_rows, n), np.nan, np.float32))
        position += n
    return start


def _at_standard_rate(one: LeftOut, chain: Chain) -> LeftOut:
    """What the reader left out, its samples counted at the store's rate."""
    if one.start_sample is None or one.n_samples is None:
        return one
    start = int(one.start_sample * chain.ratio)
    stop = -int(-(one.start_sample + one.n_samples) * chain.ratio // 1)
    return dataclasses.replace(one, start_sample=start, n_samples=stop - start)


def _short(stretch: Stretch, shortest: int, chain: Chain) -> LeftOut:
    ratio = chain.ratio
    return LeftOut(
        kind="stretch",
        name="all",
        code="short",
        reason=f"shorter than {shortest / chain.sfreq_hz:.2f} s, the longest filter or the least that is kept",
        start_sample=int(stretch.start_sample * ratio),
        n_samples=int(stretch.n_samples * ratio),
    )


def _expected(recording: SourceRecording, manifest: Manifest, chosen: Chosen) -> None:
    """Hold one recording against the manifest's `expect`; a difference is an error."""
    expect, name = manifest.expect, _identity(recording, manifest)
    if expect.sfreq_hz is not None and abs(expect.sfreq_hz - recording.sfreq_hz) > 0.01:
        raise InputError(
            f"{name} has another rate than the manifest expects",
            found=f"{recording.sfreq_hz:g} Hz",
            expected=f"{expect.sfreq_hz:g} Hz",
        )
    if expect.channels is not None and len(chosen.rows) != expect.channels:
        raise InputError(
            f"{name} has another number of electrodes than the manifest expects",
            found=f"{len(chosen.rows)}: {', '.join(chosen.electrodes[:40])}",
            expected=str(expect.channels),
        )


def _identity(recording: SourceRecording, manifest: Manifest) -> str:
    parts = (manifest.name, recording.subject, recording.session, recording.run)
    return "/".join(part or "-" for part in parts)


def _together(files: Sequence[tuple[str, str]]) -> str:
    """One hash for one file: its own. For several: of their names and hashes."""
    if len(files) == 1:
        return files[0][1]
    return hashlib.sha256("".join(f"{name} {digest}\n" for name, digest in sorted(files)).encode()).hexdigest()
