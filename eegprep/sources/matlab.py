"""MATLAB files, version 5 to 7.3: which variables they hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from eegprep.errors import InputError
from eegprep.sources.privacy import clean_message

__all__ = ["eeglab_nose", "eeglab_trials", "holds_structure", "is_hdf5", "variable_names"]


def is_hdf5(path: Path) -> bool:
    """Whether a MATLAB file is of version 7.3, which is HDF5."""
    with path.open("rb") as handle:
        head = handle.read(520)
    return b"\x89HDF\r\n\x1a\n" in (head[:8], head[512:520])


def variable_names(path: Path) -> set[str]:
    """Names of the variables of a MATLAB file. Raises InputError where the file is damaged."""
    try:
        if is_hdf5(path):
            import h5py

            with h5py.File(path, "r") as file:
                return set(file.keys())
        from scipy.io import whosmat

        return {name for name, _, _ in whosmat(path)}
    except Exception as error:  # what the libraries raise on damaged files is not limited to one class
        raise InputError(
            f"{path.name} begins as a MATLAB file but can't be read",
            where=path,
            found=clean_message(error),
            todo="copy the file again",
        ) from error


def eeglab_trials(path: Path) -> int:
    """How many epochs an EEGLAB file has; 1 for a continuous recording or where that can't be told."""
    try:
        if is_hdf5(path):
            import h5py

            with h5py.File(path, "r") as file:
                holder = file.get("EEG", file)
                return int(np.asarray(holder["trials"]).ravel()[0])
        from scipy.io import loadmat

        file = loadmat(path, variable_names=["EEG", "trials"], squeeze_me=True, struct_as_record=False)
        trials = file["EEG"].trials if "EEG" in file else file["trials"]
        return int(np.ravel(trials)[0])
    except Exception:  # the reader itself says what is wrong with a damaged file
        return 1


def eeglab_nose(path: Path) -> str:
    """Where the nose is in an EEGLAB file's coordinates (+X, -X, +Y, -Y); +X, EEGLAB's own, where it does not say."""
    try:
        if is_hdf5(path):
            import h5py

            with h5py.File(path, "r") as file:
                info = file.get("EEG", file)["chaninfo"]
                codes = np.asarray(info["nosedir"]).ravel() if isinstance(info, h5py.Group) else ()
                found = "".join(chr(int(c)) for c in codes)
        else:
            from scipy.io import loadmat

            file = loadmat(path, variable_names=["EEG", "chaninfo"], squeeze_me=True, struct_as_record=False)
            info = file["EEG"].chaninfo if "EEG" in file else file["chaninfo"]
            found = str(getattr(info, "nosedir", "") if np.size(getattr(info, "nosedir", "")) else "")
    except Exception:  # no such field: EEGLAB's default
        return "+X"
    return found.strip().upper() or "+X"


def holds_structure(path: Path) -> bool:
    """Whether a MATLAB file holds one structure, which may be FieldTrip's; told without reading it."""
    try:
        if is_hdf5(path):
            import h5py

            with h5py.File(path, "r") as file:
                groups = [k for k in file if not k.startswith("#")]
                return len(groups) == 1 and isinstance(file[groups[0]], h5py.Group) and "trial" in file[groups[0]]
        from scipy.io import whosmat

        found = whosmat(path)
        return len(found) == 1 and found[0][2] == "struct"
    except Exception:  # a damaged file: its reader says what is wrong
        return True
