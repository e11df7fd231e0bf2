"""Trial values from a table beside the recordings, or from the manifest itself.

Returns the values by trial number, from 1, and the table's path, which is hashed with the recording's own files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from eegprep.errors import UsageError
from eegprep.manifest.labels import code_text
from eegprep.manifest.patterns import compile_pattern
from eegprep.manifest.schema import Manifest
from eegprep.manifest.trial_values import TrialTable
from eegprep.sources.side_table import named_columns
from eegprep.splits.names import plain

Rows = dict[str, dict[str, str]]


class ValuesOfTrials:
    """Looks up values by recording; every table is read once.

    Parameters
    ----------
    paths : sequence of str
        All files of the folder, relative to it.

    Raises
    ------
    UsageError
        The manifest names a table, but no file in the folder matches.
    """

    def __init__(self, manifest: Manifest, folder: Path, paths: Sequence[str]) -> None:
        self.manifest, self.folder = manifest, folder
        values = manifest.trial_values
        self._table = values.table if values is not None else None
        self._listed = dict(values.listed) if values is not None else {}
        self._paths: list[tuple[str, frozenset[tuple[str, str]]]] = []
        self._read: dict[str, list[dict[str, str]]] = {}
        if self._table is not None:
            pattern = compile_pattern(self._table.file)
            fits = [(p, pattern.entities(p)) for p in paths]
            self._paths = [(p, frozenset(fit.items())) for p, fit in fits if fit is not None]
            if not self._paths:
                raise UsageError(
                    f"the trial table of {manifest.name} is missing",
                    where=folder,
                    expected=self._table.file,
                    todo="place it beside the recordings",
                )

    def of(self, entities: Mapping[str, str]) -> tuple[Rows, tuple[str, ...]]:
        """Values by trial number, and the tables they were read from.

        Raises
        ------
        UsageError
            A table lists a trial of the recording twice, or lacks a column.
        """
        rows: Rows = {}
        for name, listed in self._listed.items():
            key = "*" if listed.by is None else entities.get(listed.by, "")
            for number, value in enumerate(listed.of.get(key, listed.of.get("*", [])), start=1):
                rows.setdefault(str(number), {})[name] = value
        # {channel} distinguishes files of one recording, so it does not identify a recording
        own = {(k, v) for k, v in entities.items() if k != "channel"}
        tables = tuple(path for path, named in self._paths if named <= own)
        for path in tables:
            self._take(path, entities, rows)
        return rows, tables

    def _take(self, path: str, entities: Mapping[str, str], rows: Rows) -> None:
        table = self._table
        if table is None:
            return
        if path not in self._read:
            self._read[path] = named_columns(
                self.folder / path, table.separator, _columns(table), f"the trial table of {self.manifest.name}"
            )
        position = 0
        seen: set[str] = set()
        for row in self._read[path]:
            if any(plain(code_text(row[column])) != plain(entities.get(e, "")) for e, column in table.match.items()):
                continue
            position += 1
            number = plain(code_text(row[table.trial])) if table.trial is not None else str(position)
            if number in seen:
                raise UsageError(
                    f"duplicate trial in the trial table of {self.manifest.name}",
                    where=self.folder / path,
                    found=f"trial {number}",
                    todo="add columns to `match`",
                )
            seen.add(number)
            rows.setdefault(number, {}).update({name: row[column] for name, column in table.columns.items()})


def _columns(table: TrialTable) -> list[str]:
    return [*table.match.values(), *table.columns.values(), *([table.trial] if table.trial is not None else [])]
