"""EDF, EDF+, BDF and BDF+: mapped into memory, scaled when asked for.

Own, because three things matter here that a general reader hides: the header's range and unit (evidence for
microvolt), records that do not follow each other (EDF+D, and EDF+C that lies), and channels of other rates, which
would otherwise be resampled to the highest. What enters: a path. What leaves: `Decoded`, in each channel's unit.
The rate of a recording is that of most of its voltage channels; channels of another rate are left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from eegprep.errors import InputError
from eegprep.recording import LeftOut, seconds_to_samples
from eegprep.sources.base import Decoded, LazySignal, SourceChannel, SourceEvent
from eegprep.sources.edf_annotations import Annotation, parse_records
from eegprep.sources.edf_header import EDFHeader, EDFSignal, read_header
from eegprep.sources.segments import break_at, segment

__all__ = ["read_annotations", "read_edf"]

_KINDS = {
    "eeg": "eeg", "eog": "eog", "ecg": "ecg", "ekg": "ecg", "emg": "emg", "seeg": "seeg", "ecog": "ecog",
    "resp": "misc", "temp": "misc", "sao2": "misc", "spo2": "misc", "event": "stim", "status": "stim",
    "trigger": "stim", "sti": "stim", "dig": "stim",
}  # fmt: skip
#: BioSemi's Status: the low 16 bits are triggers, the others say how the amplifier is.
_TRIGGER_BITS = 0xFFFF


def read_edf(path: Path) -> Decoded:
    """Read an EDF or BDF file lazily. Raises InputError where `read_header` does, and on lost time stamps."""
    header = read_header(path)
    n_per_record = header.samples_per_record
    records = np.memmap(
        path,
        dtype=np.uint8,
        mode="r",
        offset=header.n_header_bytes,
        shape=(header.n_records, n_per_record * header.sample_bytes),
    )
    spr = _main_rate(header)
    sfreq_hz = spr / header.record_s
    n_samples = spr * header.n_records
    kept = [s for s in header.signals if not s.is_annotations and s.samples_per_record == spr]
    starts, annotations = _times(header, records, path)
    events = [_event(a, starts, header, spr, sfreq_hz) for a in annotations]
    for signal in header.signals:
        if _kind(signal) == "stim" and not signal.is_annotations:
            events += _triggers(signal, records, header, spr)
    stretches, left_out = segment(n_samples, events)
    breaks = [
        k * spr for k in range(1, len(starts)) if abs(starts[k] - starts[k - 1] - header.record_s) > 0.5 / sfreq_hz
    ]
    notes = list(header.notes)
    if breaks:
        notes.append(
            f"the time stamps jump {len(breaks)} times between records"
            + ("" if header.discontinuous else ", though the header calls the file continuous")
        )
    scale = np.array([_gain(s) for s in kept])[:, None]
    offset = np.array([s.physical_min - _gain(s) * s.digital_min for s in kept])[:, None]

    def read(start: int, stop: int) -> np.ndarray:
        digital = _digital(records, kept, header.sample_bytes, start, stop, spr)
        return digital * scale + offset

    return Decoded(
        format="bdf" if header.sample_bytes == 3 else "edf",
        sfreq_hz=sfreq_hz,
        channels=tuple(_channel(s) for s in kept),
        signal=LazySignal(len(kept), n_samples, read),
        stretches=break_at(stretches, breaks),
        events=tuple(sorted(events)),
        left_out=(*_other_rates(header, spr), *left_out),
        notes=tuple(notes),
    )


def read_annotations(path: Path) -> list[Annotation]:
    """The annotations of an EDF+ file that may hold nothing else (hypnograms)."""
    header = read_header(path, annotations_only=True)
    width = header.samples_per_record * header.sample_bytes
    records = np.fromfile(path, dtype=np.uint8, offset=header.n_header_bytes, count=header.n_records * width)
    return _times(header, records.reshape(header.n_records, width), path)[1]


def _kind(signal: EDFSignal) -> str:
    word = signal.label.replace("-", " ").replace("_", " ").split(" ")[0].casefold()
    if word in _KINDS:
        return _KINDS[word]
    return "unknown" if signal.unit or not signal.unit_text else "misc"


def _channel(signal: EDFSignal) -> SourceChannel:
    usable = signal.digital_max != signal.digital_min and signal.physical_max != signal.physical_min
    unit = signal.unit if usable else ""
    return SourceChannel(
        name=signal.label,
        kind=_kind(signal),
        unit=unit,
        digital_min=signal.digital_min,
        digital_max=signal.digital_max,
        physical_min=signal.physical_min,
        physical_max=signal.physical_max,
        unit_evidence=f"the header says {unit}" if unit else "",
    )


def _gain(signal: EDFSignal) -> float:
    digital = signal.digital_max - signal.digital_min
    return (signal.physical_max - signal.physical_min) / digital if digital else 1.0


def _main_rate(header: EDFHeader) -> int:
    """Samples per record of most voltage channels (the higher of equals); of any channel where none has volts."""
    signals = [s for s in header.signals if not s.is_annotations and s.samples_per_record]
    volts = [s for s in signals if s.unit and _kind(s) in ("eeg", "unknown", "seeg", "ecog")]
    counts = Counter(s.samples_per_record for s in volts or signals)
    return max(counts, key=lambda n: (counts[n], n))


def _other_rates(header: EDFHeader, spr: int) -> list[LeftOut]:
    return [
        LeftOut(
            kind="channel",
            name=s.label,
            code="other_rate",
            reason=f"it has {s.samples_per_record / header.record_s:g} Hz, the recording {spr / header.record_s:g} Hz",
        )
        for s in header.signals
        if not s.is_annotations and s.samples_per_record != spr
    ]


def _bytes_to_int(block: np.ndarray, sample_bytes: int) -> np.ndarray:
    """`(..., n_bytes)` uint8, little-endian 16 or 24 bit, to integers `(..., n_samples)`."""
    if sample_bytes == 2:
        return np.ascontiguousarray(block).view("<i2")
    parts = block.reshape(*block.shape[:-1], -1, 3)
    wide = np.zeros((*parts.shape[:-1], 4), dtype=np.uint8)
    wide[..., 1:] = parts
    return wide.view("<i4")[..., 0] >> 8


def _digital(
    records: np.ndarray, signals: Sequence[EDFSignal], sample_bytes: int, start: int, stop: int, spr: int
) -> np.ndarray:
    """Integers of the given signals, all of `spr` samples a record, `(n_signals, stop - start)`."""
    if stop <= start:
        return np.zeros((len(signals), 0))
    r0, r1 = start // spr, -(-stop // spr)
    out = np.empty((len(signals), (r1 - r0) * spr))
    for row, signal in enumerate(signals):
        a, b = signal.first * sample_bytes, (signal.first + spr) * sample_bytes
        out[row] = _bytes_to_int(records[r0:r1, a:b], sample_bytes).reshape(-1)
    return out[:, start - r0 * spr : stop - r0 * spr]


def _times(header: EDFHeader, records: np.ndarray, path: Path) -> tuple[list[float], list[Annotation]]:
    """Start of every record in seconds after the first one's, and the annotations on the same clock."""
    annotation_signals = [s for s in header.signals if s.is_annotations]
    regular = [k * header.record_s for k in range(header.n_records)]
    if not annotation_signals:
        return regular, []
    n = header.sample_bytes
    texts = [
        [bytes(record[s.first * n : (s.first + s.samples_per_record) * n]) for s in annotation_signals]
        for record in records
    ]
    stamps, annotations = parse_records(texts)
    lost = [k for k, t in enumerate(stamps) if t is None]
    if len(lost) == len(stamps) and not header.discontinuous:
        return regular, annotations
    if lost:
        raise InputError(
            f"{path.name}: the time stamp of record {lost[0]} is lost",
            where=path,
            found=f"{len(lost)} of {header.n_records} records without one",
            expected="a time stamp at the start of every record of EDF+",
            todo="the file is damaged: get it again",
        )
    times = [t for t in stamps if t is not None]
    zero = times[0]
    shifted = [Annotation(onset_s=a.onset_s - zero, duration_s=a.duration_s, text=a.text) for a in annotations]
    return [t - zero for t in times], shifted


def _event(a: Annotation, starts: list[float], header: EDFHeader, spr: int, sfreq_hz: float) -> SourceEvent:
    """The event on the time line of stored samples, where records follow each other without gaps."""
    k = max(0, int(np.searchsorted(starts, a.onset_s + 1e-9, side="right")) - 1)
    within = min(a.onset_s - starts[k], header.record_s) if k + 1 < len(starts) else a.onset_s - starts[k]
    return SourceEvent(
        start_sample=k * spr + seconds_to_samples(within, sfreq_hz),
        n_samples=seconds_to_samples(a.duration_s, sfreq_hz),
        text=a.text,
    )


def _triggers(signal: EDFSignal, records: np.ndarray, header: EDFHeader, spr: int) -> list[SourceEvent]:
    """Upward changes of a trigger channel, at the recording's rate."""
    own = signal.samples_per_record
    if own == 0:
        return []
    values = _digital(records, [signal], header.sample_bytes, 0, own * header.n_records, own)[0].astype(np.int64)
    values &= _TRIGGER_BITS
    changed = np.flatnonzero((np.diff(values, prepend=values[:1]) != 0) & (values != 0))
    return [SourceEvent(start_sample=int(i) * spr // own, text=str(values[i])) for i in changed]
