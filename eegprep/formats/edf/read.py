"""Read EDF, EDF+, BDF and BDF+, record by record on demand.

A separate reader, because general readers hide three things: the header's range and unit (evidence for microvolt),
discontinuous records (EDF+D, and EDF+C with gaps), and channels with other rates, which they resample to the highest.
Each channel is in its own unit. The rate of a recording is that of most of its voltage channels; EOG, EMG, ECG and
respiration of other rates are brought to it (`eegprep.formats.edf.rates`), other channels of another rate are left out.
"""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from eegprep.electrodes import Vocabulary
from eegprep.electrodes.resolve import resolve
from eegprep.errors import InputError
from eegprep.formats.clock import Clock
from eegprep.formats.decoded import Decoded, LazySignal, SourceChannel, SourceEvent, whole
from eegprep.formats.edf.annotations import Annotation, AnnotationLists, parse_records
from eegprep.formats.edf.header import EDFHeader, EDFSignal, read_header
from eegprep.formats.edf.rates import half_width, interpolate, is_other_kind
from eegprep.formats.events import nearest_sample, trigger_events
from eegprep.formats.segments import break_at
from eegprep.formats.unit_names import is_other_quantity
from eegprep.platform import pread
from eegprep.recording import LeftOut

_KINDS = {
    "eeg": "eeg", "eog": "eog", "ecg": "ecg", "ekg": "ecg", "emg": "emg", "seeg": "seeg", "ecog": "ecog",
    "resp": "resp", "temp": "misc", "sao2": "misc", "spo2": "misc", "event": "stim", "status": "stim",
    "trigger": "stim", "triggers": "stim", "trig": "stim", "trg": "stim", "sti": "stim", "stim": "stim", "dig": "stim",
    "stimulus": "stim", "marker": "stim", "markers": "stim", "ttl": "stim",
}  # fmt: skip
#: BioSemi's Status: the low 16 bits are triggers, bit 16 marks the start of a part; others are for the amplifier.
_TRIGGER_BITS, _NEW_EPOCH = 0xFFFF, 1 << 16
#: Tolerance for integer codes, in steps of the channel, since writers round to the nearest step.
_CODE_STEPS = 0.75
_MAX_RATE_ERROR = 0.01


def read_edf(path: Path) -> Decoded:
    """Read an EDF or BDF file lazily. Raises InputError if `read_header` does, and on lost time stamps."""
    header = read_header(path)
    records = _Records(path, header)
    spr = _main_rate(header)
    starts, lists = _times(records)
    record_s, notes = _record_s(starts, header)
    sfreq_hz = spr / record_s
    n_samples = spr * header.n_records
    notes += lists.notes
    kept = [s for s in header.signals if not s.is_annotations and (s.samples_per_record == spr or _beside(s))]
    slack_s = max(0.5 / sfreq_hz, _rounding_s(starts, record_s))
    clock = Clock(starts, range(0, n_samples + 1, spr), sfreq_hz, slack_s)
    events, more = _events(lists.annotations, clock)
    notes += more
    paused: list[int] = []
    for signal in header.signals:
        if _kind(signal) == "stim" and not signal.is_annotations and signal.samples_per_record:
            triggers, parts, more = _triggers(signal, records, spr)
            events += triggers
            paused += parts
            notes += more
    if paused:
        times = "1 time" if len(paused) == 1 else f"{len(paused)} times"
        notes.append(f"the Status channel says that the recording was interrupted {times}")
    if clock.breaks:
        notes.append(
            f"the time stamps jump {len(clock.breaks)} times between records"
            + ("" if header.discontinuous else ", though the header calls the file continuous")
        )

    stretches = break_at(whole(n_samples), [*clock.breaks, *paused])
    pieces = [(s.start_sample, s.stop_sample) for s in stretches]

    def read(start: int, stop: int) -> np.ndarray:
        return _physical(records, kept, start, stop, spr, pieces)

    return Decoded(
        format="bdf" if header.sample_bytes == 3 else "edf",
        sfreq_hz=sfreq_hz,
        channels=tuple(_channel(s, header.sample_bytes, spr, record_s) for s in kept),
        signal=LazySignal(len(kept), n_samples, read),
        stretches=stretches,
        events=tuple(sorted(events)),
        left_out=tuple(_other_rates(header, kept, spr, record_s)),
        notes=tuple(dict.fromkeys(notes)),
        clock=clock if clock.breaks else None,
    )


def read_annotations(path: Path) -> AnnotationLists:
    """The annotations of an EDF+ file, which may contain nothing else (hypnograms)."""
    return _times(_Records(path, read_header(path, annotations_only=True)))[1]


class _Records:
    """The bytes after the header; read, not memory-mapped, so that pages do not count as memory in use."""

    def __init__(self, path: Path, header: EDFHeader) -> None:
        self.path, self.header = path, header
        self.width = header.samples_per_record * header.sample_bytes

    def block(self, first: int, last: int) -> np.ndarray:
        """Records `first` to `last`, `(n_records, n_bytes)` uint8."""
        with self.path.open("rb") as handle:
            handle.seek(self.header.n_header_bytes + first * self.width)
            data = handle.read((last - first) * self.width)
        if len(data) < (last - first) * self.width:
            raise InputError(f"{self.path.name} was truncated while it was read", where=self.path)
        return np.frombuffer(data, dtype=np.uint8).reshape(last - first, self.width)

    def part(self, signals: Sequence[EDFSignal]) -> Iterator[list[bytes]]:
        """The bytes of the given signals, record by record."""
        n = self.header.sample_bytes
        with self.path.open("rb", buffering=0) as handle:
            for k in range(self.header.n_records):
                at = self.header.n_header_bytes + k * self.width
                yield [pread(handle.fileno(), s.samples_per_record * n, at + s.first * n) for s in signals]


def _kind(signal: EDFSignal) -> str:
    word = signal.label.replace("-", " ").replace("_", " ").split(" ")[0].casefold()
    if re.fullmatch(r"sti\d+", word):
        return "stim"
    if word in _KINDS:
        return _KINDS[word]
    return "misc" if is_other_quantity(signal.unit_text) else "unknown"


def _beside(signal: EDFSignal) -> bool:
    """Whether a signal of another rate than the electrodes is brought to theirs: EOG, EMG, ECG, respiration."""
    return bool(signal.samples_per_record) and is_other_kind(signal.label, _kind(signal))


def _channel(signal: EDFSignal, sample_bytes: int, spr: int, record_s: float) -> SourceChannel:
    # the standard inverts a signal by its physical range; an inverted digital range is damage
    unusable = ""
    if not (signal.digital_max > signal.digital_min and signal.physical_max != signal.physical_min):
        unusable = "the range in the header is empty or inverted, so the scale is unknown"
    elif max(-signal.digital_min, signal.digital_max) > 1 << 8 * sample_bytes:  # some files have unsigned numbers
        unusable = f"the header's digital range does not fit {8 * sample_bytes} bits, so the scale is unknown"
    unit = "" if unusable else signal.unit
    return SourceChannel(
        name=signal.label,
        kind=_kind(signal),
        unit=unit,
        sfreq_hz=None if signal.samples_per_record == spr else signal.samples_per_record / record_s,
        digital_min=signal.digital_min,
        digital_max=signal.digital_max,
        physical_min=signal.physical_min,
        physical_max=signal.physical_max,
        unit_evidence=unusable or (f"the header says {unit}" if unit else ""),
    )


def _gain(signal: EDFSignal) -> float:
    digital = signal.digital_max - signal.digital_min
    return (signal.physical_max - signal.physical_min) / digital if digital else 1.0


def _main_rate(header: EDFHeader) -> int:
    """Samples per record of most electrodes (the higher of equals).

    In sleep recordings, belts, legs and eyes outnumber the electrodes, so channels with electrode names are used first,
    then channels in volts, then any.
    """
    signals = [s for s in header.signals if not s.is_annotations and s.samples_per_record]
    volts = [s for s in signals if s.unit and _kind(s) in ("eeg", "unknown", "seeg", "ecog")]
    named = [s for s in volts if resolve(Vocabulary.base(), s.label).electrode is not None]
    counts = Counter(s.samples_per_record for s in named or volts or signals)
    return max(counts, key=lambda n: (counts[n], n))


def _record_s(starts: Sequence[float], header: EDFHeader) -> tuple[float, list[str]]:
    """Duration of a record in seconds, and notes. In continuous files, time stamps take precedence over the header.

    A constant step other than the header's duration means that the duration, and so the rate, is wrong. In EDF+D it
    means gaps of equal length, as from a logger that sleeps between records.
    """
    notes = list(header.notes)
    steps = np.diff(starts)
    if header.discontinuous or steps.size < 3:
        return header.record_s, notes
    step_s = float(np.mean(steps))
    tolerated_s, rounding_s = _MAX_RATE_ERROR * header.record_s, _rounding_s(starts, header.record_s)
    agrees = abs(step_s - header.record_s) <= max(tolerated_s, 2 * rounding_s / steps.size)
    even = np.mean(np.abs(steps - step_s) <= max(tolerated_s, rounding_s)) >= 0.9
    if step_s <= 0 or agrees or not even:
        return header.record_s, notes
    notes.append(
        f"the header says that a record lasts {header.record_s:g} s, the time stamps {step_s:g} s; the latter are used"
    )
    return step_s, notes


def _rounding_s(starts: Sequence[float], record_s: float) -> float:
    """Rounding error of time stamps with few decimals; 0 if they represent a record's duration exactly.

    Records of 1/3 s with stamps of 0.333, 0.667, 1 are continuous.
    """
    stamps = np.asarray(starts)
    for decimals in range(7):
        scaled = stamps * 10.0**decimals
        if np.all(np.abs(scaled - np.rint(scaled)) < 1e-4):
            whole = record_s * 10.0**decimals
            return 0.0 if abs(whole - round(whole)) < 1e-6 else min(10.0**-decimals, record_s)
    return 0.0


def _other_rates(header: EDFHeader, kept: Sequence[EDFSignal], spr: int, record_s: float) -> list[LeftOut]:
    return [
        LeftOut(
            kind="channel",
            name=s.label,
            code="other_rate",
            reason=f"sampled at {s.samples_per_record / record_s:g} Hz, the recording at {spr / record_s:g} Hz",
        )
        for s in header.signals
        if not s.is_annotations and s not in kept
    ]


def _bytes_to_int(block: np.ndarray, sample_bytes: int) -> np.ndarray:
    """Convert `(..., n_bytes)` uint8, little-endian 16 or 24 bit, to integers `(..., n_samples)`."""
    if sample_bytes == 2:
        return np.ascontiguousarray(block).view("<i2")
    parts = block.reshape(*block.shape[:-1], -1, 3)
    wide = np.zeros((*parts.shape[:-1], 4), dtype=np.uint8)
    wide[..., 1:] = parts
    return wide.view("<i4")[..., 0] >> 8


def _physical(
    records: _Records,
    signals: Sequence[EDFSignal],
    start: int,
    stop: int,
    spr: int,
    parts: Sequence[tuple[int, int]],
) -> np.ndarray:
    """Signals at `spr` samples per record, in their units, `(n_signals, stop - start)` float64."""
    if stop <= start:
        return np.zeros((len(signals), 0))
    r0, r1 = start // spr, -(-stop // spr)
    n = records.header.sample_bytes
    others = [Fraction(s.samples_per_record, spr) for s in signals if s.samples_per_record != spr]
    more = max((-(-half_width(ratio) // int(ratio * spr)) for ratio in others), default=0)
    q0, q1 = max(0, r0 - more), min(records.header.n_records, r1 + more)
    block = records.block(q0, q1)
    out = np.empty((len(signals), (r1 - r0) * spr))
    for signal, row in zip(signals, out, strict=True):
        own, gain = signal.samples_per_record, _gain(signal)
        a, b = signal.first * n, (signal.first + own) * n
        offset = signal.physical_min - gain * signal.digital_min
        if own == spr:
            np.multiply(_bytes_to_int(block[r0 - q0 : r1 - q0, a:b], n), gain, out=row.reshape(r1 - r0, spr))
            row += offset
        else:
            values = _bytes_to_int(block[:, a:b], n).reshape(-1) * gain + offset
            row[:] = interpolate(values, q0 * own, Fraction(own, spr), parts, r0 * spr, r1 * spr)
    return out[:, start - r0 * spr : stop - r0 * spr]


def _times(records: _Records) -> tuple[list[float], AnnotationLists]:
    """Start of every record in seconds from the first one, and the annotations on the same clock."""
    header, path = records.header, records.path
    annotation_signals = [s for s in header.signals if s.is_annotations]
    regular = [k * header.record_s for k in range(header.n_records)]
    if not annotation_signals:
        return regular, AnnotationLists(starts=(), annotations=())
    lists = parse_records(records.part(annotation_signals))
    lost = [k for k, t in enumerate(lists.starts) if t is None]
    if len(lost) == len(lists.starts) and not header.discontinuous:
        return regular, lists
    if lost:
        raise InputError(
            f"{path.name}: the time stamp of record {lost[0]} is missing",
            where=path,
            found=f"{len(lost)} of {header.n_records} records without one",
            expected="a time stamp at the start of every EDF+ record",
            todo="the file is damaged: get it again",
        )
    times = [t for t in lists.starts if t is not None]
    zero = times[0]
    shifted = tuple(dataclasses.replace(a, onset_s=a.onset_s - zero) for a in lists.annotations)
    return [t - zero for t in times], dataclasses.replace(lists, annotations=shifted)


def _events(annotations: Sequence[Annotation], clock: Clock) -> tuple[list[SourceEvent], list[str]]:
    """The events in stored samples, which ignore gaps between records, and notes."""
    placed = [(a, clock.place(a.onset_s, a.duration_s)) for a in annotations]
    events = [
        SourceEvent(start_sample=at[0], n_samples=at[1], text=a.text, witness="annotations")
        for a, at in placed
        if at is not None
    ]
    return events, clock.notes(len(annotations) - len(events))


def _triggers(signal: EDFSignal, records: _Records, spr: int) -> tuple[list[SourceEvent], list[int], list[str]]:
    """Events of a trigger channel, and new parts marked in BioSemi's Status, at the recording's rate.

    Codes are physical values. If these are not integers, the header's range does not scale codes, and the digital
    values are used instead, with a note.
    """
    own, step, n = signal.samples_per_record, _gain(signal), records.header.sample_bytes
    notes: list[str] = []

    def digital() -> Iterator[np.ndarray]:
        for (data,) in records.part([signal]):
            yield _bytes_to_int(np.frombuffer(data, dtype=np.uint8), n).astype(np.int64)

    def physical(values: np.ndarray) -> np.ndarray:
        return signal.physical_min + step * (values - signal.digital_min)

    seen = physical(np.unique(np.concatenate([np.unique(block) for block in digital()])))
    near = np.abs(seen - np.rint(seen)) <= max(_CODE_STEPS * abs(step), 1e-6)
    whole = bool(np.all(near)) and np.unique(np.rint(seen)).size == seen.size
    if not whole:
        notes.append("the physical values of a trigger channel are not whole numbers; the digital ones are used")
    elif abs(step) > 1:
        notes.append(f"a trigger channel has steps of {abs(step):g}, so its codes are inexact")

    def codes() -> Iterator[np.ndarray]:
        return ((np.rint(physical(b)).astype(np.int64) if whole else b) for b in digital())

    status = n == 3 and signal.label.casefold() == "status"
    events, more = trigger_events((b & _TRIGGER_BITS if status else b for b in codes()), signal.label)
    paused = trigger_events((b & _NEW_EPOCH for b in codes()), "")[0] if status else []
    at = [dataclasses.replace(e, start_sample=nearest_sample(e.start_sample, spr, own)) for e in events]
    parts = [nearest_sample(e.start_sample, spr, own) for e in paused if e.start_sample]
    return at, parts, [*notes, *more]
