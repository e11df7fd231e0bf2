"""The report of a dry run on each recording and channel, as plain data for a table or JSON.

For each channel, `Inspected` has its electrode or the reason why it is left out, the unit with its evidence, quality,
and the hours kept and left out by reason. It is made from the same decision and plan as an ingest.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eegprep.electrodes.montage_check import montage_warning
from eegprep.ingest.matches import count_trials
from eegprep.ingest.outcome import Job, Outcome
from eegprep.recording import MontageFit, RecordingInfo, covered
from eegprep.sources.base import PlannedRecording, SourceRecording
from eegprep.standardise.channels import Verdict
from eegprep.standardise.decide import Decision, Plan

_HOUR_S = 3600.0


@dataclass(frozen=True, kw_only=True)
class InspectedChannel:
    """One channel; `electrode` is None if it is left out for `code` and `reason`.

    `stored_as` is its name in the store, a pseudonym if the file's name may be personal.

    `left_out_s` are the seconds left out of this channel, by code; with `hours_kept` they add up to the recording.
    """

    name: str
    stored_as: str
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
    left_out_s: Mapping[str, float] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Inspected:
    """One recording.

    `error` is set if it is refused; its channels are known if it could be read. `usable`: ingest would keep it.
    `events` and `labels` (of epochs) are the file's own texts with their counts, which are never stored; `n_events`
    counts those named by a task. `tasks` are the trials as counted by `eegprep.ingest.matches.count_trials`.
    `montage` is how well the signal fits the electrodes' positions (`eegprep.electrodes.montage_check`).
    """

    file: str
    key: str
    n_bytes: int
    usable: bool = False
    error: Mapping[str, str | None] | None = None
    format: str = ""
    sfreq_hz: float | None = None
    hours: float = 0.0
    hours_in_stretches: float = 0.0
    n_stretches: int = 0
    trials: Mapping[str, int] = dataclasses.field(default_factory=dict)
    tasks: Mapping[str, Mapping[str, Mapping[str, int]]] = dataclasses.field(default_factory=dict)
    n_events: int = 0
    events: Mapping[str, int] = dataclasses.field(default_factory=dict)
    labels: Mapping[str, int] = dataclasses.field(default_factory=dict)
    line_freq_hz: float | None = None
    units_evidence: str = ""
    signal_hash: str = ""
    duplicate_of: str = ""
    channels: tuple[InspectedChannel, ...] = ()
    left_out: tuple[Mapping[str, Any], ...] = ()
    steps: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    montage: MontageFit | None = None

    def to_plain(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return dataclasses.asdict(self)


def gather(
    work: Sequence[tuple[Job, PlannedRecording]], outcomes: Mapping[str, Outcome], copies: Mapping[str, str]
) -> list[Inspected]:
    """The outcomes of a dry run, sorted by file name.

    Parameters
    ----------
    outcomes : mapping of str to Outcome
        By recording id.
    copies : mapping of str to str
        Recording id of each copy to that of its original.
    """
    by_id = {job.recording_id: job.key for job, _ in work}
    results = []
    for job, planned in work:
        outcome = outcomes[job.recording_id]
        # It may come from JSON, which only has lists.
        told: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in (outcome.inspected or {}).items()}
        channels = tuple(InspectedChannel(**c) for c in told.pop("channels", ()))
        montage = told.pop("montage", None)
        copy = copies.get(job.recording_id)
        results.append(
            Inspected(
                file=planned.files[0] if planned.files else planned.key,
                key=planned.key,
                n_bytes=planned.n_bytes,
                usable=outcome.error is None and copy is None,
                error=outcome.error,
                duplicate_of="" if copy is None else by_id[copy],
                channels=channels,
                montage=None if montage is None else MontageFit(**{**montage, "swap": tuple(montage["swap"])}),
                **told,
            )
        )
    return sorted(results, key=lambda r: (r.file, r.key))


def describe_decision(decision: Decision) -> dict[str, Any]:
    """The fields of `Inspected` known before filtering, as plain data with nothing kept yet."""
    recording = decision.recording
    whole_s = (_shown(recording) if recording.origins else recording.n_samples) / recording.sfreq_hz
    fits = [decision.montage] if decision.montage is not None else []
    return {
        "format": recording.format,
        "sfreq_hz": recording.sfreq_hz,
        "hours": whole_s / _HOUR_S,
        "hours_in_stretches": _shown(recording) / recording.sfreq_hz / _HOUR_S,
        "n_stretches": len(recording.stretches),
        "n_events": len(recording.events),
        "events": dict(recording.event_counts),
        "labels": dict(recording.label_counts),
        "line_freq_hz": decision.line_freq_hz,
        "units_evidence": recording.units_evidence,
        "channels": [_judged(v, decision, whole_s) for v in decision.verdicts],
        "left_out": [dataclasses.asdict(x) for x in recording.left_out],
        "notes": [*recording.notes, *(text for text in (decision.contradiction, montage_warning(fits)) if text)],
        "montage": dataclasses.asdict(decision.montage) if decision.montage is not None else None,
    }


def describe_result(plan: Plan, info: RecordingInfo) -> dict[str, Any]:
    """The fields that `describe_decision` cannot know: hours kept, and every entry of `left_out`."""
    by_row = {c.row: i for i, c in enumerate(plan.channels)}
    silent = {x.name: x for x in info.left_out if x.kind == "channel" and x.code == "silent"}
    whole_s = info.n_recorded / info.sfreq_hz
    channels: list[dict[str, Any]] = []
    for told in describe_decision(plan.decision)["channels"]:
        row = len(channels)
        if row in by_row:
            kept_s = info.quality["kept_s"][by_row[row]] or 0.0
            samples = info.left_out_samples(by_row[row])
            told["left_out_s"] = {code: n / info.sfreq_hz for code, n in sorted(samples.items())}
            if told["name"] in silent:
                out = silent[told["name"]]
                told.update(electrode=None, code=out.code, reason=out.reason, left_out_s={out.code: whole_s})
            told["hours_kept"] = kept_s / _HOUR_S
        else:
            kept_s = 0.0
            told["left_out_s"] = {told["code"]: whole_s}
        told["hours_left_out"] = (whole_s - kept_s) / _HOUR_S
        channels.append(told)
    return {
        "hours": whole_s / _HOUR_S,
        "hours_in_stretches": info.covered(info.stretches) / info.sfreq_hz / _HOUR_S,
        "n_stretches": len(info.stretches),
        "trials": dict(sorted(Counter(t.task for t in info.trials).items())),
        "tasks": count_trials(info),
        "signal_hash": info.signal_sha256,
        "channels": channels,
        "left_out": [dataclasses.asdict(x) for x in info.left_out],
        "steps": [dict(step) for step in info.steps],
    }


def _judged(verdict: Verdict, decision: Decision, whole_s: float) -> dict[str, Any]:
    channel, checks, sfreq_hz = decision.recording.channels[verdict.row], decision.checks, decision.recording.sfreq_hz
    told: dict[str, Any] = {
        "name": verdict.name,
        "stored_as": verdict.stored_as,
        "electrode": verdict.electrode,
        "reference": verdict.reference,
        "code": verdict.code,
        "reason": verdict.reason,
        "unit": channel.unit,
        "unit_evidence": channel.unit_evidence,
        "sfreq_hz": channel.sfreq_hz or sfreq_hz,
        "hours_left_out": whole_s / _HOUR_S,
    }
    if checks is not None and verdict.row in decision.checked:
        place = decision.checked.index(verdict.row)
        told["line_noise_ratio"] = checks.line_noise_ratio[place]
        told["amplitude_uv"] = checks.amplitude_uv[place]
        for name, parts in (("flat", checks.flat), ("clipped", checks.clipped), ("not_finite", checks.not_finite)):
            told[f"{name}_s"] = sum(s.n_samples for s in parts[place]) / sfreq_hz
    return told


def _shown(recording: SourceRecording) -> int:
    return covered(recording.stretches, recording.stretches, recording.origins)
