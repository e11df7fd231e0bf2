"""Every command of `eegprep` as one function with the same defaults; the commands only print what these return.

Where a command takes a path or a name, so do these functions; they also take the objects that the paths stand for.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eegprep.electrodes import Vocabulary, load_vocabulary
from eegprep.errors import UsageError
from eegprep.files import IN_PARTS, count_of, names_of, output_file, output_path, path_of, paths_of, write_atomic
from eegprep.manifest import Manifest, Recipe, load_recipe, recipe_of

if TYPE_CHECKING:
    from eegprep.ingest import IngestSummary, Inspection
    from eegprep.manifest.overview import Overview
    from eegprep.remote.download import Progress as DownloadProgress
    from eegprep.report.contents import Contents
    from eegprep.shards import RecordingStore, ShardSet, ShardSummary, VerifyReport
    from eegprep.store import Store

PathLike = str | Path
#: done, total, bytes done, total bytes, id of the last finished recording
RecordingProgress = Callable[[int, int, int, int, str], None]
#: name of the item, items done, items in total
ItemProgress = Callable[[str, int, int], None]

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def inspect(
    what: PathLike | Manifest,
    source: PathLike | None = None,
    *,
    recipe: str | Path | Recipe | None = None,
    vocabulary: PathLike | Vocabulary | None = None,
    kinds: str | Sequence[str] | None = None,
    workers: int = 1,
    partial: bool = False,
    subjects: str | Sequence[str] | None = None,
    tasks: str | Sequence[str] | None = None,
    limit_hours: float | None = None,
    progress: RecordingProgress | None = None,
) -> Inspection:
    """Report what `ingest` would do with a file, folder or data set; nothing is written.

    Parameters
    ----------
    what : str, Path or Manifest
        A file, a folder, a BIDS tree, a manifest (.yaml), the name of a data set, `openneuro:ID`, an address, or
        `moabb:CODE`.
    source : str or Path, optional
        Folder of the data set's files.
    recipe : str, Path or Recipe, optional
        Used instead of the manifest's.
    vocabulary : str, Path or Vocabulary, optional
        `extended`, additional electrodes and aliases (.tsv, .csv), or a complete vocabulary (.parquet).
    kinds : sequence of str, optional
        Kinds of channels to keep: `eeg`, `eog`, `emg`, `ecg`, `respiration`, `other`; by default those of the recipe.
    workers : int
        Number of worker processes; 0 runs everything in this process.
    partial : bool
        The folder intentionally contains only part of the data set.
    subjects, tasks : sequence of str, optional
        Only these subjects, as named in the files, and these BIDS tasks; commas separate several in one string.
    limit_hours : float, optional
        Only the first recordings, up to this length; for data sets at an address.
    progress : callable, optional
        Called after each recording.

    Raises
    ------
    UsageError
        There is no such file, folder or data set, or a wrong recipe.
    """
    from eegprep.ingest.dry import inspect as run
    from eegprep.ingest.selection import Selection

    selection = Selection.of(subjects, tasks, limit_hours)
    workers = count_of(workers, "workers", least=0)
    manifest, folder = _described(what, source)
    return run(
        manifest,
        folder,
        recipe=_with_kinds(_recipe(recipe), manifest, kinds),
        vocabulary=_vocabulary(vocabulary) or Vocabulary.base(),
        workers=workers,
        partial=partial,
        selection=selection,
        progress=progress,
    )


def ingest(
    dataset: PathLike | Manifest,
    source: PathLike | None = None,
    *,
    out: PathLike | None = None,
    recipe: str | Path | Recipe | None = None,
    vocabulary: PathLike | Vocabulary | None = None,
    kinds: str | Sequence[str] | None = None,
    workers: int = 1,
    cluster: str | None = None,
    keep_duplicates: bool = False,
    partial: bool = False,
    prune: bool = False,
    subjects: str | Sequence[str] | None = None,
    tasks: str | Sequence[str] | None = None,
    limit_hours: float | None = None,
    progress: RecordingProgress | None = None,
    downloads: DownloadProgress | None = None,
) -> IngestSummary:
    """Standardise recordings into a store: 256 Hz, microvolt, electrodes by name; the same call resumes.

    Parameters
    ----------
    dataset : str, Path or Manifest
        Data set of the catalogue, manifest (.yaml), `openneuro:ID`, address, folder or file.
    source : str or Path, optional
        Folder of the data set's files; by default `$EEGPT_DATA/NAME`, else downloaded.
    out : str or Path, optional
        Output store; by default `stores/NAME`.
    recipe, vocabulary, kinds, workers, partial, subjects, tasks, limit_hours
        See `inspect`.
    cluster : str, optional
        Dask scheduler (`tcp://host:port`), or `slurm`, instead of local processes.
    keep_duplicates : bool
        Keep recordings with duplicate signals.
    prune : bool
        Delete recordings from the store that are no longer in the source.
    progress, downloads : callable, optional
        Called after each recording, and for each part of a download.

    Returns
    -------
    IngestSummary
        `open_store(summary.out)` opens the store; `summary.failed` has the errors of recordings that failed.

    Raises
    ------
    UsageError
        There is no such data set, or a wrong recipe or store; nothing was started.
    """
    from eegprep.ingest.run import ingest as run
    from eegprep.ingest.selection import Selection
    from eegprep.remote.fetch import fetch as bring

    selection = Selection.of(subjects, tasks, limit_hours)
    workers = count_of(workers, "workers", least=0)
    words, store = _vocabulary(vocabulary), None if out is None else output_path(out, "the store", todo=IN_PARTS)
    manifest, folder = _described(dataset, source, fetch=lambda m: bring(m, progress=downloads))
    return run(
        manifest,
        folder,
        Path("stores") / manifest.name if store is None else store,
        recipe=_with_kinds(_recipe(recipe), manifest, kinds),
        vocabulary=words or Vocabulary.base(),
        workers=workers,
        cluster=cluster,
        keep_duplicates=keep_duplicates,
        partial=partial,
        prune=prune,
        selection=selection,
        progress=progress,
    )


def open_store(path: PathLike) -> Store:
    """Open a store: a mapping of recording ids to `xarray.Dataset`, or `store.raw(id)` for MNE.

    Raises
    ------
    UsageError
        The folder is not a store.
    """
    from eegprep.store import Store

    return Store.open(path)


def shard(
    stores: PathLike | RecordingStore | Sequence[PathLike | RecordingStore],
    out: PathLike,
    *,
    extends: PathLike | None = None,
    vocabulary: PathLike | Vocabulary | None = None,
    max_shard_size: int | str = "1G",
    workers: int = 2,
    allow_unfinished: bool = False,
    private: bool = False,
    reference: str | None = None,
    progress: ItemProgress | None = None,
) -> ShardSummary:
    """Write standardised recordings as per-electrode shards; the same call resumes.

    Parameters
    ----------
    stores : str, Path, Store, or a sequence of them
        Stores written by `ingest`.
    out : str or Path
        Output folder of the shard set, or an address (`s3://...`), which may be larger than the disk.
    extends : str or Path, optional
        A complete shard set to extend; only new recordings are written.
    vocabulary : str, Path or Vocabulary, optional
        By default that of the stores.
    max_shard_size : int or str
        Maximum size of a shard in bytes, or such as `512M`.
    workers : int
        Number of electrodes written in parallel.
    allow_unfinished : bool
        Accept a store whose ingest was stopped or is still running.
    private : bool
        Only those who may read the data can read the address; otherwise every licence must permit sharing.
    reference : str, optional
        Re-reference EEG to an electrode, a recorded scheme (`linked ears`) or `average`, where the derivations allow
        it; by default every derivation is written as it was recorded.
    progress : callable, optional
        Called with (electrode, electrodes done, electrodes in total).

    Raises
    ------
    UsageError, RefusedError
        A store is missing or unfinished, or `out` contains something else.
    """
    from eegprep.shards import build_shard_set

    workers = count_of(workers, "workers")
    several: Sequence[Any] = stores if isinstance(stores, (list, tuple)) else [stores]
    if not several:
        raise UsageError("no store to write as shards", expected="one store or more")
    opened: list[Any] = [s if hasattr(s, "electrode_uv") else path_of(s, "the store") for s in several]
    remote = "://" in str(out)
    if private and not remote:
        raise UsageError("--private is about an address", found=f"the folder {out}", todo="leave out --private")
    build = functools.partial(build_shard_set, opened, path_of(out, "out"))
    if remote:
        from eegprep.remote.share import build_to

        build = functools.partial(build_to, opened, str(out), private=private)
    return build(
        vocabulary=_vocabulary(vocabulary),
        max_shard_bytes=_n_bytes(max_shard_size),
        workers=workers,
        extends=None if extends is None else path_of(extends, "extends"),
        allow_unfinished=allow_unfinished,
        reference=reference,
        progress=progress,
    )


def verify(
    shards: PathLike,
    *,
    deep: bool = False,
    rebuild: PathLike | Sequence[PathLike] | None = None,
    workers: int = 2,
    progress: ItemProgress | None = None,
) -> VerifyReport:
    """Verify a shard set: index against shards, hashes, counts, names, alignment, vocabulary.

    Parameters
    ----------
    shards : str or Path
        A folder; `open_shards` checks every hash of a set at an address while fetching it.
    deep : bool
        Read every byte and check all hashes.
    rebuild : str, Path, or a sequence of them, optional
        Stores to rebuild the set from, to compare byte by byte.
    workers : int
        Number of shards checked in parallel.
    progress : callable, optional
        Called with (name, done, total).

    Raises
    ------
    RefusedError
        Anything is damaged; the message names shard and member.
    """
    from eegprep.shards import verify_shard_set
    from eegprep.shards.verify.rebuild import compare_rebuilt

    folder, workers = path_of(shards, "the shard set"), count_of(workers, "workers")
    stores = [] if rebuild is None else paths_of(rebuild, "rebuild")
    checked = verify_shard_set(folder, deep=deep, workers=workers, progress=progress)
    if rebuild is not None:
        compare_rebuilt(folder, stores, workers=workers, progress=progress)
    return checked


def open_shards(path: PathLike) -> ShardSet:
    """Open a shard set: a mapping of recording ids to `xarray.Dataset`, or `shards.raw(id)` for MNE.

    Only the index is read.

    Parameters
    ----------
    path : str or Path
        A folder written by `shard`, or an address (`s3://`, `https://`, `hf://`).

    Examples
    --------
    >>> shards = open_shards("shards")  # doctest: +SKIP
    >>> shards["eegmat/Subject00/-/1"].signal_uv.sel(electrode="Cz")[:1024].values  # doctest: +SKIP

    Raises
    ------
    UsageError
        It is not a complete shard set.
    RefusedError
        Its index is damaged.
    """
    from eegprep.remote import open_shards as open_set

    path_of(path, "the shard set")
    return open_set(path)


def report(folder: PathLike, out: PathLike | None = None) -> tuple[Path, Contents]:
    """Write the quality report of a store or shard set as one HTML page.

    Parameters
    ----------
    folder : str or Path
        A store or a shard set.
    out : str or Path, optional
        Output page; by default `FOLDER.report.html`, beside the folder.

    Returns
    -------
    path : Path
    contents : Contents
        The page's contents as plain data.
    """
    from eegprep.report.page import write_report

    folder = path_of(folder, "the folder")
    # A shard set is immutable and hashed as a whole, so its page is written beside it.
    beside = folder.resolve().with_name(folder.resolve().name + ".report.html")
    page = output_file(beside if out is None else out)
    return page, write_report(folder, page)


def catalogue() -> list[Overview]:
    """The data sets of the catalogue: tasks, subjects, electrodes, licence and how to get them."""
    from eegprep.manifest import catalogue as manifests
    from eegprep.manifest.overview import overview

    return [overview(m) for m in manifests()]


def fetch(
    name: PathLike | Manifest,
    out: PathLike | None = None,
    *,
    only: str | Sequence[str] | None = None,
    workers: int = 4,
    progress: DownloadProgress | None = None,
) -> Path:
    """Download a data set, if its licence permits: resumable, verified.

    Parameters
    ----------
    name : str, Path or Manifest
        Name of a catalogue data set, or path of a manifest.
    out : str or Path, optional
        Folder for the files; by default the user's cache.
    only : sequence of str, optional
        Only files whose path begins with one of these.
    workers : int
        Number of parallel downloads.

    Returns
    -------
    Path
        The folder of the files.
    """
    from eegprep.manifest import find_manifest
    from eegprep.remote.fetch import fetch as bring

    manifest = name if isinstance(name, Manifest) else find_manifest(str(path_of(name, "the data set")))
    folder = None if out is None else output_path(out)
    parts = () if only is None else names_of(only, "only", separator=None)
    return bring(manifest, folder, only=parts, workers=count_of(workers, "workers"), progress=progress)


def draft_manifest(
    folder: PathLike,
    *,
    out: PathLike | None = None,
    name: str | None = None,
    workers: int = 1,
    progress: RecordingProgress | None = None,
) -> tuple[str, Inspection | None]:
    """Draft a manifest for a folder, with questions (lines with `#?`) for what its files do not say.

    Of a data set at an address, only names and tables are read.

    Parameters
    ----------
    folder : str or Path
        A folder of recordings, a BIDS tree, `openneuro:ID` or an address.
    out : str or Path, optional
        Also write the text to this file.
    name : str, optional
        The data set's name: lower-case letters, digits, - and _; by default the folder's.
    workers : int
        Number of worker processes; 0 runs everything in this process.

    Returns
    -------
    text : str
        The draft, YAML.
    found : Inspection or None
        What it is based on; None for an address.
    """
    from eegprep.ingest.draft import draft, draft_described
    from eegprep.ingest.dry import inspect as run
    from eegprep.manifest.fields import check_name
    from eegprep.remote.listing import is_remote
    from eegprep.sources.implicit import manifest_for_path

    folder, target = path_of(folder, "the folder"), None if out is None else output_file(out)
    if name is not None:
        check_name(name)
    workers = count_of(workers, "workers", least=0)
    if target is not None and target.exists():
        raise UsageError("the file already exists", where=target, todo="choose another --out")
    if is_remote(str(folder)):
        from eegprep.ingest.draft_remote import draft_remote
        from eegprep.remote.mirror import open_mirror

        text = draft_remote(open_mirror(str(folder)), name)
        if target is not None:
            write_atomic(target, text)
        return text, None
    if not folder.is_dir():
        raise UsageError("not a folder", where=folder, expected="a folder of recordings, or openneuro:ID")
    manifest = manifest_for_path(folder)
    found = run(manifest, folder, workers=workers, progress=progress)
    called = manifest.name if name is None else name
    if not found.refused and any(r.channels for r in found.recordings):
        text = draft(found, called, bids=manifest.source.kind == "bids")
    elif (described := draft_described(found.entries, folder, called)) is not None:
        text = described
    else:
        raise UsageError("no readable recording found", where=folder, todo=f"see why: eegprep inspect {folder}")
    if target is not None:
        write_atomic(target, text)
    return text, found


def _described(what: Any, source: Any, fetch: Callable[[Manifest], Path] | None = None) -> tuple[Manifest, Path]:
    """The manifest and folder that an argument stands for."""
    from eegprep.sources.locate import data_folder, find_argument

    folder = None if source is None else path_of(source, "source")
    if isinstance(what, Manifest):
        return what, data_folder(what, folder, fetch=fetch)
    path_of(what, "the data set")  # an address stays as it is written
    return find_argument(str(what), folder, fetch=fetch)


def _with_kinds(recipe: Recipe | None, manifest: Manifest, kinds: str | Sequence[str] | None) -> Recipe | None:
    return recipe if kinds is None else (recipe or recipe_of(manifest)).with_kinds(names_of(kinds, "kinds"))


def _recipe(recipe: str | Path | Recipe | None) -> Recipe | None:
    if recipe is None or isinstance(recipe, Recipe):
        return recipe
    return load_recipe(recipe)


def _vocabulary(vocabulary: PathLike | Vocabulary | None) -> Vocabulary | None:
    if vocabulary is None or isinstance(vocabulary, Vocabulary):
        return vocabulary
    return load_vocabulary(path_of(vocabulary, "the vocabulary"))


def _n_bytes(size: int | str) -> int:
    """`512M` and the like to bytes."""
    number, unit = str(size).strip().upper().removesuffix("B").removesuffix("I"), ""
    if number[-1:] in _UNITS:
        number, unit = number[:-1], number[-1:]
    if not number.isdecimal() or int(number) < 1:
        raise UsageError("invalid size", found=repr(size), expected="a whole number with K, M or G, e.g. 512M")
    return int(number) * _UNITS[unit]
