"""Turn `Decoded` into `SourceRecording`: units, privacy, hashes. The last step of every source.

Event texts are kept only if a task of the manifest names them: any other text may have been typed by a technician.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from eegprep.electrodes import Vocabulary
from eegprep.electrodes.resolve import resolve
from eegprep.errors import InputError
from eegprep.files import sha256_file
from eegprep.formats.decoded import UNITS_TO_UV, Decoded, LazySignal, SignalLike, SourceChannel, SourceEvent, check_rate
from eegprep.formats.events import STIM, one_truth
from eegprep.formats.segments import structured
from eegprep.formats.tables.text import is_number
from eegprep.manifest.labels import code_text, event_label, look_up
from eegprep.manifest.schema import Manifest
from eegprep.manifest.tasks import named_events
from eegprep.privacy import clean_channel, pseudonym
from eegprep.recording import LeftOut, Stretch
from eegprep.sources.base import PlannedRecording, SourceRecording
from eegprep.sources.line_rate import rate_notes
from eegprep.sources.units import UnitsProof, prove_units

#: Files of EGI MFF and MEF3 folders with the signal and its metadata.
_IN_FOLDERS = frozenset({".bin", ".xml", ".tdat", ".tidx", ".tmet", ".rdat", ".ridx"})
#: Maximum number of different texts counted per recording, most frequent first.
_MAX_TEXTS = 1000


def named_texts(manifest: Manifest) -> frozenset[str]:
    """The event texts named by the manifest's tasks."""
    return named_events(manifest.tasks)


def _stated(channel: SourceChannel, manifest: Manifest) -> SourceChannel:
    """The channel with the unit that the manifest states, if any."""
    rule = manifest.channels.get(channel.name)
    unit = rule.unit if rule is not None and rule.unit is not None else None
    if unit is None and channel.kind in ("eeg", "unknown"):
        unit = manifest.source.unit
    if unit is None:
        return channel
    if unit not in UNITS_TO_UV:
        raise InputError(
            f"the manifest {manifest.name} gives channel {channel.name!r} the unit {unit!r}",
            expected=" or ".join(UNITS_TO_UV),
        )
    return dataclasses.replace(channel, unit=unit, unit_evidence=f"the manifest states {unit}")


def _named(channel: SourceChannel, manifest: Manifest) -> SourceChannel:
    """The channel with its name free of personal data, and the name that may be stored."""
    name = _clean(channel.name, manifest)
    return dataclasses.replace(channel, name=name, public_name=_public(name, channel.kind, manifest))


def _clean(name: str, manifest: Manifest) -> str:
    return name if name in manifest.channels else clean_channel(manifest.name, name)


def _public(name: str, kind: str, manifest: Manifest) -> str:
    """A channel's name as stored: unchanged if its meaning is known or the data set is anonymous."""
    known = manifest.anonymous_subjects or name in manifest.channels or name in manifest.source.channels
    if known or resolve(Vocabulary.base(), name, kind=kind).code not in ("unknown_name", "unknown_reference"):
        return name
    return pseudonym(manifest.name, name, "c")


def _stored(left_out: LeftOut, manifest: Manifest) -> LeftOut:
    """What a reader left out, with a name that may be stored; parts of a channel have the channel's name."""
    if left_out.kind == "stretch" and left_out.name != "all":
        return dataclasses.replace(left_out, name=_clean(left_out.name, manifest))
    if left_out.kind != "channel":
        return left_out
    name = clean_channel(manifest.name, left_out.name)
    return dataclasses.replace(left_out, name=_public(name, "unknown", manifest))


def _meanings(manifest: Manifest) -> dict[str, tuple[str | None, ...]]:
    """The event texts named by tasks, each with its class in every task."""
    rules = [task.trials for task in manifest.tasks if task.trials.by == "event"]
    named = [dict.fromkeys(rule.events, "") if rule.values else rule.labels for rule in rules]
    return {text: tuple(look_up(one, text) for one in named) for text in sorted(named_texts(manifest))}


def _witnessed(decoded: Decoded, manifest: Manifest) -> list[SourceEvent]:
    """The stimulus events, with trigger channel names that may be stored."""
    names: dict[str, str] = {"": ""}
    for witness in {e.witness for e in decoded.events}:
        channel = witness.removeprefix(STIM)
        public = _public(clean_channel(manifest.name, channel), "stim", manifest) if witness != channel else channel
        names[witness] = (STIM if witness != channel else "") + public
    return [dataclasses.replace(e, witness=names[e.witness]) for e in decoded.events if e.role == "stimulus"]


def _in_uv(signal: SignalLike, channels: tuple[SourceChannel, ...], scale: float) -> SignalLike:
    factors = np.array([UNITS_TO_UV.get(c.unit, 1.0) * scale for c in channels])[:, None]
    if np.all(factors == 1.0):
        return signal

    def read(start: int, stop: int) -> np.ndarray:
        return np.asarray(signal[:, start:stop], dtype=np.float64) * factors

    if isinstance(signal, np.ndarray):
        return read(0, signal.shape[1])
    return LazySignal(signal.shape[0], signal.shape[1], read)


def assemble(decoded: Decoded, planned: PlannedRecording, manifest: Manifest, folder: Path) -> SourceRecording:
    """Check the unit, remove personal data, and hash the files.

    Raises
    ------
    InputError
        If there is no signal, or unit and signal contradict each other.
    """
    where = folder / planned.files[0] if planned.files else folder
    names = named_texts(manifest)
    decoded = structured(decoded, names)
    if not decoded.channels or not decoded.stretches or decoded.signal.shape[1] == 0:
        raise InputError(
            f"{planned.files[0] if planned.files else planned.key} contains no signal",
            where=where,
            found=f"{len(decoded.channels)} channels, {decoded.signal.shape[1]} samples",
            expected="at least one channel with samples",
        )
    check_rate(decoded.sfreq_hz, where)
    if manifest.source.sfreq_hz is not None and abs(manifest.source.sfreq_hz - decoded.sfreq_hz) > 0.01:
        raise InputError(
            "the sampling rate does not match the manifest",
            where=where,
            found=f"{decoded.sfreq_hz:g} Hz",
            expected=f"{manifest.source.sfreq_hz:g} Hz",
            todo="correct `source: sfreq_hz:` or leave the file out",
        )
    channels = tuple(_stated(_named(c, manifest), manifest) for c in decoded.channels)
    signal = _in_uv(decoded.signal, channels, manifest.source.scale)
    proof = prove_units(channels, signal, decoded.stretches, sfreq_hz=decoded.sfreq_hz, where=where)
    events, disagreements = one_truth(_witnessed(decoded, manifest), _meanings(manifest), decoded.sfreq_hz)
    labels = _labels(decoded, manifest)
    unknown = sum(not text for _, text in labels)
    nameless = (f"{unknown} of {len(labels)} epochs have a label that is unknown to all tasks",) if unknown else ()
    return SourceRecording(
        subject=planned.subject,
        session=planned.session,
        run=planned.run,
        sfreq_hz=float(decoded.sfreq_hz),
        channels=proof.channels,
        signal=proof.signal,
        stretches=decoded.stretches,
        events=events,
        format=decoded.format,
        files=_hashes(folder, planned),
        trial_labels=tuple(labels),
        origins=decoded.origins if len(decoded.origins) == len(decoded.stretches) else (),
        parts=() if decoded.clock is None else decoded.clock.parts(),
        trial_values=_values(decoded, planned),
        reference=decoded.reference,
        units_evidence=proof.evidence,
        line_freq_hz=decoded.line_freq_hz,
        attributes=planned.attributes,
        left_out=tuple(_stored(x, manifest) for x in decoded.left_out),
        notes=(*decoded.notes, *nameless, *disagreements, *proof.notes, *_rate_notes(proof, decoded.sfreq_hz)),
        event_counts=_counts(decoded),
        label_counts=dict(Counter(text for _, text in decoded.trial_labels).most_common(_MAX_TEXTS)),
    )


def _counts(decoded: Decoded) -> dict[str, int]:
    """Counts of the file's event texts, each event once, most frequent first."""
    stimuli = [e for e in decoded.events if e.role == "stimulus"]
    once, _ = one_truth(stimuli, {e.text: e.text for e in stimuli}, decoded.sfreq_hz)
    return dict(Counter(e.text for e in once).most_common(_MAX_TEXTS))


def _rate_notes(proof: UnitsProof, sfreq_hz: float) -> tuple[str, ...]:
    if proof.sampled is None or proof.witnesses is None:
        return ()
    return rate_notes(proof.sampled, proof.witnesses, sfreq_hz)


def _labels(decoded: Decoded, manifest: Manifest) -> list[tuple[Stretch, str]]:
    """Labels of epochs: those that tasks know (classes or keys of `labels`), numbers for regression or for values.

    Of several names joined by `/`, the only one known to a task is used. All other labels become empty: the epoch is
    counted as left out and its text is dropped.
    """
    tasks = [task for task in manifest.tasks if task.trials.by == "trial"]
    if not tasks:
        return []
    known = {event_label(text): text for task in tasks for text in (*task.trials.labels, *task.classes)}
    numbers = any(task.trials.values or task.kind == "regression" for task in tasks)
    return [(s, _known(text, known, numbers)) for s, text in decoded.trial_labels]


def _known(text: str, known: Mapping[str, str], numbers: bool) -> str:
    if (label := event_label(text)) in known:
        return known[label]
    if numbers and is_number(text):
        return code_text(text)
    parts = [known[label] for part in text.split("/") if (label := event_label(part)) in known]
    return parts[0] if len(parts) == 1 else ""


def _values(decoded: Decoded, planned: PlannedRecording) -> dict[str, dict[str, str]]:
    """Values by trial number, from the file, a table beside it, and the manifest."""
    rows: dict[str, dict[str, str]] = {}
    for found in (decoded.trial_values, planned.trial_values):
        for number, row in found.items():
            rows.setdefault(number, {}).update(row)
    return rows


def _hashes(folder: Path, planned: PlannedRecording) -> tuple[tuple[str, str], ...]:
    out: list[tuple[str, str]] = []
    for file, public in zip(planned.files, planned.public_files, strict=True):
        path = folder / file
        if path.is_dir():
            inside = [p for p in sorted(path.rglob("*")) if p.is_file() and p.suffix in _IN_FOLDERS]
            out += [(f"{public}/{i}{p.suffix}", sha256_file(p)) for i, p in enumerate(inside)]
        elif path.is_file():
            out.append((public, sha256_file(path)))
    return tuple(out)
