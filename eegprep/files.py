"""Atomic file writing (`.part`, fsync, rename), file hashes, the lock of a folder being written, checks of arguments.

A process killed at any time leaves at most a `.part` file, which no reader accepts.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import math
import numbers
import os
import re
import time
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

from eegprep.errors import UsageError, nearest
from eegprep.platform import FamilyLock, claim, release, replace, sync_folder

PART = ".part"
#: What to do instead of a store at an address.
IN_PARTS = (
    "choose a folder; `eegprep shard` writes its shards to an address; of a data set that is larger than the disk, "
    "ingest a part (--subjects), shard it to an address, and delete its store before the next part"
)
#: Lock file of a folder that a command is writing.
WRITING = ".lock"
# Workers of a killed run exit some tenths of a second later.
_ORPHANS_S = 2.0
_CHUNK = 1 << 20
# Pathlib makes one slash of two. Two letters or more: not a drive of Windows.
_ADDRESS = re.compile(r"([a-z][a-z0-9+.\-]+)://|(s3|gs|gcs|az|abfs|hf|https?|s?ftp):/")
_SUM = re.compile(r"([0-9a-fA-F]{64})[ \t]+\*?(?:\./)?(\S.{0,499})")


def path_of(value: object, what: str) -> Path:
    """`value` as a Path; UsageError if it is no path. `what` names it in the error."""
    if isinstance(value, (str, os.PathLike)):
        if not (text := os.fsdecode(value)) or "\0" in text:
            raise UsageError(f"{what}: not a path", found=repr(text), expected="the name of a file or folder")
        return Path(text)
    raise UsageError(f"{what} must be a path", found=f"{type(value).__name__}: {value!r}"[:200], expected="str or Path")


def address_in(value: object) -> str:
    """The address (`s3://...`) that a path was meant to be, of whose slashes pathlib keeps one; empty if it is none."""
    found = _ADDRESS.match(text := os.fsdecode(value) if isinstance(value, (str, os.PathLike)) else "")
    return f"{found[1] or found[2]}://{text[found.end() :]}" if found else ""


def output_path(value: object, what: str = "out", *, todo: str = "choose a path; push uploads shard sets") -> Path:
    """`value` as a Path to write to; UsageError if it is no path, or an address, which would become a folder `s3:`."""
    if address := address_in(value):
        raise UsageError(f"{what} must be on this machine", found=address, expected="a path", todo=todo)
    return path_of(value, what)


def output_file(value: object, what: str = "out") -> Path:
    """As `output_path`, of a file; UsageError if there cannot be one: a folder has its name, a file that of its folder.

    A device or pipe is refused too: the rename would replace it.
    """
    path = output_path(value, what)
    try:
        if path.is_dir():
            raise UsageError(f"{what} is a folder", where=path, expected="the name of a file")
        if path.exists() and not path.is_file():
            raise UsageError(f"{what} is a device or pipe", where=path, expected="the name of a file")
        above = next((folder for folder in path.parents if os.path.lexists(folder)), None)
        if above is not None and not above.is_dir():
            raise UsageError(f"the folder of {what} is a file", where=above, todo="choose another output")
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        raise UsageError(f"the name of {what} is too long", where=path, todo="choose a shorter name") from None
    return path


def not_found(what: str, path: object, expected: str) -> UsageError:
    """The error of an input that is missing, or at an address, where it cannot be read."""
    if address := address_in(path):
        return UsageError(f"{what} not found", where=address, expected=expected, todo="download it, and pass its path")
    return UsageError(f"{what} not found", where=str(path), expected=expected, todo="check the path")


def paths_of(values: object, what: str) -> list[Path]:
    """One path or several as a list; UsageError for anything else, and if there are none."""
    several = values if isinstance(values, (list, tuple)) else [values]
    if not several:
        raise UsageError(f"{what}: none given", expected="one path or more")
    return [path_of(value, what) for value in several]


def names_of(values: object, what: str, *, separator: str | None = ",") -> tuple[str, ...]:
    """Names from a sequence, or from strings in which commas separate them.

    Raises
    ------
    UsageError
        Something else was given, or nothing: an empty string, as of an unset shell variable, never means everything.
    """
    several = [values] if isinstance(values, str) or not isinstance(values, Iterable) else list(values)
    found: list[str] = []
    for text in several:
        if not isinstance(text, str):
            raise UsageError(f"{what} must be names", found=_shown(text), expected="text, or a sequence of it")
        parts = [part.strip() for part in text.split(separator)] if separator else [text]
        if not any(parts):
            raise UsageError(f"{what}: an empty name", found=repr(text), todo="name one or more, or leave it out")
        found += filter(None, parts)
    if not found:
        raise UsageError(f"{what}: empty, none given", todo="name one or more, or leave it out")
    return tuple(found)


def one_of(value: object, what: str, allowed: Collection[str]) -> str:
    """`value`, one of the allowed words; UsageError for anything else."""
    if isinstance(value, str) and value in allowed:
        return value
    raise UsageError(
        f"invalid {what}", found=_shown(value), expected=" or ".join(allowed), todo=nearest(str(value), allowed) or None
    )


def count_of(value: object, what: str, *, least: int = 1) -> int:
    """`value` as an int; UsageError unless it is a whole number of at least `least`."""
    if isinstance(value, numbers.Integral) and not isinstance(value, bool) and int(value) >= least:
        return int(value)
    raise UsageError(f"invalid {what}", found=_shown(value), expected=f"a whole number, {least} or more")


def number_of(value: object, what: str, *, zero: bool = False) -> float:
    """`value` as a float; UsageError if it is not a finite number above 0, or with `zero` 0 or more."""
    real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if real and math.isfinite(number := float(value)) and (number > 0 or (zero and number == 0)):  # type: ignore[arg-type]
        return number
    expected = "a finite number, 0 or more" if zero else "a finite number above 0"
    raise UsageError(f"invalid {what}", found=_shown(value), expected=expected)


def _shown(value: object) -> str:
    return repr(value)[:200] if isinstance(value, (str, int, float)) else f"{type(value).__name__}: {value!r}"[:200]


def cache_folder() -> Path:
    """The folder for downloads and remote shards: `EEGPT_CACHE`, else `eegpt` in the user's cache folder."""
    if own := os.environ.get("EEGPT_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "eegpt"


@contextlib.contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yield a `.part` path to write to; on success sync it and rename it to `target`.

    The `.part` file is removed if the body raises, so that a full disk leaves the folder unchanged. Only one process
    at a time writes it.

    Raises
    ------
    UsageError
        Another process is writing the file.
    """
    target = output_file(target, "the output")
    part = target.with_name(target.name + PART)
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor = _claimed(part, target)
    try:
        yield part
        with part.open("rb+") as handle:
            os.fsync(handle.fileno())
        replace(part, target)
        sync_folder(target.parent)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    finally:
        release(descriptor)


def _claimed(part: Path, target: Path) -> int:
    deadline = time.monotonic() + _ORPHANS_S
    while True:
        try:
            if (descriptor := claim(part)) is not None:
                return descriptor
        except OSError as error:
            raise _as_usage(error, part) from None
        if time.monotonic() > deadline:
            raise _not_alone(target)
        time.sleep(0.01)


def _as_usage(error: OSError, lock: Path) -> Exception:
    """The error of a lock that is a link, or whose name is too long; others unchanged."""
    if error.errno == errno.ENAMETOOLONG:
        return UsageError("the name of the output is too long", where=lock, todo="choose a shorter name")
    if error.errno != errno.ELOOP:
        return error
    return UsageError("the lock of the output is a link", where=lock, todo="choose another output")


def _not_alone(target: Path) -> UsageError:
    return UsageError("another process is writing there", where=target, todo="wait for it, or choose another output")


@contextlib.contextmanager
def alone(target: Path, *, file: bool = False) -> Iterator[bool]:
    """Lock an output folder (or with `file` a single output) for this process and its workers, or refuse.

    Processes without the lock must not write or delete there. The system releases it when the last of the processes
    exits, even if killed. On exit the lock file is removed, and the folder if it is still empty.

    Yields
    ------
    bool
        Whether the output is new: the folder was created here and is empty.

    Raises
    ------
    UsageError
        Another process is writing there.
    """
    target = output_path(target, "the output")
    lock = target.with_name(f".{target.name}{WRITING}") if file else target / WRITING
    deadline = time.monotonic() + _ORPHANS_S
    made = False
    while True:
        try:
            if not lock.parent.is_dir():
                lock.parent.mkdir(parents=True, exist_ok=True)
                made = not file
        except (FileExistsError, NotADirectoryError) as error:
            raise UsageError(
                "there is a file of that name", where=error.filename, todo="choose another output"
            ) from None
        except OSError as error:
            raise _as_usage(error, lock) from None
        held = FamilyLock(lock)
        try:
            if held.acquire():
                break
        except FileNotFoundError:  # another process removed its empty folder
            continue
        except OSError as error:
            raise _as_usage(error, lock) from None
        if time.monotonic() > deadline:
            raise _not_alone(target)
        time.sleep(0.05)
    try:
        yield made and sum(1 for _ in target.iterdir()) == 1
    finally:
        held.release()
        if made:
            with contextlib.suppress(OSError):
                target.rmdir()


def write_atomic(target: Path, data: bytes | str) -> None:
    """Write `data` (text as UTF-8) atomically: `target` is either complete or absent."""
    with atomic_path(target) as part:
        part.write_bytes(data.encode("utf-8") if isinstance(data, str) else data)


def canonical_json(value: Any) -> str:
    """Deterministic JSON: sorted keys, no NaN, a newline at the end."""
    return json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def write_json(target: Path, value: Any) -> None:
    """Write `value` as canonical JSON, atomically."""
    write_atomic(target, canonical_json(value))


def sha256_file(path: Path) -> str:
    """Hex SHA-256 of a file's bytes, read in chunks."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as handle:
        while chunk := handle.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def parse_sum(line: str) -> tuple[str, str] | None:
    """Parse hash (lower case) and path of one `sha256sum` line; None if it is invalid.

    The path is untrusted: the caller must check it.
    """
    match = _SUM.fullmatch(line)
    return (match[1].lower(), match[2]) if match else None
