"""What a file is, by its first bytes; the suffix decides only where a format has no signature.

`.raw`, `.cnt`, `.dat`, `.set`, `.csv` and `.txt` are each several formats, and a wrong guess is not harmless: one
reader of .cnt files ends the whole process on the other kind. What enters: a path. What leaves: a `Format`
or None, after reading at most a few kilobytes (the names of variables of a MATLAB file take more).
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["FORMATS", "SIDECARS", "Format", "detect", "looks_like_recording"]

_HEAD = 8192
_HDF5 = b"\x89HDF\r\n\x1a\n"


@dataclass(frozen=True, kw_only=True)
class Format:
    """A file format: its name in records, in messages, and the suffixes that claim it."""

    name: str
    title: str
    suffixes: tuple[str, ...]


FORMATS: dict[str, Format] = {
    f.name: f
    for f in (
        Format(name="edf", title="EDF", suffixes=(".edf", ".rec")),
        Format(name="bdf", title="BDF", suffixes=(".bdf",)),
        Format(name="gdf", title="GDF", suffixes=(".gdf",)),
        Format(name="fif", title="FIF", suffixes=(".fif", ".fif.gz")),
        Format(name="brainvision", title="BrainVision", suffixes=(".vhdr", ".ahdr")),
        Format(name="eeglab", title="EEGLAB", suffixes=(".set",)),
        Format(name="matlab", title="MATLAB", suffixes=(".mat",)),
        Format(name="neuroscan", title="Neuroscan CNT", suffixes=(".cnt",)),
        Format(name="ant", title="ANT CNT", suffixes=(".cnt",)),
        Format(name="egi_raw", title="EGI simple binary", suffixes=(".raw",)),
        Format(name="egi_mff", title="EGI MFF", suffixes=(".mff",)),
        Format(name="xdf", title="XDF", suffixes=(".xdf", ".xdfz")),
        Format(name="persyst", title="Persyst", suffixes=(".lay",)),
        Format(name="nihon_kohden", title="Nihon Kohden", suffixes=(".eeg",)),
        Format(name="nicolet", title="Nicolet", suffixes=(".data",)),
        Format(name="curry", title="Curry", suffixes=(".cdt", ".dap")),
        Format(name="eximia", title="Nexstim eXimia", suffixes=(".nxe",)),
        Format(name="mef", title="MEF3", suffixes=(".mefd",)),
        Format(name="openbci", title="OpenBCI text", suffixes=(".txt", ".csv")),
        Format(name="muse", title="Muse CSV (Mind Monitor)", suffixes=(".csv",)),
        Format(name="emotiv_csv", title="Emotiv CSV", suffixes=(".csv",)),
        Format(name="ts", title="time series text (.ts)", suffixes=(".ts",)),
        Format(name="numpy", title="NumPy", suffixes=(".npy", ".npz")),
    )
}

#: Suffixes that a recording of these formats always has; a file that bears one and is not recognised is planned
#: all the same, so that its reader says what is wrong with it.
_CLAIMED = {
    ".edf": "edf",
    ".rec": "edf",
    ".bdf": "bdf",
    ".gdf": "gdf",
    ".fif": "fif",
    ".vhdr": "brainvision",
    ".ahdr": "brainvision",
    ".set": "eeglab",
    ".mff": "egi_mff",
    ".xdf": "xdf",
    ".lay": "persyst",
    ".cdt": "curry",
    ".nxe": "eximia",
    ".mefd": "mef",
    ".cnt": "neuroscan",
}

#: Files that belong to another file or to the folder, and what they are.
SIDECARS = {
    ".vmrk": "markers of a BrainVision recording",
    ".amrk": "markers of a BrainVision recording",
    ".fdt": "samples of an EEGLAB recording",
    ".tsv": "a table beside the recordings",
    ".json": "a description beside the recordings",
    ".hpts": "positions beside a recording",
    ".elp": "positions beside a recording",
    ".sfp": "positions beside a recording",
    ".dpa": "parameters of a Curry recording",
    ".ceo": "markers of a Curry recording",
    ".study": "an EEGLAB study, which lists recordings",
    ".21e": "names of the electrodes of a Nihon Kohden recording",
    ".log": "a log beside the recordings",
    ".pnt": "the patient's record of a Nihon Kohden recording",
    ".cmt": "comments on a Nihon Kohden recording",
    ".cn2": "a second control file of a Nihon Kohden recording",
}


def _egi_raw(head: bytes) -> bool:
    # big-endian version 2..7, a plausible year and month, and 1 to 10000 channels
    if len(head) < 36:
        return False
    version = int.from_bytes(head[:4], "big")
    year, month = int.from_bytes(head[4:6], "big"), int.from_bytes(head[6:8], "big")
    rate, channels = int.from_bytes(head[20:22], "big"), int.from_bytes(head[22:24], "big")
    return 2 <= version <= 7 and 1980 <= year <= 2100 and 1 <= month <= 12 and 1 <= channels <= 10000 and rate > 0


def _first_line(head: bytes) -> str:
    return head.lstrip(b"\xef\xbb\xbf").split(b"\n", 1)[0].decode("latin-1").strip()


_BRAINVISION = re.compile(r"Brain ?Vision (Data Exchange|V-Amp Data|Core Data) (Header|Format)")

_SIGNATURES: tuple[tuple[str, Callable[[bytes], bool]], ...] = (
    ("edf", lambda h: h.startswith(b"0       ")),
    ("bdf", lambda h: h.startswith(b"\xffBIOSEMI")),
    ("gdf", lambda h: h.startswith(b"GDF ")),
    # first tag of a FIF file: FIFF_FILE_ID (100), of type id struct (31), 20 bytes
    ("fif", lambda h: h.startswith(b"\x00\x00\x00\x64\x00\x00\x00\x1f\x00\x00\x00\x14")),
    ("brainvision", lambda h: _BRAINVISION.match(_first_line(h)) is not None),
    ("neuroscan", lambda h: h.startswith(b"Version 3.0")),
    ("ant", lambda h: h[:4] in (b"RIFF", b"RF64") and b"CNT " in (h[8:12], h[12:16])),
    ("xdf", lambda h: h.startswith(b"XDF:")),
    ("persyst", lambda h: b"[FileInfo]" in h[:2048] and b"FileType" in h[:2048]),
    ("nihon_kohden", lambda h: re.match(rb"(EEG|QI)-[0-9]{3,4}[A-Z]? V0[0-9]", h) is not None),
    ("openbci", lambda h: h.startswith((b"%OpenBCI", b"%Number of channels"))),
    ("muse", lambda h: _first_line(h).startswith("TimeStamp,") and "RAW_TP9" in _first_line(h)),
    ("emotiv_csv", lambda h: _first_line(h).startswith("title:") and "sampling:" in _first_line(h)),
    ("ts", lambda h: b"@problemname" in h.lower() or b"@classlabel" in h.lower()),
    ("numpy", lambda h: h.startswith(b"\x93NUMPY")),
    ("egi_raw", _egi_raw),
)  # fmt: skip


def _matlab_kind(path: Path) -> str:
    """`eeglab` where a MATLAB file holds EEGLAB's variables, else `matlab`."""
    from eegprep.sources.matlab import variable_names

    names = variable_names(path)
    return "eeglab" if "EEG" in names or {"nbchan", "srate", "trials"} <= names else "matlab"


def _head(path: Path) -> bytes:
    with path.open("rb") as handle:
        head = handle.read(_HEAD)
        if not head.startswith(b"\x1f\x8b"):
            return head
        try:
            # as far as it goes: a packed file that was cut still shows what it is
            return zlib.decompressobj(wbits=31).decompress(head + handle.read(_HEAD), _HEAD)
        except zlib.error:
            return head


def detect(path: Path) -> Format | None:
    """The format of a file or of a folder that is one recording; None where no signature fits."""
    suffix = path.suffix.lower()
    packed = suffix == ".gz"
    if packed:
        suffix = Path(path.stem).suffix.lower()
    if path.is_dir():  # FOLDER_FORMATS
        name = {".mff": "egi_mff", ".mefd": "mef"}.get(suffix)
        return None if name is None else FORMATS[name]
    head = _head(path)
    if head.startswith((b"MATLAB 5.0 MAT-file", b"MATLAB 7.3 MAT-file")):
        return FORMATS["eeglab" if suffix == ".set" else "matlab" if packed else _matlab_kind(path)]
    if head.startswith(_HDF5) or head[512:520] == _HDF5:  # HDF5 holds anything
        return FORMATS[_matlab_kind(path)] if suffix in (".set", ".mat") and not packed else None
    for name, fits in _SIGNATURES:
        if fits(head):
            # its side-cars begin as the recording does
            return None if name == "nihon_kohden" and suffix in SIDECARS else FORMATS[name]
    if suffix == ".npz" and head.startswith(b"PK\x03\x04"):
        return FORMATS["numpy"]
    if suffix in (".cdt", ".nxe") or (suffix == ".dap"):
        return FORMATS["eximia" if suffix == ".nxe" else "curry"]
    if suffix == ".data" and path.with_suffix(".head").is_file():
        return FORMATS["nicolet"]
    return None


def looks_like_recording(path: Path) -> str:
    """The format that a file's suffix claims, or an empty string where the suffix claims none."""
    name = path.name.lower()
    if name.endswith(".fif.gz"):
        return "fif"
    return _CLAIMED.get(path.suffix.lower(), "")
