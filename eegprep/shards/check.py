"""Validate the index of a shard set against format version 1, whenever it is opened.

A RefusedError names the invalid row. Afterwards every block is inside its shard, every span is contiguous, and every
trial is inside its recording, so code that gathers samples needs no further checks.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from eegprep.electrodes import Vocabulary
from eegprep.errors import RefusedError
from eegprep.recording import recording_id
from eegprep.shards.columns import BlockTable, RecordingTable, ShardFile, TrialTable
from eegprep.shards.format import BLOCKS, ELECTRODES, END_OF_TAR, MAX_BLOCK_SAMPLES, RECORD, RECORDINGS, TRIALS
from eegprep.shards.sums import SHARD_PATH
from eegprep.splits.fingerprint import Fingerprint

_TODO = "download or build the shard set again"
_MAX_SAMPLE = 1 << 60
_MAX_RECORDING = 1 << 33  # a year at 256 Hz


def shard_files(table: pa.Table, vocabulary: Vocabulary, hashes: dict[str, str], path: Path) -> tuple[ShardFile, ...]:
    """The list of shards from electrodes.parquet, checked against SHA256SUMS."""
    where = path / ELECTRODES
    files: list[ShardFile] = []
    for electrode, text in enumerate(table["shards"].to_pylist()):
        try:
            entries = [(str(n), int(b), str(h)) for n, b, h in json.loads(text)]
        except (ValueError, TypeError, RecursionError) as error:
            raise RefusedError(
                f"invalid shards of electrode {vocabulary.name_of(electrode)}", where=where, found=error
            ) from error
        for number, (name, n_bytes, sha256) in enumerate(entries):
            match = SHARD_PATH.fullmatch(name)
            fits = match is not None and match[1] == vocabulary.name_of(electrode) and int(match[2]) == number
            if not fits or n_bytes % RECORD or not len(END_OF_TAR) < n_bytes < _MAX_SAMPLE:
                raise RefusedError(
                    "a shard is listed with the wrong name or size", where=where, found=f"{name}, {n_bytes} bytes",
                    expected=f"shard {number} of {vocabulary.name_of(electrode)}", todo=_TODO,
                )  # fmt: skip
            if hashes.get(name) != sha256:
                raise RefusedError(f"the hash of shard {name} does not match SHA256SUMS", where=where, todo=_TODO)
            files.append(ShardFile(name=name, electrode=electrode, n_bytes=n_bytes, sha256=sha256))
    if strange := sorted({n for n in hashes if SHARD_PATH.fullmatch(n)} - {f.name for f in files}):
        raise RefusedError("SHA256SUMS lists a shard that is not in the index", where=where, found=strange[0])
    return tuple(files)


def check_recordings(recordings: RecordingTable, path: Path) -> None:
    """Check that ids are unique and match their parts, and that lengths and rates are plausible."""
    where = path / RECORDINGS
    if len(set(recordings.id)) != len(recordings):
        raise RefusedError("duplicate recording in the index", where=where)
    rows = zip(recordings.id, recordings.dataset, recordings.subject, recordings.session, recordings.run, strict=True)
    for row, (name, *parts) in enumerate(rows):
        if name != recording_id(*parts):
            raise RefusedError(f"row {row}: a recording's id does not match its parts", where=where, found=name)
    if strange := sorted(set(recordings.split) - {"train", "validation", "test"}):
        raise RefusedError("unknown split", where=where, found=strange[0], expected="train, validation or test")
    for name, text in zip(recordings.id, recordings.fingerprint, strict=True):
        try:
            Fingerprint.parse(text or "0:")
        except ValueError as error:
            raise RefusedError(f"the fingerprint of {name} is damaged", where=where, found=error, todo=_TODO) from None
    _all(where, "recording", "n_samples", (recordings.n_samples >= 1) & (recordings.n_samples <= _MAX_RECORDING))
    _all(where, "recording", "sfreq_hz", np.isfinite(recordings.sfreq_hz) & (recordings.sfreq_hz > 0))


def check_blocks(
    blocks: BlockTable, shards: tuple[ShardFile, ...], recordings: RecordingTable, n_electrodes: int, path: Path
) -> None:
    """Check that row numbers are valid, samples ordered inside their shard, and spans contiguous with one scale."""
    where = path / BLOCKS

    def every(column: str, good: NDArray[np.bool_]) -> None:
        _all(where, "block", column, good)

    every("recording", (blocks.recording >= 0) & (blocks.recording < len(recordings)))
    every("electrode", (blocks.electrode >= 0) & (blocks.electrode < n_electrodes))
    every("shard", (blocks.shard >= 0) & (blocks.shard < len(shards)))
    every("n_samples", (blocks.n_samples >= 1) & (blocks.n_samples <= MAX_BLOCK_SAMPLES))
    every("start_sample", (blocks.start_sample >= 0) & (blocks.start_sample < _MAX_SAMPLE))
    scale = blocks.scale_uv.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        every("scale_uv", np.isfinite(scale) & (scale > 0) & (np.frexp(scale)[0] == 0.5))
    every("sigma_uv", np.isfinite(blocks.sigma_uv) & (blocks.sigma_uv > 0))
    every("stretch", blocks.stretch >= 0)
    if not len(blocks):
        return
    electrode = np.array([s.electrode for s in shards], dtype=np.int64)
    n_bytes = np.array([s.n_bytes for s in shards], dtype=np.int64)
    every("shard", electrode[blocks.shard] == blocks.electrode)
    # A block has two headers before its samples, and one record of JSON with its header after them.
    every("offset", (blocks.offset % RECORD == 0) & (blocks.offset >= 2 * RECORD))
    every("offset", blocks.offset + 2 * blocks.n_samples + 2 * RECORD + len(END_OF_TAR) <= n_bytes[blocks.shard])
    stop = blocks.start_sample + blocks.n_samples
    every("n_samples", stop <= recordings.n_samples[blocks.recording])
    _check_order(blocks, stop, every)


def _check_order(blocks: BlockTable, stop: NDArray[np.int64], every: Callable[[str, NDArray[np.bool_]], None]) -> None:
    same_shard = blocks.shard[1:] == blocks.shard[:-1]
    space = blocks.offset[1:] >= blocks.offset[:-1] + 2 * blocks.n_samples[:-1] + 4 * RECORD
    every("offset", np.concatenate([[True], (blocks.shard[1:] > blocks.shard[:-1]) | (same_shard & space)]))
    every("electrode", np.concatenate([[True], blocks.electrode[1:] >= blocks.electrode[:-1]]))
    same = (blocks.electrode[1:] == blocks.electrode[:-1]) & (blocks.recording[1:] == blocks.recording[:-1])
    later = (blocks.electrode[1:] > blocks.electrode[:-1]) | (blocks.recording[1:] > blocks.recording[:-1])
    every("recording", np.concatenate([[True], same | later]))
    step = blocks.stretch[1:] - blocks.stretch[:-1]
    every("stretch", np.concatenate([[True], np.where(same, (step == 0) | (step == 1), True)]))
    measured = same & (blocks.reference[1:] == blocks.reference[:-1])
    every("start_sample", np.concatenate([[True], np.where(measured, blocks.start_sample[1:] >= stop[:-1], True)]))
    inside = same & (step == 0)
    every("reference", np.concatenate([[True], np.where(inside, measured, True)]))
    every("start_sample", np.concatenate([[True], np.where(inside, blocks.start_sample[1:] == stop[:-1], True)]))
    every("scale_uv", np.concatenate([[True], np.where(inside, blocks.scale_uv[1:] == blocks.scale_uv[:-1], True)]))
    # Within a span, only the last block may be shorter, and none may be longer than the first.
    next_inside = np.concatenate([inside[1:], [False]])
    shrinks = blocks.n_samples[1:] <= blocks.n_samples[:-1]
    equal = blocks.n_samples[1:] == blocks.n_samples[:-1]
    good = np.where(inside, np.where(next_inside, equal, shrinks), True)
    every("n_samples", np.concatenate([[True], good]))


def check_trials(trials: TrialTable, recordings: RecordingTable, path: Path) -> None:
    """Check that every trial is inside its recording."""
    where = path / TRIALS
    _all(where, "trial", "recording", (trials.recording >= 0) & (trials.recording < len(recordings)))
    _all(where, "trial", "n_samples", (trials.n_samples >= 1) & (trials.n_samples < _MAX_SAMPLE))
    _all(where, "trial", "start_sample", (trials.start_sample >= 0) & (trials.start_sample < _MAX_SAMPLE))
    if len(trials):
        stop = trials.start_sample + trials.n_samples
        _all(where, "trial", "start_sample", stop <= recordings.n_samples[trials.recording])


def _all(where: Path, thing: str, column: str, good: NDArray[np.bool_]) -> None:
    if not good.all():
        raise RefusedError(
            f"the index is invalid: {thing} {int(np.argmin(good))}, column {column!r}",
            where=where,
            found=f"{int((~good).sum())} such rows",
            todo=_TODO,
        )
