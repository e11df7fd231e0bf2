"""Compare the size that a header states with the file's, for formats whose general reader does not check.

A truncated file raises an InputError; otherwise notes and the header's number of samples are returned. Readers that pad
or silently stop turn a bad copy into a short recording; those that read on return bytes that are not signal.
"""

from __future__ import annotations

import dataclasses
import math
import re
import struct
from pathlib import Path
from typing import Any

from eegprep.errors import InputError
from eegprep.formats.companions import named_files
from eegprep.formats.decoded import Decoded
from eegprep.formats.matlab.file import eeglab_datasets, eeglab_header
from eegprep.recording import LeftOut, Stretch, subtract

_BRAINVISION_BYTES = {b"INT_16": 2, b"INT_32": 4, b"UINT_16": 2, b"IEEE_FLOAT_32": 4, b"IEEE_FLOAT_64": 8}
#: GDF's data types to bytes; 255 and more are integers of (type - 255) bits.
_GDF_BYTES = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 8, 8: 8, 16: 4, 17: 8}
_NEDF_HEADER = 10240


def check_whole(path: Path, format_name: str) -> tuple[tuple[str, ...], int | None]:
    """Notes on the size of a file, and the header's number of samples if the reader may read beyond it.

    Raises InputError if the file is smaller than its header says.
    """
    check = {
        "brainvision": _brainvision,
        "curry": _curry,
        "eeglab": _eeglab,
        "egi_raw": _egi_raw,
        "eximia": _eximia,
        "gdf": _gdf,
        "nedf": _nedf,
        "nicolet": _nicolet,
        "nihon_kohden": _nihon_kohden,
    }.get(format_name)
    return check(path) if check is not None else ((), None)


def end_at_stated(decoded: Decoded, n_stated: int) -> Decoded:
    """The recording without samples beyond the stated number, and the reason."""
    n_samples = decoded.signal.shape[1]
    if not 0 < n_stated < n_samples:
        return decoded
    rest = Stretch(start_sample=n_stated, n_samples=n_samples - n_stated)
    reason = f"the header states {n_stated} samples, the file has {n_samples}; the rest is left out"
    left_out = LeftOut(
        kind="stretch", name="all", code="beyond_header", reason=reason, start_sample=n_stated, n_samples=rest.n_samples
    )
    return dataclasses.replace(
        decoded,
        stretches=tuple(subtract(decoded.stretches, [rest])),
        left_out=(*decoded.left_out, left_out),
        notes=(*decoded.notes, reason),
    )


def check_samples_file(raw: Any, path: Path) -> tuple[str, ...]:
    """Notes on the .fdt beside an EEGLAB header. Raises InputError if samples are missing."""
    notes: list[str] = []
    for file in (Path(f) for f in getattr(raw, "filenames", ()) if f and str(f).lower().endswith(".fdt")):
        expected = 4 * len(raw.ch_names) * int(raw.n_times)
        n_file = file.stat().st_size
        if n_file < expected:
            raise _cut(path, f"{n_file} bytes in the data file", f"{expected} bytes")
        if n_file > expected:
            notes.append(f"{n_file - expected} bytes after the stated number of samples are left out")
    return tuple(notes)


def _cut(path: Path, found: str, expected: str) -> InputError:
    return InputError(
        f"{path.name}: the file is truncated", where=path, found=found, expected=expected, todo="copy the file again"
    )


def _brainvision(path: Path) -> tuple[tuple[str, ...], int | None]:
    head = path.read_bytes()[: 1 << 16]
    markers = _markers(path)

    def field(name: bytes) -> bytes:
        found = re.search(rb"^" + name + rb"[ \t]*=[ \t]*(\S+)", head, re.MULTILINE | re.IGNORECASE)
        return found[1] if found else b""

    if field(b"Averaged").upper() == b"YES":
        raise InputError(
            f"{path.name} contains averages, not a recording",
            where=path,
            found="Averaged=YES",
            expected="continuous or segmented data",
            todo="export the data before the average, or leave the file out",
        )
    n_bytes, channels = _BRAINVISION_BYTES.get(field(b"BinaryFormat").upper(), 0), field(b"NumberOfChannels")
    listed = len(re.findall(rb"^Ch\d+[ \t]*=", _section(head, b"Channel Infos"), re.MULTILINE | re.IGNORECASE))
    if listed and channels.isdigit() and listed != int(channels):
        raise InputError(
            f"{path.name}: how many channels a sample has is not certain",
            where=path,
            found=f"NumberOfChannels={int(channels)} and {listed} channels under [Channel Infos]",
            expected="the same number in both",
            todo="correct the header",
        )
    samples = [path.parent / n for n in named_files(path)[:1] if (path.parent / n).is_file()]
    if not samples or not n_bytes or not channels.isdigit() or field(b"DataFormat").upper() != b"BINARY":
        return markers, None
    # a V-Amp frame has one value more than there are channels
    vamp = b"V-Amp" in head.split(b"\n", 1)[0]
    n_file, frame = samples[0].stat().st_size, n_bytes * (max(1, int(channels)) + vamp)
    points = field(b"DataPoints")
    n_stated = int(points) if points.isdigit() else 0
    if n_stated * frame > n_file:
        raise _cut(path, f"{n_file} bytes of samples", f"{n_stated * frame} bytes for {n_stated} data points")
    n_held, rest = divmod(n_file, frame)
    if field(b"DataOrientation").upper() == b"VECTORIZED" and (rest or n_stated not in (0, n_held)):
        raise InputError(
            f"{path.name}: the layout of the samples is ambiguous",
            where=path,
            found=f"{n_file} bytes of samples, channel after channel: {n_held} data points, {rest} bytes",
            expected=f"{(n_stated or n_held) * frame} bytes for {n_stated or n_held} data points",
            todo="copy the samples again, or correct DataPoints in the header",
        )
    return (*markers, *_remainder(rest)), n_stated or None


def _eeglab(path: Path) -> tuple[tuple[str, ...], int | None]:
    """Compare rows of samples with channel names; with fewer names, rows cannot be assigned."""
    if (n_sets := eeglab_datasets(path)) > 1:
        raise InputError(
            f"{path.name} holds {n_sets} data sets",
            where=path,
            found="several data sets in ALLEEG or EEG",
            expected="one data set in each file",
            todo="save each data set in EEGLAB as a .set file of its own (pop_saveset)",
        )
    header = eeglab_header(path)
    if header.n_rows and header.n_named not in (0, header.n_rows):
        raise InputError(
            f"{path.name}: which channel each row of the samples is cannot be told",
            where=path,
            found=f"{header.n_rows} rows, {header.n_named} channels in EEG.chanlocs",
            expected="one entry in EEG.chanlocs for each row",
            todo="correct EEG.chanlocs in EEGLAB and save the file again",
        )
    return (), None


def _section(head: bytes, name: bytes) -> bytes:
    """The section `[name]` of a header."""
    found = re.search(rb"^\[" + name + rb"\][ \t\r]*$(.*?)(?=^\[|\Z)", head, re.MULTILINE | re.IGNORECASE | re.DOTALL)
    return found[1] if found else b""


def _markers(path: Path) -> tuple[str, ...]:
    """Notes on the marker file of a BrainVision header.

    Interruptions of the recording are only known from it, so a file that is named must exist.
    """
    head = path.read_bytes()[: 1 << 16].replace(b"\r", b"")
    found = re.search(rb"^MarkerFile[ \t]*=[ \t]*(\S.*?)[ \t]*$", head, re.M | re.I)
    if found is None:
        return ("the header names no marker file, so events and interruptions are unknown",)
    name = re.split(r"[\\/]", found[1].decode("utf-8", "replace").replace("$b", path.stem))[-1]
    markers = path.parent / name
    if not markers.is_file():
        beside = [p for p in sorted(path.parent.iterdir()) if p.stem == path.stem]
        own = next((p for p in beside if p.suffix.lower() in (".vmrk", ".amrk")), None)
        raise InputError(
            f"the marker file of {path.name} is missing",
            where=path,
            found="the header's `MarkerFile=` names a file that does not exist",
            expected="its .vmrk file with events and interruptions",
            todo="copy the .vmrk file too, under its original name"
            if own is None
            else f"correct `MarkerFile=` if {own.name} is its marker file",
        )
    text = markers.read_bytes().replace(b"\r\n", b"\n").removeprefix(b"\xef\xbb\xbf")
    if re.match(rb"\s*Brain ?Vision Data Exchange Marker File", text) is None:
        raise InputError(
            f"the marker file of {path.name} cannot be read",
            where=markers,
            found="not the first line of a BrainVision marker file",
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
        return ("the marker file names another data file than the header: it may belong to another recording",)
    return ()


def _remainder(n_bytes: int) -> tuple[str, ...]:
    if not n_bytes:
        return ()
    return (f"the last frame is incomplete: {n_bytes} bytes at the end are left out; the file may be truncated",)


def _curry(path: Path) -> tuple[tuple[str, ...], int | None]:
    """Curry 7 (.dap beside .dat) and 8 (.cdt.dpa beside .cdt), of 32-bit floats."""
    cdt = path.suffix.lower() == ".cdt"
    endings = (".cdt.dpa", ".cdt.dpo") if cdt else (".dap",)
    headers = [h for h in (path.with_suffix(ending) for ending in endings) if h.is_file()]
    others = [h for h in (path.with_suffix(e) for e in ((".dap",) if cdt else (".cdt.dpa", ".cdt.dpo"))) if h.is_file()]
    if headers and others:
        raise InputError(
            f"{path.name}: there are two headers of the same name",
            where=path,
            found=f"a {headers[0].suffix} and a {others[0].suffix} file, from two versions of Curry",
            expected="one recording of this name in the folder",
            todo="move the files of one of the two to a separate folder",
        )
    samples = path.with_suffix(".cdt" if cdt else ".dat")
    if not headers or not samples.is_file():
        return (), None
    head = headers[0].read_text(encoding="latin-1")

    def field(name: str) -> str:
        found = re.search(rf"^\s*{name}\s*=[ \t]*(\S+)", head, re.MULTILINE)
        return found[1] if found else ""

    order = next((w for w in (field("DataSampOrder"), field("DataByteOrder")) if w in ("CHAN", "MOTOROLA")), None)
    if order is not None:
        raise InputError(
            f"{path.name}: samples in this order cannot be read",
            where=path,
            found="channel after channel" if order == "CHAN" else "big-endian numbers",
            expected="DataSampOrder = SAMP, DataByteOrder = INTEL",
            todo="export the recording from Curry as raw float, or as EDF",
        )
    numbers = [field(name) for name in ("NumSamples", "NumTrials", "NumChannels")]
    if "ASCII" in (field("DataFormat"), field("DataByteOrder")) or not all(n.isdecimal() for n in numbers):
        return (), None
    n_samples, n_trials, n_channels = (max(1, int(n)) for n in numbers)
    expected, n_file = 4 * n_samples * n_trials * n_channels, samples.stat().st_size
    if n_file < expected:
        raise _cut(path, f"{n_file} bytes of samples", f"{expected} bytes for {n_samples * n_trials} samples")
    return (), None


def _nicolet(path: Path) -> tuple[tuple[str, ...], int | None]:
    head = path.with_suffix(".head").read_text(encoding="latin-1")
    fields = dict(re.findall(r"^(num_samples|num_channels|sample_bytes)=(\d+)\s*$", head, re.MULTILINE))
    listed = re.search(r"^elec_names=\[(.*)\]", head, re.MULTILINE)
    n_names = listed[1].count(",") + 1 if listed is not None else 0
    n_channels, width = fields.get("num_channels", str(n_names)), fields.get("sample_bytes", "2")
    if n_names != int(n_channels) or int(width) != 2:
        raise InputError(
            f"{path.name}: which numbers belong to which channel is not certain",
            where=path.with_suffix(".head"),
            found=f"{n_names} names, num_channels={n_channels}, sample_bytes={width}",
            expected="a name for each channel, and samples of 2 bytes",
            todo="correct the header, or export the recording as EDF",
        )
    if head.endswith("]"):  # the reader takes the last character of this line for its end
        raise InputError(
            f"{path.name}: the last line of its header has no end",
            where=path.with_suffix(".head"),
            todo="add a line break after elec_names",
        )
    if len(fields) < 3:
        return (), None
    expected, n_file = math.prod(int(v) for v in fields.values()), path.stat().st_size
    if n_file < expected:
        raise _cut(path, f"{n_file} bytes", f"{expected} bytes for {fields['num_samples']} samples")
    return (), None


def _eximia(path: Path) -> tuple[tuple[str, ...], int | None]:
    return _remainder(path.stat().st_size % 128), None  # 64 channels of 16 bits, no header


def _nedf(path: Path) -> tuple[tuple[str, ...], int | None]:
    with path.open("rb") as handle:
        head = handle.read(_NEDF_HEADER).split(b"\0", 1)[0]
    found = {
        name: int(m[1])
        for name in (b"TotalNumberOfChannels", b"NumberOfRecordsOfEEG", b"NumberOfChannelsOfAccelerometer")
        if (m := re.search(rb"<" + name + rb">\s*(\d+)\s*<", head)) is not None
    }
    n_channels, n_samples = found.get(b"TotalNumberOfChannels", 0), found.get(b"NumberOfRecordsOfEEG", 0)
    stimulated = 3 if b"<STIMSettings" in head else 1
    accelerometer = 2 * found.get(b"NumberOfChannelsOfAccelerometer", 0) * -(-n_samples // 5)
    expected = _NEDF_HEADER + accelerometer + n_samples * (3 * n_channels * stimulated + 4)
    n_file = path.stat().st_size
    if n_file < expected:
        raise _cut(path, f"{n_file} bytes", f"{expected} bytes for {n_samples} samples")
    return (), None


def _nihon_kohden(path: Path) -> tuple[tuple[str, ...], int | None]:
    """The blocks of data that the first control block names."""
    n_file = path.stat().st_size
    with path.open("rb") as handle:

        def at(place: int, form: str) -> int:
            handle.seek(place)
            data = handle.read(struct.calcsize(form))
            if len(data) < struct.calcsize(form):
                raise _cut(path, f"{n_file} bytes", f"a header of at least {place} bytes")
            return int(struct.unpack(form, data)[0])

        control = at(0x92, "<I")
        for block in range(at(control + 17, "<B")):
            start = at(control + 18 + 20 * block, "<I")
            n_channels, rate, tenths = at(start + 0x26, "<B"), at(start + 0x1A, "<H") & 0x3FFF, at(start + 0x1C, "<I")
            expected = start + 0x27 + 10 * n_channels + 2 * (n_channels + 1) * (tenths * rate // 10)
            if n_file < expected:
                raise _cut(path, f"{n_file} bytes", f"{expected} bytes for {tenths / 10:g} s")
    if any(p.stem == path.stem and p.suffix.lower() == ".log" for p in path.parent.iterdir()):
        return (), None
    return ("there is no .LOG file, so its events are unknown",), None


def _gdf(path: Path) -> tuple[tuple[str, ...], int | None]:
    n_file = path.stat().st_size
    with path.open("rb") as handle:
        head = handle.read(256)
        if len(head) < 256:
            raise _cut(path, f"{n_file} bytes", "a header of at least 256 bytes")
        old = head[4:6] < b"2."
        (n_header,) = struct.unpack_from("<q", head, 184) if old else (256 * struct.unpack_from("<H", head, 184)[0],)
        (n_records,) = struct.unpack_from("<q", head, 236)
        (n_signals,) = struct.unpack_from("<I" if old else "<H", head, 252)
        if n_records < 1 or not 0 < n_signals <= 4096:
            return (), None
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
    return (), None


def _egi_raw(path: Path) -> tuple[tuple[str, ...], int | None]:
    n_file = path.stat().st_size
    with path.open("rb") as handle:
        head = handle.read(36)
    if len(head) < 36:
        raise _cut(path, f"{n_file} bytes", "a header of 36 bytes")
    (version,) = struct.unpack_from(">i", head)
    if version % 2:  # epochs: the reader rejects such files
        return (), None
    (n_channels,) = struct.unpack_from(">H", head, 22)
    n_samples, n_events = struct.unpack_from(">iH", head, 30)
    width = {2: 2, 4: 4, 6: 8}[version]
    expected = 36 + 4 * n_events + width * n_samples * (n_channels + n_events)
    if n_file < expected:
        raise _cut(path, f"{n_file} bytes", f"{expected} bytes for {n_samples} samples")
    return (), None
