"""The files that belong to a recording's first file, by the format's own rule; they must lie in the same folder.

A header that names a data file elsewhere (`DataFile=../../x`) is refused: a stranger's header must not choose
which files of this machine are read.
"""

from __future__ import annotations

import glob
import re
from pathlib import Path, PurePosixPath

__all__ = ["companions", "fif_part_of", "named_files"]

_LINES = {
    ".vhdr": re.compile(rb"^(?:DataFile|MarkerFile)\s*=\s*(.+?)\s*$", re.M),
    ".ahdr": re.compile(rb"^(?:DataFile|MarkerFile)\s*=\s*(.+?)\s*$", re.M),
    ".lay": re.compile(rb"^File\s*=\s*(.+?)\s*$", re.M),
}


def named_files(path: Path) -> list[str]:
    """The file names that a text header gives, as written, with BrainVision's `$b` for its own name."""
    pattern = _LINES.get(path.suffix.lower())
    if pattern is None or not path.is_file():
        return []
    with path.open("rb") as handle:
        head = handle.read(1 << 16).replace(b"\r", b"")
    return [m.decode("utf-8", "replace").replace("$b", path.stem) for m in pattern.findall(head)]


def fif_part_of(path: Path) -> Path | None:
    """The first file (`x_raw.fif`) of a FIF recording that was split, where `path` is a later one (`x_raw-1.fif`)."""
    found = re.fullmatch(r"(.+)-\d{1,3}\.fif", path.name)
    first = path.with_name(found[1] + ".fif") if found else None
    return first if first is not None and first.is_file() else None


def companions(folder: Path, relative: str) -> tuple[str, ...]:
    """Relative paths of the existing files that belong to `relative`, sorted."""
    path = folder / relative
    suffix = path.suffix.lower()
    names = [re.split(r"[\\/]", n)[-1] for n in named_files(path)]
    if suffix == ".set":
        names += [path.stem + ".fdt"]
    elif suffix == ".lay":
        names += [path.stem + ".dat"]
    elif suffix in (".cdt", ".dap"):
        names += [p.name for p in path.parent.glob(glob.escape(path.stem) + ".*") if p != path and p.suffix != ".part"]
    elif suffix == ".data":
        names += [path.stem + ".head"]
    elif suffix == ".fif":
        names += [re.sub(r"_(raw|eeg)$", "", path.stem) + "-eve.fif"]
        names += [p.name for p in path.parent.glob(f"{glob.escape(path.stem)}-*.fif") if fif_part_of(p) == path]
    parent = PurePosixPath(relative).parent
    return tuple(str(parent / n) for n in sorted(set(names)) if n and n != path.name and (path.parent / n).is_file())
