"""Walk a folder: every file, link and special file becomes exactly one `Entry`.

Returns the readable paths, for a source to classify, and entries for everything that the file system settles: hidden
names, links that are broken or point outside the tree, content that git-annex or Git LFS did not fetch, missing
permissions, named pipes, archives. Problems with one entry never end the walk.

Names are kept as given by the operating system; bytes that are not UTF-8 are surrogates (`os.fsdecode`).
"""

from __future__ import annotations

import errno
import functools
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from eegprep.formats.detect import is_archive, looks_like_recording
from eegprep.platform import open_readonly
from eegprep.sources.entry import Code, Entry, Kind

#: Folders that are one recording.
FOLDER_FORMATS = frozenset({".mff", ".mefd"})
_HEAD = 1024
#: git-annex's own limit on the size of a pointer file.
_MAX_POINTER = 1 << 15
#: zip without members, 7z, rar, bzip2, xz, zstandard, tar.
#: Also parts of archives (`x.zip.002`), which have no signature.
_ARCHIVE_NAME = re.compile(r"\.(zip|7z|rar|tar|tgz|tbz2?|txz|tar\.(gz|bz2|xz|zst))(\.\d{3})?$")
#: Documents and arrays are also zip files, recognised by the first member's name.


@dataclass(frozen=True, kw_only=True)
class Tree:
    """A folder's content.

    Attributes
    ----------
    root : Path
    files : tuple of str
        Sorted relative paths of what can be opened; a folder that is one recording is one path.
    entries : tuple of Entry
        Entries that the file system settles.
    n_inside : mapping of str to int
        Number of files in folders that are one recording.
    """

    root: Path
    files: tuple[str, ...]
    entries: tuple[Entry, ...]
    n_inside: Mapping[str, int] = field(default_factory=dict)

    @functools.cached_property
    def names(self) -> frozenset[str]:
        """The paths of `files` as a set."""
        return frozenset(self.files)

    @functools.cached_property
    def _settled(self) -> dict[str, Entry]:
        return {e.path: e for e in self.entries}

    def blocked(self, files: Iterable[str]) -> Entry | None:
        """The first of a recording's sidecars that cannot be opened, even if it is hidden or outside the tree."""
        for name in files:
            if name not in self.names:
                entry = self._settled.get(name) or _Walker(self.root).settled(name)
                if entry is not None and (entry.kind is Kind.REFUSED or entry.code is Code.SPECIAL):
                    return entry
        return None

    def entry(self, path: str, code: Code, reason: str = "", todo: str = "", key: str = "") -> Entry:
        """An entry for one of `files`."""
        return Entry(path=path, code=code, reason=reason, todo=todo, n_files=self.n_inside.get(path, 1), key=key)


def place_of(path: Path) -> tuple[Path, str]:
    """The folder that a source's paths are relative to, and the single recording in it (empty for the folder)."""
    if path.name in ("", ".."):
        path = path.absolute()
    single = path.suffix.lower() in FOLDER_FORMATS or not path.is_dir()
    return (path.parent, path.name) if single and os.path.lexists(path) else (path, "")


def scan(path: Path) -> Tree:
    """Walk a folder, or the single recording `path`.

    Raises
    ------
    OSError
        The folder itself cannot be listed.
    """
    root, only = place_of(Path(path))
    walker = _Walker(root)
    if only:
        walker.take(only)
    else:
        walker.walk()
    return Tree(root=root, files=tuple(walker.files), entries=tuple(walker.entries), n_inside=walker.n_inside)


def walk(folder: Path) -> Iterator[str]:
    """Relative paths of what can be opened under `folder`, sorted. See `scan`."""
    yield from scan(folder).files


class _Walker:
    """Collects the entries of a tree. `root` is the folder, without links in its path."""

    def __init__(self, root: Path) -> None:
        self.root = Path(os.path.realpath(root))
        self.files: list[str] = []
        self.entries: list[Entry] = []
        self.n_inside: dict[str, int] = {}
        self._stores: dict[str, tuple[str, ...]] = {}

    def walk(self) -> None:
        waiting = list(reversed(_listed(self.root)))
        while waiting:
            name = waiting.pop()
            path = self.root / name
            if path.name.startswith("."):
                reason = "hidden; ignored"
                self.entries.append(Entry(path=name, code=Code.HIDDEN, reason=reason, n_files=_n_files(path)))
            elif _is_folder(path) and path.suffix.lower() not in FOLDER_FORMATS:
                try:
                    waiting += [f"{name}/{inner}" for inner in reversed(_listed(path))]
                except OSError as error:
                    self.entries.append(unreadable(name, error, "the folder cannot be listed"))
            else:
                self.take(name)

    def take(self, name: str) -> None:
        """Record one entry that is not a plain folder."""
        if (settled := self.settled(name)) is not None:
            self.entries.append(settled)
        else:
            self.files.append(name)

    def settled(self, name: str, path: Path | None = None) -> Entry | None:
        """The entry, if the file system settles it; None if the path can be opened."""
        path = self.root / name if path is None else path
        try:
            if path.is_symlink() and (problem := self._of_link(name, path)) is not None:
                return problem
            status = path.stat()
            if stat.S_ISDIR(status.st_mode):
                if path.suffix.lower() not in FOLDER_FORMATS:
                    reason = "a link to a folder inside the tree, whose files are listed there"
                    return Entry(path=name, code=Code.LINKED_FOLDER, reason=reason)
                return self._of_folder(name, path)
            if not stat.S_ISREG(status.st_mode):
                return _special(name)
            return _of_head(name, _head(path), status.st_size)
        except OSError as error:
            return unreadable(name, error, "it cannot be read")

    def _of_link(self, name: str, path: Path) -> Entry | None:
        target = os.path.realpath(path)
        try:
            path.stat()
        except OSError as error:
            if error.errno == errno.ELOOP:
                return Entry(path=name, code=Code.LINK_LOOP, reason="a circular link", todo=_TAKE_OUT)
            if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                raise
            if "/annex/objects/" in Path(target).as_posix():
                return _not_fetched(name)
            todo = "restore its target, or remove the link"
            return Entry(path=name, code=Code.LINK_NOWHERE, reason="a broken link", todo=todo)
        if _is_inside(target, str(self.root)) or any(_is_inside(target, s) for s in self._annexes(path.parent)):
            return None
        todo = "copy the file into the folder, or pass the file or a folder that contains both"
        reason = "a link to outside the folder; not followed"
        return Entry(path=name, code=Code.LINK_OUTSIDE, reason=reason, todo=todo)

    def _annexes(self, folder: Path) -> tuple[str, ...]:
        """The content stores of the git-annex clones that contain a folder.

        A store must be under `.git` of the folder or a parent (a DataLad subdataset's store is in the superdataset), so
        an untrusted tree cannot choose another place by making `.git` a link.
        """
        if str(folder) not in self._stores:
            above = [folder, *folder.parents]
            found = []
            for at, clone in enumerate(above):
                store = clone / ".git" / "annex" / "objects"
                if store.is_dir():
                    real = os.path.realpath(store)
                    if any(_is_inside(real, os.path.realpath(p) + "/.git") for p in above[at:]):
                        found.append(real)
            self._stores[str(folder)] = tuple(found)
        return self._stores[str(folder)]

    def _of_folder(self, name: str, path: Path) -> Entry | None:
        """Check a folder that is one recording; refused if any part cannot be read."""
        n_files = 1 if path.is_symlink() else _n_files(path)
        self.n_inside[name] = n_files
        waiting = _listed(path)
        while waiting:
            inner = waiting.pop(0)
            if inner.rsplit("/", 1)[-1].startswith("."):
                continue
            part = path / inner
            if _is_folder(part):
                waiting += [f"{inner}/{x}" for x in _listed(part)]
                continue
            settled = self.settled(inner, part)
            if settled is not None and settled.kind in (Kind.REFUSED, Kind.FOREIGN):
                code = Code.NOT_A_FILE if settled.code is Code.SPECIAL else settled.code
                reason = f"{inner} in it: {settled.reason}"
                return Entry(path=name, code=code, reason=reason, todo=settled.todo or _TAKE_OUT, n_files=n_files)
        return None


_TAKE_OUT = "remove it from the folder"


def _listed(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))  # noqa: PTH208 - names, not paths


def _is_folder(path: Path) -> bool:
    """Whether the path is a folder, not a link to one."""
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False


def _is_inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _n_files(path: Path) -> int:
    """Number of files, links and special files in a folder; 1 for a file or a folder that cannot be listed."""
    if not _is_folder(path):
        return 1
    total, waiting = 0, [str(path)]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as found:
                for one in found:
                    if one.is_dir(follow_symlinks=False):
                        waiting.append(one.path)
                    else:
                        total += 1
        except OSError:
            total += 1
    return total


def _head(path: Path) -> bytes:
    descriptor = open_readonly(path)
    try:
        return os.read(descriptor, _HEAD)
    finally:
        os.close(descriptor)


def _of_head(name: str, head: bytes, n_bytes: int) -> Entry | None:
    if n_bytes <= _MAX_POINTER and head.startswith(b"/annex/objects/"):
        return _not_fetched(name)
    if n_bytes <= _MAX_POINTER and head.startswith(b"version https://git-lfs.github.com/"):
        reason = "content not fetched (a pointer of Git LFS)"
        return Entry(path=name, code=Code.NOT_FETCHED, reason=reason, todo="run `git lfs pull`")
    # an archive with a recording's suffix is refused by that format's reader
    packed = is_archive(head) or (head and _ARCHIVE_NAME.search(name.lower()))
    if packed and not name.lower().endswith(".npz") and not looks_like_recording(Path(name)):
        todo = "unpack it and pass the folder of its files"
        return Entry(path=name, code=Code.ARCHIVE, reason="an archive: unpack it first", todo=todo)
    return None


def _not_fetched(name: str) -> Entry:
    todo = "run `datalad get` (or `git annex get`) on it"
    return Entry(path=name, code=Code.NOT_FETCHED, reason="content not fetched (git-annex, DataLad)", todo=todo)


def _special(name: str) -> Entry:
    reason = "a pipe, socket or device, not a file; not opened"
    if looks_like_recording(Path(name)):
        return Entry(path=name, code=Code.NOT_A_FILE, reason=reason, todo=_TAKE_OUT)
    return Entry(path=name, code=Code.SPECIAL, reason=reason)


def unreadable(name: str, error: OSError, what: str) -> Entry:
    """The entry of an unreadable file."""
    todo = "check its permissions" if error.errno in (errno.EACCES, errno.EPERM) else "check the disk and the path"
    reason = f"{what}: {os.strerror(error.errno) if error.errno else type(error).__name__}"
    return Entry(path=name, code=Code.UNREADABLE, reason=reason, todo=todo)
