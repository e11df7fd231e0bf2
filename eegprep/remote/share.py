"""Push and pull shard sets, manifests and locks to and from a folder, s3:// or hf://; resumable and verified.

What is shared is a list of files with hashes: a shard set's own `SHA256SUMS`, or `manifest.sha256` for a manifest and
its lock. The list is uploaded last, so a target without it is incomplete; a note with the list's hash is uploaded
first, so an interrupted push can resume and different sets are never mixed. Pull reads the list first, fetches what is
missing, verifies every byte, and writes the list last.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from eegprep.electrodes import Vocabulary
from eegprep.errors import EEGPTError, InputError, RefusedError, UsageError, install
from eegprep.files import (
    PART,
    WRITING,
    alone,
    atomic_path,
    cache_folder,
    canonical_json,
    parse_sum,
    sha256_file,
    write_atomic,
)
from eegprep.manifest.croissant import card, croissant
from eegprep.manifest.licences import refuse_sharing
from eegprep.manifest.load import load_manifests
from eegprep.remote.transport import again, options_of
from eegprep.shards.build.shard_set import ShardSummary, build_shard_set
from eegprep.shards.build.writer import WrittenShard
from eegprep.shards.check import shard_files
from eegprep.shards.format import ELECTRODES, INDEX_FILES, OPTIONAL_FILES
from eegprep.shards.sums import SHARD_PATH
from eegprep.shards.tables import MAX_INDEX_BYTES, read_electrodes
from eegprep.store import Store

#: The lists of files of a shard set, and of a manifest with its lock.
SET_SUMS, MANIFEST_SUMS = "SHA256SUMS", "manifest.sha256"
_MANIFEST, _LOCK, _CARD, _CROISSANT, _NOTE = "manifest.yaml", "lock.yaml", "README.md", "croissant.json", ".pushing"
_PATH = re.compile(r"[A-Za-z0-9_./\-]{1,300}")
_MAX_LIST_BYTES = 16 << 20
_MAX_TEXT_BYTES = 64 << 20
_KEEP_FREE_BYTES = 1 << 30
_CHUNK = 1 << 20

#: Called with a file's path, the number of finished files, and the total.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class Shared:
    """Summary of a push or pull: files and bytes transferred, and files that already existed."""

    target: str
    n_files: int
    n_moved: int
    n_bytes: int


class _Remote:
    """A remote folder through fsspec, with errors converted to ours."""

    def __init__(self, address: str, options: Mapping[str, Any] | None) -> None:
        import fsspec

        if not re.match(r"(s3|hf)://", address):
            if "://" in address:
                raise UsageError("invalid target", found=address, expected="a folder, s3://... or hf://datasets/...")
            address = str(Path(address).absolute())
        try:
            self.fs, root = fsspec.core.url_to_fs(address, **dict(options or {}))
        except ImportError as error:
            raise UsageError(f"{address.partition(':')[0]}:// needs an extra", todo=install("cloud", "hub")) from error
        self.address, self.root = address, root.rstrip("/")
        self.local = "://" not in address

    def path(self, name: str) -> str:
        return f"{self.root}/{name}"

    def size(self, name: str) -> int | None:
        try:
            return int(self.fs.info(self.path(name))["size"])
        except FileNotFoundError:
            return None
        except Exception as error:  # each client has its own, for a login as for a network; every transfer asks first
            if self.local:
                raise
            raise UsageError(
                "the address cannot be reached",
                where=self.address,
                found=f"{type(error).__name__}: {error}"[:300],
                todo="check the address, the network and your login (for S3 the AWS variables or ~/.aws, for the hub "
                "`hf auth login`), then run the same command again",
            ) from error

    def read(self, name: str, max_bytes: int) -> bytes | None:
        size = self.size(name)
        if size is None:
            return None
        self._check_plain(name)
        if size > max_bytes:
            raise RefusedError(f"{name} is too large", where=self.address, found=size, expected=f"{max_bytes} at most")
        return bytes(self.fs.cat_file(self.path(name)))

    def write(self, name: str, data: bytes) -> None:
        self._make_folder(name)
        try:
            self.fs.pipe_file(self.path(name), data)
        except FileNotFoundError as error:
            raise self._absent() from error

    def put(self, source: Path, name: str) -> None:
        self._make_folder(name)
        try:
            self.fs.put_file(str(source), self.path(name))
        except FileNotFoundError as error:
            raise self._absent() from error

    def _absent(self) -> UsageError:
        return UsageError(
            "no such data set repository or bucket to push to",
            where=self.address,
            todo="create it first (a data set repository on the hub, an S3 bucket), and log in if it is private",
        )

    def get(self, name: str, target: Path, max_bytes: int) -> None:
        """Copy a file of at most `max_bytes`; RefusedError if it is longer, or is a link or device."""
        self._check_plain(name)
        left = min(max_bytes, max(0, shutil.disk_usage(target.parent).free - _KEEP_FREE_BYTES))
        with self.fs.open(self.path(name), "rb") as remote, target.open("wb") as out:
            while chunk := remote.read(_CHUNK):
                left -= len(chunk)
                if left < 0:
                    raise RefusedError(
                        f"{name} is larger than the index says, or than there is room for",
                        where=self.address,
                        expected=f"at most {max_bytes} bytes",
                    )
                out.write(chunk)

    def _check_plain(self, name: str) -> None:
        """Refuse devices, which are endless, and links, which point elsewhere, in a local folder."""
        if not self.local:
            return
        path = Path(self.path(name))
        inside = [path, *path.parents][: len(PurePosixPath(name).parts)]
        if any(p.is_symlink() for p in inside) or (path.exists() and not path.is_file()):
            raise RefusedError(f"{name} is a link, a folder or a device", where=self.address, expected="plain files")

    def remove(self, name: str) -> None:
        if self.size(name) is not None:
            self.fs.rm_file(self.path(name))

    def _make_folder(self, name: str) -> None:
        if self.local:
            Path(self.path(name)).parent.mkdir(parents=True, exist_ok=True)


def build_to(
    stores: Sequence[Path | Store],
    target: str,
    *,
    private: bool = False,
    options: Mapping[str, Any] | None = None,
    **build: Any,
) -> ShardSummary:
    """Build a shard set at an address: each electrode's shards are uploaded and deleted here.

    Only the index and the electrodes being written are on this machine, so the set may be larger than the disk. After
    an interruption the same call resumes. SHA256SUMS is uploaded last, as in `push`.

    Parameters
    ----------
    stores : sequence of Path
        Folders written by `eegprep ingest`.
    target : str
        `s3://bucket/folder` or `hf://datasets/owner/name`.
    private : bool
        Only those who may read the data can read the address; otherwise every licence must permit sharing.
    options : mapping, optional
        Options of fsspec's file system.
    build
        Other parameters of `eegprep.shards.build_shard_set`.

    Raises
    ------
    RefusedError
        The licence of a data set forbids sharing, or the target contains other files.
    """
    if build.get("extends") is not None:
        raise UsageError("--extends needs an output folder on this machine", found=target)
    if not private:
        opened = [store if isinstance(store, Store) else Store.open(store) for store in stores]
        refuse_sharing([store.manifest for store in opened])
    remote = _Remote(target, options_of(target.split("://")[0]) if options is None else options)
    folder = cache_folder() / "building" / hashlib.sha256(target.rstrip("/").encode()).hexdigest()[:16]
    there = remote.read(SET_SUMS, _MAX_LIST_BYTES)
    if there is not None and not folder.exists():
        raise RefusedError(
            "the target contains a complete shard set",
            where=target,
            todo="shard sets are immutable: choose a new folder",
        )
    summary = build_shard_set(stores, folder, outlet=_Upload(remote), **build)
    listing = (folder / SET_SUMS).read_bytes()
    if there is not None and there != listing:
        raise RefusedError(
            "the target contains another shard set", where=target, todo="shard sets are immutable: choose a new folder"
        )
    for name in (*INDEX_FILES, *(n for n in OPTIONAL_FILES if (folder / n).is_file())):
        _send(remote, folder / name, name)
    remote.write(SET_SUMS, listing)
    shutil.rmtree(folder)
    return dataclasses.replace(summary, path=Path(target))


class _Upload:
    """Takes the shards of a build to an address."""

    def __init__(self, remote: _Remote) -> None:
        self.remote = remote

    def take(self, path: Path, shard: WrittenShard) -> None:
        _send(self.remote, path, shard.name)

    def holds(self, shard: WrittenShard) -> bool:
        return self.remote.size(shard.name) == shard.n_bytes


def _send(remote: _Remote, path: Path, name: str) -> None:
    """Upload a file. Raises InputError if it has another size there."""
    again(lambda: remote.put(path, name), name, remote.address)
    if remote.size(name) != path.stat().st_size:
        raise InputError(
            f"{name} was not transferred completely", where=remote.address, todo="run the same command again"
        )


def push(
    source: Path,
    target: str,
    *,
    manifest_only: bool = False,
    options: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Shared:
    """Upload a shard set, or a manifest with its lock, to a folder, s3:// or hf://.

    Parameters
    ----------
    source : Path
        A shard set, a store (only manifest and lock are sent), or a manifest.
    manifest_only : bool
        Send only manifest and lock, which every licence permits.
    options : mapping, optional
        Options of fsspec's file system, e.g. `endpoint_url` of an S3 server.

    Raises
    ------
    RefusedError
        The licence of a data set forbids sharing, a file does not match the set's list, or the target contains other
        files.
    """
    source = Path(source)
    files, sums_name, extras = _what_to_send(source, manifest_only)
    listing = "".join(f"{digest}  {name}\n" for name, (digest, _) in sorted(files.items())).encode()
    if sums_name == SET_SUMS:
        listing = (source / SET_SUMS).read_bytes()
    own = hashlib.sha256(listing).hexdigest().encode()
    remote = _Remote(target, options)
    there = remote.read(sums_name, _MAX_LIST_BYTES)
    if there is not None and there != listing:
        raise RefusedError(
            "the target contains another shard set or manifest",
            where=target,
            todo="shard sets are immutable: choose a new folder",
        )
    note = remote.read(_NOTE, 1 << 10)
    if there is None and note not in (None, own):
        raise RefusedError(
            "the target contains an incomplete push of other files", where=target, todo="choose a new folder"
        )
    if there is None:
        remote.write(_NOTE, own)
    moved = n_bytes = 0
    for number, (name, (digest, path)) in enumerate(sorted(files.items()), start=1):
        size = path.stat().st_size
        if remote.size(name) != size:
            if sha256_file(path) != digest:
                raise RefusedError(
                    f"the hash of {name} does not match {sums_name}", where=path, todo="run `eegprep verify`"
                )
            _send(remote, path, name)
            moved, n_bytes = moved + 1, n_bytes + size
        if progress is not None:
            progress(name, number, len(files))
    for name, data in extras.items():
        if remote.size(name) is None:
            remote.write(name, data)
    if there is None:
        remote.write(sums_name, listing)
    remote.remove(_NOTE)
    return Shared(target=target, n_files=len(files), n_moved=moved, n_bytes=n_bytes)


def pull(
    source: str, out: Path, *, options: Mapping[str, Any] | None = None, progress: Progress | None = None
) -> Shared:
    """Download what `push` sent and verify every byte; files that are already correct are skipped.

    Raises
    ------
    UsageError
        There is no complete shard set or manifest at the address, or another process is writing into `out`.
    RefusedError
        The list is invalid or names files that belong to no shard set or manifest; a file does not match it, is a
        link or a device, or is larger than the index says; or `out` contains other files.
    """
    remote = _Remote(source, options)
    out = Path(out)
    for sums_name in (SET_SUMS, MANIFEST_SUMS):
        listing = remote.read(sums_name, _MAX_LIST_BYTES)
        if listing is not None:
            break
    else:
        raise UsageError(
            "no complete shard set or manifest found",
            where=source,
            expected=f"{SET_SUMS} or {MANIFEST_SUMS}",
            todo="check the address, or wait until the push has finished",
        )
    files = _parse(listing, f"{source}/{sums_name}")
    _check_names(files, sums_name, source)
    _check_folder(out, sums_name, listing, files)
    with alone(out):
        return _pull_files(remote, out, sums_name, listing, files, progress)


def _pull_files(
    remote: _Remote, out: Path, sums_name: str, listing: bytes, files: dict[str, str], progress: Progress | None
) -> Shared:
    moved = n_bytes = 0
    sizes: dict[str, int] = {}
    # The table of electrodes has the size of every shard.
    ordered = sorted(files, key=lambda name: (name != ELECTRODES, name))
    for number, name in enumerate(ordered, start=1):
        target, digest = out / name, files[name]
        if not (target.is_file() and sha256_file(target) == digest):
            if SHARD_PATH.fullmatch(name) and name not in sizes:
                raise RefusedError(f"{name} is listed, but not in the index", where=remote.address)
            limit = sizes.get(name, MAX_INDEX_BYTES if name.endswith(".parquet") else _MAX_TEXT_BYTES)
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                with atomic_path(target) as part:
                    remote.get(name, part, limit)
                    if (found := sha256_file(part)) != digest:
                        raise RefusedError(
                            f"the hash of {name} does not match {sums_name}",
                            where=remote.address,
                            found=f"sha256 {found}",
                            expected=f"sha256 {digest}",
                        )
            except FileNotFoundError as error:
                raise RefusedError(f"{name} is listed, but missing", where=remote.address) from error
            moved, n_bytes = moved + 1, n_bytes + target.stat().st_size
        if name == ELECTRODES:
            sizes = _sizes(out, files)
        if progress is not None:
            progress(name, number, len(files))
    write_atomic(out / sums_name, listing)
    return Shared(target=str(out), n_files=len(files), n_moved=moved, n_bytes=n_bytes)


def _sizes(folder: Path, hashes: dict[str, str]) -> dict[str, int]:
    table = read_electrodes(folder / ELECTRODES)
    try:
        vocabulary = Vocabulary.from_table(table, where=str(folder / ELECTRODES))
    except EEGPTError as error:
        raise RefusedError("the vocabulary is damaged", where=folder / ELECTRODES, found=error.what) from error
    return {s.name: s.n_bytes for s in shard_files(table, vocabulary, hashes, folder)}


def _check_names(files: Mapping[str, str], sums_name: str, where: str) -> None:
    """Allow only names of a shard set or manifest, so an untrusted list cannot write `.bashrc` or `conftest.py`."""
    known = {*INDEX_FILES, *OPTIONAL_FILES} if sums_name == SET_SUMS else {_MANIFEST, _LOCK}
    for name in files:
        if name not in known and not (sums_name == SET_SUMS and SHARD_PATH.fullmatch(name)):
            raise RefusedError(
                "invalid line in the list of files",
                where=f"{where}/{sums_name}",
                found=name,
                expected="files that a shard set or a manifest has",
            )


def _check_folder(out: Path, sums_name: str, listing: bytes, files: Mapping[str, str]) -> None:
    """RefusedError if the folder contains anything but an earlier part of the same pull; nothing is changed."""
    here = out / sums_name
    ours = {*files, sums_name, WRITING}
    folders = {str(p) for name in files for p in PurePosixPath(name).parents}
    for path in sorted(out.rglob("*")) if out.is_dir() else []:
        name = path.relative_to(out).as_posix()
        plain = not path.is_symlink() and (path.is_file() or path.is_dir())
        if not plain or (name not in folders if path.is_dir() else name.removesuffix(PART) not in ours):
            raise RefusedError("the folder contains other files", where=out, found=name, todo="choose a new folder")
    if here.exists() and here.read_bytes() != listing:
        raise RefusedError("the folder contains other files", where=out, todo="choose a new folder")


def _what_to_send(source: Path, manifest_only: bool) -> tuple[dict[str, tuple[str, Path]], str, dict[str, bytes]]:
    """Files (hash and path by name), the name of their list, and files added for search engines."""
    if source.is_file():
        load_manifests(source)
        return {_MANIFEST: (sha256_file(source), source)}, MANIFEST_SUMS, {}
    if not (source / _MANIFEST).is_file():
        raise UsageError("nothing to push", where=source, expected="a shard set, a store, or a manifest (.yaml)")
    manifests = load_manifests(source / _MANIFEST)
    if manifest_only or not (source / SET_SUMS).is_file():
        if not manifest_only and (source / "shards").is_dir():
            raise UsageError("the shard set is incomplete", where=source, todo="run `eegprep shard` again first")
        names = [name for name in (_MANIFEST, _LOCK) if (source / name).is_file()]
        return {n: (sha256_file(source / n), source / n) for n in names}, MANIFEST_SUMS, {}
    refuse_sharing(manifests)
    sums = source / SET_SUMS
    hashes = _parse(sums.read_bytes(), str(sums))
    made = {_CARD: card(manifests), _CROISSANT: canonical_json(croissant(manifests, hashes))}
    extras = {name: text.encode() for name, text in made.items() if name not in hashes}
    return {name: (digest, source / name) for name, digest in hashes.items()}, SET_SUMS, extras


def _parse(listing: bytes, where: str) -> dict[str, str]:
    files: dict[str, str] = {}
    for number, line in enumerate(listing.decode("utf-8", "replace").splitlines(), start=1):
        digest, name = parse_sum(line) or ("", "")
        path = PurePosixPath(name)
        if not _PATH.fullmatch(name) or path.is_absolute() or ".." in path.parts or name in files:
            raise RefusedError("invalid line in the list of files", where=f"{where}:{number}", found=line[:200])
        files[name] = digest
    if _MANIFEST not in files:
        raise RefusedError("the list of files contains no manifest", where=where, expected=_MANIFEST)
    return files
