"""What a header promises against what the file holds, for formats whose general reader does not look.

What enters: the path that is opened first, and its format. What leaves: notes, or an InputError that says that the file
was cut short. A reader that fills up or silently ends earlier turns a bad copy into a short recording.
"""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import Any

from eegprep.errors import InputError
from eegprep.sources.companions import named_files

__all__ = ["check_samples_file", "check_whole"]

_BRAINVISION_BYTES = {b"INT_16": 2, b"INT_32": 4, b"UINT_16": 2, b"IEEE_FLOAT_32": 4, b"IEEE_FLOAT_64": 8}
#: GDF's data types to bytes; 255 and more are integers of (type - 255) bits.
_GDF_BYTES = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 8, 8: 8, 16: 4, 17: 8}


def check_whole(path: Path, format_name: str) -> tuple[str, ...]:
    """Notes on the size of a file. Raises InputError where it is smaller than its header says."""
    check = {"brainvision": _brainvision, "gdf": _gdf, "egi_raw": _egi_raw, "nihon_kohden": _nihon_kohden}.get(
        format_name
    )
    return check(path) if check is not None else ()


def check_samples_file(raw: Any, path: Path) -> tuple[str, ...]:
    """Notes on the .fdt beside an EEGLAB header. Raises InputError where it does not hold every sample."""
    notes: list[str] = []
    for file in (Path(f) for f in raw.filenames if f is not None and str(f).lower().endswith(".fdt")):
        expected = 4 * len(raw.ch_names) * int(raw.n_times)
        n_file = file.stat().st_size
        if n_file < expected:
            raise _cut(path, f"{n_file} bytes of samples beside it", f"{expected} bytes")
        if n_file > expected:
            notes.append(f"{n_file - expected} bytes after the samples that the header states are left out")
    return tuple(notes)


def _cut(path: Path, found: str, expected: str) -> InputError:
    return InputError(
        f"{path.name}: the file is cut short", where=path, found=found, expected=expected, todo="copy the file again"
    )


def _brainvision(path: Path) -> tuple[str, ...]:
    head = path.read_bytes()[: 1 << 16]
    markers = _markers(path)

    def field(name: bytes) -> bytes:
        found = re.search(rb"^" + name + rb"\s*=\s*(\S+)", head, re.MULTILINE | re.IGNORECASE)
        return found[1] if found else b""

    n_bytes, channels = _BRAINVISION_BYTES.get(field(b"BinaryFormat").upper(), 0), field(b"NumberOfChannels")
    samples = [path.parent / n for n in named_files(path)[:1] if (path.parent / n).is_file()]
    if not samples or not n_bytes or not channels.isdigit() or field(b"DataFormat").upper() != b"BINARY":
        return markers
    n_file, frame = samples[0].stat().st_size, n_bytes * max(1, int(channels))
    points = field(b"DataPoints")
    if points.isdigit() and int(points) * frame > n_file:
        raise _cut(path, f"{n_file} bytes of samples", f"{int(points) * frame} bytes for {int(points)} data points")
    return (*markers, *_remainder(n_file % frame))


def _markers(path: Path) -> tuple[str, ...]:
    """Notes on the marker file of a BrainVision header.

    Without it nothing says where the recording was interrupted, so one that is named has to be there.
    """
    head = path.read_bytes()[: 1 << 16].replace(b"\r", b"")
    found = re.search(rb"^MarkerFile[ \t]*=[ \t]*(\S.*?)[ \t]*$", head, re.M | re.I)
    if found is None:
        return ("the header names no marker file, so nothing is known of events and interruptions",)
    name = re.split(r"[\\/]", found[1].decode("utf-8", "replace").replace("$b", path.stem))[-1]
    markers = path.parent / name
    if not markers.is_file():
        beside = [p for p in sorted(path.parent.iterdir()) if p.stem == path.stem]
        own = next((p for p in beside if p.suffix.lower() in (".vmrk", ".amrk")), None)
        raise InputError(
            f"the markers of {path.name} are not beside it",
            where=path,
            found="the header's `MarkerFile=` names a file that is not there",
            expected="its .vmrk file, which says where events and interruptions are",
            todo="copy the .vmrk file too, under its original name"
            if own is None
            else f"correct `MarkerFile=` if {own.name} is its marker file",
        )
    text = markers.read_bytes().replace(b"\r\n", b"\n").removeprefix(b"\xef\xbb\xbf")
    if re.match(rb"\s*Brain ?Vision Data Exchange Marker File", text) is None:
        raise InputError(
            f"the marker file of {path.name} cannot be read",
            where=markers,
            found="a first line that is not that of a BrainVision marker file",
            expected="`Brain Vision Data Exchange Marker File, Version 1.0` or 2.0",
            todo="copy the .vmrk file again; without markers, delete the line `MarkerFile=` of the header",
        )
    lines = re.findall(rb"^Mk\d+=(.*)$", text, re.M)
    if broken := sum(re.match(rb"[^,]*,[^,]*,\s*\d+\s*,\s*\d+\s*(,|$)", line) is None for line in lines):
        raise InputError(
            f"the marker file of {path.name} cannot be read",
            where=markers,
            found=f"{broken} of {len(lines)} markers without a position",
            expected="lines such as `Mk2=Stimulus,S  1,345,1,0`",
            todo="correct these lines, or copy the .vmrk file again",
        )
    other = re.search(rb"^DataFile\s*=\s*(.+?)\s*$", text, re.M | re.I)
    samples = [n for n in named_files(path) if re.search(r"\.(eeg|dat|avg|seg)$", n, re.I)]
    if other is not None and samples and other[1].decode("utf-8", "replace").replace("$b", path.stem) not in samples:
        return ("the marker file names another data file than the header: it may be that of another recording",)
    return ()


def _remainder(n_bytes: int) -> tuple[str, ...]:
    if not n_bytes:
        return ()
    return (f"the samples end inside a frame: {n_bytes} bytes at the end are left out; the file may have been cut",)


def _nihon_kohden(path: Path) -> tuple[str, ...]:
    if any(p.stem == path.stem and p.suffix.lower() == ".log" for p in path.parent.iterdir()):
        return ()
    return ("no .LOG file lies beside it, so its events are not known",)


def _gdf(path: Path) -> tuple[str, ...]:
    n_file = path.stat().st_size
    with path.open("rb") as handle:
        head = handle.read(256)
        if len(head) < 256:
            raise _cut(path, f"{n_file} bytes", "a header of 256 bytes and more")
        old = head[4:6] < b"2."
        (n_header,) = struct.unpack_from("<q", head, 184) if old else (256 * struct.unpack_from("<H", head, 184)[0],)
        (n_records,) = struct.unpack_from("<q", head, 236)
        (n_signals,) = struct.unpack_from("<I" if old else "<H", head, 252)
        if n_records < 1 or not 0 < n_signals <= 4096:
            return ()
        handle.seek(256 + 216 * n_signals)
        body = handle.read(8 * n_signals)
    if len(body) < 8 * n_signals:
        raise _cut(path, f"{n_file} bytes", f"a header of {n_header} bytes")
    counts = struct.unpack_from(f"<{n_signals}I", body)
    kinds = struct.unpack_from(f"<{n_signals}I", body, 4 * n_signals)
    sizes = [_GDF_BYTES.get(kind, (kind - 255) // 8 if kind > 255 else 0) for kind in kinds]
    expected = n_header + n_records * sum(n * size for n, size in zip(counts, sizes, strict=True))
    if n_file < expected:
        raise _cut(path, f"{n_file} bytes", f"{expected} bytes for {n_records} records")
    return ()


def _egi_raw(path: Path) -> tuple[str, ...]:
    n_file = path.stat().st_size
    with path.open("rb") as handle:
        head = handle.read(36)
    if len(head) < 36:
        raise _cut(path, f"{n_file} bytes", "a header of 36 bytes")
    (version,) = struct.unpack_from(">i", head)
    if version % 2:  # in epochs: the reader says that it takes no such file
        return ()
    (n_channels,) = struct.unpack_from(">H", head, 22)
    n_samples, n_events = struct.unpack_from(">iH", head, 30)
    width = {2: 2, 4: 4, 6: 8}[version]
    expected = 36 + 4 * n_events + width * n_samples * (n_channels + n_events)
    if n_file < expected:
        raise _cut(path, f"{n_file} bytes", f"{expected} bytes for {n_samples} samples")
    return ()
