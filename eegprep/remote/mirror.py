"""The local folder of a data set at an address: its listing, and the files of the recordings in use.

A recording's files are fetched when it is read and dropped when it is stored, so that a data set larger than the disk
can be ingested. All processes of all commands share one folder: they wait for each other where the files in use would
exceed the limit, and what a killed process left is removed by the next. Side-cars are small and stay.
"""

from __future__ import annotations

import bisect
import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any

from eegprep.errors import InputError, RefusedError
from eegprep.files import PART, cache_folder, write_atomic
from eegprep.platform import Lock, portable_name, replace, sync_folder
from eegprep.remote import transport
from eegprep.remote.cache import cache_bytes
from eegprep.remote.listing import ListedFile, Listing, address_of, list_files, verifier
from eegprep.remote.transport import ChangedError, NoConnectionError, again, file_system

#: Marks a folder as the mirror of an address. Hidden, so that no source takes it for a file of the data set.
LISTING = ".eegprep-remote.json"
#: Files that describe recordings; everything else is signal, which is dropped after use.
SIDECARS = (".tsv", ".json", ".vhdr", ".vmrk", ".txt", ".md", ".bidsignore")
_AT_ONCE = 8
_POLL_S = 0.1
_N_LOCKS = 64
_OLD_S = 3600.0

#: Called with the name and the number of bytes received.
Received = Callable[[str, int], None]


class Mirror:
    """The mirror in a folder, as made by `open_mirror`.

    Parameters
    ----------
    folder : Path
        The data set's root on this machine, with the listing.
    max_bytes : int, optional
        Limit for the signal files in use by all processes; default: that of the cache (`EEGPT_CACHE_BYTES`).
    """

    def __init__(self, folder: Path, max_bytes: int | None = None) -> None:
        self.folder = Path(folder)
        self.max_bytes = cache_bytes() if max_bytes is None else max_bytes
        self.listing = Listing.from_json((self.folder / LISTING).read_text("utf-8"))
        self.files = {f.path: f for f in self.listing.files}
        self._sorted = sorted(self.files)
        self._state = self.folder.parent / f"{self.folder.name}.state"
        self._held: dict[str, Lock] = {}
        self._system: Any = None

    def expand(self, paths: Sequence[str]) -> list[ListedFile]:
        """The listed files of `paths`, of which folders stand for all files in them."""
        found = {}
        for path in paths:
            if path in self.files:
                found[path] = self.files[path]
            else:
                first, stop = (bisect.bisect_left(self._sorted, path + end) for end in "/0")  # "0" follows "/"
                found.update({p: self.files[p] for p in self._sorted[first:stop]})
        return list(found.values())

    def n_bytes(self, path: str) -> int:
        """The size of a file or folder; 0 where the server does not say."""
        return sum(f.n_bytes or 0 for f in self.expand([path]))

    def identity(self, path: str) -> str:
        """Changes if a file or folder has changed at the address."""
        return hashlib.sha256("".join(f.identity for f in self.expand([path])).encode()).hexdigest()

    def read(self, path: str) -> bytes:
        """A side-car, fetched if needed."""
        self._fetch_all([self.files[path]], None)
        return (self.folder / path).read_bytes()

    def bring(self, paths: Sequence[str]) -> None:
        """Bring side-cars, several at once; they stay."""
        self._fetch_all([self.files[p] for p in dict.fromkeys(paths) if p in self.files], None)

    def fetch(self, key: str, paths: Sequence[str], received: Received | None = None) -> None:
        """Bring a recording's files, several at once, and keep them until `release`.

        Raises
        ------
        RefusedError
            A file is missing, has changed since it was listed, or does not match its size or hash.
        InputError
            A file cannot be downloaded, or the recording is larger than the cache.
        UsageError
            No connection or permission, or the disk is full: no other recording could be fetched either.
        """
        files = self.expand(paths)
        if unknown := [p for p in paths if not any(f.path == p or f.path.startswith(f"{p}/") for f in files)]:
            raise RefusedError("a file is missing at the address", where=self.listing.address, found=unknown[0])
        self._hold(key, [f for f in files if not _is_sidecar(f.path)])
        try:
            self._fetch_all(files, received)
        except BaseException:
            self.release(key)
            raise

    def release(self, key: str) -> None:
        """Drop the signal files of a recording."""
        if (lock := self._held.pop(key, None)) is not None:
            _drop(self.folder, self._note(key))
            lock.release()

    def _fetch_all(self, files: Sequence[ListedFile], received: Received | None) -> None:
        if self._system is None:
            scheme = self.listing.address.split("://")[0]
            self._system = file_system(scheme, self.listing.options)
        missing = [f for f in files if not (self.folder / f.path).exists()]
        if not missing:
            return
        with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
            jobs = [pool.submit(self._fetch_one, f, received) for f in missing]
            try:
                for job in jobs:
                    job.result()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    def _fetch_one(self, file: ListedFile, received: Received | None) -> None:
        target = self.folder / file.path
        if os.name == "nt" and not all(map(portable_name, file.path.split("/"))):
            raise InputError("the name of a file cannot be used on this system", where=file.path)
        number = int.from_bytes(hashlib.sha256(file.path.encode()).digest()[:4]) % _N_LOCKS
        with Lock(self._state / "locks" / f"{number}").held():
            if target.exists():
                return
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._transfer(file, target, received)
            except InputError:
                self._check_connection(file)
                raise

    def _check_connection(self, file: ListedFile) -> None:
        """NoConnectionError if the server does not answer at all."""
        try:
            address = address_of(self.listing, file)
            again(lambda: self._system.info(address), file.path, self.listing.address, attempts=1)
        except NoConnectionError:
            raise
        except Exception:
            return

    def _transfer(self, file: ListedFile, target: Path, received: Received | None) -> None:
        """Fetch one file; an earlier part of the same version is continued."""
        # The name says which version a part is of. It is short, since names in BIDS are long.
        part = target.with_name(f".{hashlib.sha256((target.name + file.identity).encode()).hexdigest()[:16]}{PART}")
        address = address_of(self.listing, file)
        for left in (1, 0):
            hashing = verifier(file)
            position = 0
            if part.exists():
                with part.open("rb") as found:
                    while piece := found.read(transport.CHUNK):
                        position += len(piece)
                        if hashing is not None:
                            hashing[0].update(piece)

            def attempt(hashing: Any = hashing) -> None:
                nonlocal position
                with part.open("ab") as out:
                    if file.n_bytes is None or position < file.n_bytes:
                        for piece in transport.pieces(
                            self._system, address, offset=position, version=file.version, check=told
                        ):
                            position += len(piece)
                            if file.n_bytes is not None and position > file.n_bytes:
                                raise RefusedError(
                                    f"{file.path} is larger than listed", where=self.listing.address,
                                    found=f"more than {file.n_bytes} bytes", expected=f"{file.n_bytes} bytes",
                                )  # fmt: skip
                            out.write(piece)
                            if hashing is not None:
                                hashing[0].update(piece)
                            if received is not None:
                                received(file.path, len(piece))
                    if file.n_bytes is not None and position < file.n_bytes:
                        raise ConnectionError(f"received {position} of {file.n_bytes} bytes")
                    out.flush()
                    os.fsync(out.fileno())

            def told(said: Any) -> None:
                self._check_unchanged(file, said)

            try:
                again(attempt, file.path, self.listing.address, folder=self.folder)
            except RefusedError:
                part.unlink(missing_ok=True)
                raise
            if hashing is None or (found_digest := hashing[1](hashing[0])) == file.digest:
                replace(part, target)
                sync_folder(target.parent)
                return
            part.unlink()
            if left == 0:
                raise RefusedError(
                    f"the hash of {file.path} does not match the one at the address (two downloads)",
                    where=self.listing.address,
                    found=found_digest,
                    expected=file.digest,
                    todo="ask the publisher of the data set",
                )

    def _check_unchanged(self, file: ListedFile, said: Any) -> None:
        """ChangedError if the server says another size or version than the listing."""
        size = said.get("size")
        etag = str(said.get("ETag") or said.get("Last-Modified") or "").strip('"')
        if self.listing.address.startswith("hf"):
            etag = ""  # pinned by the commit
        if size is not None and file.n_bytes is not None and int(size) != file.n_bytes:
            raise _changed(file, self.listing, f"{size} bytes", f"{file.n_bytes} bytes")
        if etag and file.etag and etag != file.etag:
            raise _changed(file, self.listing, f"version {etag}", f"version {file.etag}")

    # ---- files in use

    def _note(self, key: str) -> Path:
        return self._state / "used" / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.json"

    def _hold(self, key: str, files: Sequence[ListedFile]) -> None:
        """Wait until this recording is not in use and its files fit; then take it into use."""
        need = sum(f.n_bytes or 0 for f in files)
        if need > self.max_bytes:
            raise InputError(
                "a recording is larger than the cache", where=files[0].path, found=f"{need} bytes",
                expected=f"at most {self.max_bytes} bytes", todo="increase EEGPT_CACHE_BYTES",
            )  # fmt: skip
        note = self._note(key)
        note.parent.mkdir(parents=True, exist_ok=True)
        lock = Lock(note.with_suffix(".lock"))
        lock.acquire()
        try:
            while True:
                with Lock(self._state / "budget").held():
                    others = sum(_in_use(self.folder, n) for n in note.parent.glob("*.json") if n != note)
                    if others == 0 or others + need <= self.max_bytes:
                        write_atomic(note, json.dumps({"n_bytes": need, "files": [f.path for f in files]}))
                        break
                time.sleep(_POLL_S)
        except BaseException:
            lock.release()
            raise
        self._held[key] = lock

    def tidy(self, *, parts: bool = False) -> None:
        """Remove what killed processes left, with `parts` also old parts of files."""
        for part in self.folder.rglob(f".*{PART}") if parts else ():
            if part.stat().st_mtime < time.time() - _OLD_S:
                part.unlink(missing_ok=True)
        for note in (self._state / "used").glob("*.json"):
            _in_use(self.folder, note)


def open_mirror(word: str, *, options: dict[str, Any] | None = None, folder: Path | None = None) -> Mirror:
    """List a data set at an address and open its mirror, with the files that describe the data set as a whole.

    Parameters
    ----------
    word : str
        `openneuro:ID`, `nemar:ID`, or an address.
    options : dict, optional
        Options of fsspec's file system.
    folder : Path, optional
        Folder of all mirrors; default: `trees` in the user's cache.
    """
    listing = list_files(word, options=options)
    text = listing.to_json()
    place = (cache_folder() / "trees" if folder is None else Path(folder)) / _short(listing.address)
    # A data set that has changed is another folder, so a listing never changes under a running command.
    root = place / _short(text)
    for other in place.glob(f"*/{LISTING}"):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            Mirror(other.parent).tidy(parts=other.parent != root)
    root.mkdir(parents=True, exist_ok=True)
    if not (root / LISTING).exists():
        write_atomic(root / LISTING, text)
    mirror = Mirror(root)
    mirror._fetch_all([f for f in listing.files if "/" not in f.path and _is_sidecar(f.path) and _is_small(f)], None)
    return mirror


def is_mirror(folder: Path) -> bool:
    """Whether a folder is the mirror of an address."""
    return (Path(folder) / LISTING).is_file()


def _is_sidecar(path: str) -> bool:
    return path.endswith(SIDECARS) or "." not in PurePosixPath(path).name


def _is_small(file: ListedFile) -> bool:
    return file.n_bytes is None or file.n_bytes <= 64 << 20


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _in_use(folder: Path, note: Path) -> int:
    """Bytes of a recording in use; 0, and its files are dropped, if the process that used it is gone."""
    lock = Lock(note.with_suffix(".lock"))
    if not lock.acquire(wait=False):
        try:
            return int(json.loads(note.read_text("utf-8"))["n_bytes"])
        except (OSError, ValueError, KeyError):
            return 0
    try:
        _drop(folder, note)
    finally:
        lock.release()
    return 0


def _drop(folder: Path, note: Path) -> None:
    """Remove a recording's signal files, then its note."""
    try:
        paths = json.loads(note.read_text("utf-8"))["files"]
    except (OSError, ValueError, KeyError):
        paths = []
    for path in paths:
        target = folder / path
        with contextlib.suppress(OSError):
            target.unlink(missing_ok=True)
    note.unlink(missing_ok=True)


def _changed(file: ListedFile, listing: Listing, found: str, expected: str) -> ChangedError:
    return ChangedError(
        f"{file.path} has changed at the address since it was listed", where=listing.address, found=found,
        expected=expected, todo="run the same command again: it lists the files anew and keeps finished recordings",
    )  # fmt: skip
