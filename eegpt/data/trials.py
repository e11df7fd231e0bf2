"""Trials for transfer: labelled windows with all their electrodes at once, from one or several shard sets.

An input of a trial is a derivation: an electrode and what it was measured against. It is used if one of its contiguous
stretches covers the trial, and masked otherwise. Trials without any input are left out and counted.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from eegprep.errors import RefusedError, UsageError, nearest
from eegprep.manifest.labels import target_of
from eegprep.recording import input_name, input_names, spread
from eegprep.shards import ShardSet

from .index import TaskInfo, TrialBatch
from .spans import Sets, Spans

_CHECKED_AT_ONCE = 1 << 14


class TrialIndex:
    """All trials of some tasks.

    Parameters
    ----------
    sets : ShardSet, path or address, or a sequence of them
    tasks : iterable of str, optional
        Names, or `dataset/name`; all by default.
    splits, datasets : iterable of str, optional
        Only recordings of these.
    references, kinds : iterable of str, optional
        Only derivations against these references, or channels of these kinds; all by default.

    Attributes
    ----------
    references : tuple of str
        What the batches' `reference` refers to.
    tasks : tuple of TaskInfo
    task, label, recording, n_samples, n_electrodes : ndarray, (n_trials,) int32
    target, start_sample : ndarray, (n_trials,) float32 and int64
    subject, split : tuple of str
        `dataset/subject` and split of each trial.
    n_uncovered : int
        Trials left out because no electrode covers them completely.
    """

    def __init__(
        self,
        sets: Sets,
        *,
        tasks: Iterable[str] | None = None,
        splits: Iterable[str] | None = None,
        datasets: Iterable[str] | None = None,
        references: Iterable[str] | None = None,
        kinds: Iterable[str] | None = None,
    ) -> None:
        references, kinds = (None if names is None else sorted(names) for names in (references, kinds))
        self.spans = Spans(sets)
        sets = self.spans.sets
        self.vocabulary, self.recording_ids = self.spans.vocabulary, self.spans.recording_ids
        self.references = self.spans.references
        self._chosen = (*(references or ()), *(kinds or ()))
        #: Spans that are read, (n_spans,) bool.
        self.measured = self.spans.measured(references, kinds)
        self._rows_by_recording(self.measured)
        self.tasks = _chosen_tasks(sets, None if tasks is None else list(tasks))
        good = self.spans.chosen(splits, datasets)
        self._read(sets, good)
        covered = self._covered()
        self.n_uncovered = int((covered == 0).sum())
        keep = covered > 0
        for name in ("task", "label", "target", "recording", "start_sample", "n_samples"):
            setattr(self, name, getattr(self, name)[keep])
        self.n_electrodes = covered[keep]
        subjects = [f"{d}/{x}" for s in sets for d, x in zip(s.recordings.dataset, s.recordings.subject, strict=True)]
        self.subject = tuple(subjects[r] for r in self.recording)
        split = [x for s in sets for x in s.recordings.split]
        self.split = tuple(split[r] for r in self.recording)

    def __len__(self) -> int:
        return len(self.task)

    def __repr__(self) -> str:
        tasks = ", ".join(t.key for t in self.tasks)
        return f"TrialIndex({len(self):,} trials of {len(set(self.subject))} subjects; tasks {tasks or 'none'})"

    def __getitem__(self, number: int) -> tuple[NDArray[np.float32], float]:
        """One trial, (n_electrodes, n_samples) float32 in microvolt ordered by electrode id, and its target."""
        if not -len(self) <= number < len(self):
            raise IndexError(f"trial {number} of {len(self)}")
        batch = self.gather(np.array([number % len(self)]))
        return batch.signal_uv()[0], batch.target[0].item()

    def gather(self, indices: NDArray[np.int64], *, electrodes: Sequence[str] | None = None) -> TrialBatch:
        """A batch.

        Parameters
        ----------
        indices : ndarray, (N,) int64
        electrodes : sequence of str, optional
            Inputs in this order, masked where a trial lacks them: electrodes (`Fp1`), or electrodes with their
            references (`Fp1-F7`). By default each trial has its own, ordered by electrode id and reference.

        Raises
        ------
        UsageError
            An electrode or reference is unknown, or an electrode has several derivations in a recording.
        """
        indices = np.asarray(indices, dtype=np.int64)
        recording, start = self.recording[indices], self.start_sample[indices]
        length = self.n_samples[indices]
        if electrodes is None:
            group = self._slots(recording)
        else:
            groups = [self._groups_of(recording, name) for name in electrodes]
            group = np.stack(groups, axis=1) if groups else np.empty((len(indices), 0), np.int64)
        span, mask = self._find(group, start, length)
        if electrodes is None:
            span, mask = _to_the_left(span, mask)
        safe = np.where(mask, span, 0)
        return TrialBatch(
            signal_i16=self._signal(span, mask, start, length),
            scale_uv=np.where(mask, self.spans.scale_uv[safe], np.float32(1)),
            sigma_uv=np.where(mask, self.spans.sigma_uv[safe], np.float32(1)),
            electrode=np.where(mask, self.spans.electrode[safe], np.int32(-1)),
            electrode_mask=mask,
            n_samples=length,
            task=self.task[indices],
            label=self.label[indices],
            target=self.target[indices],
            recording=recording,
            reference=np.where(mask, self.spans.reference[safe], np.int32(-1)),
        )

    def inputs(self, trial: int) -> tuple[str, ...]:
        """Names of a trial's inputs in the order of `gather`: the electrode, or with its reference if it has several.

        These names select inputs in `gather`.
        """
        batch = self.gather(np.array([trial % len(self)]))
        electrodes = [self.vocabulary.name_of(int(i)) for i in batch.electrode[0]]
        return input_names(electrodes, [self.references[int(i)] for i in batch.reference[0]])

    def at(self, start_sample: NDArray[np.int64], n_samples: NDArray[np.integer]) -> TrialIndex:
        """The same trials at other samples; `n_electrodes` is 0 where no electrode covers them."""
        moved = copy.copy(self)
        moved.start_sample = np.asarray(start_sample, np.int64)
        moved.n_samples = np.asarray(n_samples, np.int32)
        moved.n_electrodes = moved._covered()
        return moved

    def at_most(self, n: int) -> TrialIndex:
        """At most `n` trials of each subject, task and class (of a regression, of each subject and task).

        They are evenly spread over the subject's own, in the order of the index.
        """
        if n < 1:
            raise UsageError("at least one trial of each class is required", found=n)
        subject_N = np.unique(np.array(self.subject, dtype=str), return_inverse=True)[1]
        key_N3 = np.stack([subject_N, self.task, self.label], axis=1).reshape(-1, 3)
        group_N = np.unique(key_N3, axis=0, return_inverse=True)[1].ravel()
        order = np.argsort(group_N, kind="stable")
        parts = np.split(order, np.cumsum(np.bincount(group_N))[:-1]) if len(order) else []
        rows = np.sort(np.concatenate([order[:0], *(part[spread(len(part), n)] for part in parts)]))
        fewer = copy.copy(self)
        for name in ("task", "label", "target", "recording", "start_sample", "n_samples", "n_electrodes"):
            setattr(fewer, name, getattr(self, name)[rows])
        for name in ("subject", "split"):
            column = getattr(self, name)
            setattr(fewer, name, tuple(column[r] for r in rows.tolist()))
        return fewer

    def fingerprint(self, indices: NDArray[np.int64]) -> str:
        """Hash of the signals of some trials, in order: their shard sets, recordings, samples and electrodes."""
        indices = np.asarray(indices, dtype=np.int64)
        recordings, number = np.unique(self.recording[indices], return_inverse=True)
        of_set = np.searchsorted(self.spans.first_recording, recordings, side="right") - 1
        digest = hashlib.sha256()
        for recording, k in zip(recordings.tolist(), of_set.tolist(), strict=True):
            digest.update(f"{self.spans.sets[k].sha256} {self.recording_ids[recording]}\n".encode())
        for column in (number.astype(np.int64), self.start_sample[indices], self.n_samples[indices].astype(np.int64)):
            digest.update(column.tobytes())
        digest.update("\n".join((*self.vocabulary.names, "", *self.references)).encode())
        if self._chosen:
            digest.update(repr(self._chosen).encode())
        return digest.hexdigest()

    # -- where things are -----------------------------------------------------------------------------------

    def _rows_by_recording(self, keep: NDArray[np.bool_]) -> None:
        """Spans sorted by (recording, electrode, reference, time); a group is one input of one recording."""
        s, rows = self.spans, np.flatnonzero(keep)
        rank = np.argsort(np.argsort(np.array(s.references, dtype=str)))
        order = np.lexsort((s.start_sample[rows], rank[s.reference[rows]], s.electrode[rows], s.recording[rows]))
        self._order = rows[order]
        recording, electrode = s.recording[self._order], s.electrode[self._order]
        reference = s.reference[self._order]
        new = np.ones(len(self._order), dtype=bool)
        new[1:] = (
            (recording[1:] != recording[:-1]) | (electrode[1:] != electrode[:-1]) | (reference[1:] != reference[:-1])
        )
        group = np.cumsum(new) - 1
        first = np.flatnonzero(new)
        self._group_key = recording[first].astype(np.int64) * len(self.vocabulary) + electrode[first]
        self._group_reference = reference[first]
        self._first_group = np.searchsorted(recording[first], np.arange(len(self.recording_ids) + 1))
        # One sorted key per span: its group, then its start; 2^40 samples are 136 years.
        self._span_key = (group.astype(np.int64) << 40) | s.start_sample[self._order]

    def _slots(self, recording: NDArray[np.int32]) -> NDArray[np.int64]:
        """All groups of each recording, (N, E) int64 ordered by electrode id and reference, padded with -1."""
        first, last = self._first_group[recording], self._first_group[recording + 1]
        n = int((last - first).max(initial=0))
        group = first[:, None] + np.arange(n)
        return np.where(group < last[:, None], group, -1)

    def _groups_of(self, recording: NDArray[np.int32], name: str) -> NDArray[np.int64]:
        """The group of a requested input, (N,) int64, -1 if the recording lacks it."""
        electrode, dash, reference = name.partition("-")
        key = recording.astype(np.int64) * len(self.vocabulary) + self.vocabulary.id_of(electrode)
        first = np.searchsorted(self._group_key, key)
        stop = np.searchsorted(self._group_key, key, side="right")
        if not dash:
            if len(several := np.flatnonzero(stop - first > 1)):
                own = self._group_reference[first[several[0]] : stop[several[0]]]
                raise UsageError(
                    f"electrode {electrode} has several derivations in {self.recording_ids[recording[several[0]]]}",
                    found=", ".join(input_name(electrode, self.references[r]) for r in own),
                    todo="name one of them, or choose with references=",
                )
            return np.where(stop > first, first, -1)
        if reference not in self.references:
            raise UsageError(
                f"unknown reference {reference!r}", expected="an electrode, or a scheme such as linked ears or average"
            )
        code, out = self.references.index(reference), np.full(len(key), -1, dtype=np.int64)
        for step in range(int((stop - first).max(initial=0))):
            group = np.minimum(first + step, len(self._group_key) - 1)
            out = np.where((first + step < stop) & (self._group_reference[group] == code), group, out)
        return out

    def _find(
        self, group: NDArray[np.int64], start: NDArray[np.int64], length: NDArray[np.int32]
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """The span that covers each trial, (N, E), and whether there is one."""
        if not len(self._span_key):
            return np.zeros(group.shape, np.int64), np.zeros(group.shape, bool)
        key = (np.maximum(group, 0) << 40) | start[:, None]
        row = np.maximum(np.searchsorted(self._span_key, key, side="right") - 1, 0)
        span = self._order[row]
        begin = self.spans.start_sample[span]
        inside = (begin <= start[:, None]) & ((start + length)[:, None] <= begin + self.spans.n_samples[span])
        return span, (group >= 0) & (self._span_key[row] >> 40 == group) & inside

    def _signal(
        self, span: NDArray[np.int64], mask: NDArray[np.bool_], start: NDArray[np.int64], length: NDArray[np.int32]
    ) -> NDArray[np.int16]:
        """The samples of a batch, (N, E, S) int16, zero where there are none."""
        shape = (*mask.shape, int(length.max(initial=0)))
        lengths = np.unique(length)
        if len(lengths) == 1 and mask.any():
            # One gather fills the array: masked places read some existing trial and are cleared afterwards.
            place = np.arange(mask.size).reshape(mask.shape)
            trial, slot = np.unravel_index(np.where(mask, place, mask.argmax()).ravel(), mask.shape)
            rows = span[trial, slot]
            signal = self.spans.gather(rows, start[trial] - self.spans.start_sample[rows], shape[2]).reshape(shape)
            if not mask.all():
                signal[~mask] = 0
            return signal
        signal = np.zeros(shape, dtype=np.int16)
        for n in lengths:
            trial, slot = np.nonzero(mask & (length == n)[:, None])
            if len(trial):
                rows = span[trial, slot]
                offset = start[trial] - self.spans.start_sample[rows]
                signal[trial, slot, :n] = self.spans.gather(rows, offset, int(n))
        return signal

    def _covered(self) -> NDArray[np.int32]:
        """Number of electrodes that cover each trial, (n_trials,) int32."""
        out = np.zeros(len(self.task), dtype=np.int32)
        for a in range(0, len(out), _CHECKED_AT_ONCE):
            part = slice(a, a + _CHECKED_AT_ONCE)
            group = self._slots(self.recording[part])
            _, mask = self._find(group, self.start_sample[part], self.n_samples[part])
            out[part] = mask.sum(axis=1)
        return out

    def _read(self, sets: Sequence[ShardSet], good: NDArray[np.bool_]) -> None:
        """Read the trials of the chosen tasks and recordings from the sets' tables."""
        number = {t.key: i for i, t in enumerate(self.tasks)}
        parts = []
        for k, s in enumerate(sets):
            t = s.trials
            recording = t.recording + np.int32(self.spans.first_recording[k])
            datasets, dataset = np.unique(np.array(s.recordings.dataset, dtype=object), return_inverse=True)
            table = np.array([[number.get(f"{d}/{n}", -1) for n in (*t.task_names, "")] for d in datasets], np.int32)
            task = table[dataset[t.recording], t.task] if len(t) else np.empty(0, np.int32)
            keep = (task >= 0) & good[recording]
            label, target = self._targets(s, task[keep], t.label[keep])
            parts.append((task[keep], label, target, recording[keep], t.start_sample[keep], t.n_samples[keep]))
        columns = [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]
        self.task, self.label, self.target, self.recording, self.start_sample, n_samples = columns
        self.n_samples = n_samples.astype(np.int32)

    def _targets(
        self, s: ShardSet, task: NDArray[np.int32], label: NDArray[np.int32]
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Class number and target value of every trial; RefusedError if a label does not fit its task."""
        classes = np.full((len(self.tasks), max(len(s.trials.label_names), 1)), -1, dtype=np.int32)
        values = np.full(classes.shape, np.nan, dtype=np.float32)
        used = np.unique(np.stack([task, label]), axis=1).T if len(task) else np.empty((0, 2), np.int32)
        for t, x in used.tolist():
            info, name = self.tasks[t], s.trials.label_names[x]
            try:
                if info.kind == "classification":
                    classes[t, x] = info.classes.index(name)
                    values[t, x] = classes[t, x]
                else:
                    values[t, x] = target_of(name)
            except ValueError:
                raise RefusedError(
                    f"a trial of task {info.key!r} has an unknown label",
                    where=s.path,
                    found=repr(name),
                    expected=", ".join(info.classes) or "a number",
                ) from None
        return classes[task, label], values[task, label]


def _chosen_tasks(sets: Sequence[ShardSet], names: list[str] | None) -> tuple[TaskInfo, ...]:
    found: dict[str, TaskInfo] = {}
    for s in sets:
        for manifest, task in s.tasks:
            info = TaskInfo(
                name=task.name,
                dataset=manifest.name,
                kind=task.kind,
                classes=tuple(task.classes),
                within_subject=manifest.within_subject,
            )
            if found.setdefault(info.key, info) != info:
                raise UsageError(f"two shard sets describe the task {info.key!r} differently")
    if names is None:
        return tuple(found[k] for k in sorted(found))
    chosen = {i.key for i in found.values() if i.name in names or i.key in names}
    known = {i.name for i in found.values()} | set(found)
    if unknown := [n for n in names if n not in known]:
        raise UsageError(
            f"no task {unknown[0]!r} in these shard sets",
            expected=", ".join(sorted(found)) or "shard sets with tasks",
            todo=nearest(unknown[0], known),
        )
    return tuple(found[k] for k in sorted(chosen))


def _to_the_left(span: NDArray[np.int64], mask: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Move each trial's electrodes to the front, keeping their order, and trim unused columns."""
    if mask.all():
        return span, mask
    order = np.argsort(~mask, axis=1, kind="stable")
    n = int(mask.sum(axis=1).max(initial=0))
    return np.take_along_axis(span, order, axis=1)[:, :n], np.take_along_axis(mask, order, axis=1)[:, :n]
