"""Suggest manifest lines for a file of plain numbers: a table with a header line, an array, a matrix.

Channels, rate and events are suggested from the file, never the unit. Only the beginning of a text and the shape of an
array are read.
"""

from __future__ import annotations

import dataclasses
import gzip
import json
import math
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eegprep.electrodes import Vocabulary
from eegprep.electrodes.resolve import resolve
from eegprep.formats.matlab.file import matrices
from eegprep.formats.tables.text import TextTable, is_number, read_table
from eegprep.temporary import TemporaryFolder

_TEXT = re.compile(r"\.(csv|tsv|txt|asc)(\.gz)?$", re.IGNORECASE)
_HEAD_BYTES = 1 << 20
_FEWEST_ROWS = 32
_MOST_LOOKED_AT = 4096
_TIME = re.compile(
    r"(time|timestamps?|seconds?|secs?|s|ms|msec|millis(econds)?|us|t)([ _(\[]*(s|sec|ms|us|µs)[)\]]*)?", re.I
)
_EVENTS = re.compile(
    r"(stim(ulus)?|markers?|events?|triggers?|annotations?|labels?|status)([ _]?(channel|code|value|id))?", re.I
)
_RATES_HZ = (32.0, 30000.0)
_RATE_NAMES = ("sfreq", "fs", "srate", "sampling_rate", "sample_rate", "samplingrate", "sfreq_hz")
_CHANNEL_NAMES = ("ch_names", "channels", "channel_names", "chan_names", "labels_channels", "electrodes")
_LABEL_NAMES = ("y", "labels", "label", "targets", "target", "events")


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """A manifest's `source:` as far as the file shows it; `n_channels` if the names are unknown."""

    kind: str
    channels: tuple[str, ...] = ()
    n_channels: int = 0
    sfreq_hz: float | None = None
    time_column: str = ""
    event_column: str = ""
    orientation: str = ""
    variable: str = ""

    def flow(self, files: str) -> str:
        """One line of YAML, with `?` for unknown values; `files` is the pattern of file names."""
        known = self._known(files)
        fields = {"kind": self.kind, "files": "", "sfreq_hz": "?", "unit": "?"}
        fields |= {"channels": f"[? the names of {self.n_channels}]", **known}
        return "source: {" + ", ".join(f"{name}: {value}" for name, value in fields.items()) + "}"

    def lines(self, files: str) -> str:
        """The same as lines of a draft, with `#?` for values that the user has to fill in."""
        known = self._known(files)
        asked = {
            "sfreq_hz": "250  # the sampling rate",
            "unit": "uV  # unit of the numbers: V, mV, uV or nV",
            "channels": f"[Fp1, Fp2]  # the names of the {self.n_channels} channels, in their order",
        }
        out = [f"  {name}: {value}" for name, value in known.items()]
        out += [f"#?   {name}: {value}" for name, value in asked.items() if name not in known]
        return "\n".join(["source:", *out]) + "\n"

    def _known(self, files: str) -> dict[str, str]:
        out = {"kind": self.kind, "files": f"[{json.dumps(files, ensure_ascii=False)}]"}
        if self.sfreq_hz:
            out["sfreq_hz"] = f"{self.sfreq_hz:g}"
        if self.channels:
            out["channels"] = json.dumps(list(self.channels), ensure_ascii=False)
        for field in ("time_column", "event_column", "orientation", "variable"):
            if value := getattr(self, field):
                out[field] = json.dumps(value, ensure_ascii=False)
        return out


def suggest(path: Path) -> Suggestion | None:
    """Suggest how to read a file; None if it has no signal that a manifest could describe."""
    try:
        if path.suffix.lower() in (".npy", ".npz"):
            return _of_array(path)
        if path.suffix.lower() == ".mat":
            return _of_matlab(path)
        return _of_table(path) if _TEXT.search(path.name) else None
    except Exception:  # the libraries raise any exception on damaged files
        return None


def _of_table(path: Path) -> Suggestion | None:
    """A table with a header line and a time column or at least two electrodes."""
    table = _beginning(path)
    if table is None or table.names[0] == "1":  # without a header line, columns are numbered
        return None
    numbers = {}
    for name in table.names:
        texts = table.texts(name)
        if name.strip() and len(texts) >= _FEWEST_ROWS and sum(map(is_number, texts)) > len(texts) // 2:
            numbers[name] = np.array([float(t) if is_number(t) else np.nan for t in texts])
    events = next((n for n in table.names if _EVENTS.fullmatch(n.strip())), "")
    time = next((n for n in numbers if _TIME.fullmatch(n.strip()) and np.all(np.diff(numbers[n]) >= 0)), "")
    signals = [n for n in numbers if n not in (events, time)]
    base = Vocabulary.base()
    electrodes = [n for n in signals if resolve(base, n).electrode is not None]
    sfreq_hz = _rate(numbers[time], time) if time else None
    if len(electrodes) < 2 and (sfreq_hz is None or not signals):
        return None
    return Suggestion(
        kind="table",
        channels=tuple(electrodes if len(electrodes) >= 2 else signals),
        sfreq_hz=sfreq_hz,
        time_column=time,
        event_column=events,
    )


def _beginning(path: Path) -> TextTable | None:
    """The first rows of a table."""
    with path.open("rb") as handle:
        packed = handle.read(2) == b"\x1f\x8b"
    with gzip.open(path) if packed else path.open("rb") as handle:
        head = handle.read(_HEAD_BYTES)
    if b"\0" in head and not head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return None
    if len(head) == _HEAD_BYTES:
        head = head[: max(head.rfind(b"\n"), head.rfind(b"\r")) + 1]
    with TemporaryFolder() as folder:
        beginning = folder / "head.csv"
        beginning.write_bytes(head)
        return read_table(beginning)


def _rate(times: np.ndarray, name: str) -> float | None:
    """Rate in hertz from a column of times in seconds, milliseconds, microseconds or nanoseconds."""
    known = times[np.isfinite(times)]
    if known.size < _FEWEST_ROWS or known[-1] <= known[0]:
        return None
    step = float(np.median(np.diff(known)))
    step = step if step > 0 else float((known[-1] - known[0]) / (known.size - 1))
    said = {"ms": 1e3, "msec": 1e3, "us": 1e6, "µs": 1e6}
    factors = [said[unit] for unit in re.findall(r"[a-zµ]+", name.casefold()) if unit in said] or [1.0, 1e3, 1e6, 1e9]
    for factor in factors:
        rate = factor / step
        if _RATES_HZ[0] <= rate <= _RATES_HZ[1]:
            return float(round(rate)) if abs(rate - round(rate)) < 0.005 * rate else float(f"{rate:.5g}")
    return None


def _of_array(path: Path) -> Suggestion | None:
    """Reads only headers, since an array may expand to any size, and small arrays of an .npz file."""
    if path.suffix.lower() == ".npy":
        with path.open("rb") as handle:
            return _of_shape(*_array_header(handle))
    with zipfile.ZipFile(path) as packed:
        headers = {}
        for member in packed.namelist():
            with packed.open(member) as handle:
                headers[member.removesuffix(".npy")] = _array_header(handle)
    found = {name: one for name, header in headers.items() if (one := _of_shape(*header)) is not None}
    if not found:
        return None
    variable = max(found, key=lambda name: math.prod(headers[name][0]))
    shape = headers[variable][0]
    small = [n for n, (s, d) in headers.items() if math.prod(s) <= _MOST_LOOKED_AT and d.kind in "fiuUS"]
    with np.load(path, allow_pickle=False) as loaded:
        values = {name: np.ravel(loaded[name]) for name in (*_RATE_NAMES, *_CHANNEL_NAMES) if name in small}
    rate = next(
        (float(v[0]) for n, v in values.items() if n in _RATE_NAMES and v.size == 1 and v.dtype.kind != "U"), None
    )
    n_channels = found[variable].n_channels
    named = (v for n, v in values.items() if n in _CHANNEL_NAMES and v.dtype.kind == "U" and v.size == n_channels)
    labels = (n for n in _LABEL_NAMES if n in headers and len(shape) == 3 and headers[n][0] == shape[:1])
    return dataclasses.replace(
        found[variable],
        channels=tuple(map(str, next(named, ()))),
        sfreq_hz=rate,
        event_column=next(labels, ""),
        variable=variable if len(headers) > 1 else "",
    )


def _of_matlab(path: Path) -> Suggestion | None:
    """The largest matrix of a file. Three dimensions are not assigned, since MATLAB has no usual order."""
    shapes = matrices(path)
    found = {n: one for n, s in shapes.items() if len(s) == 2 and min(s) > 1 and (one := _of_shape(s, np.dtype(float)))}
    if not found or any(len(shape) > 2 for shape in shapes.values()):
        return None
    variable = max(found, key=lambda name: math.prod(shapes[name]))
    return dataclasses.replace(found[variable], kind="matlab", variable=variable if len(shapes) > 1 else "")


def _array_header(handle: Any) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and type of an array in NumPy's format, without reading its values."""
    version = np.lib.format.read_magic(handle)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(handle)
    return shape, dtype


def _of_shape(shape: tuple[int, ...], dtype: np.dtype) -> Suggestion | None:
    """Three dimensions are (trials, channels, samples); of two, the shorter one is the channels."""
    if dtype.kind not in "fiu" or len(shape) not in (2, 3) or 0 in shape:
        return None
    rows_are_channels = shape[-2] <= shape[-1]
    orientation = "row_per_channel" if rows_are_channels else "row_per_sample"
    return Suggestion(kind="numpy", n_channels=shape[-2] if rows_are_channels else shape[-1], orientation=orientation)
