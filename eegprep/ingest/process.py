"""Process one recording: standardise it and write its signal and description.

The signal is passed on in chunks, at 256 Hz in microvolt; `RecordingInfo` lists every channel, stretch and trial that
was left out. Equal recordings give equal bytes: they do not depend on the time, paths or other recordings.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from eegprep.electrodes import Vocabulary
from eegprep.ingest.before import spectrum_before
from eegprep.ingest.trials import cut_trials
from eegprep.manifest.recipe import Recipe
from eegprep.manifest.schema import Manifest
from eegprep.recording import STANDARD_SFREQ_HZ, RecordingInfo, Stretch, covered, subtract
from eegprep.sources.base import SourceRecording
from eegprep.standardise import Judged, Plan, Sink, decide, make_plan, run
from eegprep.standardise.decide import identity
from eegprep.standardise.hashing import signal_hash
from eegprep.standardise.resample import n_resampled
from eegprep.standardise.rows import Rows
from eegprep.store import Store


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
        If it cannot be used; the store is then unchanged.
    """
    decision = decide(recording, manifest=manifest, recipe=recipe, vocabulary=vocabulary)
    return write(make_plan(decision), store, made_from)


def write(plan: Plan, store: Store, made_from: str = "", pool: ThreadPoolExecutor | None = None) -> RecordingInfo:
    """Run a plan and write the complete recording to the store, or nothing."""
    with store.writer(identity(plan.recording, plan.manifest), plan.inputs, made_from) as writer:
        return writer.finish(carry_out(plan, writer, pool))


def carry_out(plan: Plan, sink: Sink, pool: ThreadPoolExecutor | None = None) -> RecordingInfo:
    """Filter everything into `sink` and describe it."""
    return _describe(plan, run(plan, sink, pool))


def _describe(plan: Plan, judged: Judged) -> RecordingInfo:
    recording, timeline, checks = plan.recording, plan.timeline, plan.checks
    attributes = dict(recording.attributes)
    trials, without = cut_trials(recording, plan.manifest, timeline, attributes)
    eeg = plan.rows_of("eeg")
    shown = Rows(plan.signal, eeg) if 0 < len(eeg) < len(plan.channels) else plan.signal
    spectrum, step_hz = spectrum_before(shown, recording.sfreq_hz, recording.stretches)
    origins = _origins(plan)
    quality = {
        "line_noise_ratio": tuple(checks.line_noise_ratio[r] for r in plan.checked),
        "amplitude_uv": tuple(checks.amplitude_uv[r] for r in plan.checked),
        "slope": tuple(checks.slope[r] for r in plan.checked),
        "minimum_uv": tuple(checks.minimum_uv[r] for r in plan.checked),
        "maximum_uv": tuple(checks.maximum_uv[r] for r in plan.checked),
        "kept_s": tuple(_kept_s(timeline.stretches, judged.rejected.get(e, ()), origins) for e in plan.inputs),
    }
    return RecordingInfo(
        dataset=plan.manifest.name,
        subject=recording.subject,
        session=recording.session,
        run=recording.run,
        n_samples=timeline.n_samples,
        electrodes=plan.electrodes,
        references=plan.references,
        stretches=timeline.stretches,
        rejected=judged.rejected,
        origins=origins,
        trials=trials,
        line_freq_hz=plan.line_freq_hz,
        sigma_uv=judged.sigma_uv,
        quality=quality,
        source_channels=tuple(c.name for c in plan.channels),
        source_files=tuple(name for name, _ in recording.files),
        source_sha256=_together(recording.files),
        signal_sha256=signal_hash(plan.signal, recording.sfreq_hz),
        fingerprint=judged.fingerprint,
        source_sfreq_hz=recording.sfreq_hz,
        source_format=recording.format,
        steps=plan.decision.recipe.steps_json(),
        units_evidence=recording.units_evidence,
        attributes=attributes,
        spectrum_before_uv2_hz=spectrum,
        spectrum_step_hz=step_hz,
        left_out=(*plan.left_out, *judged.left_out, *without),
        montage=plan.decision.montage,
    )


def _kept_s(stretches: tuple[Stretch, ...], rejected: tuple[Stretch, ...], origins: tuple[int, ...]) -> float:
    return covered(subtract(stretches, rejected), stretches, origins) / STANDARD_SFREQ_HZ


def _origins(plan: Plan) -> tuple[int, ...]:
    """Position in the recording at which each stretch began, if the source gives it."""
    starts = dict(zip(plan.recording.stretches, plan.recording.origins, strict=False))
    return tuple(n_resampled(starts[s], plan.timeline.ratio) for s in plan.timeline.source if s in starts)


def _together(files: Sequence[tuple[str, str]]) -> str:
    """The hash of a single file, or a hash over the names and hashes of several."""
    if len(files) == 1:
        return files[0][1]
    return hashlib.sha256("".join(f"{name} {digest}\n" for name, digest in sorted(files)).encode()).hexdigest()
