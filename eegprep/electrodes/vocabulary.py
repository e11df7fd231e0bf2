"""The vocabulary: an immutable table of electrodes (name, aliases, position) whose ids never change.

Files refer to electrodes by name; an id is only valid within one vocabulary. Names are matched regardless of case.
They become folder names in a shard set, so they consist of letters, digits and `_`.
"""

from __future__ import annotations

import functools
import importlib.resources
import json
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eegprep.errors import InputError, UsageError, nearest
from eegprep.files import atomic_path, not_found

if TYPE_CHECKING:
    import pyarrow as pa


FRAME = "MNE head frame, metres"
KINDS = ("eeg", "eog", "emg", "ecg", "respiration", "other")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,31}")
_MAX_ROWS = 100_000
_MAX_BYTES = 64 << 20


@dataclass(frozen=True, kw_only=True)
class Electrode:
    """One electrode. `position_m` is in metres in MNE's head frame, `source` its origin, `kind` one of `KINDS`."""

    name: str
    aliases: tuple[str, ...] = ()
    position_m: tuple[float, float, float] | None = None
    source: str = ""
    kind: str = "eeg"


class Vocabulary:
    """An ordered table of electrodes; the row number is the id.

    Parameters
    ----------
    electrodes : iterable of Electrode
        In the order of their ids.

    Raises
    ------
    UsageError
        A name is invalid, or a name or alias is a duplicate (ignoring case).
    """

    def __init__(self, electrodes: Iterable[Electrode]) -> None:
        self._rows = tuple(electrodes)
        self._ids: dict[str, int] = {}
        for electrode_id, row in enumerate(self._rows):
            for name in (row.name, *row.aliases):
                if not _NAME.fullmatch(name):
                    raise UsageError(
                        f"invalid electrode name {name!r}",
                        expected="a letter, then letters, digits or '_', 32 characters at most",
                    )
                other = self._ids.setdefault(name.casefold(), electrode_id)
                if other != electrode_id:
                    raise UsageError(
                        f"duplicate name {name!r} in the vocabulary",
                        found=f"rows {other} ({self._rows[other].name}) and {electrode_id} ({row.name})",
                    )
        self._names = tuple(row.name for row in self._rows)

    # -- the table -------------------------------------------------------------------------------------

    @classmethod
    def base(cls, kinds: Collection[str] = ("eeg",)) -> Vocabulary:
        """The shipped vocabulary, read once: 138 EEG electrodes, followed by all rows of other kinds if any is given.

        A kind never changes an id: the rows of all other kinds are added together.
        """
        return _shipped("base") if set(kinds) - {"eeg"} else _eeg_alone()

    @classmethod
    def extended(cls) -> Vocabulary:
        """The base vocabulary with rows of all kinds, followed by the rest of the 10-05 system."""
        return _shipped("extended")

    def with_kinds(self, kinds: Collection[str]) -> Vocabulary:
        """This vocabulary, with the shipped rows of other kinds appended if it lacks them and `kinds` has any."""
        if not set(kinds) - {"eeg"}:
            return self
        missing = [row for row in _shipped("base") if row.kind != "eeg" and row.name not in self]
        return self.extend(missing) if missing else self

    @property
    def names(self) -> tuple[str, ...]:
        """Names in the order of their ids."""
        return self._names

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, electrode_id: int) -> Electrode:
        return self._rows[electrode_id]

    def __iter__(self) -> Iterator[Electrode]:
        return iter(self._rows)

    def __contains__(self, name: object) -> bool:
        """Whether this is a name or alias, ignoring case."""
        return isinstance(name, str) and name.casefold() in self._ids

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and self._rows == other._rows

    def __hash__(self) -> int:
        return hash(self._rows)

    def __repr__(self) -> str:
        return f"Vocabulary({len(self)} electrodes: {', '.join(self._names[:4])}, ...)"

    def id_of(self, name: str) -> int:
        """The id of a name or alias; UsageError with a hint if it is unknown."""
        found = self._ids.get(name.casefold())
        if found is None:
            raise UsageError(
                f"no electrode {name!r} in this vocabulary of {len(self)}",
                todo=nearest(name, self._names) or "`eegprep electrodes list` prints the names",
            )
        return found

    def name_of(self, electrode_id: int) -> str:
        """The name of an id; UsageError if it is out of range."""
        if not 0 <= electrode_id < len(self):
            raise UsageError(f"no electrode {electrode_id} in this vocabulary", expected=f"0 to {len(self) - 1}")
        return self._names[electrode_id]

    def canonical(self, name: str) -> str:
        """The vocabulary's own spelling of a name or alias."""
        return self._names[self.id_of(name)]

    def kind_of(self, name: str) -> str:
        """The kind of a name or alias, one of `KINDS`."""
        return self._rows[self.id_of(name)].kind

    def position_m(self, name: str) -> np.ndarray | None:
        """Position (3,) float64 in metres (MNE head frame), or None if unknown."""
        position = self._rows[self.id_of(name)].position_m
        return None if position is None else np.array(position)

    def positions_m(self) -> np.ndarray:
        """All positions, (n_electrodes, 3) float64 in metres; NaN if unknown."""
        empty = (np.nan, np.nan, np.nan)
        return np.array([row.position_m or empty for row in self._rows], dtype=np.float64).reshape(-1, 3)

    def nearest(
        self, place: str | Sequence[float] | np.ndarray, n: int = 1, *, among: Iterable[str] | None = None
    ) -> list[tuple[str, float]]:
        """The `n` electrodes nearest to a name or a position, nearest first, with distances in metres.

        Parameters
        ----------
        place : str or (3,) array_like
            A name of the vocabulary (excluded from the result), or a position in metres.
        among : iterable of str, optional
            Only these electrodes; all by default.
        """
        positions_m = self.positions_m()
        keep = np.isfinite(positions_m[:, 0])
        if isinstance(place, str):
            own = self.id_of(place)
            origin = positions_m[own]
            if not keep[own]:
                raise UsageError(f"electrode {place!r} has no position in this vocabulary")
            keep[own] = False
        else:
            origin = np.asarray(place, dtype=np.float64).reshape(3)
        if among is not None:
            allowed = np.zeros(len(self), dtype=bool)
            allowed[[self.id_of(name) for name in among]] = True
            keep &= allowed
        distance_m = np.where(keep, np.linalg.norm(positions_m - origin, axis=1), np.inf)
        order = np.argsort(distance_m, kind="stable")[: min(n, int(keep.sum()))]
        return [(self._names[i], float(distance_m[i])) for i in order]

    def extend(self, electrodes: Iterable[Electrode]) -> Vocabulary:
        """A new vocabulary with rows appended; existing ids are kept."""
        return Vocabulary((*self._rows, *electrodes))

    # -- Parquet -----------------------------------------------------------------------------------------

    def to_table(self) -> pa.Table:
        """An Arrow table: id, name, aliases, x_m, y_m, z_m, source, kind."""
        import pyarrow as pa

        def axis(i: int) -> pa.Array:
            return pa.array([None if r.position_m is None else r.position_m[i] for r in self._rows], pa.float64())

        return pa.table(
            {
                "id": pa.array(range(len(self)), pa.int32()),
                "name": pa.array(self._names, pa.string()),
                "aliases": pa.array([list(r.aliases) for r in self._rows], pa.list_(pa.string())),
                "x_m": axis(0),
                "y_m": axis(1),
                "z_m": axis(2),
                "source": pa.array([r.source for r in self._rows], pa.string()),
                "kind": pa.array([r.kind for r in self._rows], pa.string()),
            }
        ).replace_schema_metadata({"eegprep.vocabulary": json.dumps({"version": 1, "frame": FRAME})})

    @classmethod
    def from_table(cls, table: pa.Table, *, where: str = "table") -> Vocabulary:
        """The inverse of `to_table`; extra columns are ignored, everything else is validated.

        `source` and `kind` may be missing; the rows are then EEG electrodes.
        """
        import pyarrow as pa

        wanted = {"id": pa.int32(), "name": pa.string(), "x_m": pa.float64(), "y_m": pa.float64(), "z_m": pa.float64()}
        if missing := sorted({*wanted, "aliases"} - set(table.column_names)):
            raise InputError("not a vocabulary", where=where, found=f"no column {', '.join(missing)}")
        if table.num_rows > _MAX_ROWS:
            raise InputError("the vocabulary has too many rows", where=where, found=table.num_rows, expected=_MAX_ROWS)
        try:
            columns = {k: _cast(table[k], t).to_pylist() for k, t in wanted.items()}
            aliases = _cast(table["aliases"], pa.list_(pa.string())).to_pylist()
            optional = {"source": [""] * table.num_rows, "kind": ["eeg"] * table.num_rows}
            for name in optional.keys() & set(table.column_names):
                optional[name] = _cast(table[name], pa.string()).to_pylist()
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise InputError("a column of the vocabulary has the wrong type", where=where, found=error) from error
        if columns["id"] != list(range(table.num_rows)):
            raise InputError("the vocabulary's ids are not 0, 1, 2, ... in order", where=where)
        rows = []
        for i, name in enumerate(columns["name"]):
            xyz = (columns["x_m"][i], columns["y_m"][i], columns["z_m"][i])
            known = all(v is not None and np.isfinite(v) and abs(v) < 1 for v in xyz)
            if not known and any(v is not None for v in xyz):
                raise InputError(f"the position of electrode {name!r} is not on a head, in metres", where=where)
            if name is None or any(a is None for a in aliases[i] or ()):
                raise InputError(f"row {i} of the vocabulary has no name", where=where)
            kind = optional["kind"][i]
            if kind not in KINDS:
                raise InputError(
                    f"electrode {name!r} has an unknown kind", where=where, found=kind, expected=", ".join(KINDS)
                )
            rows.append(
                Electrode(
                    name=name,
                    aliases=tuple(aliases[i] or ()),
                    position_m=xyz if known else None,
                    source=optional["source"][i] or "",
                    kind=kind,
                )
            )
        return cls(rows)

    def to_parquet(self, path: Path) -> None:
        """Write the table atomically; equal vocabularies give equal bytes (with the same pyarrow version)."""
        import pyarrow.parquet as pq

        with atomic_path(Path(path)) as part:
            pq.write_table(self.to_table(), part, compression="none")

    @classmethod
    def from_parquet(cls, path: Path) -> Vocabulary:
        """Read a vocabulary from Parquet, e.g. the `electrodes.parquet` of a shard set; InputError if it is invalid."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = Path(path)
        if not path.is_file():
            raise not_found("vocabulary", path, "a Parquet file")
        if path.stat().st_size > _MAX_BYTES:
            raise InputError("the vocabulary file is too large", where=path, expected=f"{_MAX_BYTES} bytes at most")
        try:
            with pq.ParquetFile(path) as file:
                _check_footer(file.metadata, path)
                table = file.read()
            table.validate(full=True)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise InputError("not a Parquet file", where=path, found=error) from error
        return cls.from_table(table, where=str(path))


def _check_footer(footer: Any, path: Path) -> None:
    """Refuse a small file that would become a large table; Snappy packs at most 21 to 1."""
    chunks = [footer.row_group(g).column(c) for g in range(footer.num_row_groups) for c in range(footer.num_columns)]
    codecs = {c.compression for c in chunks} - {"UNCOMPRESSED"}
    most = _MAX_BYTES // 21 if codecs else _MAX_BYTES
    if codecs - {"SNAPPY"} or path.stat().st_size > most or any(c.num_values > 50 * _MAX_ROWS for c in chunks):
        raise InputError(
            "the vocabulary file could need too much memory",
            where=path,
            found=f"{path.stat().st_size} bytes, {', '.join(sorted(codecs)) or 'uncompressed'}",
            expected="a table that is not compressed, or by Snappy",
        )
    if footer.num_rows > _MAX_ROWS:
        raise InputError("the vocabulary has too many rows", where=path, found=footer.num_rows, expected=_MAX_ROWS)


def _cast(column: pa.ChunkedArray, to: pa.DataType) -> pa.ChunkedArray:
    """Cast a column, skipping Arrow's slow-loading compute functions if it already has the type."""
    return column if column.type == to else column.cast(to)


@functools.cache
def _shipped(name: str) -> Vocabulary:
    resource = importlib.resources.files("eegprep.electrodes") / f"{name}.parquet"
    with importlib.resources.as_file(resource) as path:
        return Vocabulary.from_parquet(path)


@functools.cache
def _eeg_alone() -> Vocabulary:
    return Vocabulary(row for row in _shipped("base") if row.kind == "eeg")
