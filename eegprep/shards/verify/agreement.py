"""Check that the files of an index agree with each other, beyond what opening checks.

Returns one sentence per contradiction: counts in the vocabulary and in the lock, tasks and labels of trials against
the manifests, splits of a subject.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from eegprep.errors import RefusedError
from eegprep.manifest.labels import target_of
from eegprep.manifest.tasks import Task
from eegprep.shards.format import ELECTRODES, FORMAT_VERSION
from eegprep.shards.lock import read_set_lock
from eegprep.shards.reader import ShardSet
from eegprep.shards.tables import numbers, read_electrodes, texts

#: A recording may end in rejected signal, but not in days of it.
_MAX_SILENCE_S = 86400.0


def disagreements(opened: ShardSet) -> Iterator[str]:
    """All contradictions between the files of the index."""
    yield from _electrodes(opened)
    yield from _recordings(opened)
    yield from _lock(opened)
    yield from _manifests(opened)
    yield from _splits(opened)


def _electrodes(opened: ShardSet) -> Iterator[str]:
    table = read_electrodes(opened.path / ELECTRODES)
    n = len(opened.vocabulary)
    samples = np.zeros(n, dtype=np.int64)
    np.add.at(samples, opened.blocks.electrode, opened.blocks.n_samples)
    counts = np.bincount(opened.blocks.electrode, minlength=n)
    for electrode, (n_blocks, n_samples) in enumerate(
        zip(table["n_blocks"].to_pylist(), table["n_samples"].to_pylist(), strict=True)
    ):
        if (n_blocks, n_samples) != (int(counts[electrode]), int(samples[electrode])):
            yield (
                f"electrodes.parquet counts {n_blocks} blocks and {n_samples} samples of "
                f"{opened.vocabulary.name_of(electrode)}, blocks.parquet {counts[electrode]} and {samples[electrode]}"
            )


def _recordings(opened: ShardSet) -> Iterator[str]:
    """Check the columns that are parsed only when a recording is described."""
    r = opened.recordings
    known: set[object] = set()
    for row, steps in enumerate(texts(r.table["steps"])):
        parsers: list[Callable[[int], object]] = [r.facts, r.attributes, r.montage]
        if steps not in known:  # most recordings have the same
            parsers.append(r.steps)
            known.add(steps)
        for parse in parsers:
            try:
                parse(row)
            except RefusedError as error:
                yield error.what
    rate, line = numbers(r.table["source_sfreq_hz"]), numbers(r.table["line_freq_hz"])
    good = np.isfinite(rate) & (rate > 0) & (np.isnan(line) | (np.isfinite(line) & (line > 0)))
    for row in np.flatnonzero(~good).tolist():
        yield f"recording {r.id[row]}: an impossible rate or line frequency, {rate[row]:g} and {line[row]:g} Hz"
    ends = np.zeros(len(r), np.int64)
    blocks = opened.blocks
    np.maximum.at(ends, blocks.recording, blocks.start_sample + blocks.n_samples)
    beyond_s = (np.asarray(r.n_samples) - ends) / np.asarray(r.sfreq_hz)
    for row in np.flatnonzero(beyond_s > _MAX_SILENCE_S).tolist():
        yield f"recording {r.id[row]}: {beyond_s[row] / 3600:.0f} h without a sample at its end"


def _lock(opened: ShardSet) -> Iterator[str]:
    try:
        lock = read_set_lock(opened.path)
    except RefusedError as error:
        yield error.what
        return
    if lock.format_version != FORMAT_VERSION:
        yield f"lock.yaml is not of format version {FORMAT_VERSION}"
        return
    if strange := sorted({x.recording for x in lock.left_out} - {*opened.recordings.id}):
        yield f"lock.yaml names a recording that the index does not have: {strange[0]}"
    expected = {
        "recordings": len(opened.recordings),
        "shards": len(opened.shards),
        "blocks": len(opened.blocks),
        "samples": int(opened.blocks.n_samples.sum()),
        "trials": len(opened.trials),
        "shard_bytes": sum(s.n_bytes for s in opened.shards),
    }
    for name, value in expected.items():
        if (stated := getattr(lock.counts, name)) != value:
            yield f"lock.yaml counts {stated} {name}, the index {value}"


def _manifests(opened: ShardSet) -> Iterator[str]:
    manifests = {m.name: m for m in opened.manifests}
    if missing := sorted(set(opened.recordings.dataset) - set(manifests)):
        yield f"manifest.yaml has no data set {', '.join(missing)}"
        return
    dataset = opened.recordings.dataset
    for row, within in enumerate(opened.recordings.within_subject):
        if bool(within) != manifests[dataset[row]].within_subject:
            yield f"recording {opened.recordings.id[row]}: `within_subject` does not match its manifest"
    trials = opened.trials
    kinds = np.unique(np.stack([trials.recording, trials.task, trials.label], axis=1), axis=0)
    seen: set[tuple[str, str, str]] = set()
    for recording, task, label in kinds.tolist():
        key = (dataset[recording], trials.task_names[task], trials.label_names[label])
        if key in seen:
            continue
        seen.add(key)
        tasks = {t.name: t for t in manifests[key[0]].tasks}
        if key[1] not in tasks:
            yield f"trials.parquet has a task {key[1]!r} that is not in the manifest of {key[0]!r}"
        elif not _fits(tasks[key[1]], key[2]):
            yield f"trials.parquet has a label {key[2]!r} that is not in task {key[1]!r} of {key[0]!r}"


def _fits(task: Task, label: str) -> bool:
    """Whether a label is a class of its task, or a number for a regression."""
    if task.kind == "classification":
        return label in task.classes
    try:
        target_of(label)
    except ValueError:
        return False
    return True


def _splits(opened: ShardSet) -> Iterator[str]:
    """Check that each subject is in one split, unless the manifest splits within subjects."""
    r = opened.recordings
    first: dict[tuple[str, str], str] = {}
    for row, (dataset, subject, split) in enumerate(zip(r.dataset, r.subject, r.split, strict=True)):
        if not r.within_subject[row] and first.setdefault((dataset, subject), split) != split:
            yield f"subject {subject!r} of {dataset!r} is in the splits {first[dataset, subject]} and {split}"
