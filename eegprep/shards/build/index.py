"""The index of a shard set as Arrow tables, from the plan and the written blocks."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from eegprep.electrodes import Vocabulary
from eegprep.recording import STANDARD_SFREQ_HZ, RecordingInfo
from eegprep.shards.build.electrode import ElectrodeResult
from eegprep.shards.build.plan import PlannedRecording
from eegprep.shards.build.writer import WrittenShard
from eegprep.shards.format import BLOCK_SCHEMA, ELECTRODE_COLUMNS, RECORDING_SCHEMA, TRIAL_SCHEMA


def compact(value: Any) -> str:
    """One line of JSON whose bytes depend only on the value."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def recordings_table(recordings: Iterable[PlannedRecording]) -> pa.Table:
    """One row per recording: identity, split, source hashes, figures per electrode; no file names or free text."""
    rows = [_recording_row(planned) for planned in recordings]
    return pa.Table.from_pylist(rows, schema=RECORDING_SCHEMA)


def _recording_row(planned: PlannedRecording) -> dict[str, Any]:
    info = planned.info
    references = sorted(set(info.references))
    return {
        "id": info.id,
        "dataset": info.dataset,
        "subject": info.subject,
        "session": info.session,
        "run": info.run,
        "split": planned.split,
        "within_subject": planned.within_subject,
        "sfreq_hz": info.sfreq_hz,
        "n_samples": info.n_samples,
        "reference": references[0] if len(references) == 1 else "mixed",
        "line_freq_hz": math.nan if info.line_freq_hz is None else info.line_freq_hz,
        "source_format": info.source_format,
        "source_sfreq_hz": info.source_sfreq_hz,
        "source_sha256": info.source_sha256,
        "signal_sha256": info.signal_sha256,
        "fingerprint": info.fingerprint,
        "steps": compact(list(info.steps)),
        "attributes": compact(dict(info.attributes)),
        "electrodes": compact({name: _electrode_facts(info, row) for row, name in enumerate(info.inputs)}),
        "montage": compact(dataclasses.asdict(info.montage)) if info.montage is not None else "",
    }


def _electrode_facts(info: RecordingInfo, row: int) -> dict[str, Any]:
    """Reference and quality figures of one electrode; a figure that is not finite is null."""
    facts: dict[str, Any] = {"reference": info.references[row]}
    for name, values in info.quality.items():
        value = values[row]
        facts[name] = float(value) if value is not None and math.isfinite(value) else None
    return facts


def blocks_table(
    results: Sequence[ElectrodeResult], vocabulary: Vocabulary, first_shard: Mapping[str, int]
) -> pa.Table:
    """One row per block, sorted by electrode and position in the shards.

    Parameters
    ----------
    first_shard : mapping of str to int
        Row of each electrode's first shard in `results`, in the list of all shards.
    """
    columns: dict[str, list[Any]] = {name: [] for name in BLOCK_SCHEMA.names}
    for result in results:
        electrode_id = vocabulary.id_of(result.electrode)
        for block in result.blocks:
            columns["electrode"].append(electrode_id)
            columns["shard"].append(first_shard[result.electrode] + block.shard)
            for name in BLOCK_SCHEMA.names:
                if name not in ("electrode", "shard"):
                    columns[name].append(getattr(block, name))
    return pa.table([pa.array(columns[f.name], f.type) for f in BLOCK_SCHEMA], schema=BLOCK_SCHEMA)


def trials_table(recordings: Iterable[PlannedRecording], first_recording: int) -> pa.Table:
    """One row per trial, by recording and time."""
    rows = [
        {
            "recording": row,
            "start_sample": t.start_sample,
            "n_samples": t.n_samples,
            "task": t.task,
            "label": t.label,
            "event": t.event,
        }
        for row, planned in enumerate(recordings, first_recording)
        for t in sorted(planned.info.trials)
    ]
    return pa.Table.from_pylist(rows, schema=TRIAL_SCHEMA)


def electrodes_table(
    vocabulary: Vocabulary, shards: Mapping[str, Sequence[WrittenShard]], blocks: pa.Table
) -> pa.Table:
    """The vocabulary with each electrode's counts and shards (JSON)."""
    n_blocks = [0] * len(vocabulary)
    n_samples = [0] * len(vocabulary)
    for electrode, n in zip(blocks["electrode"].to_pylist(), blocks["n_samples"].to_pylist(), strict=True):
        n_blocks[electrode] += 1
        n_samples[electrode] += n
    table = vocabulary.to_table()
    columns = {
        "n_blocks": n_blocks,
        "n_samples": n_samples,
        "hours": [n / STANDARD_SFREQ_HZ / 3600 for n in n_samples],
        "shards": [compact([[s.name, s.n_bytes, s.sha256] for s in shards.get(name, ())]) for name in vocabulary.names],
    }
    for field in ELECTRODE_COLUMNS:
        if field.name == "kind":
            continue  # a column of the vocabulary
        table = table.append_column(field, pa.array(columns[field.name], field.type))
    return table
