"""Detect the format of a file by its first bytes; the suffix is used only for formats without a signature.

`.raw`, `.cnt`, `.dat`, `.set`, `.csv` and `.txt` are each used by several formats, and a wrong guess is harmful: one
reader of .cnt files crashes the process on the other kind. At most a few kilobytes are read (slightly more for the
variable names of a MATLAB file).
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_HEAD = 8192
_HDF5 = b"\x89HDF\r\n\x1a\n"


@dataclass(frozen=True, kw_only=True)
class Format:
    """A file format: its name in records, its name in messages, and its suffixes.

    `convert` is empty for supported formats, else instructions to convert such a file.
    `package` is a module that the format's reader imports on demand, `extra` our extra that installs it.
    """

    name: str
    title: str
    suffixes: tuple[str, ...]
    package: str = ""
    extra: str = ""
    convert: str = ""


def _not_read(name: str, title: str, suffixes: tuple[str, ...], convert: str) -> Format:
    return Format(name=name, title=title, suffixes=suffixes, convert=convert)


_BY_MNE = "convert it to EDF or FIF with MNE-Python (mne.io.{})"
_BY_VENDOR = "export it as EDF or BDF with {}"


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
        Format(name="ant", title="ANT CNT", suffixes=(".cnt",), package="antio"),
        Format(name="egi_raw", title="EGI simple binary", suffixes=(".raw",)),
        Format(name="egi_mff", title="EGI MFF", suffixes=(".mff",), package="defusedxml"),
        Format(name="xdf", title="XDF", suffixes=(".xdf", ".xdfz")),
        Format(name="persyst", title="Persyst", suffixes=(".lay",)),
        Format(name="nihon_kohden", title="Nihon Kohden", suffixes=(".eeg",)),
        Format(name="nicolet", title="Nicolet", suffixes=(".data",)),
        Format(name="curry", title="Curry", suffixes=(".cdt", ".dat", ".dap"), package="curryreader"),
        Format(name="eximia", title="Nexstim eXimia", suffixes=(".nxe",)),
        Format(name="mef", title="MEF3", suffixes=(".mefd",), package="pymef", extra="mef"),
        Format(name="nedf", title="Neuroelectrics NEDF", suffixes=(".nedf",), package="defusedxml"),
        Format(name="bci2000", title="BCI2000", suffixes=(".dat",)),
        Format(name="openbci", title="OpenBCI text", suffixes=(".txt", ".csv")),
        Format(name="muse", title="Muse CSV (Mind Monitor)", suffixes=(".csv",)),
        Format(name="emotiv_csv", title="Emotiv CSV", suffixes=(".csv",)),
        Format(name="ts", title="time series text (.ts)", suffixes=(".ts",)),
        Format(name="numpy", title="NumPy", suffixes=(".npy", ".npz")),
        _not_read("blackrock", "Blackrock NSx", tuple(f".ns{i}" for i in range(1, 7)), _BY_MNE.format("read_raw_nsx")),
        _not_read("neuralynx", "Neuralynx", (".ncs", ".nse", ".ntt", ".nrd"), _BY_MNE.format("read_raw_neuralynx")),
        _not_read(
            "neuroscan_epochs",
            "Neuroscan epochs or averages",
            (".eeg", ".avg"),
            "export the continuous .cnt file, or convert the epochs with EEGLAB (pop_loadeeg) to a .set file",
        ),
        _not_read("besa", "BESA binary", (".foc", ".fsg", ".besa"), _BY_VENDOR.format("BESA")),
        _not_read("micromed", "Micromed TRC", (".trc",), _BY_VENDOR.format("Micromed's SystemPlus or BrainQuick")),
        _not_read("neuroprax", "neuroConn NEURO PRAX", (".eeg",), _BY_VENDOR.format("the NEURO PRAX software")),
        _not_read("deltamed", "Deltamed Coherence", (".coh",), _BY_VENDOR.format("Coherence")),
        _not_read("compumedics", "Compumedics Profusion", (".sdy",), _BY_VENDOR.format("Profusion EEG")),
        _not_read("stellate", "Stellate Harmonie", (".sig",), _BY_VENDOR.format("Harmonie")),
        _not_read("natus", "Natus NeuroWorks", (".erd",), _BY_VENDOR.format("NeuroWorks")),
        _not_read("nicolet_e", "Nicolet One", (".e",), _BY_VENDOR.format("NicoletOne, or with EEGLAB or FieldTrip")),
        _not_read("cadwell", "Cadwell", (".ez3",), _BY_VENDOR.format("Cadwell's Arc or Easy III")),
        _not_read("embla", "Embla", (".ebm",), _BY_VENDOR.format("RemLogic")),
        _not_read(
            "tmsi", "TMSi Poly5", (".poly5", ".s00"), _BY_VENDOR.format("TMSi Polybench or TMSi's Python library")
        ),
        _not_read("gtec", "g.tec HDF5", (".hdf5",), _BY_VENDOR.format("g.Recorder")),
        _not_read("easy", "Neuroelectrics .easy", (".easy",), "use the .nedf or .edf file that NIC writes beside it"),
        _not_read("nwb", "NWB", (".nwb",), "convert it to EDF or FIF with pynwb and MNE-Python"),
        _not_read("wfdb", "WFDB (PhysioNet)", (".hea",), "convert it to EDF with wfdb (wfdb.io.convert.wfdb_to_edf)"),
        _not_read("spm", "SPM", (".mat",), "convert it to FieldTrip or EDF with SPM (spm2fieldtrip)"),
        _not_read("intan", "Intan", (".rhd", ".rhs"), "convert it to EDF or FIF with neo and MNE-Python"),
        _not_read("open_ephys", "Open Ephys", (".continuous",), "convert it to EDF or FIF with neo and MNE-Python"),
        _not_read("plexon", "Plexon", (".plx", ".nex"), "convert it to EDF or FIF with neo and MNE-Python"),
        _not_read(
            "opensignals", "OpenSignals text", (".txt",), "describe its columns in a manifest (source: kind: table)"
        ),
    )
}

#: Suffixes that recordings of these formats always have. A file with one of them is planned even if its signature is
#: not recognised, so that its reader reports what is wrong with it.
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
    ".nedf": "nedf",
    ".cnt": "neuroscan",
}
#: Unsupported formats without a known signature, recognised by their suffix.
_BY_SUFFIX = {
    suffix: name
    for name in ("deltamed", "compumedics", "stellate", "natus", "nicolet_e", "cadwell", "easy", "nwb")
    for suffix in FORMATS[name].suffixes
}
#: A smaller file with such a suffix is something else, such as a signature or a note.
_LEAST_BY_SUFFIX = 4096

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
    ".dpo": "parameters of a Curry recording",
    ".rs3": "channels of a Curry recording",
    ".cef": "markers of a Curry recording",
    ".ceo": "markers of a Curry recording",
    ".head": "header of a Nicolet recording",
    ".nev": "events beside a Blackrock or Neuralynx recording",
    ".sts": "events of a Stellate recording",
    ".study": "an EEGLAB study, which lists recordings",
    ".21e": "electrode names of a Nihon Kohden recording",
    ".log": "a log beside the recordings",
    ".pnt": "the patient record of a Nihon Kohden recording",
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


def _emotiv(head: bytes) -> bool:
    # EmotivPRO 1 and 2 and the older apps; EmotivPRO 3; a table of `EEG.` columns alone
    line = _first_line(head).casefold()
    titled = "title:" in line and ("sampling:" in line or "sampling rate:" in line)
    return titled or ("timestamp" in line and "counter" in line and "interpolated" in line)


def _neuroscan_epochs(head: bytes) -> bool:
    # continuous files, epochs and averages share a header: the last two have sweeps and no event table
    if not head.startswith(b"Version 3.0") or len(head) < 900:
        return False
    (sweeps,), (points,), (continuous,), (events_at,) = (
        struct.unpack_from(form, head, at) for form, at in (("<H", 364), ("<H", 368), ("<B", 885), ("<I", 886))
    )
    return sweeps > 0 and points > 0 and continuous == 0 and events_at == 0


_BRAINVISION = re.compile(r"Brain ?Vision (Data Exchange|V-Amp Data|Core Data) (Header|Format)")

_SIGNATURES: tuple[tuple[str, Callable[[bytes], bool]], ...] = (
    ("edf", lambda h: h.startswith(b"0       ")),
    ("bdf", lambda h: h.startswith(b"\xffBIOSEMI")),
    ("gdf", lambda h: h.startswith(b"GDF ")),
    # first tag of a FIF file: FIFF_FILE_ID (100), of type id struct (31), 20 bytes
    ("fif", lambda h: h.startswith(b"\x00\x00\x00\x64\x00\x00\x00\x1f\x00\x00\x00\x14")),
    ("brainvision", lambda h: _BRAINVISION.match(_first_line(h)) is not None),
    ("neuroscan_epochs", _neuroscan_epochs),
    ("neuroscan", lambda h: h.startswith(b"Version 3.0")),
    ("ant", lambda h: h[:4] in (b"RIFF", b"RF64") and b"CNT " in (h[8:12], h[12:16])),
    ("xdf", lambda h: h.startswith(b"XDF:")),
    ("persyst", lambda h: b"[FileInfo]" in h[:2048] and b"FileType" in h[:2048]),
    ("nihon_kohden", lambda h: re.match(rb"(EEG|QI|DAE)-[0-9]{3,4}[A-Z]? +V0[0-9]", h) is not None),
    ("openbci", lambda h: h.startswith((b"%OpenBCI", b"%Number of channels"))),
    ("muse", lambda h: _first_line(h).startswith("TimeStamp,") and "RAW_TP9" in _first_line(h)),
    ("emotiv_csv", _emotiv),
    ("bci2000", lambda h: re.match(rb"(BCI2000V\s*=\s*\S+\s+)?HeaderLen\s*=\s*\d+\s+SourceCh", h) is not None),
    ("nedf", lambda h: h.startswith(b"<") and b"<NEDFversion>" in h[:2048]),
    ("blackrock", lambda h: h.startswith((b"NEURALSG", b"NEURALCD", b"BRSMPGRP"))),
    ("neuralynx", lambda h: h.startswith(b"######## Neuralynx")),
    ("micromed", lambda h: h.startswith(b"* MICROMED")),
    ("besa", lambda h: h.startswith(b"BCF1")),
    ("embla", lambda h: h.startswith((b"Embla data file", b"Embla results file"))),
    ("tmsi", lambda h: b"POLY SAMPLE FILE" in h[:32]),
    ("intan", lambda h: h.startswith((b"\x02\x27\x91\xc6", b"\xac\x27\x91\xd6"))),
    ("open_ephys", lambda h: h.startswith(b"header.format = 'Open Ephys")),
    ("plexon", lambda h: h.startswith((b"PLEX", b"XELP", b"NEX1"))),
    ("opensignals", lambda h: h.startswith(b"# OpenSignals Text File Format")),
    ("ts", lambda h: b"@problemname" in h.lower() or b"@classlabel" in h.lower()),
    ("numpy", lambda h: h.startswith(b"\x93NUMPY")),
    ("egi_raw", _egi_raw),
)  # fmt: skip


def _matlab_kind(path: Path) -> str:
    """`eeglab` if a MATLAB file contains EEGLAB's variables, else `matlab`."""
    from eegprep.formats.matlab.file import variable_names

    names = variable_names(path)
    if names == {"D"}:
        return "spm"
    return "eeglab" if "EEG" in names or {"nbchan", "srate", "trials"} <= names else "matlab"


def _head(path: Path) -> bytes:
    with path.open("rb") as handle:
        head = handle.read(_HEAD)
        if not head.startswith(b"\x1f\x8b"):
            return head
        try:
            # a truncated gzip file can still be identified
            return zlib.decompressobj(wbits=31).decompress(head + handle.read(_HEAD), _HEAD)
        except zlib.error:
            return head


def detect(path: Path) -> Format | None:
    """The format of a file, or of a folder that is one recording; None if no signature matches."""
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
    if head.startswith(_HDF5) or head[512:520] == _HDF5:  # HDF5 can contain anything
        if suffix in (".set", ".mat") and not packed:
            return FORMATS[_matlab_kind(path)]
        return FORMATS["nwb"] if suffix == ".nwb" else FORMATS["gtec"] if _is_gtec(path, suffix) else None
    for name, fits in _SIGNATURES:
        if fits(head):
            if name == "nihon_kohden" and suffix in SIDECARS:
                return None  # its sidecars have the same signature
            # Neuroscan's epochs and averages have the signature of its continuous files
            return FORMATS["neuroscan_epochs" if name == "neuroscan" and suffix in (".eeg", ".avg") else name]
    if suffix == ".npz" and head.startswith(b"PK\x03\x04"):
        return FORMATS["numpy"]
    if suffix == ".nxe":
        return FORMATS["eximia"]
    if suffix in (".cdt", ".dap") or (suffix == ".dat" and has_curry_header(path)):
        return FORMATS["curry"]
    if suffix == ".data" and path.with_suffix(".head").is_file():
        return FORMATS["nicolet"]
    if suffix == ".eeg" and head.startswith(b"V3.0"):
        return FORMATS["neuroprax"]
    if suffix == ".hea" and re.match(r"\S+ \d+ [\d.]+", _first_line(head)):
        return FORMATS["wfdb"]
    if suffix in _BY_SUFFIX and path.stat().st_size >= _LEAST_BY_SUFFIX:
        return FORMATS[_BY_SUFFIX[suffix]]
    return None


def has_curry_header(path: Path) -> bool:
    """Whether a .dat file contains the samples of a Curry recording, i.e. has a .dap beside it."""
    return any(path.with_suffix(suffix).is_file() for suffix in (".dap", ".DAP"))


def _is_gtec(path: Path, suffix: str) -> bool:
    if suffix not in (".hdf5", ".h5"):
        return False
    from eegprep.formats.matlab.file import variable_names

    return {"RawData", "AsynchronData"} <= variable_names(path)


def looks_like_recording(path: Path) -> str:
    """The format that a file's suffix stands for, or an empty string."""
    name = path.name.lower()
    if name.endswith(".fif.gz"):
        return "fif"
    return _CLAIMED.get(path.suffix.lower(), "")


_ARCHIVE = re.compile(
    rb"PK\x05\x06|7z\xbc\xaf\x27\x1c|Rar!\x1a\x07|BZh[1-9]1AY&SY|\xfd7zXZ\x00|\x28\xb5\x2f\xfd|.{257}ustar", re.DOTALL
)
_ZIPPED_DOCUMENT = re.compile(rb"\[Content_Types\]|_rels/|docProps/|word/|xl/|ppt/|mimetype|META-INF/|[^/]*\.npy")


def is_archive(head: bytes) -> bool:
    """Whether these are the first bytes of an archive; a single gzipped file is not one."""
    if head.startswith(b"PK\x03\x04"):
        return _ZIPPED_DOCUMENT.match(head[30:]) is None
    if head.startswith(b"\x1f\x8b"):
        try:
            head = zlib.decompressobj(wbits=31).decompress(head, 512)
        except zlib.error:
            return False
    return _ARCHIVE.match(head) is not None
