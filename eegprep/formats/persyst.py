"""Read Persyst's .lay header with its .dat samples.

MNE's reader requires the patient's birth date, sex and handedness, so it rejects anonymised headers; it also ignores
`[SampleTimes]`, which gives interruptions of the recording, and `HeaderLength`. The signal is in microvolt
(`Calibration` is microvolt per step). The section `[Patient]` is never read.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eegprep.errors import InputError
from eegprep.formats.clock import Clock
from eegprep.formats.decoded import Decoded, LazySignal, SourceChannel, SourceEvent, whole
from eegprep.formats.segments import break_at

#: `DataType` to the type of a sample.
_TYPES: dict[str, np.dtype[Any]] = {"0": np.dtype("<i2"), "7": np.dtype("<i4")}
_MAX_HEADER_BYTES = 64 << 20
_DAY_S = 86400.0


def _bad(path: Path, what: str, found: object, expected: object) -> InputError:
    return InputError(f"{path.name}: {what}", where=path, found=found, expected=expected, todo="correct the header")


def read_persyst(path: Path) -> Decoded:
    """Read a Persyst recording lazily. Raises InputError if the header is damaged or the samples are not beside it."""
    sections = _sections(path)
    info = {k.casefold(): v for k, v in sections.get("fileinfo", [])}
    sfreq_hz, uv_a_step = _number(path, info, "samplingrate"), _number(path, info, "calibration")
    n_channels = int(_number(path, info, "waveformcount"))
    n_skipped = int(_number(path, info, "headerlength", default=0))
    dtype = _TYPES.get(info.get("datatype", ""))
    if dtype is None:
        raise _bad(path, "unknown sample type", info.get("datatype", "no DataType"), "DataType 0 or 7")
    names = _names(path, sections.get("channelmap", []), n_channels)
    samples = path.parent / re.split(r"[\\/]", info.get("file", path.stem + ".dat"))[-1]
    if not samples.is_file():
        raise InputError(
            f"the data file of {path.name} is missing",
            where=path,
            found="the header names a file that does not exist",
            expected="its .dat file under the name in the header",
            todo="copy the .dat file too, under its original name",
        )
    frame = n_channels * dtype.itemsize
    n_samples, rest = divmod(max(0, samples.stat().st_size - n_skipped), frame)

    def read(start: int, stop: int) -> np.ndarray:
        n = max(0, min(stop, n_samples) - start)
        block = np.fromfile(samples, dtype=dtype, count=n * n_channels, offset=n_skipped + start * frame)
        return block.reshape(n, n_channels).T.astype(np.float64) * uv_a_step

    clock = _clock(path, sections.get("sampletimes", []), sfreq_hz, n_samples)
    events, notes = _events([line for line, _ in sections.get("comments", [])], clock)
    if clock.breaks:
        notes.append(f"the time stamps jump at {len(clock.breaks)} places")
    if rest:
        notes.append(f"the last frame is incomplete: {rest} bytes at the end are left out; the file may be truncated")
    return Decoded(
        format="persyst",
        sfreq_hz=sfreq_hz,
        channels=tuple(
            SourceChannel(name=n, unit="uV", unit_evidence="the header's calibration gives microvolt") for n in names
        ),
        signal=LazySignal(n_channels, n_samples, read),
        stretches=break_at(whole(n_samples), clock.breaks),
        events=tuple(sorted(events)),
        notes=tuple(notes),
        clock=clock if clock.breaks else None,
    )


def _sections(path: Path) -> dict[str, list[tuple[str, str]]]:
    """Keys and values by lower-case section; comments as complete lines. `[Patient]` is skipped."""
    if path.stat().st_size > _MAX_HEADER_BYTES:
        raise _bad(path, "the header is too long", f"{path.stat().st_size} bytes", "a text of a few kilobytes")
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    out: dict[str, list[tuple[str, str]]] = {}
    section = ""
    for line in (part.strip() for part in re.split(r"[\r\n]+", text)):
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1].strip().casefold()
        elif line and section == "comments":
            out.setdefault(section, []).append((line, ""))
        elif "=" in line and section not in ("", "patient"):
            # a channel's name may contain the sign itself, so split at the last one
            key, value = line.rsplit("=", 1) if section == "channelmap" else line.split("=", 1)
            out.setdefault(section, []).append((key.strip(), value.strip()))
    return out


def _number(path: Path, info: dict[str, str], name: str, default: float | None = None) -> float:
    text = info.get(name, "" if default is None else str(default))
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and (value > 0 or value == default)):
        raise _bad(path, "the header is damaged", f"no positive number in the field `{name}`", "a number")
    return value


def _names(path: Path, lines: list[tuple[str, str]], n_channels: int) -> list[str]:
    """Names sorted by their numbers."""
    numbered = {int(value): name for name, value in lines if value.isdecimal()}
    if sorted(numbered) != list(range(1, n_channels + 1)):
        raise _bad(
            path, "the header is damaged", f"{len(numbered)} names for {n_channels} channels", "one name per channel"
        )
    return [numbered[i] for i in range(1, n_channels + 1)]


def _clock(path: Path, lines: list[tuple[str, str]], sfreq_hz: float, n_samples: int) -> Clock:
    """The clock from `[SampleTimes]`: one line per part with its first sample and the time of day in seconds."""
    try:
        stamps = sorted((int(sample), float(clock)) for sample, clock in lines)
    except ValueError:
        raise _bad(path, "the header is damaged", "no number under [SampleTimes]", "sample=seconds") from None
    if not all(math.isfinite(clock) for _, clock in stamps):
        raise _bad(path, "the header is damaged", "no number under [SampleTimes]", "sample=seconds")
    # times of day begin again at midnight; a clock that is set back loses less than half a day
    nights = itertools.accumulate((b[1] - a[1] < -_DAY_S / 2 for a, b in itertools.pairwise(stamps)), initial=0)
    stamps = [(sample, clock + night * _DAY_S) for (sample, clock), night in zip(stamps, nights, strict=False)]
    first, zero = (stamps[0][0], stamps[0][1]) if stamps else (0, 0.0)
    stamps = [(0, zero - first / sfreq_hz), *((s, clock) for s, clock in stamps if 0 < s < n_samples)]
    return Clock([clock - zero for _, clock in stamps], [*(s for s, _ in stamps), n_samples], sfreq_hz, 1.5 / sfreq_hz)


def _events(lines: Sequence[str], clock: Clock) -> tuple[list[SourceEvent], list[str]]:
    """Events and notes from lines `onset,duration,state,type,text`, with onsets in seconds from the start."""
    events: list[SourceEvent] = []
    n_lost = 0
    for parts in (line.split(",", 4) for line in lines):
        try:
            onset_s, lasts_s = float(parts[0]), float(parts[1])
        except (ValueError, IndexError):
            continue
        if len(parts) < 5 or not (math.isfinite(onset_s) and math.isfinite(lasts_s)):
            continue
        at = clock.place(onset_s, max(0.0, lasts_s))
        if at is None:
            n_lost += 1
        else:
            events.append(SourceEvent(start_sample=at[0], n_samples=at[1], text=parts[4].strip()))
    return events, clock.notes(n_lost)
