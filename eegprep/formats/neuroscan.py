"""Read Neuroscan's continuous .cnt files.

Their headers often state a wrong number of samples and never the sample width (2 or 4 bytes), which is inferred from
the size of the data, or else from the smoothness of the signal with either width. Data beyond the stated number of
samples may not be signal and are left out. (MNE's general reader passes such files to another vendor's library, which
can crash the process.) The signal is in microvolt. The header's patient fields are never decoded.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from eegprep.errors import InputError
from eegprep.formats.decoded import Decoded, LazySignal, SourceChannel, SourceEvent, whole
from eegprep.formats.wholeness import end_at_stated

_N_HEADER = 900
_N_ELECTRODE = 75
#: Defined by the format: microvolt = (sample - baseline) * sensitivity * calibration / 204.8
_DIVISOR = 204.8


def _bad(path: Path, what: str, found: object, expected: object) -> InputError:
    return InputError(f"{path.name}: {what}", where=path, found=found, expected=expected, todo="copy the file again")


def read_neuroscan(path: Path) -> Decoded:
    """Read a Neuroscan file lazily. Raises InputError on a damaged header or missing samples."""
    n_file = path.stat().st_size
    with path.open("rb") as handle:
        head = handle.read(_N_HEADER)
        if len(head) < _N_HEADER:
            raise _bad(path, "the header is truncated", f"{n_file} bytes", _N_HEADER)
        (n_channels,) = struct.unpack_from("<H", head, 370)
        (rate,) = struct.unpack_from("<H", head, 376)
        (n_stated,) = struct.unpack_from("<i", head, 864)
        (events_at,) = struct.unpack_from("<I", head, 886)
        electrodes = handle.read(_N_ELECTRODE * n_channels)
    if not (1 <= n_channels <= 4096 and rate >= 1) or len(electrodes) < _N_ELECTRODE * n_channels:
        raise _bad(path, "the header is damaged", f"{n_channels} channels at {rate} Hz", "1 to 4096 channels")
    first = _N_HEADER + _N_ELECTRODE * n_channels
    if (
        events_at > n_file
        and n_stated > 0
        and events_at - first in (2 * n_stated * n_channels, 4 * n_stated * n_channels)
    ):
        raise _bad(
            path, "the file is truncated", f"{n_file} bytes", f"at least {events_at} bytes for {n_stated} samples"
        )
    # the field has 32 bits and overflows in longer files
    events_at += (n_file - events_at) // (1 << 32) * (1 << 32) if n_file > 1 << 32 and events_at else 0
    last = events_at if first < events_at <= n_file else n_file
    if last - first < 2 * n_channels:
        raise _bad(path, "it contains no samples", f"{last - first} bytes of samples", "samples after the header")
    names, baseline, gain = _electrodes(electrodes, n_channels)
    n_bytes, notes = _sample_bytes(path, first, last - first, n_channels, n_stated)
    n_samples = (last - first) // (n_channels * n_bytes)
    if n_stated > n_samples:
        notes = (*notes, f"the header states {n_stated} samples, the file has {n_samples}")
    if events_at > n_file:
        notes = (*notes, "the event table is beyond the end of the file: it may be truncated")

    def read(start: int, stop: int) -> np.ndarray:
        n = max(0, min(stop, n_samples) - start)
        at = first + start * n_channels * n_bytes
        block = np.fromfile(path, dtype=f"<i{n_bytes}", count=n * n_channels, offset=at)
        return (block.reshape(n, n_channels).T.astype(np.float64) - baseline[:, None]) * gain[:, None]

    events = _events(path, last, n_file, first, n_channels * n_bytes) if last < n_file else []
    if events is None:
        events, notes = [], (*notes, "the event table has an unknown type and was ignored")
    elif last == n_file and not first < events_at <= n_file and events_at:
        notes = (*notes, "the event table named in the header is missing: events are unknown")
    decoded = Decoded(
        format="neuroscan",
        sfreq_hz=float(rate),
        channels=tuple(
            SourceChannel(name=n, unit="uV", unit_evidence="the format's own scale gives microvolt") for n in names
        ),
        signal=LazySignal(n_channels, n_samples, read),
        stretches=whole(n_samples),
        events=tuple(sorted(events)),
        notes=notes,
    )
    # a number below one second is not a sample count
    return end_at_stated(decoded, n_stated) if n_stated >= rate else decoded


def _electrodes(data: bytes, n: int) -> tuple[list[str], np.ndarray, np.ndarray]:
    names, baseline, gain = [], np.empty(n), np.empty(n)
    for i in range(n):
        at = i * _N_ELECTRODE
        names.append(data[at : at + 10].split(b"\0")[0].decode("latin-1").strip() or str(i + 1))
        baseline[i] = struct.unpack_from("<h", data, at + 47)[0]
        sensitivity, calibration = (
            struct.unpack_from("<f", data, at + 59)[0],
            struct.unpack_from("<f", data, at + 71)[0],
        )
        gain[i] = sensitivity * calibration / _DIVISOR
    return names, baseline, gain


def _sample_bytes(path: Path, first: int, n_data: int, n_channels: int, n_stated: int) -> tuple[int, tuple[str, ...]]:
    for n_bytes in (2, 4):
        if n_stated > 0 and n_data == n_stated * n_channels * n_bytes:
            return n_bytes, ()
    roughness = {}
    for n_bytes in (2, 4):
        n = min(n_data // (n_channels * n_bytes), 4096, n_stated if n_stated >= 16 else 4096)
        if n < 16:
            continue
        block = np.fromfile(path, dtype=f"<i{n_bytes}", count=n * n_channels, offset=first)
        block = block.reshape(n, n_channels).astype(np.float64)
        with np.errstate(invalid="ignore", divide="ignore"):
            steps = np.abs(np.diff(block, axis=0)).mean(axis=0) / block.std(axis=0)
        live = steps[np.isfinite(steps)]
        roughness[n_bytes] = float(np.median(live)) if live.size else np.inf
    if not roughness:
        raise _bad(
            path,
            "it contains too few samples to determine how they are stored",
            f"{n_data} bytes",
            "at least 16 samples",
        )
    best = min(roughness, key=lambda b: roughness[b])
    return best, (f"samples read as {8 * best} bit, which gives the smoother signal",)


def _events(path: Path, at: int, n_file: int, first: int, n_frame_bytes: int) -> list[SourceEvent] | None:
    """The events of the table; None if its type is unknown."""
    with path.open("rb") as handle:
        handle.seek(at)
        table = handle.read(min(n_file - at, 1 << 26))
    if len(table) < 9:
        return []
    kind, size, offset = struct.unpack_from("<BII", table, 0)
    width = {1: 8, 2: 19, 3: 19}.get(kind)
    if width is None:
        return None
    start = 9 + (offset if 9 + offset + width <= len(table) else 0)
    out: list[SourceEvent] = []
    rejected_from: int | None = None
    # The place of an event is the first sample after it (MNE takes one sample less): in recordings that were paused,
    # the signal jumps exactly there.
    for position in range(start, min(start + size, len(table)) - width + 1, width):
        code, keyboard, key, place = struct.unpack_from("<HBBi", table, position)
        sample = max(0, place if kind == 3 else (place - first) // n_frame_bytes)
        # The upper half of the key byte marks what follows as manually rejected (C) or accepted (D), and a reset of the
        # amplifier (B) or a pause (E) before the sample.
        if key >> 4 in (0xB, 0xE):
            out.append(SourceEvent(start_sample=sample, text="boundary", role="break"))
        elif key >> 4 == 0xC and rejected_from is None:
            rejected_from = sample
        elif key >> 4 == 0xD and rejected_from is not None:
            n_rejected = sample - rejected_from
            out.append(SourceEvent(start_sample=rejected_from, n_samples=n_rejected, text="BAD_rejected", role="gap"))
            rejected_from = None
        else:  # a stimulus during which a key is pressed has both
            response = (
                f"KeyPad Response {key & 0x0F}" if key & 0x0F else f"Keyboard Response {keyboard}" * bool(keyboard)
            )
            texts = [str(code)] * (code != 0 or not response) + [response] * bool(response)
            out += [SourceEvent(start_sample=sample, text=text) for text in texts]
    return out
