"""The files that belong to a recording's first file, by the format's own rule; they must lie in the same folder.

A header that names a data file elsewhere (`DataFile=../../x`) is refused: a stranger's header must not choose
which files of this machine are read.
"""

from __future__ import annotations

import functools
import glob
import re
import warnings
from pathlib import Path, PurePosixPath

__all__ = ["companions", "fif_part_of", "named_files", "two_meanings"]

_LINES = {
    ".vhdr": re.compile(rb"^(?:DataFile|MarkerFile)\s*=\s*(.+?)\s*$", re.M),
    ".ahdr": re.compile(rb"^(?:DataFile|MarkerFile)\s*=\s*(.+?)\s*$", re.M),
    ".lay": re.compile(rb"^File\s*=\s*(.+?)\s*$", re.M),
}

_OF_CDT = frozenset(f".cdt.{ending}" for ending in ("dpa", "dpo", "cef", "ceo", "hpi"))
_OF_DAP = frozenset({".dat", ".dap", ".rs3", ".cef", ".ceo"})
#: By the suffix that is opened: how the files of a Curry recording end (version 8, version 7).
_CURRY = {".cdt": _OF_CDT, ".dap": _OF_DAP, ".dat": _OF_DAP}


def named_files(path: Path) -> list[str]:
    """The file names that a text header gives, as written, with BrainVision's `$b` for its own name."""
    pattern = _LINES.get(path.suffix.lower())
    if pattern is None or not path.is_file():
        return []
    with path.open("rb") as handle:
        head = handle.read(1 << 16).replace(b"\r", b"")
    return [m.decode("utf-8", "replace").replace("$b", path.stem) for m in pattern.findall(head)]


def two_meanings(path: Path) -> str | None:
    """The suffix of a file that a text header names, where another one of the header's own name lies beside it.

    Headers that were copied or renamed keep the old name: which of the two is meant can't be told.
    """
    for name in named_files(path):
        named = re.split(r"[\\/]", name)[-1]
        own = path.stem + PurePosixPath(named).suffix
        there = [path.parent / n for n in (named, own)]
        if all(p.is_file() for p in there) and not there[0].samefile(there[1]):
            return PurePosixPath(named).suffix
    return None


def fif_part_of(path: Path) -> Path | None:
    """The first file of a FIF recording that was split, where `path` is a later one of it.

    MNE names them `x_raw.fif`, `x_raw-1.fif`, ..., or `..._split-01_eeg.fif`, `..._split-02_eeg.fif`. Names alone prove
    nothing (`rec-1.fif` and `rec-2.fif` may be two recordings), so the file before is asked which one it goes on in.
    """
    before = path
    while (earlier := _name_before(before)) is not None and before.name in _goes_on_in(earlier):
        before = earlier
    return None if before == path else before


def _name_before(path: Path) -> Path | None:
    """The existing file whose name says that it is the part before `path`."""
    numbered = re.fullmatch(r"(?P<stem>.+)-(?P<n>[1-9]\d{0,2})\.fif", path.name)
    split = re.fullmatch(r"(?P<stem>.+_split-)(?P<n>\d+)(?P<rest>_.*\.fif)", path.name)
    if split is not None and int(split["n"]) > 1:
        name = f"{split['stem']}{int(split['n']) - 1:0{len(split['n'])}d}{split['rest']}"
    elif numbered is not None:
        n = int(numbered["n"])
        name = f"{numbered['stem']}-{n - 1}.fif" if n > 1 else f"{numbered['stem']}.fif"
    else:
        return None
    before = path.with_name(name)
    return before if before.is_file() else None


def _goes_on_in(path: Path) -> frozenset[str]:
    """Names of the files that a FIF file says are its later parts."""
    status = path.stat()
    return _later_parts(path, status.st_size, status.st_mtime_ns)


@functools.cache
def _later_parts(path: Path, n_bytes: int, changed_ns: int) -> frozenset[str]:
    import mne

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            raw = mne.io.read_raw_fif(path, on_split_missing="ignore", verbose="CRITICAL")
    except Exception:  # no recording, or a damaged one: its reader will say so
        return frozenset()
    return frozenset(Path(name).name for name in raw.filenames[1:] if name is not None)


def _maybe_parts(path: Path) -> list[Path]:
    """Files whose names could be those of later parts of a FIF file."""
    stem = glob.escape(re.sub(r"-\d+$", "", path.stem))
    found = set(path.parent.glob(f"{stem}-*.fif"))
    if "_split-" in path.stem:
        found |= set(path.parent.glob(re.sub(r"_split-\d+_", "_split-*_", glob.escape(path.name))))
    return sorted(found - {path})


def companions(folder: Path, relative: str) -> tuple[str, ...]:
    """Relative paths of the existing files that belong to `relative`, sorted."""
    path = folder / relative
    suffix = path.suffix.lower()
    names = [re.split(r"[\\/]", n)[-1] for n in named_files(path)]
    if suffix == ".set":
        names += [path.stem + ".fdt"]
    elif suffix == ".lay":
        names += [path.stem + ".dat"]
    elif suffix == ".cnt":
        names += [path.stem + ".seg", path.stem + ".SEG"]
    elif suffix in _CURRY:
        names += [
            p.name
            for p in path.parent.glob(glob.escape(path.stem) + ".*")
            if p.name[len(path.stem) :].lower() in _CURRY[suffix]
        ]
    elif suffix == ".data":
        names += [path.stem + ".head"]
    elif suffix == ".fif":
        names += [re.sub(r"_(raw|eeg)$", "", path.stem) + end for end in ("-eve.fif", "_eve.fif")]
        names += [p.name for p in _maybe_parts(path) if fif_part_of(p) == path]
    parent = PurePosixPath(relative).parent
    return tuple(str(parent / n) for n in sorted(set(names)) if n and n != path.name and (path.parent / n).is_file())
