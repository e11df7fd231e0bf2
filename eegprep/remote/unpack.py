"""Unpack untrusted archives safely: nothing outside the folder, no links, bounded size.

Only the regular files of a zip (a wheel is one) or tar file are written, each completely or not at all. Nothing in an
archive is executed or installed.
"""

from __future__ import annotations

import contextlib
import errno
import lzma
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Generator
from pathlib import Path, PurePosixPath
from typing import IO

from eegprep.errors import InputError, RefusedError
from eegprep.files import atomic_path

_KEEP_FREE_BYTES = 1 << 30
_MAX_MEMBERS = 1_000_000
# Errors of the libraries for damage, unknown or encrypted compression, and names that are not text.
_DAMAGED = (
    zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, NotImplementedError, RuntimeError,
    ValueError, struct.error, KeyError, IndexError, OverflowError, MemoryError,
)  # fmt: skip
# gzip and bzip2 raise an OSError without errno; the others are due to names: a file in place of a folder, too long.
_OF_MEMBERS = (None, errno.EEXIST, errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ)


def unpack(archive: Path, folder: Path, *, only_below: str = "") -> list[str]:
    """Unpack the regular files of an archive and return the written relative paths, sorted.

    Parameters
    ----------
    only_below : str
        A folder inside the archive: only files below it are unpacked, without that prefix.

    Raises
    ------
    InputError
        The file is not an archive, is damaged, or has nothing below `only_below`.
    RefusedError
        A member would leave the folder, is a link or a device, is a duplicate, or would fill the disk.
    """
    prefix = PurePosixPath(only_below).parts
    written: list[str] = []
    folder.mkdir(parents=True, exist_ok=True)
    room = shutil.disk_usage(folder).free - _KEEP_FREE_BYTES
    try:
        with contextlib.closing(_members(archive)) as members:
            for number, (name, n_bytes, handle) in enumerate(members):
                parts = _checked(name, archive)
                if parts[: len(prefix)] != prefix or len(parts) == len(prefix):
                    continue
                relative = PurePosixPath(*parts[len(prefix) :])
                room -= n_bytes
                if room < 0 or number >= _MAX_MEMBERS:
                    raise RefusedError(f"{archive.name} would fill the disk", where=folder, todo="free some disk space")
                target = folder / relative
                if str(relative) in written or target.is_symlink():
                    raise RefusedError(f"{archive.name} contains a duplicate file", where=archive, found=name)
                target.parent.mkdir(parents=True, exist_ok=True)
                with atomic_path(target) as part, part.open("wb") as out:
                    _copy(handle, out, n_bytes, name, archive)
                written.append(str(relative))
    except _DAMAGED as error:
        raise InputError(f"{archive.name} is not a complete archive", where=archive, found=error) from error
    except OSError as error:
        if error.errno not in _OF_MEMBERS:
            raise
        raise InputError(f"{archive.name} is not a complete archive", where=archive, found=error.strerror) from error
    if not written:
        raise InputError(f"{archive.name} contains nothing to unpack", where=archive, expected=only_below or "files")
    return sorted(written)


def _members(archive: Path) -> Generator[tuple[str, int, IO[bytes]], None, None]:
    """(name, size, readable) of every regular file."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as zipped:
            for info in zipped.infolist():
                if info.is_dir():
                    continue
                kind = stat.S_IFMT(info.external_attr >> 16)
                if kind not in (0, stat.S_IFREG):
                    raise RefusedError(
                        f"{archive.name} contains a link or a device", where=archive, found=info.filename
                    )
                with zipped.open(info) as handle:
                    yield info.filename, info.file_size, handle
        return
    with tarfile.open(archive, "r:*") as tarred:
        for member in tarred:
            if member.isdir():
                continue
            if not member.isreg():
                raise RefusedError(f"{archive.name} contains a link or a device", where=archive, found=member.name)
            extracted = tarred.extractfile(member)
            if extracted is not None:
                with extracted as handle:
                    yield member.name, member.size, handle


def _checked(name: str, archive: Path) -> tuple[str, ...]:
    pure = PurePosixPath(name)
    if (
        pure.is_absolute()
        or ".." in pure.parts
        or "\\" in name
        or "\0" in name
        or not pure.parts
        or ":" in pure.parts[0]
    ):
        raise RefusedError(f"{archive.name} would write outside its folder", where=archive, found=name)
    return pure.parts


def _copy(handle: IO[bytes], out: IO[bytes], n_bytes: int, name: str, archive: Path) -> None:
    """Copy at most the stated size: a member that expands to more was made to fill the disk."""
    left = n_bytes
    while chunk := handle.read(min(1 << 20, left + 1)):
        left -= len(chunk)
        if left < 0:
            raise RefusedError(f"{archive.name}: a file is larger than stated", where=archive, found=name)
        out.write(chunk)
