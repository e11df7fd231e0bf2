"""Tasks: a name, classes, and the rule that selects the windows that are its trials."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field, model_validator

from eegprep.manifest.fields import Name, PositiveSeconds, Seconds, StrictModel, Text, Word
from eegprep.manifest.labels import event_label

Number = Annotated[float, Field(allow_inf_nan=False)]


class Interval(StrictModel):
    """A part of a recording that has one label."""

    label: Word
    from_s: Seconds = 0.0
    to_s: Seconds | None = None


class Level(StrictModel):
    """Bins for a number: `words` has one more entry than `at`; a number on a border gets the upper word."""

    at: Annotated[list[Number], Field(min_length=1, max_length=100)]
    words: list[Word]

    @model_validator(mode="after")
    def _ordered(self) -> Level:
        if self.at != sorted(set(self.at)):
            raise ValueError("`at` must be in ascending order")
        if len(self.words) != len(self.at) + 1:
            raise ValueError(f"{len(self.at)} borders need {len(self.at) + 1} `words`")
        return self


class TrialRule(StrictModel):
    """The rule that cuts trials from a recording.

    `by: event` cuts one trial per event whose text is a key of `labels`; `by: run`, `by: session` and
    `by: attribute` label whole recordings by their entity or by an attribute of the subject table; `by: trial`
    uses the labels of an epoched file; `by: interval` uses the intervals given for the value of an attribute
    (or for `*`), where `session` and `run` count as attributes. A recording or interval that is longer than
    `length_s` is cut into windows `stride_s` apart, and so is an event with a duration, its own or `lasts_s`.

    With `values`, the label of a trial is looked up in the manifest's `trial_values` by the trial's number: the one in
    the file (`by: trial`), or its index among the recording's `events` (`by: event`). Numbers are binned by `levels`,
    several values are joined by a space, and the result is mapped by `labels` if given.
    """

    by: Literal["event", "run", "session", "attribute", "trial", "interval"]
    labels: dict[Word, Word] = Field(default_factory=dict)
    attribute: Word | None = None
    intervals: dict[Word, list[Interval]] = Field(default_factory=dict)
    events: list[Word] = Field(default_factory=list)
    values: list[Word] = Field(default_factory=list)
    levels: dict[Word, Level] = Field(default_factory=dict)
    runs: list[str] | None = None
    offset_s: Seconds = 0.0
    length_s: PositiveSeconds | None = None
    stride_s: PositiveSeconds | None = None
    lasts_s: PositiveSeconds | None = None
    from_s: Seconds = 0.0
    to_s: Seconds | None = None

    @model_validator(mode="after")
    def _complete(self) -> TrialRule:
        if self.by in ("attribute", "interval") and self.attribute is None and "*" not in self.intervals:
            raise ValueError(f"`by: {self.by}` needs `attribute`")
        if self.by == "interval" and not self.intervals:
            raise ValueError("`by: interval` needs `intervals`")
        if self.by in ("event", "run", "session") and not self.labels and not self.values:
            raise ValueError(f"`by: {self.by}` needs `labels`, a map from the source's texts to this task's classes")
        if self.by == "event" and self.length_s is None:
            raise ValueError("`by: event` needs `length_s`")
        spelled: dict[str, str] = {}
        for key in self.labels:
            other = spelled.setdefault(event_label(key), key)
            if self.labels[other] != self.labels[key]:
                raise ValueError(f"{other!r} and {key!r} under `labels` are the same label with two classes")
        return self

    @model_validator(mode="after")
    def _values_fit(self) -> TrialRule:
        if self.values and self.by not in ("event", "trial"):
            raise ValueError(f"`values` requires `by: event` or `by: trial`, not `by: {self.by}`")
        if bool(self.events) != (self.by == "event" and bool(self.values)):
            raise ValueError("`events`, the texts that mark a trial, requires `by: event` and `values`")
        if self.lasts_s is not None and (self.by != "event" or self.stride_s is None):
            raise ValueError("`lasts_s` requires `by: event` and `stride_s`")
        if strange := sorted(set(self.levels) - set(self.values)):
            raise ValueError(f"`levels` are given for {strange}, missing in `values`")
        return self


class Task(StrictModel):
    """A name, classes and the rule for trials. With `kind: regression` the labels are numbers."""

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


def named_events(tasks: Iterable[Task]) -> frozenset[str]:
    """The event texts that tasks name."""
    rules = [task.trials for task in tasks if task.trials.by == "event"]
    return frozenset(text for rule in rules for text in (rule.events if rule.values else rule.labels))
