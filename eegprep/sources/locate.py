"""Resolve a command-line argument: a path, a data set of the catalogue, an address, or `moabb:CODE`.

Returns the manifest and the folder of its files, optionally set by `--source`. A catalogue name takes precedence over
a folder of that name, which is then used as the data set's folder.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from eegprep.errors import UsageError, nearest
from eegprep.files import not_found
from eegprep.manifest.schema import Manifest
from eegprep.remote.listing import is_remote
from eegprep.sources.implicit import manifest_for_path

Fetch = Callable[[Manifest], Path]

#: A folder with one subfolder per data set.
DATA_VARIABLE = "EEGPT_DATA"
#: The folder of the data sets that ship with the package.
SAMPLES = Path(__file__).parents[1] / "samples"


def find_argument(word: str, source: Path | None = None, *, fetch: Fetch | None = None) -> tuple[Manifest, Path]:
    """Resolve an argument to a manifest and a folder.

    Parameters
    ----------
    fetch : callable, optional
        Downloads the data set if its files are not on this machine.

    Raises
    ------
    UsageError
        If it cannot be resolved, or the data set's files are not on this machine.
    """
    from eegprep.manifest import catalogue, find_manifest, load_manifest

    if is_remote(word):
        if source is not None:
            raise UsageError("--source requires the name or manifest of a data set", found=f"the address {word}")
        from eegprep.remote.mirror import open_mirror
        from eegprep.sources.description import manifest_for_mirror

        mirror = open_mirror(word)
        return manifest_for_mirror(mirror), mirror.folder
    if word.startswith("moabb:"):
        from eegprep.sources.moabb import manifest_for_moabb

        manifest = manifest_for_moabb(word.removeprefix("moabb:"))
        return manifest, data_folder(manifest, source)
    path = Path(word)
    if path.suffix.lower() in (".yaml", ".yml") and not path.is_dir():
        if not path.is_file():
            raise not_found("manifest", path, "a YAML file")
        manifest = load_manifest(path)
        return manifest, data_folder(manifest, source, path=path, fetch=fetch)
    names = [m.name for m in catalogue()]
    if word in names:
        manifest = find_manifest(word)
        return manifest, data_folder(manifest, source, fetch=fetch)
    if not os.path.lexists(path):
        raise UsageError(
            "no such file, folder or data set",
            where=word,
            expected="a name of `eegprep datasets`, a manifest (.yaml), openneuro:ID, moabb:CODE, a folder or a file",
            todo=nearest(word, names) or "check the path",
        )
    if source is not None:
        raise UsageError("--source requires the name or manifest of a data set", found=f"the path {word}")
    return manifest_for_path(path), path


def beside(path: Path, manifest: Manifest) -> Path | None:
    """A manifest's own folder, if it contains files that match the manifest's patterns."""
    from eegprep.manifest.patterns import compile_pattern, match
    from eegprep.sources.tree import walk

    if manifest.source.kind == "bids":
        return path.parent if (path.parent / "dataset_description.json").is_file() else None
    patterns = [compile_pattern(p) for p in manifest.source.files]
    fits = patterns and any(match(patterns, found) is not None for found in walk(path.parent))
    return path.parent if fits else None


def data_folder(
    manifest: Manifest, source: Path | None = None, *, path: Path | None = None, fetch: Fetch | None = None
) -> Path:
    """The folder of a data set's files.

    The given one, else the folder of the manifest's `path`, `$EEGPT_DATA/<name>`, `./<name>`, the package
    itself, or the download folder of `eegprep fetch`, in which `fetch` downloads missing files.

    Raises
    ------
    UsageError
        The files are not on this machine and not downloaded.
    """
    from eegprep.remote.fetch import default_folder, is_fetchable

    if manifest.source.kind in ("moabb", "mne"):
        # downloaded by their libraries when they are read; `mne` puts its files here
        return source or default_folder(manifest)
    candidates = [source] if source is not None else []
    if source is None:
        if path is not None and (own := beside(path, manifest)) is not None:
            return own
        if os.environ.get(DATA_VARIABLE):
            candidates.append(Path(os.environ[DATA_VARIABLE]) / manifest.name)
        candidates += [Path.cwd() / manifest.name, SAMPLES / manifest.name]
        if fetch is None or not is_fetchable(manifest):
            candidates.append(default_folder(manifest))
    for folder in candidates:
        if folder.exists():
            return folder
    if source is None and fetch is not None and is_fetchable(manifest):
        return fetch(manifest)
    if source is None and manifest.source.kind == "bids" and manifest.source.base is not None:
        from eegprep.remote.mirror import open_mirror

        return open_mirror(manifest.source.base).folder
    raise UsageError(
        f"the files of {manifest.name} were not found",
        found=", ".join(f"no {c}" for c in candidates),
        expected=f"--source DIR, or {DATA_VARIABLE} set to a folder with {manifest.name}/",
        todo=_how_to_get(manifest),
    )


def _how_to_get(manifest: Manifest) -> str | None:
    from eegprep.remote.fetch import is_fetchable

    if is_fetchable(manifest):
        return f"eegprep fetch {manifest.name}"
    if manifest.licence.signed and manifest.licence.apply_at:
        return f"sign its licence at {manifest.licence.apply_at}, then pass the folder with --source"
    return manifest.source.how.strip() or (f"download it from {manifest.url}" if manifest.url else None)
