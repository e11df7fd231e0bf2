"""Load the vocabulary of a run: the shipped one, a complete table, or rows added to the shipped ones.

A Parquet file (such as the `electrodes.parquet` of a shard set) is a complete vocabulary. A text table contains only
additions: aliases of known electrodes, and new electrodes, which are appended, so ids do not change and shard sets of
two labs agree on all shipped electrodes.

`dump_vocabulary` and `parse_vocabulary` pass a vocabulary to worker processes as text. A run also hashes this text,
because a different alias or position resolves channels differently.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path

from eegprep.electrodes.merge import merge
from eegprep.electrodes.vocabulary import KINDS, Electrode, Vocabulary
from eegprep.errors import InputError, UsageError
from eegprep.files import not_found

_SEPARATORS = {".tsv": "\t", ".csv": ",", ".txt": "\t"}
_COLUMNS = ("name", "aliases", "x_m", "y_m", "z_m", "source", "kind")
_MAX_TEXT_BYTES = 16 << 20


def load_vocabulary(path: Path | str | None = None) -> Vocabulary:
    """Load the vocabulary given by `--vocabulary`; the shipped one by default.

    Parameters
    ----------
    path : path, optional
        `base` or `extended`: a shipped one. `.parquet`: a complete vocabulary. `.tsv` or `.csv`: a table with a header
        line, the column `name` and optional columns `aliases` (separated by spaces), `x_m`, `y_m`, `z_m` (MNE's head
        frame, metres), `source` and `kind` (`eeg` by default). A row whose name or alias is in the shipped vocabulary
        adds aliases; any other row is a new electrode.

    Raises
    ------
    UsageError
        The file is missing or has another suffix, or a row contradicts the shipped vocabulary or another row.
    InputError
        The file is damaged or not a vocabulary.
    """
    if path is None or str(path) == "base":
        return Vocabulary.base()
    if str(path) == "extended":
        return Vocabulary.extended()
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return Vocabulary.from_parquet(path)
    if suffix not in _SEPARATORS:
        raise UsageError(
            f"{path.name} is not a vocabulary",
            where=path,
            found=f"suffix {suffix!r}",
            expected="base, extended, .parquet (a complete vocabulary), .tsv or .csv (additional rows)",
        )
    if not path.is_file():
        raise not_found("vocabulary", path, "a .tsv or .csv file")
    rows = _rows(path, _SEPARATORS[suffix])
    merged = merge(Vocabulary.base(), Vocabulary(rows))
    if merged.conflicts:
        raise UsageError(
            f"{len(merged.conflicts)} rows of {path.name} contradict the shipped vocabulary",
            where=path,
            found="; ".join(f"{c.name}: {c.reason}" for c in merged.conflicts[:5]),
            todo="rename these electrodes, or correct their positions",
        )
    return merged.vocabulary


def _rows(path: Path, separator: str) -> list[Electrode]:
    if path.stat().st_size > _MAX_TEXT_BYTES:
        raise InputError("the vocabulary file is too large", where=path, expected=f"{_MAX_TEXT_BYTES} bytes at most")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path.name} is not UTF-8 text", where=path) from None
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator)
    columns = [c.strip() for c in reader.fieldnames or []]
    reader.fieldnames = columns
    if "name" not in columns or (unknown := sorted(set(columns) - set(_COLUMNS))):
        raise InputError(
            f"{path.name} does not have the columns of a vocabulary",
            where=path,
            found=", ".join(columns[:20]) or "no header line",
            expected=f"name, and as needed {', '.join(_COLUMNS[1:])}"
            + (f"; not {', '.join(unknown[:5])}" if "name" in columns else ""),
        )
    rows = []
    for number, row in enumerate(reader, 2):
        if None in row or any(value is None for value in row.values()):
            raise InputError(
                f"line {number} of {path.name} has the wrong number of fields",
                where=path,
                expected=f"{len(columns)} fields",
            )
        rows.append(_electrode({k: v.strip() for k, v in row.items()}, f"{path}, line {number}"))
    if not rows:
        raise InputError(f"{path.name} has no rows", where=path, expected="one electrode per line")
    return rows


def _electrode(row: Mapping[str, str], where: str) -> Electrode:
    texts = [row.get(axis, "") for axis in ("x_m", "y_m", "z_m")]
    position: tuple[float, float, float] | None = None
    if any(t not in ("", "n/a") for t in texts):
        try:
            x, y, z = (float(t) for t in texts)
        except ValueError:
            raise InputError("a position must be three numbers", where=where, found=" ".join(texts)) from None
        if not all(abs(v) < 0.3 for v in (x, y, z)):  # also false for NaN
            raise InputError(
                "a position is not on a head",
                where=where,
                found=" ".join(texts),
                expected="metres in MNE's head frame: all between -0.3 and 0.3",
            )
        position = (x, y, z)
    kind = row.get("kind", "") or "eeg"
    if kind not in KINDS:
        raise InputError("unknown kind of a row", where=where, found=kind, expected=", ".join(KINDS))
    return Electrode(
        name=row["name"],
        aliases=tuple(row.get("aliases", "").split()),
        position_m=position,
        source=row.get("source", ""),
        kind=kind,
    )


def dump_vocabulary(vocabulary: Vocabulary) -> str:
    """A vocabulary as one line of JSON; equal vocabularies give equal text."""
    rows = [
        [r.name, list(r.aliases), None if r.position_m is None else list(r.position_m), r.source]
        + ([r.kind] if r.kind != "eeg" else [])
        for r in vocabulary
    ]
    return json.dumps(rows, ensure_ascii=True, separators=(",", ":"))


def parse_vocabulary(text: str) -> Vocabulary:
    """The inverse of `dump_vocabulary`."""
    return Vocabulary(
        Electrode(
            name=name,
            aliases=tuple(aliases),
            position_m=None if position is None else (position[0], position[1], position[2]),
            source=source,
            kind=kind[0] if kind else "eeg",
        )
        for name, aliases, position, source, *kind in json.loads(text)
    )
