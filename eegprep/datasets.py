"""Data sets in one line: fetch if the licence permits, ingest with every check, open as xarray or MNE.

The standardised store is kept in the user's cache, so the second call only opens it.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from eegprep.errors import UsageError
from eegprep.files import IN_PARTS, count_of, number_of, output_path, path_of

if TYPE_CHECKING:
    from eegprep.ingest.selection import Selection
    from eegprep.manifest import Manifest
    from eegprep.store.recordings import Recordings

__all__ = ["load", "sample"]


def load(
    name: str,
    *,
    subjects: str | Sequence[str] | None = None,
    tasks: str | Sequence[str] | None = None,
    limit_hours: float | None = None,
    event_length_s: float | None = None,
    source: Path | str | None = None,
    out: Path | str | None = None,
    recipe: str | None = None,
    workers: int = 1,
) -> Recordings:
    """Load a data set: standardised recordings with their trials and labels.

    Parameters
    ----------
    name : str
        A data set of the catalogue (`eegmat`), a manifest (.yaml), a folder or file, `moabb:CODE`, or the address of a
        BIDS data set: `openneuro:ds002718`, `nemar:ID`, `s3://...`, `https://...`, `hf://datasets/...`.
    subjects, tasks : sequence of str, optional
        Only these subjects (`"02"` or `"sub-02"`), and these BIDS tasks (`"rest"`).
    limit_hours : float, optional
        Only the first recordings, up to this length; for addresses.
    event_length_s : float, optional
        For BIDS data sets without a manifest, which have no tasks: every event is a trial of this length, labelled
        with its text, in a task named as the BIDS task.
    source : Path or str, optional
        Folder of the files; default: `EEGPT_DATA/<name>`, else downloaded if the licence permits.
    out : Path or str, optional
        Folder of the standardised store; default: in the user's cache.
    recipe : str, optional
        Preprocessing instead of the manifest's own.
    workers : int
        Number of worker processes.

    Returns
    -------
    Recordings
        A mapping of ids to `xarray.Dataset`; `.raw(id)` is an `mne.io.RawArray`, `.trials()` lists all trials.

    Warns
    -----
    UserWarning
        Recordings that could not be used, and how the data set differs from its manifest.

    Raises
    ------
    RefusedError
        The licence must be signed first.
    InputError
        No recording can be used, or a file cannot be downloaded.
    UsageError
        Unknown name, or the files are not on this machine and cannot be downloaded.

    Examples
    --------
    >>> recordings = eegprep.datasets.load("eegmat")  # doctest: +SKIP
    >>> recordings["eegmat/Subject00/-/1"].signal_uv.sel(electrode="Cz").values  # doctest: +SKIP
    >>> recordings.raw("eegmat/Subject00/-/1").plot()  # doctest: +SKIP
    """
    from eegprep.ingest import ingest
    from eegprep.ingest.selection import Selection
    from eegprep.manifest import dump_manifest, load_recipe, recipe_of
    from eegprep.manifest.load import dump_model
    from eegprep.remote.fetch import fetch
    from eegprep.remote.listing import is_remote
    from eegprep.sources.locate import find_argument
    from eegprep.store import Recordings, Store

    selection = Selection.of(subjects, tasks, limit_hours)
    if event_length_s is not None:
        number_of(event_length_s, "event_length_s")
    workers, target = count_of(workers, "workers", least=0), None if out is None else output_path(out, todo=IN_PARTS)
    place = None if source is None else path_of(source, "source")
    manifest, folder = find_argument(str(path_of(name, "the data set")), place, fetch=fetch)
    if event_length_s is not None:
        manifest = _with_events(manifest, folder, selection, event_length_s)
    chosen = recipe_of(manifest) if recipe is None else load_recipe(recipe)
    if target is None:
        made_of = dump_manifest(manifest) + dump_model(chosen) + (name if is_remote(name) else str(folder.absolute()))
        made_of += repr(selection) if selection else ""
        target = _stores() / f"{manifest.name}-{hashlib.sha256(made_of.encode()).hexdigest()[:12]}"
    summary = ingest(manifest, folder, target, recipe=chosen, workers=workers, selection=selection)
    if summary.exit_code:
        reasons = [f"{e.get('where') or i}: {e.get('what')}" for i, e in summary.failed.items()]
        reasons += [f"{e.path}: {e.reason}" for e in summary.refused]
        reasons += [*summary.unmet, *(f"{m}{m.hint}" for m in summary.unmatched if m.fails)]
        listed = "\n  ".join([*reasons[:10], *([f"and {len(reasons) - 10} more"] if len(reasons) > 10 else [])])
        warnings.warn(f"{manifest.name}: not everything could be used:\n  {listed}", stacklevel=2)
    return Recordings(Store.open(target))


def sample(*, out: Path | str | None = None) -> Recordings:
    """Open the recordings that ship with the package: ten subjects, 32 s of rest and of mental arithmetic each.

    An excerpt of PhysioNet's EEGMAT (ODC-By 1.0, see `samples/ATTRIBUTION.md`), 19 electrodes. It is
    `load("eegmat_sample")`, and needs no network; commands take the name too (`eegprep ingest eegmat_sample`).

    Parameters
    ----------
    out : Path or str, optional
        Folder of the standardised store; default: in the user's cache.

    Returns
    -------
    Recordings
        As `load` returns it: 20 recordings, 160 trials of the task `arithmetic`.

    Examples
    --------
    >>> recordings = eegprep.datasets.sample()  # doctest: +SKIP
    >>> recordings.raw("eegmat_sample/Subject00/-/1").plot()  # doctest: +SKIP
    """
    return load("eegmat_sample", out=out)


def _with_events(manifest: Manifest, folder: Path, selection: Selection, length_s: float) -> Manifest:
    """A BIDS data set's manifest with its events as tasks."""
    from eegprep.ingest.draft_remote import event_tasks
    from eegprep.sources import open_source
    from eegprep.sources.bids import BIDSSource

    source = open_source(manifest, folder)
    if manifest.tasks or not isinstance(source, BIDSSource):
        raise UsageError(
            "event_length_s is for BIDS data sets without tasks",
            found=f"{manifest.name} with {len(manifest.tasks)} tasks, kind {manifest.source.kind}",
        )
    if not 0 < length_s <= 864000:
        raise UsageError("event_length_s must be a number of seconds", found=length_s)
    return manifest.model_copy(update={"tasks": event_tasks(source, selection.apply(source)[0], length_s)})


def _stores() -> Path:
    from eegprep.files import cache_folder

    return cache_folder() / "stores"
