"""Cut trials: the windows labelled by a manifest's tasks.

Inputs are a task's rule, the events, labels and attributes of one recording, and the timeline from source samples to
stored ones; trials that cannot be cut are returned with their reason.

All times are converted by `seconds_to_samples`. Times of intervals and of parts of a run are on the file's clock, as
those of events are: what was not recorded counts. If a rule gives `length_s`, each labelled part (a run, an interval, a
long event) is cut into windows `stride_s` apart, by default back to back. A window must be inside one stretch: no
trial crosses a gap.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from eegprep.formats.decoded import SourceEvent
from eegprep.formats.events import same_moment
from eegprep.ingest.trial_words import word_of_trial
from eegprep.manifest.labels import event_label, look_up, target_of
from eegprep.manifest.schema import Manifest
from eegprep.manifest.tasks import Task, TrialRule
from eegprep.recording import STANDARD_SFREQ_HZ, LeftOut, Stretch, Trial, seconds_to_samples
from eegprep.sources.base import SourceRecording
from eegprep.standardise.timeline import Timeline


@dataclass(frozen=True, kw_only=True)
class _Labelled:
    """A labelled part of the recording. `whole` parts are cut at boundaries, others must not cross one."""

    part: Stretch
    label: str
    event: str
    whole: bool = False
    window: bool = False


def cut_trials(
    recording: SourceRecording, manifest: Manifest, timeline: Timeline, attributes: Mapping[str, str]
) -> tuple[tuple[Trial, ...], tuple[LeftOut, ...]]:
    """All trials of one recording, sorted, and the trials left out."""
    trials: list[Trial] = []
    left_out: list[LeftOut] = []
    for task in manifest.tasks:
        if task.trials.runs is not None and recording.run not in task.trials.runs:
            continue
        for labelled in _labelled(task, recording, timeline, attributes):
            for part in _windows(task, labelled, timeline):
                why = _refused(task, labelled.label, part, timeline)
                if why is None:
                    trials.append(
                        Trial(
                            start_sample=part.start_sample,
                            n_samples=part.n_samples,
                            task=task.name,
                            label=_as_class(task, labelled.label),
                            event=labelled.event,
                        )
                    )
                else:
                    left_out.append(_out(task, labelled, part, *why))
        left_out += _without_place(task, recording, timeline) + _unnumbered(task, recording)
        left_out += _contradictory(task, recording)
    return tuple(sorted(trials)), tuple(left_out)


def _labelled(
    task: Task, recording: SourceRecording, timeline: Timeline, attributes: Mapping[str, str]
) -> Iterator[_Labelled]:
    rule = task.trials
    if rule.by == "event":
        for event, label in _labelled_events(task, recording):
            at = timeline.at(event.start_sample)
            if at is not None:
                start = at + seconds_to_samples(rule.offset_s, STANDARD_SFREQ_HZ)
                stop = _end_of_event(rule, event, at, timeline)
                length = seconds_to_samples(rule.length_s or 0.0, STANDARD_SFREQ_HZ)
                yield _Labelled(
                    part=Stretch(start_sample=start, n_samples=length if stop is None else max(stop - start, 0)),
                    label=label,
                    event=event.text,
                    window=stop is None,
                )
    elif rule.by == "trial":
        for stretch, text in recording.trial_labels:
            parts = timeline.span(stretch)
            if len(parts) == 1:
                bounded = _bounded(parts[0], rule.from_s, rule.to_s)
                yield _Labelled(part=bounded, label=word_of_trial(rule, recording.trial_values, text), event=text)
    elif rule.by == "interval":
        named = {"session": recording.session, "run": recording.run, **attributes}
        key = named.get(rule.attribute or "", "*")
        for interval in look_up(rule.intervals, key) or rule.intervals.get("*", []):
            for part in _recorded(recording, timeline, interval.from_s, interval.to_s):
                yield _Labelled(part=part, label=interval.label, event=key, whole=rule.length_s is None)
    else:
        entity = {"run": recording.run, "session": recording.session}.get(rule.by)
        word = attributes.get(rule.attribute or "", "") if entity is None else entity
        label = (look_up(rule.labels, word) or "") if rule.labels else word
        if label:
            for part in _recorded(recording, timeline, rule.from_s, rule.to_s):
                yield _Labelled(part=part, label=label, event=word, whole=rule.length_s is None)


def _end_of_event(rule: TrialRule, event: SourceEvent, at: int, timeline: Timeline) -> int | None:
    """Where the windows of an event with a duration end; None for an instant, which has a single window."""
    if rule.stride_s is None:
        return None
    if rule.lasts_s is not None:
        return at + seconds_to_samples(rule.lasts_s, STANDARD_SFREQ_HZ)
    if event.n_samples <= 1:  # many formats give instants a length of one sample
        return None
    end = timeline.at(event.start_sample + event.n_samples)
    return end if end is not None else timeline.n_samples


def _labelled_events(task: Task, recording: SourceRecording) -> list[tuple[SourceEvent, str]]:
    """The events that mark trials, each with its label; empty if they cannot be numbered (see `_unnumbered`)."""
    rule = task.trials
    marks, _ = _once_a_moment(task, recording)
    if not rule.values:
        return marks
    if len(marks) != len(recording.trial_values):
        return []
    return [(e, word_of_trial(rule, recording.trial_values, str(n))) for n, (e, _) in enumerate(marks, start=1)]


def _once_a_moment(task: Task, recording: SourceRecording) -> tuple[list[tuple[SourceEvent, str]], list[SourceEvent]]:
    """The events named by a task with their classes, and those that contradict each other.

    Two names of one event (its name in one place, its code in another) make one trial. If two sources give one moment
    different classes, neither is used.
    """
    rule = task.trials
    named = {event_label(k): v for k, v in (dict.fromkeys(rule.events, "") if rule.values else rule.labels).items()}
    near = same_moment(recording.sfreq_hz)
    marks: list[tuple[SourceEvent, str]] = []
    contradictory: set[SourceEvent] = set()
    for event in recording.events:
        label = named.get(event_label(event.text))
        if label is None:
            continue
        again = False
        for other, known in reversed(marks):
            if event.start_sample - other.start_sample > near:
                break
            if known == label:
                again = True
            elif other.witness != event.witness:
                contradictory |= {other, event}
        if not again:
            marks.append((event, label))
    return [m for m in marks if m[0] not in contradictory], sorted(contradictory)


def _contradictory(task: Task, recording: SourceRecording) -> list[LeftOut]:
    """Trials to which two sources give different classes."""
    if task.trials.by != "event":
        return []
    reason = "two sources of events give different classes at this time"
    events = _once_a_moment(task, recording)[1]
    return [LeftOut(kind="trial", name=f"{task.name}: {e.text}", code="contradictory", reason=reason) for e in events]


def _unnumbered(task: Task, recording: SourceRecording) -> list[LeftOut]:
    """All trials of a recording with fewer or more marks than known trials, since labels are not guessed."""
    rule = task.trials
    n_marks = len(_once_a_moment(task, recording)[0]) if rule.by == "event" and rule.values else 0
    n_known = len(recording.trial_values)
    if not rule.values or rule.by != "event" or n_marks == n_known:
        return []
    reason = f"{n_marks} marks for {n_known} trials, so trial numbers are unknown"
    return [LeftOut(kind="trial", name=task.name, code="not_numbered", reason=reason)] * max(n_marks, 1)


def _recorded(recording: SourceRecording, timeline: Timeline, from_s: float, to_s: float | None) -> list[Stretch]:
    """The output samples of a time on the file's clock: one stretch or none, unless the clock was set back."""
    everything = Stretch(start_sample=0, n_samples=timeline.n_samples)
    if not recording.parts:
        return [_bounded(everything, from_s, to_s)]
    out: list[Stretch] = []
    for begun_s, part in recording.parts:
        start, stop = timeline.nearest(part.start_sample), timeline.nearest(part.stop_sample)
        here = Stretch(start_sample=start, n_samples=stop - start)
        until = None if to_s is None else max(to_s - begun_s, 0.0)
        found = _bounded(here, max(from_s - begun_s, 0.0), until)
        if found.n_samples and out and out[-1].stop_sample == found.start_sample:
            found = Stretch(start_sample=out[-1].start_sample, n_samples=out.pop().n_samples + found.n_samples)
        out += [found] if found.n_samples else []
    return out


def _bounded(part: Stretch, from_s: float, to_s: float | None) -> Stretch:
    """`from_s` to `to_s` from the part's start, clipped to the part."""
    start = part.start_sample + max(seconds_to_samples(from_s, STANDARD_SFREQ_HZ), 0)
    stop = part.stop_sample
    if to_s is not None:
        stop = min(stop, part.start_sample + seconds_to_samples(to_s, STANDARD_SFREQ_HZ))
    return Stretch(start_sample=start, n_samples=max(stop - start, 0))


def _windows(task: Task, labelled: _Labelled, timeline: Timeline) -> Iterator[Stretch]:
    rule, part = task.trials, labelled.part
    if labelled.whole:
        for stretch in timeline.stretches:
            start, stop = max(stretch.start_sample, part.start_sample), min(stretch.stop_sample, part.stop_sample)
            if start < stop:
                yield Stretch(start_sample=start, n_samples=stop - start)
        return
    if rule.length_s is None or labelled.window:
        yield part
        return
    length = seconds_to_samples(rule.length_s, STANDARD_SFREQ_HZ)
    stride = max(seconds_to_samples(rule.stride_s or rule.length_s, STANDARD_SFREQ_HZ), 1)
    first = part.start_sample + (
        max(seconds_to_samples(rule.offset_s, STANDARD_SFREQ_HZ), 0) if rule.by == "trial" else 0
    )
    for start in range(first, part.stop_sample - length + 1, stride):
        yield Stretch(start_sample=start, n_samples=length)


def _refused(task: Task, label: str, part: Stretch, timeline: Timeline) -> tuple[str, str] | None:
    if not label and task.trials.by == "trial" and not task.trials.values:
        return "unknown_label", "the label of this epoch is unknown to all tasks"
    if not label:
        return "no_value", "no values are known for this trial"
    if task.kind == "classification" and _as_class(task, label) not in task.classes:
        return "unknown_label", f"label {label!r} is not one of the task's classes"
    if task.kind == "regression" and not _is_target(label):
        return "unknown_label", f"label {label!r} is not a finite number"
    inside = any(s.start_sample <= part.start_sample and part.stop_sample <= s.stop_sample for s in timeline.stretches)
    if part.n_samples <= 0 or not inside:
        return "outside_stretch", "not inside one contiguous stretch of signal"
    return None


def _without_place(task: Task, recording: SourceRecording, timeline: Timeline) -> list[LeftOut]:
    """Events and labelled epochs at times without kept signal."""
    where = []
    if task.trials.by == "event":
        where = [e.text for e, _ in _labelled_events(task, recording) if timeline.at(e.start_sample) is None]
    elif task.trials.by == "trial":
        where = [text for stretch, text in recording.trial_labels if len(timeline.span(stretch)) != 1]
    return [
        LeftOut(kind="trial", name=f"{task.name}: {text}", code="in_gap", reason="no signal was kept at this time")
        for text in where
    ]


def _out(task: Task, labelled: _Labelled, part: Stretch, code: str, reason: str) -> LeftOut:
    return LeftOut(
        kind="trial",
        name=f"{task.name}: {labelled.event}" if task.trials.by == "event" else task.name,
        code=code,
        reason=reason,
        start_sample=part.start_sample,
        n_samples=part.n_samples,
    )


def _as_class(task: Task, label: str) -> str:
    """A label in the spelling of the task's classes."""
    if task.kind == "regression" or label in task.classes:
        return label
    return next((c for c in task.classes if event_label(c) == event_label(label)), label)


def _is_target(label: str) -> bool:
    try:
        target_of(label)
    except ValueError:
        return False
    return True
