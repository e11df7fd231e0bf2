"""Files of any format to features on disk: what `eegpt embed` does.

Every file is read by the sources that ingest uses, in a process of its own. The output, NetCDF (`.nc`) or Zarr
(`.zarr`), is written whole or not at all: one data set for one recording, or a tree with a group for each of several.
"""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eegprep.errors import EEGPTError, UsageError
from eegprep.files import PART, atomic_path
from eegpt.interop.embedding import embed
from eegpt.interop.model import Model

if TYPE_CHECKING:
    import xarray as xr


def embed_files(
    paths: Sequence[Path], model: Model, *, tell: Callable[[str], None] = lambda text: None, **options: Any
) -> tuple[dict[str, xr.Dataset], dict[str, EEGPTError]]:
    """Features of every recording by name, and the errors of the others.

    Parameters
    ----------
    options
        Of `eegpt.embed`.
    """
    from eegprep.sources import isolated_reader, manifest_for_path, open_source

    found: dict[str, xr.Dataset] = {}
    failed: dict[str, EEGPTError] = {}
    for path in paths:
        manifest = manifest_for_path(path)
        planned = open_source(manifest, path).plan()
        if not planned:
            failed[str(path)] = UsageError("no recording found", where=path)
        with isolated_reader(manifest, path) as reader:
            for one in planned:
                name = one.files[0] if path.is_dir() else path.name
                tell(name)
                try:
                    found[_free(name, found)] = embed(reader.read(one), model=model, **options)
                except EEGPTError as error:
                    failed[name] = error
    return found, failed


def _free(name: str, taken: Mapping[str, Any]) -> str:
    """A group's name: without slashes, and unique."""
    name = name.replace("/", "+")
    number = 1
    out = name
    while out in taken:
        number += 1
        out = f"{name}~{number}"
    return out


def check_output(out: Path) -> None:
    """UsageError where features cannot be written there."""
    needed = {".nc": "h5netcdf", ".zarr": "zarr"}.get(out.suffix)
    if needed is None:
        raise UsageError("unknown format", found=out.name, expected="a name that ends in .nc or .zarr")
    if importlib.util.find_spec(needed) is None:
        raise UsageError(f"{out.suffix} needs {needed}", todo='python -m pip install "eegpt[model]"')
    if out.exists():
        raise UsageError("the output already exists", where=out, todo="choose another, or remove it")


def write_features(found: Mapping[str, xr.Dataset], out: Path) -> None:
    """Write `.nc` or `.zarr`; UsageError for another suffix, a missing library, or an output that exists."""
    check_output(out)
    import xarray as xr

    one = next(iter(found.values())) if len(found) == 1 else None
    whole: Any = one if one is not None else xr.DataTree.from_dict(dict(found))
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.suffix == ".nc":
        with atomic_path(out) as part:
            whole.to_netcdf(part, engine="h5netcdf")
        return
    part = out.with_name(out.name + PART)
    shutil.rmtree(part, ignore_errors=True)
    # Strings of variable length are not part of Zarr's third format yet; the second has them.
    whole.to_zarr(part, zarr_format=2, consolidated=True)
    part.rename(out)
