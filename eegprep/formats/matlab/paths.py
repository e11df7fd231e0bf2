"""Read values in MATLAB files by path: `EEG.data`, `cz_eeg{trial}`, `DREAMER.Data.{subject}.EEG.stimuli.{trial}`.

Names are joined by dots, and indices count from 1. A path gives one value, or one per trial with its number.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

import numpy as np

from eegprep.errors import InputError, UsageError
from eegprep.formats.matlab.file import variable_names
from eegprep.privacy import clean_message


def value_at(path: Path, variable: str, *, subject: str = "", parts: int | None = None) -> Any | None:
    """The value at a path without `{trial}`; None if the file has no such variable or field.

    Parameters
    ----------
    subject : str
        Value of `{subject}`: a number from 1.
    parts : int, optional
        Number of subjects stated by the manifest.
    """
    found = numbered_at(path, variable, subject=subject, parts=parts)
    return found[0][1] if found else None


def numbered_at(path: Path, variable: str, *, subject: str = "", parts: int | None = None) -> list[tuple[str, Any]]:
    """All values at a path, with the value of `{trial}` (empty if the path has none), in its order.

    Raises
    ------
    InputError
        The file is damaged, or its number of subjects differs from `parts`.
    """
    first, *fields = variable.split(".")
    before, _, after = first.partition("{trial}")
    pattern = re.escape(before).replace(r"\*", "[A-Za-z0-9_]*?")
    pattern += "(?P<trial>[0-9]+)" + re.escape(after) if "{trial}" in first else ""
    found: list[tuple[str, Any]] = []
    for name in sorted(variable_names(path)):
        fit = re.fullmatch(pattern, name)
        if fit is not None:
            number = str(int(fit["trial"])) if "{trial}" in first else ""
            at = (_load_kept if parts else _load)(path, name)
            found += _walk([(number, at)], fields, path, subject, parts)
    numbers = [number for number, _ in found]
    if repeated := sorted({n for n in numbers if numbers.count(n) > 1}):
        raise UsageError(
            f"several variables of {path.name} match {variable!r} with the number {repeated[0]}",
            where=path,
            todo="change `source: variable:` so that it matches one per trial",
        )
    return sorted(found, key=lambda pair: int(pair[0] or 0))


def entries_of(value: Any) -> list[Any]:
    """The elements of an array or cell array, which the library returns as a list, an array or a single element."""
    if isinstance(value, list):
        return value
    array = np.asarray(value)
    return list(array) if array.ndim else [value]


def texts_of(value: Any) -> list[str]:
    """Elements as texts; whole numbers have no decimal point, as in a manifest."""
    return [
        f"{v:.12g}" if isinstance(v, int | float | np.number) else str(v)
        for v in np.ravel(np.array(entries_of(value), dtype=object))
    ]


def _walk(
    found: list[tuple[str, Any]], fields: list[str], path: Path, subject: str, parts: int | None
) -> list[tuple[str, Any]]:
    for field in fields:
        if field == "{trial}":
            found = [(str(i), v) for _, value in found for i, v in enumerate(_trials(value), start=1)]
            continue
        if field == "{subject}":
            n_found = max((_length(value) for _, value in found), default=0)
            if n_found != parts:
                raise InputError(
                    f"the number of subjects in {path.name} does not match the manifest",
                    where=path,
                    found=str(n_found),
                    expected=str(parts),
                    todo="correct `source: parts:`",
                )
            field = subject
        found = [(n, deeper) for n, value in found if (deeper := _step(value, field)) is not None]
    return found


def _step(value: Any, field: str) -> Any | None:
    """One step of a path: a field of a structure, or an element by its number."""
    if isinstance(value, dict):
        if field in value:
            return value[field]
        if field.isdecimal() and 1 <= int(field) <= _length(value):  # the library returns a struct array as lists
            return {name: column[int(field) - 1] for name, column in value.items()}
        return None
    if isinstance(value, list | np.ndarray) and field.isdecimal() and 1 <= int(field) <= len(value):
        return value[int(field) - 1]
    return None


def _length(value: Any) -> int:
    if isinstance(value, dict):
        lengths = {len(v) if isinstance(v, list | np.ndarray) else 1 for v in value.values()}
        return lengths.pop() if len(lengths) == 1 else 1
    return len(value) if isinstance(value, list | np.ndarray) else 1


def _trials(value: Any) -> list[Any]:
    """Elements of a cell array, a struct array or a three-dimensional array; anything else is a single trial."""
    if isinstance(value, dict) and all(isinstance(column, list) for column in value.values()):
        return [_step(value, str(number)) for number in range(1, _length(value) + 1)]
    return list(value) if isinstance(value, list) or np.ndim(value) == 3 else [value]


def _load(path: Path, name: str) -> Any:
    from pymatreader import read_mat

    try:
        return read_mat(str(path), variable_names=[name])[name]
    except Exception as error:  # the library raises any exception on damaged files
        raise InputError(
            f"{path.name} cannot be read as a MATLAB file",
            where=path,
            found=clean_message(error),
            todo="if MATLAB opens it, save it there again; else leave it out",
        ) from error


@functools.lru_cache(maxsize=1)
def _loaded(path: Path, name: str, _size: int, _time_ns: int) -> Any:
    return _load(path, name)


def _load_kept(path: Path, name: str) -> Any:
    """Cached for the next subject in the file, since each one requires reading all of it."""
    stat = path.stat()
    return _loaded(path, name, stat.st_size, stat.st_mtime_ns)
