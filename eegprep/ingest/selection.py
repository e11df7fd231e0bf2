"""The part of a data set to ingest: subjects, BIDS tasks, a number of hours."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass

from eegprep.errors import UsageError, nearest
from eegprep.files import names_of, number_of
from eegprep.sources.base import PlannedRecording, Source
from eegprep.sources.entry import Code, Entry
from eegprep.splits.names import Names

_TASK = re.compile(r"(?:^|_)task-([^_]+)")


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What to take of a data set; empty means everything.

    Attributes
    ----------
    subjects : tuple of str
        Subjects, as they are named in the files (`01` or `sub-01`) or in the store.
    tasks : tuple of str
        Values of the BIDS entity `task`.
    limit_hours : float, optional
        Recordings are taken in order until this length is reached; at least one is taken.
    """

    subjects: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    limit_hours: float | None = None

    @classmethod
    def of(
        cls,
        subjects: str | Sequence[str] | None = None,
        tasks: str | Sequence[str] | None = None,
        limit_hours: float | None = None,
    ) -> Selection:
        """A selection from lists of names (None: all); a name may also be several, separated by commas.

        Raises
        ------
        UsageError
            A list is empty or has an empty name, or the length is not a number above 0.
        """
        return cls(
            subjects=() if subjects is None else names_of(subjects, "subjects"),
            tasks=() if tasks is None else names_of(tasks, "tasks"),
            limit_hours=None if limit_hours is None else number_of(limit_hours, "limit_hours"),
        )

    def __bool__(self) -> bool:
        return bool(self.subjects or self.tasks or self.limit_hours is not None)

    def apply(self, source: Source) -> tuple[list[PlannedRecording], list[Entry]]:
        """The selected recordings, and all entries of the source.

        Raises
        ------
        UsageError
            A subject or task does not exist, or the source cannot tell the length of its recordings.
        """
        planned, entries = source.plan(), source.entries()
        if not self:
            return planned, entries
        chosen = _of_tasks(_of_subjects(planned, self.subjects), self.tasks)
        if self.limit_hours is not None:
            chosen = _first_hours(source, chosen, self.limit_hours)
        dropped = {p.files[0] for p in planned if p.files} - {p.files[0] for p in chosen if p.files}
        left = [
            dataclasses.replace(e, code=Code.NOT_IN_SUBSET, reason="not selected")
            if e.code is Code.RECORDING and e.path in dropped
            else e
            for e in entries
        ]
        return chosen, left


EVERYTHING = Selection()


def _of_subjects(planned: list[PlannedRecording], wanted: tuple[str, ...]) -> list[PlannedRecording]:
    if not wanted:
        return planned
    own: dict[str, set[str]] = {}
    for one in planned:
        own.setdefault(one.subject, set()).update(one.names.get("subject", ()))
    names = Names({s: sorted(n) or (s,) for s, n in own.items()})
    found = {word: names.find(word, where="--subjects") for word in wanted}
    if missing := [word for word, stored in found.items() if stored is None]:
        raise names.unknown(missing, "--subjects")
    return [p for p in planned if p.subject in set(found.values())]


def _of_tasks(planned: list[PlannedRecording], wanted: tuple[str, ...]) -> list[PlannedRecording]:
    if not wanted:
        return planned
    task_of = {p.key: _task(p) for p in planned}
    known = sorted({t for t in task_of.values() if t})
    tasks = {w.removeprefix("task-") for w in wanted}
    if missing := sorted(tasks - set(known)):
        raise UsageError(
            f"no recording of task {missing[0]!r}", where="--tasks", expected=" or ".join(known) or "BIDS names",
            todo=nearest(missing[0], known) or None,
        )  # fmt: skip
    return [p for p in planned if task_of[p.key] in tasks]


def _task(planned: PlannedRecording) -> str:
    for text in (*planned.names.get("run", ()), planned.run):
        if (found := _TASK.search(text)) is not None:
            return found[1]
    return ""


def _first_hours(source: Source, planned: list[PlannedRecording], limit_hours: float) -> list[PlannedRecording]:
    hours = getattr(source, "hours", None)
    if hours is None:
        raise UsageError(
            "--limit-hours requires a BIDS data set at an address", todo="use --subjects or --tasks for local files"
        )
    total, chosen = 0.0, list[PlannedRecording]()
    for one in planned:
        total += hours(one)
        if chosen and total > limit_hours:
            break
        chosen.append(one)
    return chosen
