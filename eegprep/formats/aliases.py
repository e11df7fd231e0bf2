"""Open a file under the name that its reader expects.

Formats are detected by signature, but many readers also check the suffix, in lower case. A recording with another name
(`REC.VHDR`, `run1`, `x.gdf.gz`) is read through a temporary folder of links with the expected names, and gzipped files
are decompressed there. The folder is deleted with the last object that uses it.
"""

from __future__ import annotations

import gzip
import re
import shutil
import tempfile
from pathlib import Path

from eegprep.errors import InputError
from eegprep.formats.companions import companions, named_files
from eegprep.formats.detect import Format
from eegprep.formats.matlab.file import eeglab_header
from eegprep.platform import link as link_file
from eegprep.privacy import clean_message
from eegprep.temporary import TemporaryFolder

#: A few compressed bytes can expand to any size.
MAX_UNPACKED_BYTES = 16 << 30
_KEEP_FREE_BYTES = 1 << 30


def _is_packed(path: Path) -> bool:
    """Whether a file is gzipped."""
    if path.is_dir():
        return False
    with path.open("rb") as handle:
        return handle.read(2) == b"\x1f\x8b"


def alias(path: Path, found: Format, *, unpacks: bool, by_suffix: bool) -> tuple[Path, TemporaryFolder | None]:
    """The path to open instead of `path`, and its temporary folder (None if `path` itself can be opened).

    Parameters
    ----------
    unpacks : bool
        Whether the format's reader decompresses gzip.
    by_suffix : bool
        Whether the format's reader checks the suffix.

    Raises
    ------
    InputError
        The compressed file is damaged, or too large for the limit or the disk.
    """
    packed = _is_packed(path) and not unpacks
    well_named = not by_suffix or path.name.endswith(found.suffixes)
    if path.is_dir() or (well_named and not packed):
        return path, None
    holder = TemporaryFolder()
    folder = holder.path
    stem = path.name[: -len(path.suffix)] if path.suffix else path.name
    suffix = path.suffix.lower() if path.suffix.lower() in found.suffixes else found.suffixes[0]
    target = folder / (stem.removesuffix(suffix) + suffix)
    if packed:
        _unpack(path, target)
    else:
        link_file(path.absolute(), target)
    beside = {p.name for p in path.parent.iterdir() if p.stem == path.stem and p.is_file()}
    named = {re.split(r"[\\/]", n)[-1] for n in named_files(target)}
    existing = {n for n in named if n and (path.parent / n).is_file()}
    for name in sorted({*beside, *existing, *companions(path.parent, path.name)} - {path.name}):
        lower = Path(name).with_suffix(Path(name).suffix.lower()).name
        for link in {name, lower}:
            if not (folder / link).exists():
                link_file((path.parent / name).absolute(), folder / link)
    return target, holder


def own_samples(path: Path) -> tuple[Path, TemporaryFolder, str] | None:
    """An EEGLAB header that names another recording's .fdt although its own is beside it.

    EEGLAB reads the .fdt with the header's own name. None if there is no such conflict, or if only the other .fdt has
    the size that the header states.
    """
    header = eeglab_header(path)
    named, own = path.parent / header.samples_file, path.with_suffix(".fdt")
    if not (header.samples_file and named.is_file() and own.is_file()) or named.samefile(own):
        return None
    if own.stat().st_size != header.n_bytes and named.stat().st_size == header.n_bytes:
        return None
    holder = TemporaryFolder()
    target = holder.path / path.name
    link_file(path.absolute(), target)
    link_file(own.absolute(), holder.path / header.samples_file)
    return target, holder, "the header names the data file of another recording; the one with its own name is used"


def _unpack(path: Path, target: Path) -> None:
    room = min(MAX_UNPACKED_BYTES, shutil.disk_usage(target.parent).free - _KEEP_FREE_BYTES)
    try:
        with gzip.open(path, "rb") as packed, target.open("wb") as out:
            while part := packed.read(1 << 20):
                room -= len(part)
                if room < 0:
                    raise InputError(
                        f"{path.name} is too large to decompress",
                        where=path,
                        expected=f"at most {MAX_UNPACKED_BYTES >> 30} GiB, and free space in {tempfile.gettempdir()}",
                        todo="decompress it (gunzip -k), or set TMPDIR to a larger disk",
                    )
                out.write(part)
    except (OSError, EOFError) as error:
        raise InputError(
            f"{path.name} cannot be decompressed", where=path, found=clean_message(error), todo="copy the file again"
        ) from error
