"""What a word on the command line means: a path, a data set of the catalogue, or `moabb:CODE`.

What enters: the word and, where given, `--source`. What leaves: the manifest and the folder of its files. A name of
the catalogue goes before a folder of the same name, which is then taken as that data set's files.
"""

from __future__ import annotations

import os
from pathlib import Path

from eegprep.errors import UsageError
from eegprep.manifest.schema import Manifest
from eegprep.sources.implicit import manifest_for_path

__all__ = ["DATA_VARIABLE", "beside", "data_folder", "find_argument"]

#: A folder with one folder per data set.
DATA_VARIABLE = "EEGPT_DATA"


def find_argument(word: str, source: Path | None = None) -> tuple[Manifest, Path]:
    """The manifest and folder that a word names.

    Raises
    ------
    UsageError
        Where it names nothing, or the data set's files are not on this machine.
    """
    from eegprep.manifest import catalogue, find_manifest, load_manifest

    if word.startswith("moabb:"):
        from eegprep.sources.moabb_source import manifest_for_moabb

        manifest = manifest_for_moabb(word.removeprefix("moabb:"))
        return manifest, data_folder(manifest, source)
    path = Path(word)
    if path.suffix.lower() in (".yaml", ".yml") and path.is_file():
        manifest = load_manifest(path)
        return manifest, data_folder(manifest, source or beside(path, manifest))
    if os.path.lexists(path) and word not in {m.name for m in catalogue()}:
        return manifest_for_path(path), path
    manifest = find_manifest(word)
    return manifest, data_folder(manifest, source)


def beside(path: Path, manifest: Manifest) -> Path | None:
    """A manifest's own folder, where it holds files that the manifest's patterns fit."""
    from eegprep.sources.patterns import compile_pattern, match
    from eegprep.sources.tree import walk

    if manifest.source.kind == "bids":
        return path.parent if (path.parent / "dataset_description.json").is_file() else None
    patterns = [compile_pattern(p) for p in manifest.source.files]
    fits = patterns and any(match(patterns, found) is not None for found in walk(path.parent))
    return path.parent if fits else None


def data_folder(manifest: Manifest, source: Path | None = None) -> Path:
    """The folder of a data set's files: as given, else `$EEGPT_DATA/<name>`, `./<name>`, or where it was fetched to."""
    from eegprep.sources.fetch import default_folder

    if manifest.source.kind in ("moabb", "mne"):
        # fetched by their own libraries when they are read; `mne` puts its files here
        return source or default_folder(manifest)
    candidates = [source] if source is not None else []
    if source is None:
        if os.environ.get(DATA_VARIABLE):
            candidates.append(Path(os.environ[DATA_VARIABLE]) / manifest.name)
        candidates += [Path.cwd() / manifest.name, default_folder(manifest)]
    for folder in candidates:
        if folder is not None and folder.exists():
            return folder
    raise UsageError(
        f"the files of {manifest.name} are not here",
        found=", ".join(f"no {c}" for c in candidates),
        expected=f"--source DIR, or {DATA_VARIABLE} naming a folder that has {manifest.name}/",
        todo=manifest.source.how.strip() or (f"get it from {manifest.url}" if manifest.url else None),
    )
