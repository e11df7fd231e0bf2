"""Files of features, NetCDF or Zarr: written window by window, so that a day of recording needs little memory.

The file of one recording has its variables at the root, that of several has one group per recording. An unfinished
file has the ending `.part`.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import io
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from eegprep.errors import MissingExtraError, UsageError, install
from eegprep.files import PART, atomic_path, canonical_json, sha256_file
from eegprep.platform import sync_folder
from eegpt.interop.model import Model
from eegpt.version import __version__

if TYPE_CHECKING:
    import xarray as xr

DIMENSIONS = ("window", "electrode", "feature")
_ORIGIN = "origin_sha256"
_CHUNK_BYTES = 1 << 20


def check_output(out: Path) -> None:
    """UsageError if features cannot be written there."""
    needed = {".nc": "h5netcdf", ".zarr": "zarr"}.get(out.suffix)
    if needed is None:
        raise UsageError("unknown format", found=out.name, expected="a name that ends in .nc or .zarr")
    if importlib.util.find_spec(needed) is None:
        raise MissingExtraError(f"{out.suffix} needs {needed}", todo=install("model"))


def origin_of(paths: Sequence[Path], model: Model, **options: Any) -> str:
    """A hash of everything that determines the features: files, model, and options of `eegpt.embed`."""
    from eegprep.sources import manifest_for_path, open_source

    chosen = {**options, "recipe": model.recipe(options.get("recipe")).model_dump_json()}
    digest = hashlib.sha256(canonical_json([model.sha256, __version__, chosen]).encode())
    for path in paths:
        root = path if path.is_dir() else path.parent
        for one in open_source(manifest_for_path(path), path).plan():
            for name in one.files:
                inside = sorted(p for p in (root / name).rglob("*") if p.is_file())
                for file in inside or [root / name]:
                    digest.update(f"{name}\0{sha256_file(file)}\0".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def read_features(out: Path, origin: str | None) -> dict[str, xr.Dataset]:
    """Features by name, which are read when they are used.

    Raises
    ------
    UsageError
        The file is not of an earlier call with this origin.
    """
    import xarray as xr

    engine: Any = "h5netcdf" if out.suffix == ".nc" else "zarr"
    try:
        tree = xr.open_datatree(out, engine=engine)
    except Exception:  # untrusted file: the libraries raise many kinds of errors
        tree = None
    if tree is None or tree.attrs.get(_ORIGIN) != origin:
        raise UsageError("the output already exists", where=out, todo="choose another, or remove it")
    with tree:
        return {name: node.to_dataset() for name, node in tree.children.items()} or {out.name: tree.to_dataset()}


@contextlib.contextmanager
def writing(out: Path, *, single: bool) -> Iterator[FeatureFile]:
    """A new file that gets its name if the body succeeds and `keep` was called; nothing is left otherwise.

    Raises
    ------
    UsageError
        The suffix is unknown, a library is missing, or the output exists.
    """
    check_output(out)
    if out.exists():
        raise UsageError("the output already exists", where=out, todo="choose another, or remove it")
    if out.suffix == ".nc":
        with contextlib.suppress(_NothingToKeep), atomic_path(out) as part:
            target = _Target(part)
            try:
                file = _NetCDF(target, single=single)
                try:
                    yield file
                finally:
                    file.close()
            finally:
                target.close()
            if not file.kept:
                raise _NothingToKeep
        return
    part = out.with_name(out.name + PART)
    shutil.rmtree(part, ignore_errors=True)
    try:
        zarr = _Zarr(part, single=single)
        yield zarr
        if zarr.kept:
            zarr.close()
            part.rename(out)
            sync_folder(out.parent)
    finally:
        shutil.rmtree(part, ignore_errors=True)


class _NothingToKeep(Exception):
    """No recording could be embedded."""


class FeatureFile:
    """Recordings are added one after the other."""

    def __init__(self, *, single: bool) -> None:
        self._single = single
        self.kept = False

    def add(self, name: str, dataset: xr.Dataset, features: Iterable[tuple[int, NDArray[np.float32]]]) -> None:
        """Write one recording, or nothing of it.

        Parameters
        ----------
        dataset
            Everything but the features; its coordinates have their dimensions.
        features
            First window and (n, electrode, feature) of consecutive windows; the others are NaN.
        """
        shape = tuple(dataset.sizes[d] for d in DIMENSIONS)
        rows = max(1, _CHUNK_BYTES // (4 * shape[1] * shape[2]))
        group = None if self._single else name
        try:
            variable = self._create(group, dataset, shape, (min(rows, shape[0]), *shape[1:]))
            for first, values in features:
                variable[first : first + len(values)] = values
                self._check()
        except BaseException:
            self._remove(group)
            self._check()
            raise

    def keep(self, origin: str | None) -> None:
        """Keep the file; `origin` (see `origin_of`) lets a later call recognise it."""
        self.kept = True
        if origin is not None:
            self._attributes()[_ORIGIN] = origin

    def close(self) -> None:
        """Write the rest."""

    def _create(self, group: str | None, dataset: xr.Dataset, shape: Any, chunks: Any) -> Any:
        raise NotImplementedError

    def _remove(self, group: str | None) -> None:
        raise NotImplementedError

    def _attributes(self) -> Any:
        raise NotImplementedError

    def _check(self) -> None:
        """Raise the error of an earlier write."""


class _NetCDF(FeatureFile):
    def __init__(self, target: _Target, *, single: bool) -> None:
        import h5netcdf

        super().__init__(single=single)
        self._target = target
        self._file = h5netcdf.File(target, "w")

    def _create(self, group: str | None, dataset: xr.Dataset, shape: Any, chunks: Any) -> Any:
        import xarray as xr

        dataset.dump_to_store(xr.backends.H5NetCDFStore(self._file, group=group))  # type: ignore[arg-type]
        self._check()
        at = self._file if group is None else self._file[group]
        return at.create_variable("features", DIMENSIONS, "f4", chunks=chunks, fillvalue=np.float32(np.nan))

    def _remove(self, group: str | None) -> None:
        if group is not None and self._target.error is None:
            del self._file._h5file[group]
            self._file._groups._objects.pop(group, None)

    def _attributes(self) -> Any:
        return self._file.attrs

    def _check(self) -> None:
        if self._target.error is not None:
            raise self._target.error

    def close(self) -> None:
        try:
            self._file.close()
        finally:
            self._check()


class _Zarr(FeatureFile):
    def __init__(self, part: Path, *, single: bool) -> None:
        super().__init__(single=single)
        self._part = part

    def _create(self, group: str | None, dataset: xr.Dataset, shape: Any, chunks: Any) -> Any:
        import zarr

        # Variable-length strings are not part of Zarr format 3 yet, but of format 2.
        dataset.to_zarr(self._part, group=group, mode="a", zarr_format=2, consolidated=False)
        made = zarr.open_group(self._part, path=group or "", mode="a", zarr_format=2).create_array(
            "features", shape=shape, chunks=chunks, dtype="f4", fill_value=float("nan")
        )
        made.attrs["_ARRAY_DIMENSIONS"] = list(DIMENSIONS)
        return made

    def _remove(self, group: str | None) -> None:
        shutil.rmtree(self._part / group if group else self._part, ignore_errors=True)

    def _attributes(self) -> Any:
        import zarr

        return zarr.open_group(self._part, mode="a", zarr_format=2).attrs

    def close(self) -> None:
        import zarr

        zarr.consolidate_metadata(str(self._part), zarr_format=2)


class _Target(io.RawIOBase):
    """A file for the HDF5 library, which crashes the process if it cannot write on closing.

    It is told that every write succeeded; `error` has the first one that did not.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = path.open("w+b", buffering=0)  # closed with this object
        self._position = 0
        self._path = str(path)
        self.error: OSError | None = None

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0, /) -> int:
        start = (0, self._position, os.fstat(self._file.fileno()).st_size)[whence]
        self._position = start + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Any, /) -> int:
        view = memoryview(buffer).cast("B")
        self._file.seek(self._position)
        n = self._file.readinto(view)
        self._position += n
        return n

    def write(self, data: Any, /) -> int:
        view = memoryview(data).cast("B")
        done = 0
        while done < len(view) and self.error is None:
            try:
                self._file.seek(self._position + done)
                done += self._file.write(view[done:])
            except OSError as error:
                self._failed(error)
        self._position += len(view)
        return len(view)

    def truncate(self, size: int | None = None, /) -> int:
        try:
            self._file.truncate(self._position if size is None else size)
        except OSError as error:
            self._failed(error)
        return self._position if size is None else size

    def close(self) -> None:
        self._file.close()
        super().close()

    def _failed(self, error: OSError) -> None:
        if self.error is None:
            self.error = OSError(error.errno, error.strerror, self._path)
