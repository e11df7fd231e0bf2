"""A dry run: what every channel and every second of a recording would become, and why. Nothing is written.

What enters: a source, a vocabulary and a planned recording. What leaves: `Inspected`, plain data for a table or
JSON: per channel its electrode or the reason why not, the unit with its evidence, quality, hours kept and left out.
The same rules as in ingest apply: names by `eegprep.electrodes`, signal by `eegprep.sources.checks`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from eegprep.electrodes import Resolution, Vocabulary, resolve_all
from eegprep.errors import EEGPTError
from eegprep.manifest.schema import Manifest
from eegprep.recording import subtract
from eegprep.sources.base import LazySignal, PlannedRecording, SignalLike, SourceRecording
from eegprep.sources.checks import ChannelChecks, check_signal
from eegprep.sources.hashing import signal_hash

__all__ = ["Inspected", "InspectedChannel", "inspect_recording"]

_HOUR_S = 3600.0


@dataclass(frozen=True, kw_only=True)
class InspectedChannel:
    """One channel; `electrode` is None where it is left out, and `code` and `reason` say why."""

    name: str
    electrode: str | None
    reference: str
    code: str
    reason: str
    unit: str = ""
    unit_evidence: str = ""
    sfreq_hz: float | None = None
    line_noise_ratio: float | None = None
    amplitude_uv: float | None = None
    flat_s: float = 0.0
    clipped_s: float = 0.0
    not_finite_s: float = 0.0
    hours_kept: float = 0.0
    hours_left_out: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Inspected:
    """One recording.

    `error` holds what refused it, and then nothing else is known. `usable` says whether any channel would be kept.
    """

    file: str
    key: str
    n_bytes: int
    usable: bool = False
    error: dict[str, str | None] | None = None
    format: str = ""
    sfreq_hz: float | None = None
    hours: float = 0.0
    hours_in_stretches: float = 0.0
    n_stretches: int = 0
    n_trials: int = 0
    n_events: int = 0
    line_freq_hz: float | None = None
    units_evidence: str = ""
    signal_hash: str = ""
    duplicate_of: str = ""
    channels: tuple[InspectedChannel, ...] = ()
    left_out: tuple[dict[str, Any], ...] = ()
    notes: tuple[str, ...] = ()

    def to_plain(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return dataclasses.asdict(self)


def inspect_recording(
    planned: PlannedRecording,
    read: Callable[[PlannedRecording], SourceRecording],
    manifest: Manifest,
    vocabulary: Vocabulary,
    *,
    seen: dict[str, str] | None = None,
) -> Inspected:
    """Read one recording and say what would become of it.

    Parameters
    ----------
    planned : PlannedRecording
    read : callable
        The source's `read`, or that of an isolated reader.
    manifest : Manifest
        For its channel rules and derivations.
    vocabulary : Vocabulary
    seen : dict, optional
        Signal hash to key of the recordings inspected so far, which is added to: the same signal under another name
        is reported as `duplicate_of`.
    """
    file = planned.files[0] if planned.files else planned.key
    try:
        recording = read(planned)
        return _inspect(file, planned, recording, manifest, vocabulary, {} if seen is None else seen)
    except EEGPTError as error:
        return Inspected(file=file, key=planned.key, n_bytes=planned.n_bytes, error=error.as_dict())


def _rows(signal: SignalLike, rows: Sequence[int]) -> SignalLike:
    """Some channels of a signal, still lazy."""
    chosen = list(rows)
    return LazySignal(len(chosen), signal.shape[1], lambda start, stop: np.asarray(signal[:, start:stop])[chosen])


def _inspect(
    file: str,
    planned: PlannedRecording,
    recording: SourceRecording,
    manifest: Manifest,
    vocabulary: Vocabulary,
    seen: dict[str, str],
) -> Inspected:
    found = resolve_all(
        vocabulary,
        recording.channels,
        rules=manifest.channels,
        derivations=manifest.derivations,
        system=manifest.electrode_system,
    )
    rows = [i for i, r in enumerate(found) if r.electrode is not None and recording.channels[i].unit]
    sfreq_hz = recording.sfreq_hz
    checks: ChannelChecks | None = None
    digest = duplicate = ""
    if rows:
        signal = _rows(recording.signal, rows)
        line = manifest.line_freq_hz or recording.line_freq_hz
        checks = check_signal(signal, sfreq_hz, recording.stretches, line_freq_hz=line)
        digest = signal_hash(signal, sfreq_hz)
        duplicate = seen.setdefault(digest, planned.key)
    n_kept = sum(s.n_samples for s in recording.stretches)
    reference = recording.reference or manifest.reference
    places = {row: place for place, row in enumerate(rows)}
    channels = tuple(
        _channel(recording, i, resolution, reference, checks, places.get(i), n_kept)
        for i, resolution in enumerate(found)
    )
    return Inspected(
        file=file,
        key=planned.key,
        n_bytes=planned.n_bytes,
        usable=any(c.electrode is not None for c in channels),
        format=recording.format,
        sfreq_hz=sfreq_hz,
        hours=recording.n_samples / sfreq_hz / _HOUR_S,
        hours_in_stretches=n_kept / sfreq_hz / _HOUR_S,
        n_stretches=len(recording.stretches),
        n_trials=len(recording.trial_labels),
        n_events=len(recording.events),
        line_freq_hz=checks.line_freq_hz if checks is not None else None,
        units_evidence=recording.units_evidence,
        signal_hash=digest,
        duplicate_of=duplicate if duplicate != planned.key else "",
        channels=channels,
        left_out=tuple(dataclasses.asdict(x) for x in recording.left_out),
        notes=recording.notes,
    )


def _channel(
    recording: SourceRecording,
    index: int,
    resolution: Resolution,
    reference: str,
    checks: ChannelChecks | None,
    row: int | None,
    n_kept: int,
) -> InspectedChannel:
    channel, sfreq_hz = recording.channels[index], recording.sfreq_hz
    hours = n_kept / sfreq_hz / _HOUR_S
    common = InspectedChannel(
        name=channel.name,
        electrode=resolution.electrode,
        reference=resolution.reference or channel.reference or reference,
        code=resolution.code,
        reason=resolution.reason,
        unit=channel.unit,
        unit_evidence=channel.unit_evidence,
        sfreq_hz=channel.sfreq_hz or sfreq_hz,
        hours_left_out=hours,
    )
    if resolution.electrode is None:
        return common
    if row is None or checks is None:
        return dataclasses.replace(
            common,
            electrode=None,
            code="no_unit",
            reason=channel.unit_evidence or "neither the file nor the manifest states its unit",
        )
    measured = dataclasses.replace(
        common,
        line_noise_ratio=checks.line_noise_ratio[row],
        amplitude_uv=checks.amplitude_uv[row],
        flat_s=sum(s.n_samples for s in checks.flat[row]) / sfreq_hz,
        clipped_s=sum(s.n_samples for s in checks.clipped[row]) / sfreq_hz,
        not_finite_s=sum(s.n_samples for s in checks.not_finite[row]) / sfreq_hz,
    )
    verdict = checks.verdicts[row]
    if channel.status == "bad":
        verdict = ("marked_bad", "the file marks the channel as bad")
    if verdict is not None:
        return dataclasses.replace(measured, electrode=None, code=verdict[0], reason=verdict[1])
    kept = sum(s.n_samples for s in subtract(recording.stretches, checks.rejected(row)))
    return dataclasses.replace(
        measured,
        hours_kept=kept / sfreq_hz / _HOUR_S,
        hours_left_out=(n_kept - kept) / sfreq_hz / _HOUR_S,
    )
