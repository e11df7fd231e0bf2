"""Complete what MNE leaves out of GDF files: their channels' own rates, missing samples, and events that last.

MNE brings all channels to the highest rate, by a Fourier transform of what is read at a time, so the electrodes would
ring wherever a part of the file begins. Here the electrodes keep their samples, and channels of other rates are left
out.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eegprep.electrodes import Vocabulary
from eegprep.electrodes.resolve import resolve
from eegprep.formats.decoded import Decoded, LazySignal, SignalLike, SourceChannel, SourceEvent, whole
from eegprep.formats.events import STIM
from eegprep.formats.mne_channels import VOLTS
from eegprep.recording import LeftOut, seconds_to_samples

#: This bit of an event's code marks the end of the event that began with the rest of the code.
_END = 0x8000


def completed(decoded: Decoded, header: Mapping[str, Any], path: Path) -> Decoded:
    """A recording as MNE reads it, completed from the file itself.

    Parameters
    ----------
    header : mapping
        MNE's header (`raw._raw_extras[0]`).
    """
    kept = _of_main_rate(decoded.channels, [int(n) for n in header["n_samps"]])
    if len(kept) < len(decoded.channels):
        decoded = _at_main_rate(decoded, kept, header, path)
    rows = {row: i for row, i in enumerate(kept) if decoded.channels[row].kind in VOLTS}
    signal, note = _with_missing(decoded.signal, rows, header)
    return dataclasses.replace(
        decoded,
        signal=signal,
        events=tuple(_until_their_ends(decoded.events)),
        notes=(*decoded.notes, note) if note else decoded.notes,
    )


def _of_main_rate(channels: Sequence[SourceChannel], counts: Sequence[int]) -> list[int]:
    """The channels of the rate that most electrodes have (the higher of equals)."""
    base = Vocabulary.base()
    volts = [i for i, c in enumerate(channels) if c.kind in VOLTS]
    named = [i for i in volts if resolve(base, channels[i].name, kind="eeg").electrode is not None]
    found = Counter(counts[i] for i in named or volts or range(len(channels)))
    main = max(found, key=lambda n: (found[n], n), default=0)
    return [i for i, n in enumerate(counts[: len(channels)]) if n == main]


def _at_main_rate(decoded: Decoded, kept: Sequence[int], header: Mapping[str, Any], path: Path) -> Decoded:
    counts = [int(n) for n in header["n_samps"]]
    n_each, width, n_records = counts[kept[0]], sum(counts), int(header["n_records"])
    firsts = np.concatenate([[0], np.cumsum(counts)])
    columns = np.concatenate([np.arange(firsts[i], firsts[i] + n_each) for i in kept])
    dtype = np.dtype(header["dtype_np"]).newbyteorder("<")
    gains, offsets, units = (np.array([header[name][i] for i in kept]) for name in ("cal", "offsets", "units"))
    n_samples = n_records * n_each

    def read(start: int, stop: int) -> np.ndarray:
        first, last = start // n_each, -(-min(stop, n_samples) // n_each)
        n = max(0, last - first)
        at = int(header["data_offset"]) + first * width * dtype.itemsize
        numbers = np.fromfile(path, dtype=dtype, count=n * width, offset=at).reshape(n, width)[:, columns]
        block = numbers.reshape(n, len(kept), n_each).transpose(1, 0, 2).reshape(len(kept), -1).astype(np.float64)
        block = (block * gains[:, None] + offsets[:, None]) * units[:, None]
        return block[:, start - first * n_each : stop - first * n_each]

    ratio = n_each / max(counts)
    left_out = tuple(
        LeftOut(
            kind="channel",
            name=channel.name,
            code="other_rate",
            reason=f"sampled at {decoded.sfreq_hz * count / max(counts):g} Hz, "
            f"the recording at {decoded.sfreq_hz * ratio:g} Hz",
        )
        for i, (channel, count) in enumerate(zip(decoded.channels, counts, strict=True))
        if i not in kept
    )
    events = [
        dataclasses.replace(
            e,
            start_sample=seconds_to_samples(e.start_sample, ratio),
            n_samples=max(min(e.n_samples, 1), seconds_to_samples(e.n_samples, ratio)),
        )
        for e in decoded.events
        if not e.witness.startswith(STIM)
    ]
    return dataclasses.replace(
        decoded,
        sfreq_hz=decoded.sfreq_hz * ratio,
        channels=tuple(decoded.channels[i] for i in kept),
        signal=LazySignal(len(kept), n_samples, read),
        stretches=whole(n_samples),
        events=tuple(events),
        left_out=(*decoded.left_out, *left_out),
    )


def _until_their_ends(events: Sequence[SourceEvent]) -> list[SourceEvent]:
    """Events whose end is another event, with their durations; the ends stay as well."""
    out: list[SourceEvent] = []
    begun: dict[int, list[int]] = {}
    for event in sorted(events):
        code = int(event.text) if event.text.isdigit() else -1
        if code > _END and begun.get(code - _END):
            first = begun[code - _END].pop()
            lasts = event.start_sample - out[first].start_sample
            out[first] = dataclasses.replace(out[first], n_samples=max(out[first].n_samples, lasts))
        elif 0 < code < _END:
            begun.setdefault(code, []).append(len(out))
        out.append(event)
    return out


def _with_missing(signal: SignalLike, rows: Mapping[int, int], header: Mapping[str, Any]) -> tuple[SignalLike, str]:
    """A GDF file's signal with missing samples as NaN; integer files write them as the channel's digital minimum.

    A clipped signal has the same value, but approaches it gradually: a run of minima is kept as clipping if its
    neighbours are in the lowest twentieth of the range. A channel that is there most of the time is flat. `rows` are
    the voltage channels: their rows in the signal, and their numbers in the file.
    """
    if np.issubdtype(header["dtype_np"], np.floating):
        return signal, ""  # missing samples are already NaN
    least, n_samples = header["digital_min"], signal.shape[1]
    near = least + 0.05 * (header["digital_max"] - least)
    low: dict[int, list[np.ndarray]] = {row: [] for row in rows}
    ends: dict[int, list[np.ndarray]] = {row: [] for row in rows}
    for start in range(0, n_samples, 1 << 18):
        block = np.asarray(signal[:, start : start + (1 << 18)], dtype=np.float64)
        for row, i in rows.items():
            numbers = np.rint((block[row] / header["units"][i] - header["offsets"][i]) / header["cal"][i])
            low[row].append(start + np.flatnonzero(numbers <= near[i]))
            ends[row].append(start + np.flatnonzero(numbers <= least[i]))
    missing: dict[int, np.ndarray] = {}
    for row in rows:
        at = np.concatenate(ends[row]) if ends[row] else np.zeros(0, dtype=np.intp)
        if not 0 < 2 * at.size < n_samples:
            continue
        runs = np.split(at, np.flatnonzero(np.diff(at) > 1) + 1)
        outer = np.array([[run[0] - 1, run[-1] + 1] for run in runs])
        near_or_outside = np.isin(outer, np.concatenate(low[row])) | (outer < 0) | (outer >= n_samples)
        clipped = np.logical_and(near_or_outside[:, 0], near_or_outside[:, 1])
        found = [run for run, is_clipped in zip(runs, clipped, strict=True) if not is_clipped]
        if found:
            missing[row] = np.concatenate(found)
    if not missing:
        return signal, ""

    def read(start: int, stop: int) -> np.ndarray:
        block = np.array(signal[:, start:stop], dtype=np.float64)
        for row, at in missing.items():
            a, b = np.searchsorted(at, (start, stop))
            block[row, at[a:b] - start] = np.nan
        return block

    n_missing = sum(at.size for at in missing.values())
    note = f"{n_missing} samples of {len(missing)} channels have the digital minimum, which marks missing samples"
    return LazySignal(signal.shape[0], n_samples, read), note
