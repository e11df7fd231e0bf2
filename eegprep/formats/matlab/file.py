"""MATLAB files, version 5 to 7.3, and their variables."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eegprep.errors import InputError
from eegprep.privacy import clean_message


def is_hdf5(path: Path) -> bool:
    """Whether a MATLAB file has version 7.3, which is HDF5."""
    with path.open("rb") as handle:
        head = handle.read(520)
    return b"\x89HDF\r\n\x1a\n" in (head[:8], head[512:520])


def variable_names(path: Path) -> set[str]:
    """Names of the variables of a MATLAB file. Raises InputError if the file is damaged."""
    try:
        if is_hdf5(path):
            import h5py

            with h5py.File(path, "r") as file:
                return set(file.keys())
        from scipy.io import whosmat

        return {name for name, _, _ in whosmat(path)}
    except Exception as error:  # the libraries raise any exception on damaged files
        raise InputError(
            f"{path.name} begins like a MATLAB file but cannot be read",
            where=path,
            found=clean_message(error),
            todo="if MATLAB opens it, save it there again; else leave it out",
        ) from error


@dataclass(frozen=True, kw_only=True)
class EEGLABHeader:
    """Header facts of an EEGLAB file.

    `trials` is the number of epochs; `samples_file` and `n_bytes` are the name and size of a separate file of samples;
    `nose` is the direction of the nose in its coordinates (+X, -X, +Y, -Y), by default EEGLAB's +X. `n_rows` is the
    number of channels in the samples, `n_named` that in `chanlocs`; 0 if unknown.
    """

    trials: int = 1
    samples_file: str = ""
    n_bytes: int = 0
    nose: str = "+X"
    n_rows: int = 0
    n_named: int = 0


def eeglab_header(path: Path) -> EEGLABHeader:
    """The header of a .set file; one trial and no separate samples if that cannot be determined."""
    status = path.stat()
    return _eeglab_header(path, status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=8)
def _eeglab_header(path: Path, _n_bytes: int, _changed_ns: int) -> EEGLABHeader:
    names = ("trials", "data", "nbchan", "pnts")
    try:
        if is_hdf5(path):
            import h5py

            with h5py.File(path, "r") as file:
                holder = file.get("EEG", file)
                info = holder.get("chaninfo")
                codes = info.get("nosedir", ()) if isinstance(info, h5py.Group) else ()
                nose = "".join(chr(int(c)) for c in np.ravel(codes))
                values = {name: holder[name] for name in names if name in holder}
                is_text = values["data"].attrs.get("MATLAB_class") == b"char"
                data = "".join(chr(int(c)) for c in np.ravel(values["data"])) if is_text else ""
                numbers = {n: int(np.ravel(v)[0]) for n, v in values.items() if n != "data"}
                n_rows = numbers["nbchan"] if data else values["data"].shape[-1]
                places = holder.get("chanlocs")
                n_named = places["labels"].size if isinstance(places, h5py.Group) and "labels" in places else 0
        else:
            from scipy.io import loadmat

            wanted = ["EEG", "chaninfo", "chanlocs", *names]
            content = loadmat(path, variable_names=wanted, squeeze_me=True, struct_as_record=False)
            holder = vars(content["EEG"]) if "EEG" in content else content
            found = getattr(holder.get("chaninfo"), "nosedir", "")
            nose = found if isinstance(found, str) else ""
            data = holder["data"] if isinstance(holder["data"], str) else ""
            numbers = {n: int(np.ravel(holder[n])[0]) for n in names if n != "data"}
            shape, n_named = np.shape(holder["data"]), int(np.size(holder.get("chanlocs", ())))
            # singleton dimensions are dropped, so only a matrix shows its rows
            n_rows = shape[0] if not data and len(shape) == 2 + (numbers["trials"] > 1) else numbers["nbchan"]
    except Exception:  # the reader reports damaged files
        return EEGLABHeader()
    n_bytes = 4 * numbers["nbchan"] * numbers["pnts"] * numbers["trials"]
    return EEGLABHeader(
        trials=numbers["trials"],
        samples_file=re.split(r"[\\/]", data)[-1],
        n_bytes=n_bytes,
        nose=nose.strip().upper() or "+X",
        n_rows=n_rows,
        n_named=n_named,
    )


def eeglab_datasets(path: Path) -> int:
    """The number of data sets that an EEGLAB file holds: several in `ALLEEG`, or if `EEG` is a struct array."""
    try:
        if is_hdf5(path):
            import h5py

            with h5py.File(path, "r") as file:
                srates = [file[n].get("srate") for n in ("ALLEEG", "EEG") if isinstance(file.get(n), h5py.Group)]
                return max((int(s.size) for s in srates if s is not None), default=1)
        from scipy.io import whosmat

        shapes = {name: shape for name, shape, kind in whosmat(path) if kind == "struct"}
        return max((int(np.prod(shapes[n])) for n in ("ALLEEG", "EEG") if n in shapes), default=1)
    except Exception:  # the reader reports damaged files
        return 1


#: Variables that FieldTrip's users often save with the data.
_BESIDE = frozenset({"cfg", "hdr", "event", "events", "trl", "ans"})


def fieldtrip_variables(path: Path) -> list[str]:
    """Variables that are, or may be, FieldTrip data structures; `""` if the file's variables are the fields of one.

    Samples are not read: version 7.3 shows the fields, in older files a single structure is assumed to be one.
    """
    try:
        if is_hdf5(path):
            import h5py

            with h5py.File(path, "r") as file:
                found = [k for k, v in file.items() if isinstance(v, h5py.Group) and {"trial", "label"} <= set(v)]
                return found or ([""] if {"trial", "label"} <= set(file) else [])
        from scipy.io import whosmat

        kinds = {name: kind for name, _, kind in whosmat(path) if name not in _BESIDE}
        if {"trial", "label"} <= set(kinds):
            return [""]
        return list(kinds) if list(kinds.values()) == ["struct"] else []
    except Exception:  # the reader reports damaged files
        return [""]


def matrices(path: Path) -> dict[str, tuple[int, ...]]:
    """Names and MATLAB shapes of the numeric variables of a file; exceptions of the libraries are not caught."""
    if is_hdf5(path):
        import h5py

        with h5py.File(path, "r") as file:
            return {k: v.shape[::-1] for k, v in file.items() if isinstance(v, h5py.Dataset) and v.dtype.kind in "fiu"}
    from scipy.io import whosmat

    return {name: tuple(shape) for name, shape, kind in whosmat(path) if re.fullmatch(r"u?int\d+|single|double", kind)}
