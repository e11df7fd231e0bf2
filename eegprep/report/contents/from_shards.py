"""`Contents` of shard sets: counts from the index, spectra and amplitudes from a sample of the blocks."""

from __future__ import annotations

import functools
import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eegprep.electrodes.montage_check import montage_warning
from eegprep.errors import RefusedError
from eegprep.manifest.recipe import describe_steps
from eegprep.recording import STANDARD_SFREQ_HZ, MontageFit, Stretch, electrode_of
from eegprep.report.contents.datasets import dataset_facts, trial_counts
from eegprep.report.contents.facts import (
    Contents,
    DatasetFacts,
    ElectrodeFacts,
    LeftOutGroup,
    RecordingFacts,
    TrialCount,
)
from eegprep.report.contents.signal import ElectrodeSignal, look_at
from eegprep.shards import ShardSet
from eegprep.shards.lock import LeftOutByIngest, LeftOutByShard, SetLock, read_set_lock
from eegprep.shards.tables import numbers, texts


def contents_of_shards(paths: Sequence[Path]) -> Contents:
    """Read and combine the shard sets at `paths`.

    Raises
    ------
    UsageError, RefusedError
        If one is not a complete shard set, or its index is damaged.
    """
    sets = [ShardSet.open(path) for path in paths]
    locks = [read_set_lock(s.path) for s in sets]
    recordings = tuple(r for s in sets for r in _recordings(s))
    signals = [signal for s in sets for signal in _signals(s)]
    spectra, amplitudes, n_looked_at = look_at(signals)
    return Contents(
        kind="shard set" if len(sets) == 1 else "shard sets",
        name=", ".join(sorted({m.name for s in sets for m in s.manifests})),
        n_bytes=sum(shard.n_bytes for s in sets for shard in s.shards),
        datasets=_datasets(sets, recordings),
        recordings=tuple(sorted(recordings, key=lambda r: r.id)),
        electrodes=_electrodes(sets),
        trials=_trials(sets),
        left_out=_left_out(sets, locks),
        spectra=spectra,
        amplitudes=amplitudes,
        n_looked_at=n_looked_at,
        steps=_common_steps(sets),
        warnings=_warnings(sets),
        provenance=_provenance(sets, locks),
    )


def _warnings(sets: Sequence[ShardSet]) -> tuple[str, ...]:
    """Warnings of the montage check, per data set."""
    fits: dict[str, list[MontageFit]] = defaultdict(list)
    for one in sets:
        for row, name in enumerate(one.recordings.dataset):
            if (fit := one.recordings.montage(row)) is not None:
                fits[name].append(fit)
    return tuple(f"{name}: {text}" for name, some in sorted(fits.items()) if (text := montage_warning(some)))


def _common_steps(sets: Sequence[ShardSet]) -> tuple[str, ...]:
    """The most common sequence of steps, as text."""
    counts: Counter[tuple[str, ...]] = Counter()
    for one in sets:
        table = one.recordings.table
        rates, lines = numbers(table["source_sfreq_hz"]).tolist(), numbers(table["line_freq_hz"]).tolist()
        made = list(zip(texts(table["steps"]), rates, (None if math.isnan(x) else x for x in lines), strict=True))
        first = {key: row for row, key in reversed(list(enumerate(made)))}
        for key, n in Counter(made).items():
            steps = one.recordings.steps(first[key]).steps_json()
            counts[describe_steps(steps, sfreq_hz=key[1], line_freq_hz=key[2])] += n
    return min(counts, key=lambda steps: (-counts[steps], steps)) if counts else ()


def _recordings(shards: ShardSet) -> list[RecordingFacts]:
    blocks, table = shards.blocks, shards.recordings
    n = len(table)
    kept = np.bincount(blocks.recording, blocks.n_samples, minlength=n)
    per_input: dict[tuple[int, int, int], int] = defaultdict(int)
    sigmas: dict[tuple[int, int, int], float] = {}
    columns = (blocks.recording, blocks.electrode, blocks.reference, blocks.n_samples, blocks.sigma_uv)
    for *key, samples, sigma in zip(*(c.tolist() for c in columns), strict=True):
        recording, electrode, reference = key
        per_input[recording, electrode, reference] += samples
        sigmas[recording, electrode, reference] = sigma
    longest, spread = np.zeros(n), [[] for _ in range(n)]  # type: tuple[NDArray[np.float64], list[list[float]]]
    for one, samples in per_input.items():
        longest[one[0]] = max(longest[one[0]], samples)
        spread[one[0]].append(sigmas[one])
    n_trials = np.bincount(shards.trials.recording, minlength=n)
    out = []
    for row in range(n):
        per_hour = float(table.sfreq_hz[row]) * 3600
        facts, fit = table.facts(row), table.montage(row)
        low, median, high = np.percentile(spread[row], [0, 50, 100]).tolist() if spread[row] else (None, None, None)
        whole = float(table.n_samples[row]) * len(facts)
        out.append(
            RecordingFacts(
                id=table.id[row],
                dataset=table.dataset[row],
                subject=table.subject[row],
                split=table.split[row],
                hours=float(longest[row]) / per_hour,
                n_electrodes=len(facts),
                n_trials=int(n_trials[row]),
                electrode_hours=float(kept[row]) / per_hour,
                electrode_hours_lost=max(0.0, whole - float(kept[row])) / per_hour,
                n_channels_left_out=None,
                sigma_uv_low=low,
                sigma_uv_median=median,
                sigma_uv_high=high,
                figures=_greatest(facts) | ({"montage": fit.figure} if fit is not None else {}),
            )
        )
    return out


def _greatest(facts: Any) -> dict[str, float]:
    figures: dict[str, float] = {}
    for electrode in facts.values():
        for name, value in electrode.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                figures[name] = max(figures.get(name, float(value)), float(value))
    return dict(sorted(figures.items()))


def _electrodes(sets: Sequence[ShardSet]) -> tuple[ElectrodeFacts, ...]:
    n_samples: Counter[str] = Counter()
    recordings: dict[str, set[str]] = defaultdict(set)
    sigmas: dict[str, dict[str, float]] = defaultdict(dict)
    places: dict[str, tuple[float, float, float] | None] = {}
    for shards in sets:
        blocks = shards.blocks
        for electrode in shards.vocabulary:
            places.setdefault(electrode.name, electrode.position_m)
        columns = (blocks.electrode, blocks.recording, blocks.n_samples, blocks.sigma_uv)
        for electrode_id, row, samples, sigma in zip(*(c.tolist() for c in columns), strict=True):
            name, recording = shards.vocabulary.name_of(electrode_id), shards.recordings.id[row]
            n_samples[name] += samples
            recordings[name].add(recording)
            sigmas[name][recording] = sigma
    return tuple(
        ElectrodeFacts(
            name=name,
            position_m=places[name],
            hours=n_samples[name] / STANDARD_SFREQ_HZ / 3600,
            n_recordings=len(recordings[name]),
            sigma_uv=float(np.median(list(sigmas[name].values()))),
        )
        for name in places
        if name in n_samples
    )


def _datasets(sets: Sequence[ShardSet], recordings: Sequence[RecordingFacts]) -> tuple[DatasetFacts, ...]:
    manifests = {m.name: m for s in sets for m in s.manifests}
    electrodes: dict[str, set[str]] = defaultdict(set)
    for shards in sets:
        for row in range(len(shards.recordings)):
            electrodes[shards.recordings.dataset[row]] |= {electrode_of(name) for name in shards.recordings.facts(row)}
    return tuple(dataset_facts(manifests[name], recordings, electrodes[name]) for name in sorted(manifests))


def _trials(sets: Sequence[ShardSet]) -> tuple[TrialCount, ...]:
    counts: Counter[tuple[str, str, str, str]] = Counter()
    for shards in sets:
        trials, table = shards.trials, shards.recordings
        for row, task, label in zip(
            trials.recording.tolist(), trials.task.tolist(), trials.label.tolist(), strict=True
        ):
            key = (table.dataset[row], trials.task_names[task], trials.label_names[label], table.split[row])
            counts[key] += 1
    return trial_counts(counts, {m.name: m for s in sets for m in s.manifests}.values())


def _signals(shards: ShardSet) -> list[ElectrodeSignal]:
    """One signal per electrode of a recording; blocks serve as stretches, since windows are short."""
    blocks, table = shards.blocks, shards.recordings
    rows: dict[tuple[int, int], list[int]] = defaultdict(list)
    for block, key in enumerate(zip(blocks.recording.tolist(), blocks.electrode.tolist(), strict=True)):
        rows[key].append(block)
    return [
        ElectrodeSignal(
            dataset=table.dataset[recording],
            recording=table.id[recording],
            electrode=shards.vocabulary.name_of(electrode),
            sfreq_hz=float(table.sfreq_hz[recording]),
            stretches=tuple(
                Stretch(start_sample=int(blocks.start_sample[b]), n_samples=int(blocks.n_samples[b])) for b in own
            ),
            read=functools.partial(_read, shards, {int(blocks.start_sample[b]): b for b in own}),
        )
        for (recording, electrode), own in sorted(rows.items())
    ]


def _read(shards: ShardSet, by_start: dict[int, int], start: int, n: int) -> NDArray[np.float32]:
    first = max(s for s in by_start if s <= start)
    block = by_start[first]
    return shards.signal_i16(block)[start - first : start - first + n] * shards.blocks.scale_uv[block]


def _left_out(sets: Sequence[ShardSet], locks: Sequence[SetLock]) -> tuple[LeftOutGroup, ...]:
    """What ingest and the shard stage left out, from the locks."""
    groups: list[LeftOutGroup] = []
    for shards, lock in zip(sets, locks, strict=True):
        groups += [_group(entry) for entry in lock.left_out_by_ingest]
        groups += _own_left_out(lock.left_out, shards)
    return tuple(sorted(groups, key=lambda g: (-g.count, g.dataset, g.kind, g.code)))


def _group(entry: LeftOutByIngest) -> LeftOutGroup:
    return LeftOutGroup(
        dataset=entry.dataset,
        kind=entry.kind,
        code=entry.code,
        reason="",
        count=entry.count,
        n_recordings=entry.recordings,
        names=(),
        hours=entry.samples / STANDARD_SFREQ_HZ / 3600 if entry.samples else None,
    )


def _own_left_out(entries: Sequence[LeftOutByShard], shards: ShardSet) -> list[LeftOutGroup]:
    found: dict[tuple[str, str], list[LeftOutByShard]] = defaultdict(list)
    ids = {name: row for row, name in enumerate(shards.recordings.id)}
    for entry in entries:
        if entry.recording not in ids:
            raise RefusedError(
                "lock.yaml names a recording that is missing in the index", where=shards.path, found=entry.recording
            )
        found[shards.recordings.dataset[ids[entry.recording]], entry.code].append(entry)
    return [
        LeftOutGroup(
            dataset=dataset,
            kind="stretch",
            code=code,
            reason="left out when the shards were written",
            count=len(some),
            n_recordings=len({e.recording for e in some}),
            names=tuple(name for name, _ in Counter(e.electrode for e in some).most_common()),
            hours=sum(e.n_samples for e in some) / STANDARD_SFREQ_HZ / 3600,
        )
        for (dataset, code), some in sorted(found.items())
    ]


def _provenance(sets: Sequence[ShardSet], locks: Sequence[SetLock]) -> tuple[tuple[str, str], ...]:
    lines = []
    for shards, lock in zip(sets, locks, strict=True):
        lines += [
            ("shard set", shards.sha256),
            ("format version", str(lock.format_version)),
            ("written by", f"eegprep {lock.eegprep}"),
            ("shards", f"{len(shards.shards)} of {len({s.electrode for s in shards.shards})} electrodes"),
            ("blocks", str(len(shards.blocks))),
        ]
        if lock.unfinished:
            lines.append(("ingest not ended", f"{', '.join(lock.unfinished)}: recordings may be missing"))
    formats = Counter(v for s in sets for v in texts(s.recordings.table["source_format"]))
    lines.append(("file formats", ", ".join(f"{k} ({n})" for k, n in sorted(formats.items(), key=lambda x: -x[1]))))
    return tuple(lines)
