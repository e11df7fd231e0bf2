"""The files that belong to a recording's main file; they must be in the same folder.

A header that names a data file elsewhere (`DataFile=../../x`) is refused: an untrusted header must not choose which
files of this machine are read.
"""

from __future__ import annotations

import glob
import os
import re
from pathlib import Path, PurePosixPath

from eegprep.formats.fif_tags import fif_contents

_LINES = {
    ".vhdr": re.compile(rb"^(?:DataFile|MarkerFile)\s*=\s*(.+?)\s*$", re.M),
    ".ahdr": re.compile(rb"^(?:DataFile|MarkerFile)\s*=\s*(.+?)\s*$", re.M),
    ".lay": re.compile(rb"^File\s*=\s*(.+?)\s*$", re.M),
}

_OF_CDT = frozenset(f".cdt.{ending}" for ending in ("dpa", "dpo", "cef", "ceo", "hpi"))
_OF_DAP = frozenset({".dat", ".dap", ".rs3", ".cef", ".ceo"})
#: Suffixes of the files of a Curry recording (versions 8 and 7), by the suffix of the file that is opened.
_CURRY = {".cdt": _OF_CDT, ".dap": _OF_DAP, ".dat": _OF_DAP}


def named_files(path: Path) -> list[str]:
    """The file names in a text header, as written, with BrainVision's `$b` replaced by its own name."""
    pattern = _LINES.get(path.suffix.lower())
    if pattern is None or not path.is_file():
        return []
    with path.open("rb") as handle:
        head = handle.read(1 << 16).replace(b"\r", b"")
    return [m.decode("utf-8", "replace").replace("$b", path.stem) for m in pattern.findall(head)]


def two_meanings(path: Path) -> str | None:
    """The suffix of a file named in a text header, if a file with the header's own name is also beside it.

    Copied or renamed headers keep the old name, so it is unknown which of the two is meant.
    """
    for name in named_files(path):
        named = re.split(r"[\\/]", name)[-1]
        own = path.stem + PurePosixPath(named).suffix
        there = [path.parent / n for n in (named, own)]
        if all(p.is_file() for p in there) and not there[0].samefile(there[1]):
            return PurePosixPath(named).suffix
    return None


def fif_part_of(path: Path) -> Path | None:
    """The first file of a split FIF recording, if `path` is a later part.

    MNE names them `x_raw.fif`, `x_raw-1.fif`, ..., or `..._split-01_eeg.fif`, `..._split-02_eeg.fif`. Names alone prove
    nothing (`rec-1.fif` and `rec-2.fif` may be two recordings), so the preceding file must name the next part.
    """
    parts = [path]
    while (earlier := _part_before(parts[-1])) is not None and earlier not in parts:
        parts.append(earlier)
    return None if len(parts) == 1 else parts[-1]


def _part_before(path: Path) -> Path | None:
    """The part before `path`."""
    named = fif_contents(path).previous_file
    for before in (path.with_name(named) if named else None, _name_before(path)):
        if before is not None and before.is_file() and fif_contents(before).next_file == path.name:
            return before
    return None


def _chain(path: Path, link: str) -> list[str]:
    """File names found by following a link such as `next_file` from a FIF file; the last file may be missing."""
    names: list[str] = []
    while path.is_file() and (name := getattr(fif_contents(path), link)) and name not in names:
        names.append(name)
        path = path.with_name(name)
    return names


def fif_missing_part(path: Path) -> str:
    """The name of a missing part, if `path` is a part of a split FIF recording; empty if it is complete.

    Uses the previous and next parts named in the files, and the numbers of the BIDS entity `split-`.
    """
    for link in ("previous_file", "next_file"):
        if (others := _chain(path, link)) and not path.with_name(others[-1]).is_file():
            return others[-1]
    if (split := _SPLIT.fullmatch(path.name)) is None:
        return ""
    alike = [_SPLIT.fullmatch(p.name) for p in path.parent.glob(glob.escape(split["stem"]) + "*.fif")]
    numbers = {int(m["n"]) for m in alike if m is not None and m["rest"] == split["rest"]}
    missing = next((n for n in range(1, max(numbers)) if n not in numbers), None)
    return "" if missing is None else f"{split['stem']}{missing:0{len(split['n'])}d}{split['rest']}"


_SPLIT = re.compile(r"(?P<stem>.+_split-)(?P<n>\d{1,4})(?P<rest>_.*\.fif)")


def _name_before(path: Path) -> Path | None:
    """The file whose name matches that of the part before `path`."""
    numbered = re.fullmatch(r"(?P<stem>.+)-(?P<n>[1-9]\d{0,2})\.fif", path.name)
    split = _SPLIT.fullmatch(path.name)
    if split is not None and int(split["n"]) > 1:
        name = f"{split['stem']}{int(split['n']) - 1:0{len(split['n'])}d}{split['rest']}"
    elif numbered is not None:
        n = int(numbered["n"])
        name = f"{numbered['stem']}-{n - 1}.fif" if n > 1 else f"{numbered['stem']}.fif"
    else:
        return None
    return path.with_name(name)


def companions(folder: Path, relative: str) -> tuple[str, ...]:
    """Relative paths of the files that belong to `relative`, sorted, whether or not they can be opened."""
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
    elif suffix == ".eeg":  # Nihon Kohden, whose reader requires these exact names
        names += [path.stem + other for other in (".21E", ".LOG", ".PNT", ".pnt")]
    elif suffix == ".fif":
        names += [re.sub(r"_(raw|eeg)$", "", path.stem) + end for end in ("-eve.fif", "_eve.fif")]
        names += _chain(path, "next_file")
    parent = PurePosixPath(relative).parent
    beside = {n: path.parent / n for n in names if n and n != path.name}
    return tuple(str(parent / n) for n, full in sorted(beside.items()) if os.path.lexists(full) and not full.is_dir())
