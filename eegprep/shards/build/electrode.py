"""Write all blocks of one electrode, the unit of work of a build.

Writes the electrode's shards and returns one row per block. It is read recording by recording and block by block, so
memory does not grow with the data; electrodes are independent, so they can be written in any order and on any machine.
"""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eegprep.errors import InputError
from eegprep.recording import RecordingInfo, Stretch
from eegprep.shards.build.quantise import quantise, scale_for, usable
from eegprep.shards.build.writer import ShardWriter, WrittenShard
from eegprep.shards.format import Block
from eegprep.shards.protocol import RecordingStore

# A store keeps one file open per recording; this is far below the usual limit of 1024.
_OPEN_RECORDINGS = 64
_LEAST_SIGMA_UV = 2.0**-30


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordingPart:
    """A recording that has an electrode; `recording` is its row in recordings.parquet."""

    recording: int
    store: int
    info: RecordingInfo

    def slim(self, electrode: str) -> RecordingPart:
        """The part with only what this electrode needs of `info`."""
        info = self.info
        names = [n for n, e in zip(info.inputs, info.electrodes, strict=True) if e == electrode]
        rejected = {name: info.rejected.get(name, ()) for name in names}
        slim = dataclasses.replace(info, rejected=rejected, trials=(), quality={}, left_out=(), steps=(), attributes={})
        return dataclasses.replace(self, info=slim)


@dataclass(frozen=True, kw_only=True)
class ElectrodeJob:
    """One electrode to write. All jobs share the descriptions of the recordings, unless they go to other processes."""

    folder: Path
    electrode: str
    stores: tuple[RecordingStore, ...]
    parts: tuple[RecordingPart, ...]
    block_samples: int
    max_shard_bytes: int
    first_number: int
    sync: bool

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "parts": tuple(part.slim(self.electrode) for part in self.parts)}


@dataclass(frozen=True, kw_only=True, slots=True)
class BlockRow:
    """One row of blocks.parquet; `shard` counts the electrode's shards of this job."""

    recording: int
    reference: str
    stretch: int
    shard: int
    offset: int
    n_samples: int
    start_sample: int
    scale_uv: float
    sigma_uv: float
    crc32: int


@dataclass(frozen=True, kw_only=True)
class LeftOutStretch:
    """Samples of a recording's input (`RecordingInfo.inputs`) that do not fit int16, and why."""

    recording: str
    electrode: str
    start_sample: int
    n_samples: int
    code: str


@dataclass(frozen=True, kw_only=True)
class ElectrodeResult:
    """The result of one job."""

    electrode: str
    shards: tuple[WrittenShard, ...]
    blocks: tuple[BlockRow, ...]
    left_out: tuple[LeftOutStretch, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain data, for the note from which an interrupted build resumes."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> ElectrodeResult:
        """The inverse of `to_json`."""
        return cls(
            electrode=data["electrode"],
            shards=tuple(WrittenShard(**s) for s in data["shards"]),
            blocks=tuple(BlockRow(**b) for b in data["blocks"]),
            left_out=tuple(LeftOutStretch(**x) for x in data["left_out"]),
        )


def write_electrode(job: ElectrodeJob) -> ElectrodeResult:
    """Write every block of one electrode; see the module docstring."""
    stores = tuple(copy.copy(store) for store in job.stores)
    rows: list[BlockRow] = []
    left_out: list[LeftOutStretch] = []
    with ShardWriter(
        job.folder, job.electrode, max_bytes=job.max_shard_bytes, first_number=job.first_number, sync=job.sync
    ) as writer:
        for count, part in enumerate(job.parts, 1):
            rows.extend(_recording(job, stores[part.store], part, writer, left_out))
            if count % _OPEN_RECORDINGS == 0:
                for store in stores:
                    store.close()
        shards = writer.finish()
    for store in stores:
        store.close()
    return ElectrodeResult(electrode=job.electrode, shards=tuple(shards), blocks=tuple(rows), left_out=tuple(left_out))


def _recording(
    job: ElectrodeJob, store: RecordingStore, part: RecordingPart, writer: ShardWriter, left_out: list[LeftOutStretch]
) -> Iterator[BlockRow]:
    info, number = part.info, 0
    for row, electrode in enumerate(info.electrodes):
        if electrode == job.electrode:
            number = yield from _row(job, store, part, row, number, writer, left_out)


def _row(
    job: ElectrodeJob,
    store: RecordingStore,
    part: RecordingPart,
    row: int,
    number: int,
    writer: ShardWriter,
    left_out: list[LeftOutStretch],
) -> Generator[BlockRow, None, int]:
    """Write the blocks of one derivation; its stretches are numbered from `number`. Returns the next number."""
    info = part.info
    name, reference, sigma_uv = info.inputs[row], info.references[row], _sigma_uv(info, row)
    kept = info.kept(name)

    def leave(stretches: Sequence[Stretch], code: str) -> None:
        left_out.extend(
            LeftOutStretch(
                recording=info.id,
                electrode=name,
                start_sample=s.start_sample,
                n_samples=s.n_samples,
                code=code,
            )
            for s in stretches
        )

    if sigma_uv < _LEAST_SIGMA_UV:
        leave(kept, "no_variation")
        return number

    def read(stretch: Stretch) -> np.ndarray:
        return store.electrode_uv(info, name, stretch)

    for stretch in kept:
        position = stretch.start_sample
        for good, peak_uv in usable(read, stretch, sigma_uv, job.block_samples):
            if good.start_sample > position:
                leave([Stretch(start_sample=position, n_samples=good.start_sample - position)], "out_of_range")
            position = good.stop_sample
            scale_uv = scale_for(peak_uv)
            for start in range(good.start_sample, good.stop_sample, job.block_samples):
                piece = Stretch(start_sample=start, n_samples=min(job.block_samples, good.stop_sample - start))
                block = Block(
                    recording=info.id,
                    electrode=job.electrode,
                    reference=reference,
                    stretch=number,
                    start_sample=start,
                    n_samples=piece.n_samples,
                    sfreq_hz=info.sfreq_hz,
                    scale_uv=scale_uv,
                )
                placed = writer.add(block, quantise(read(piece), scale_uv))
                yield BlockRow(
                    recording=part.recording,
                    reference=reference,
                    stretch=number,
                    shard=placed.shard,
                    offset=placed.offset,
                    n_samples=piece.n_samples,
                    start_sample=start,
                    scale_uv=scale_uv,
                    sigma_uv=sigma_uv,
                    crc32=placed.crc32,
                )
            number += 1
        if position < stretch.stop_sample:
            leave([Stretch(start_sample=position, n_samples=stretch.stop_sample - position)], "out_of_range")
    return number


def _sigma_uv(info: RecordingInfo, row: int) -> float:
    """The row's robust standard deviation, rounded to float32; zero if it has none."""
    if len(info.sigma_uv) != len(info.electrodes):
        raise InputError(
            f"recording {info.id!r} lacks the standard deviation of some electrodes",
            found=f"{len(info.sigma_uv)} values",
            expected=f"{len(info.electrodes)}",
            todo="ingest it again",
        )
    sigma_uv = float(np.float32(info.sigma_uv[row]))
    return sigma_uv if math.isfinite(sigma_uv) else 0.0
