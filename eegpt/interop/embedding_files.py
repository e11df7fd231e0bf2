"""Features of many recordings, in memory or written to one file as they are computed."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eegprep.electrodes.references import stated_reference
from eegprep.errors import EEGPTError, UsageError
from eegprep.files import alone, output_path, paths_of
from eegprep.manifest.recipe import Recipe
from eegpt.interop.embedding import check_options, embed, embedded, windows_of
from eegpt.interop.feature_files import check_output, origin_of, read_features, writing
from eegpt.interop.model import Model, as_model
from eegpt.interop.signals import SignalFile, Unknown, prepare

if TYPE_CHECKING:
    import xarray as xr


def embed_files(
    files: str | Path | Sequence[str | Path],
    model: Model | str | Path = "base",
    *,
    out: str | Path | None = None,
    window_s: float | None = None,
    stride_s: float | None = None,
    recipe: str | Path | Recipe | None = None,
    unknown: Unknown = "leave_out",
    line_freq_hz: float | None = None,
    reference: str | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> tuple[dict[str, xr.Dataset], dict[str, EEGPTError]]:
    """Features of all recordings of some files and folders, written to one file.

    Parameters
    ----------
    files : str, Path, or a sequence of them
        Recordings of any format, or folders.
    model, window_s, stride_s, recipe, unknown, line_freq_hz, reference
        As of `embed`.
    out : str or Path, optional
        `x.nc` (NetCDF) or `x.zarr`, with one group per recording. If it already has the features of the same files,
        model and options, it is read instead.
    tell : callable, optional
        Called with the name of each recording before it is read.

    Returns
    -------
    found : dict of str to xarray.Dataset
        By name of the recording; with `out`, features are read from it when they are used.
    failed : dict of str to EEGPTError
        Recordings, or files without one, that could not be used.
    """
    paths, target = paths_of(files, "the recordings"), None if out is None else output_path(out)
    check_options(window_s=window_s, stride_s=stride_s, unknown=unknown, line_freq_hz=line_freq_hz)
    if target is not None:
        check_output(target)
    opened = as_model(model)
    chosen = opened.recipe(recipe)  # a wrong name is reported before any file is read
    stated_reference(opened.vocabulary, reference)
    options: dict[str, Any] = {"window_s": window_s, "stride_s": stride_s, "recipe": chosen}
    options |= {"unknown": unknown, "line_freq_hz": line_freq_hz}
    options |= {} if reference is None else {"reference": reference}
    if target is None:
        return read_files(paths, opened, tell=tell, **options)
    with alone(target, file=True):
        origin = origin_of(paths, opened, **options)
        if target.exists():  # resumes a run that was killed after its last write
            return read_features(target, origin), {}
        return write_files(paths, opened, target, origin, tell=tell, **options)


def read_files(
    paths: Sequence[Path], model: Model, *, tell: Callable[[str], None] = lambda text: None, **options: Any
) -> tuple[dict[str, xr.Dataset], dict[str, EEGPTError]]:
    """Features of every recording by name, and the errors of those that failed.

    Parameters
    ----------
    options
        Of `eegpt.embed`.
    """
    check_options(**options)
    found: dict[str, xr.Dataset] = {}
    failed: dict[str, EEGPTError] = {}
    for name, read in _recordings(paths, failed):
        tell(name)
        try:
            found[_free(name, found)] = embed(read(), model, **options)
        except EEGPTError as error:
            failed[_free(name, failed)] = error
    return found, failed


def _recordings(paths: Sequence[Path], failed: dict[str, EEGPTError]) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Name and reader of each recording; files without one are added to `failed`."""
    from eegprep.processes import isolated_reader
    from eegprep.sources import manifest_for_path, open_source

    for path in paths:
        manifest = manifest_for_path(path)
        planned = open_source(manifest, path).plan()
        if not planned:
            failed[str(path)] = UsageError("no recording found", where=path, todo=f"see why: eegprep inspect {path}")
        with isolated_reader(manifest, path) as reader:
            for one in planned:
                yield one.files[0] if path.is_dir() else path.name, functools.partial(reader.read, one)


def write_files(
    paths: Sequence[Path],
    model: Model,
    out: Path,
    origin: str,
    *,
    recipe: Recipe,
    window_s: float | None = None,
    stride_s: float | None = None,
    unknown: Unknown = "leave_out",
    line_freq_hz: float | None = None,
    reference: str | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> tuple[dict[str, xr.Dataset], dict[str, EEGPTError]]:
    """Write the features of every recording to `out`; the memory needed does not depend on their length.

    Parameters
    ----------
    origin : str
        See `origin_of`; written if no recording failed.

    Returns
    -------
    As of `embed_files`.
    """
    from eegprep.sources import manifest_for_path, open_source

    names: dict[str, None] = {}
    failed: dict[str, EEGPTError] = {}
    n_planned = sum(len(open_source(manifest_for_path(path), path).plan()) for path in paths)
    with writing(out, single=n_planned == 1) as file:
        for name, read in _recordings(paths, failed):
            tell(name)
            try:
                with SignalFile(out.parent) as sink:
                    ready = prepare(
                        read(), recipe=recipe, vocabulary=model.vocabulary, unknown=unknown,
                        line_freq_hz=line_freq_hz, reference=reference, sink=sink,
                    )  # fmt: skip
                    window = windows_of(ready, model, window_s, stride_s)
                    group = _free(name, names)
                    file.add(group, *embedded(model, ready, recipe, window))
                    names[group] = None
            except EEGPTError as error:
                failed[_free(name, failed)] = error
        if names:
            file.keep(None if failed else origin)
    if not names:
        return {}, failed
    stored = read_features(out, None if failed else origin)
    if n_planned == 1:
        return dict(zip(names, stored.values(), strict=True)), failed
    return {name: stored[name] for name in names}, failed


def _free(name: str, taken: Mapping[str, Any]) -> str:
    """A group's name: without slashes, and unique."""
    name = name.replace("/", "+")
    number = 1
    out = name
    while out in taken:
        number += 1
        out = f"{name}~{number}"
    return out
