"""Read BCI2000 .dat files; MNE's reader ignores the channel names and gains.

A text header gives the number of channels, the sample width and the layout of the state vector, whose bytes follow
the channel values of each sample. The signal is in microvolt, and state changes become events such as
`StimulusCode/3`. Parameters that name the subject or the experimenter are never read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import unquote

import numpy as np

from eegprep.errors import InputError
from eegprep.formats.decoded import UNITS_TO_UV, Decoded, LazySignal, SourceChannel, SourceEvent, check_rate, whole
from eegprep.formats.unit_names import unit_of

_TYPES = {"int16": "<i2", "int32": "<i4", "float32": "<f4"}
_MAX_HEADER_BYTES = 16 << 20
#: States that are clocks or describe the software rather than the subject.
_NO_EVENTS = frozenset({"SourceTime", "StimulusTime", "Running", "Recording", "AppStartTime"})
#: A state that takes more values than this, changes more often, and seldom returns to zero is a position or a clock.
_MOST_VALUES, _MOST_CHANGES_PER_S = 64, 10.0
#: No state changes this often unless it is a signal.
_SIGNAL_CHANGES_PER_S = 60.0


def _bad(path: Path, found: object, expected: object) -> InputError:
    return InputError(f"{path.name}: the header is damaged", where=path, found=found, expected=expected)


def read_bci2000(path: Path) -> Decoded:
    """Read a BCI2000 file lazily. Raises InputError if the header is incomplete."""
    with path.open("rb") as handle:
        first = handle.readline(4096).decode("latin-1")
        head = dict(re.findall(r"(\w+)\s*=\s*(\S+)", first))
        try:
            n_head, n_channels, n_state = (int(head[k]) for k in ("HeaderLen", "SourceCh", "StatevectorLen"))
        except (KeyError, ValueError):
            raise _bad(path, "a first line without them", "HeaderLen, SourceCh and StatevectorLen") from None
        kind = _TYPES.get(head.get("DataFormat", "int16"))
        if kind is None:
            raise _bad(path, f"DataFormat {head['DataFormat']}", " or ".join(_TYPES))
        if not (0 < n_head <= _MAX_HEADER_BYTES and 1 <= n_channels <= 4096 and 0 <= n_state <= 65536):
            raise _bad(path, f"{n_channels} channels, a header of {n_head} bytes", "1 to 4096 channels")
        text = handle.read(max(0, n_head - handle.tell())).decode("latin-1")
    states, parameters = _sections(text)
    rate = re.match(r"\d+(?:\.\d*)?", _one(parameters.get("SamplingRate", "")))
    if rate is None:
        raise _bad(path, "no sampling rate", "the parameter SamplingRate")
    sfreq_hz = check_rate(float(rate[0]), path)
    frame = np.dtype([("x", kind, (n_channels,)), ("s", "u1", (n_state,))])
    n_samples, rest = divmod(max(0, path.stat().st_size - n_head), frame.itemsize)
    names = _list(parameters.get("ChannelNames", ""))
    if len(names) != n_channels:
        names = [str(i + 1) for i in range(n_channels)]
    gains = [_gain(text) for text in _list(parameters.get("SourceChGain", ""))]
    known = len(gains) == n_channels and bool(np.isfinite(gains).all())
    gain = np.array(gains if known else [1.0] * n_channels)
    offsets = _list(parameters.get("SourceChOffset", ""))
    offset = np.array([_gain(o) for o in offsets] if len(offsets) == n_channels else [0.0] * n_channels)

    def frames(start: int, stop: int) -> np.ndarray:
        n = max(0, min(stop, n_samples) - start)
        return np.fromfile(path, dtype=frame, count=n, offset=n_head + start * frame.itemsize)

    def read(start: int, stop: int) -> np.ndarray:
        return (frames(start, stop)["x"].T.astype(np.float64) - offset[:, None]) * gain[:, None]

    events: list[SourceEvent] = []
    for name, place, width in states:
        if name in _NO_EVENTS or width > 32 or place + width > 8 * n_state:
            continue
        changes = _changes(frames, n_samples, place, width)
        if _is_code([value for _, value in changes], n_samples / sfreq_hz):
            events += [SourceEvent(start_sample=at, text=f"{name}/{value}") for at, value in changes if value]
    notes = []
    if rest:
        notes.append(f"the last frame is incomplete: {rest} bytes at the end are left out; the file may be truncated")
    if not known:
        notes.append("the header has no gain (SourceChGain) for its channels")
    return Decoded(
        format="bci2000",
        sfreq_hz=sfreq_hz,
        channels=tuple(
            SourceChannel(
                name=n, unit="uV" if known else "", unit_evidence="SourceChGain gives microvolt" if known else ""
            )
            for n in names
        ),
        signal=LazySignal(n_channels, n_samples, read),
        stretches=whole(n_samples),
        events=tuple(sorted(events)),
        notes=tuple(notes),
    )


def _sections(text: str) -> tuple[list[tuple[str, int, int]], dict[str, str]]:
    """States as (name, first bit, width), and the value of each parameter."""
    states: list[tuple[str, int, int]] = []
    parameters: dict[str, str] = {}
    section = ""
    for line in text.split("\0", 1)[0].splitlines():
        if line.lstrip().startswith("["):
            section = line.casefold()
        elif "state vector" in section:
            found = re.match(r"(\S+)\s+(\d+)\s+\S+\s+(\d+)\s+(\d+)", line.strip())
            if found is not None:
                states.append((found[1], 8 * int(found[3]) + int(found[4]), int(found[2])))
        elif "parameter" in section and (found := re.match(r"\S+\s+\S+\s+(\w+)\s*=\s*(.*)", line.strip())) is not None:
            parameters[found[1]] = found[2].split("//", 1)[0].strip()
    return states, parameters


def _one(value: str) -> str:
    return value.split()[0] if value else ""


def _list(value: str) -> list[str]:
    """A list parameter: its length, or the names of its entries in braces, followed by the entries."""
    labelled = re.match(r"\{([^}]*)\}\s*(.*)", value)
    if labelled is not None:
        n, fields = len(labelled[1].split()), labelled[2].split()
    else:
        fields = value.split()
        n, fields = (int(fields[0]), fields[1:]) if fields and fields[0].isdecimal() else (0, [])
    return [unquote(field) for field in fields[:n]]


def _gain(text: str) -> float:
    """Microvolt per step from `0.1muV`, `1e-3mV` or, without a unit, `0.1`; NaN if the text is not a number."""
    found = re.fullmatch(r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(\S*)", text)
    if found is None:
        return np.nan
    unit = unit_of(found[2].replace("mu", "u")) if found[2] else "uV"
    return float(found[1]) * UNITS_TO_UV.get(unit, np.nan)


def _is_code(values: Sequence[int], lasts_s: float) -> bool:
    """Whether a state with these successive values stands for events, and is not a position, a clock or a signal.

    Stimuli of a speller follow each other faster than a position is updated, but go off in between or are few.
    """
    if len(values) <= max(16.0, _MOST_CHANGES_PER_S * lasts_s):
        return True
    goes_off = 2 * values.count(0) >= len(values) - 1
    return (goes_off or len(set(values)) <= _MOST_VALUES) and len(values) <= _SIGNAL_CHANGES_PER_S * lasts_s


def _changes(
    frames: Callable[[int, int], np.ndarray], n_samples: int, place: int, width: int
) -> Sequence[tuple[int, int]]:
    """Samples at which a state changes, with the new value; the least significant bit comes first."""
    out: list[tuple[int, int]] = []
    previous = 0
    first, last = place // 8, (place + width - 1) // 8
    for start in range(0, n_samples, 1 << 18):
        held = frames(start, start + (1 << 18))["s"][:, first : last + 1].astype(np.uint64)
        shifts = np.arange(last - first + 1, dtype=np.uint64) * np.uint64(8)
        joined = np.bitwise_or.reduce(held << shifts, axis=1)
        values = (joined >> np.uint64(place % 8)) & np.uint64((1 << width) - 1)
        before = np.concatenate(([previous], values[:-1].astype(np.int64)))
        at = np.flatnonzero(values.astype(np.int64) != before)
        out += [(start + int(i), int(values[i])) for i in at]
        previous = int(values[-1])
    return out
