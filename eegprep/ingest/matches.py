"""Check that every task, class and label of a manifest matches something in the files.

Mismatches are reported in the manifest's own words, so they can be stored; only hints, shown to the owner of the
files, quote the files' texts.
"""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from eegprep.manifest.schema import Manifest
from eegprep.manifest.tasks import Task
from eegprep.privacy import has_date
from eegprep.recording import RecordingInfo
from eegprep.splits.names import loosely

_SHOWN = 10
#: A text that occurs less often may be a remark rather than a marker.
_MARKERS = 3

Tasks = Mapping[str, Mapping[str, Mapping[str, int]]]


@dataclass(frozen=True, kw_only=True)
class Counted:
    """One recording: its stored identity, and its trials as counted by `count_trials`."""

    subject: str
    session: str = ""
    run: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    tasks: Tasks = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Mismatch:
    """A part of a task that matches nothing.

    Attributes
    ----------
    what : str
        A sentence in the manifest's words, safe to store.
    wanted : tuple of str
        Event texts or epoch labels that no file contains.
    of : str
        Kind of these texts: `events` or `labels`.
    fails : bool
        Whether it is an error or a note.
    hint : str
        What the files contain instead, printed after the sentence and never stored.
    """

    task: str
    what: str
    wanted: tuple[str, ...] = ()
    of: str = ""
    fails: bool = True
    hint: str = ""

    def __str__(self) -> str:
        return f"task {self.task}: {self.what}"


def count_trials(info: RecordingInfo) -> dict[str, dict[str, dict[str, int]]]:
    """Count trials by task, then by `label` and `word` (event, run, ...), lost ones by `lost_word` and `lost_code`."""
    found: dict[str, dict[str, Counter[str]]] = {}

    def of(task: str) -> dict[str, Counter[str]]:
        return found.setdefault(task, {key: Counter() for key in ("label", "word", "lost_word", "lost_code")})

    for trial in info.trials:
        of(trial.task)["label"][trial.label] += 1
        of(trial.task)["word"][trial.event] += 1
    for out in info.left_out:
        if out.kind == "trial":
            task, _, word = out.name.partition(": ")
            of(task)["lost_word"][word] += 1
            of(task)["lost_code"][out.code] += 1
    return {task: {key: dict(sorted(n.items())) for key, n in own.items()} for task, own in sorted(found.items())}


def counted(infos: Iterable[RecordingInfo]) -> list[Counted]:
    """The trial counts of a store's recordings."""
    return [
        Counted(subject=i.subject, session=i.session, run=i.run, attributes=i.attributes, tasks=count_trials(i))
        for i in infos
    ]


def mismatches(manifest: Manifest, recordings: Sequence[Counted], *, partial: bool = False) -> tuple[Mismatch, ...]:
    """Find parts of tasks without a match in any recording, and subjects without trials.

    Parameters
    ----------
    partial : bool
        The folder contains part of the data set: a missing label, class, run or session is then no error, but a task
        that matches nothing in any recording it applies to still is.
    """
    return tuple(m for task in manifest.tasks for m in _of_task(task, recordings, partial=partial))


def _of_task(task: Task, recordings: Sequence[Counted], *, partial: bool) -> Iterable[Mismatch]:
    rule = task.trials
    meant = [r for r in recordings if rule.runs is None or r.run in rule.runs]
    if not meant:
        if recordings:
            found = _listed({r.run for r in recordings})
            what = f"no recording has a run in `runs`: {_listed(rule.runs or ())}; the runs are {found}"
            yield Mismatch(task=task.name, what=what, fails=not partial)
        return
    sums: dict[str, Counter[str]] = {key: Counter() for key in ("label", "word", "lost_word", "lost_code")}
    for recording in meant:
        for key, counts in recording.tasks.get(task.name, {}).items():
            sums[key].update(counts)
    n_trials = sum(sums["label"].values())
    there = {_code(w) for w in (*sums["word"], *sums["lost_word"], *_entities(task, meant))}
    unmatched = [w for w in _words(task) if _code(w) not in there]
    led_to = {rule.labels[w] for w in unmatched if w in rule.labels}
    led_to |= {i.label for w in unmatched for i in rule.intervals.get(w, ())}
    # Like `runs`: none of the runs or sessions that the task labels is in this part of the data set.
    elsewhere = _entity(task) in ("run", "session") and len(unmatched) == len(_words(task))
    if unmatched:
        yield Mismatch(
            task=task.name,
            what=f"{_nothing(task)} {_listed(unmatched, ' or ')}" + _instead(task, meant),
            wanted=tuple(unmatched),
            of={"event": "events", "trial": "labels"}.get(rule.by, ""),
            fails=not partial or (n_trials == 0 and not elsewhere),
        )
    why = ", ".join(f"{code.replace('_', ' ')} {n}" for code, n in sorted(sums["lost_code"].items()))
    lost = f"; left out: {why}" if why else ""
    if n_trials == 0:
        if not unmatched:
            what = f"no trial was found{lost}" + _instead(task, meant)
            yield Mismatch(task=task.name, what=what, wanted=_labels(task, task.classes), of=_texts(task))
        return
    empty = [c for c in task.classes if task.kind == "classification" and not sums["label"][c] and c not in led_to]
    if empty:
        yield Mismatch(
            task=task.name,
            what=f"no trial has the class {_listed(empty, ' or ')}{lost}" + _instead(task, meant),
            wanted=_labels(task, empty),
            of=_texts(task),
            fails=not partial,
        )
    absent = [run for run in rule.runs or () if run not in {r.run for r in meant}]
    if absent and not partial:
        yield Mismatch(task=task.name, what=f"no recording has the run {_listed(absent, ' or ')}", fails=False)
    subjects = {r.subject for r in meant}
    without = subjects - {r.subject for r in meant if r.tasks.get(task.name, {}).get("label")}
    if without:
        what = f"{len(without)} of {len(subjects)} subjects have no trial: {_listed(without)}"
        yield Mismatch(task=task.name, what=what, fails=False)


def _code(word: str) -> str:
    """Normalise a code, which some formats store as 1 and others as 1.0."""
    return re.sub(r"^([+-]?[0-9]+)\.0+$", r"\1", word)


def _words(task: Task) -> list[str]:
    """The source's words named by the task."""
    rule = task.trials
    if rule.by == "interval":
        return [key for key in rule.intervals if key != "*"]
    if rule.values:
        return list(rule.events)
    return list(rule.labels)


def _nothing(task: Task) -> str:
    rule = task.trials
    if rule.by in ("event", "trial"):
        return {"event": "no event has the label", "trial": "no epoch has the label"}[rule.by]
    if rule.by in ("run", "session"):
        return f"no recording has the {rule.by}"
    return f"no recording has {rule.attribute}"


def _labels(task: Task, classes: Sequence[str]) -> tuple[str, ...]:
    """Classes that the files themselves contain, as labels of epochs."""
    rule = task.trials
    return tuple(classes) if rule.by == "trial" and not rule.values and not rule.labels else ()


def _texts(task: Task) -> str:
    return {"event": "events", "trial": "labels"}.get(task.trials.by, "") if not task.trials.values else ""


def _entity(task: Task) -> str | None:
    """The run, session or attribute that the task uses; None for events and epochs."""
    rule = task.trials
    if rule.by in ("event", "trial"):
        return None
    return rule.by if rule.by in ("run", "session") else rule.attribute


def _entities(task: Task, meant: Sequence[Counted]) -> Counter[str]:
    """Number of recordings by the run, session or attribute that the task uses; empty for events and epochs."""
    name = _entity(task)
    if name is None:
        return Counter()
    return Counter({"session": r.session, "run": r.run, **r.attributes}.get(name, "") for r in meant)


def _instead(task: Task, meant: Sequence[Counted]) -> str:
    """The runs, sessions or attributes that exist instead; these are stored anyway."""
    rule = task.trials
    if rule.by in ("event", "trial"):
        return ""
    name = rule.by if rule.by in ("run", "session") else rule.attribute or ""
    found = _entities(task, meant)
    nowhere = found.pop("", 0)
    there = ", ".join(f"{_shown(word)} ({n})" for word, n in sorted(found.items())[:_SHOWN])
    if not found:
        return f"; none of the {len(meant)} recordings has {name}" if name else ""
    return f"; there are {there}" + (f", and {nowhere} recordings without" if nowhere else "")


def hinted(found: Iterable[Mismatch], seen: Mapping[str, Mapping[str, int]], *, owner: bool) -> tuple[Mismatch, ...]:
    """The mismatches with their hints.

    Parameters
    ----------
    seen : mapping
        `events` and `labels` to their texts with counts.
    owner : bool
        Show all texts. Otherwise possible personal remarks are only counted, as output may end in a log: a text is
        shown if it resembles a word of the manifest, is a code, or occurs several times.
    """
    return tuple(dataclasses.replace(m, hint=_hint(m, seen, owner=owner)) for m in found)


def _hint(mismatch: Mismatch, seen: Mapping[str, Mapping[str, int]], *, owner: bool) -> str:
    if not mismatch.of:
        return ""
    found = {t: n for t, n in seen.get(mismatch.of, {}).items() if t not in mismatch.wanted}
    if not found:
        read = mismatch.of in seen
        return f"; the files have no {mismatch.of}" if read else "; `eegprep inspect` lists what is in the files"
    close = [(w, t) for w in mismatch.wanted for t in found if _alike(w, t)]
    shown = {t: n for t, n in found.items() if owner or _is_marker(t, n) or t in {c for _, c in close}}
    listed = sorted(shown.items(), key=lambda x: (-x[1], x[0]))
    there = ", ".join(f"{_shown(t)} ({n})" for t, n in listed[:_SHOWN])
    more = len(found) - min(len(listed), _SHOWN)
    if more:
        there = f"{there} and {more} more" if there else f"{more} others"
        there += "" if owner else " (`eegprep inspect` lists them)"
    meant = ", ".join(f"{t!r} for {w!r}" for w, t in close[:3])
    return f"; the files have {there}" + (f"; did you mean {meant}?" if meant else "")


def _alike(wanted: str, text: str) -> bool:
    """Whether texts differ only in case, spaces, punctuation, zeros, or BrainVision's prefix before a `/`."""
    own = {loosely(wanted), loosely(wanted.rpartition("/")[2])} - {""}
    return bool(own & {loosely(text), loosely(text.rpartition("/")[2])})


def _is_marker(text: str, count: int) -> bool:
    if has_date(text) or len(text) > 32:
        return False
    code = re.fullmatch(r"(?:[A-Za-z]+/)?[A-Za-z_]{0,8} {0,3}-?\d{1,6}(?:\.\d+)?", text) is not None
    return code or (count >= _MARKERS and re.search(r"\s", text) is None)


def _shown(text: str) -> str:
    return text if re.fullmatch(r"\S+", text) else repr(text)


def _listed(words: Iterable[str], between: str = ", ") -> str:
    names = sorted(words) if isinstance(words, set) else list(words)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return between.join(map(_shown, names[:_SHOWN])) + more
