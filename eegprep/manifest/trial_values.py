"""Values of trials that are not in the signal (ratings, stimuli, classes), by trial number.

Many data sets keep labels in a table beside the recordings, in an array of the recording's own file, or only in their
documentation. A manifest names the source; tasks then look up a trial's label by its number, counted from 1.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from eegprep.manifest.fields import FilePattern, StrictModel, VariablePath, Word


class TrialTable(StrictModel):
    """A CSV or TSV with one row per trial; only the columns named here are read.

    `file` is a pattern as in `source: files:`; if it contains entities, each recording has its own table.
    `trial` is the column of the trial number; without it rows are numbered from 1. `match` names the columns of
    subject, session or run in a table of many recordings. Digits are compared as numbers and BIDS prefixes are
    ignored: the file's `01` is the table's `1` or `sub-01`.
    """

    file: FilePattern
    separator: Annotated[str, Field(max_length=4)] = ","
    trial: Word | None = None
    match: dict[Literal["subject", "session", "run"], Word] = Field(default_factory=dict)
    columns: Annotated[dict[Word, Word], Field(min_length=1)]


class TrialVariable(StrictModel):
    """An array of the recording's MATLAB file: one entry per trial, or one row, with the value in `column` (from 1)."""

    variable: VariablePath
    column: Annotated[int, Field(ge=1, le=10_000)] | None = None


class ListedValues(StrictModel):
    """Values from the documentation, in the order of the trials: by session or run, or for `*`."""

    by: Literal["session", "run"] | None = None
    of: Annotated[dict[Word, Annotated[list[Word], Field(max_length=100_000)]], Field(min_length=1)]

    @model_validator(mode="after")
    def _keyed(self) -> ListedValues:
        if self.by is None and set(self.of) != {"*"}:
            raise ValueError("without `by`, values must be listed under `*`")
        return self


class TrialValues(StrictModel):
    """Named values of every trial, from any of three sources; see the module."""

    table: TrialTable | None = None
    variables: dict[Word, TrialVariable] = Field(default_factory=dict)
    listed: dict[Word, ListedValues] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _named_once(self) -> TrialValues:
        names = self.names
        if len(set(names)) != len(names):
            raise ValueError("duplicate names of values")
        if not names:
            raise ValueError("needs `table`, `variables` or `listed`")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The names that tasks may use under `values`."""
        return (*(self.table.columns if self.table else ()), *self.variables, *self.listed)
