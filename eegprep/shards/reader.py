"""`ShardSet`: open a shard set, read its index, and access the samples of every block without copying.

The index is typed columns, samples are read-only int16 views into mapped tar files. Opening reads and checks the index
only; nothing is unpickled, no tar is parsed.
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from eegprep.display import html_table, listed
from eegprep.electrodes import Vocabulary
from eegprep.errors import EEGPTError, RefusedError, UsageError
from eegprep.files import path_of, sha256_file
from eegprep.manifest.schema import Manifest
from eegprep.manifest.tasks import Task
from eegprep.recording import Trial
from eegprep.shards.check import check_blocks, check_recordings, check_trials, shard_files
from eegprep.shards.columns import BlockTable, RecordingTable, ShardFile, SpanTable, TrialTable, spans_of
from eegprep.shards.flatmap import FlatMap
from eegprep.shards.format import (
    BLOCK_SCHEMA,
    BLOCKS,
    ELECTRODES,
    INDEX_FILES,
    MANIFEST,
    RECORDING_SCHEMA,
    RECORDINGS,
    SUMS,
    TRIAL_SCHEMA,
    TRIALS,
)  # fmt: skip
from eegprep.shards.manifests import read_manifests
from eegprep.shards.sums import read_sums
from eegprep.shards.tables import numbers, read_electrodes, read_table, texts
from eegprep.store.dataset import RecordingMapping, recording_dataset

if TYPE_CHECKING:
    import xarray as xr


class Remote(Protocol):
    """Source of the shards of a remote set; implemented in `eegprep.remote`."""

    address: str

    @property
    def max_bytes(self) -> int:
        """Size limit of its cache."""

    def paths(self, shards: list[ShardFile]) -> list[Path]:
        """Local files of some shards, downloaded and checked if missing."""

    def place(self, flat: FlatMap, number: int, shard: ShardFile) -> None:
        """Map a shard, downloaded and checked if missing."""


class ShardSet(RecordingMapping):
    """A complete shard set, opened for reading. Use `open`.

    `shards[recording_id]` is an `xarray.Dataset`, `shards.raw(recording_id)` an `mne.io.RawArray`.

    Attributes
    ----------
    path : Path
        Folder of the set (in the cache if it is remote).
    vocabulary : Vocabulary
        Electrode names by the ids of this set.
    shards : tuple of ShardFile
        All shards, by electrode and number.
    recordings, blocks, trials : RecordingTable, BlockTable, TrialTable
        The index.
    sha256 : str
        Hash of SHA256SUMS, which identifies the contents.
    remote : Remote or None
        Source of the shards of a remote set.
    """

    def __init__(self, path: Path, *, remote: Remote | None = None) -> None:
        self.path = path
        self.remote = remote
        self.hashes = read_sums(path)
        self.sha256 = sha256_file(path / SUMS)
        for name in INDEX_FILES:
            _check_file(path / name, self.hashes[name])
        electrodes = read_electrodes(path / ELECTRODES)
        try:
            self.vocabulary = Vocabulary.from_table(electrodes, where=str(path / ELECTRODES))
        except EEGPTError as error:
            raise RefusedError("the vocabulary is damaged", where=path / ELECTRODES, found=error.what) from error
        self.shards: tuple[ShardFile, ...] = shard_files(electrodes, self.vocabulary, self.hashes, path)
        self.recordings = _recordings(path)
        check_recordings(self.recordings, path)
        self.blocks = _blocks(path)
        check_blocks(self.blocks, self.shards, self.recordings, len(self.vocabulary), path)
        self.trials = _trials(path)
        check_trials(self.trials, self.recordings, path)

    @classmethod
    def open(cls, path: Path | str) -> ShardSet:
        """Open the shard set in a folder; `eegprep.remote.open_shards` takes addresses as well.

        Raises
        ------
        UsageError
            The folder is not a complete shard set.
        RefusedError
            The index is damaged, of another version, or contradicts itself.
        """
        return cls(path_of(path, "the shard set"))

    def __repr__(self) -> str:
        return (
            f"ShardSet({str(self.path)!r}: {len(self.recordings)} recordings, {len(self.blocks)} blocks, "
            f"{len(self.trials)} trials)"
        )

    def _repr_html_(self) -> str:
        r, trials = self.recordings, self.trials
        names = [self.vocabulary.name_of(int(i)) for i in np.unique(self.blocks.electrode)]
        hours = np.bincount(self.blocks.recording, self.blocks.n_samples, minlength=len(r)) / (3600 * r.sfreq_hz)
        tasks = np.bincount(trials.task, minlength=len(trials.task_names))
        splits = Counter(r.split)
        facts = {
            "address": None if self.remote is None else self.remote.address,
            "data sets": ", ".join(f"{m.name} ({m.licence.id})" for m in self.manifests),
            "recordings": f"{len(r)} ({', '.join(f'{k} {n}' for k, n in splits.items())})",
            "subjects": len(set(zip(r.dataset, r.subject, strict=True))),
            "electrodes": f"{len(names)}: {listed(names)}",
            "electrode hours": float(hours.sum()),
            "trials": ", ".join(f"{t} {n}" for t, n in zip(trials.task_names, tasks, strict=True)),
        }
        rows = [
            {"recording": i, "split": split, "minutes": float(n / hz / 60)}
            for i, split, n, hz in zip(r.id, r.split, r.n_samples, r.sfreq_hz, strict=True)
        ]
        return html_table(f"Shard set {self.path}", facts, rows)

    def __getstate__(self) -> dict[str, Any]:
        # Worker processes open it again: maps and tables don't travel.
        return {"path": self.path, "remote": self.remote}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["path"], remote=state["remote"])  # type: ignore[misc]

    @functools.cached_property
    def spans(self) -> SpanTable:
        """Blocks joined into contiguous stretches."""
        return spans_of(self.blocks)

    @functools.cached_property
    def manifests(self) -> tuple[Manifest, ...]:
        """The manifests of all data sets in the set."""
        return read_manifests(self.path / MANIFEST)

    @property
    def tasks(self) -> tuple[tuple[Manifest, Task], ...]:
        """Every task with its manifest, by data set and in the manifest's order."""
        return tuple((m, t) for m in sorted(self.manifests, key=lambda m: m.name) for t in m.tasks)

    def shard_paths(self, rows: Sequence[int] | None = None) -> list[Path]:
        """Local files of some shards (all by default); a remote set fetches and checks them first."""
        chosen = [self.shards[r] for r in (range(len(self.shards)) if rows is None else rows)]
        if self.remote is not None:
            if (n_bytes := sum(s.n_bytes for s in chosen)) > self.remote.max_bytes:
                raise UsageError(
                    "the shards do not fit into the cache", where=self.remote.address,
                    found=f"{n_bytes} bytes", expected=f"at most {self.remote.max_bytes} bytes",
                    todo="increase EEGPT_CACHE_BYTES, or read with WindowIndex, which needs only some at a time",
                )  # fmt: skip
            return self.remote.paths(chosen)
        return [self.path / s.name for s in chosen]

    @functools.cached_property
    def map(self) -> FlatMap:
        """All shards as one flat array, created on first use."""
        paths = self.shard_paths()
        if self.remote is None:
            return FlatMap([(p, s.n_bytes) for p, s in zip(paths, self.shards, strict=True)])
        flat = FlatMap([(None, s.n_bytes) for s in self.shards])
        for k, shard in enumerate(self.shards):
            self.remote.place(flat, k, shard)
        return flat

    def ids(self) -> tuple[str, ...]:
        """Ids of the recordings, `dataset/subject/session/run`, in the set's order."""
        return self.recordings.id

    def __contains__(self, recording_id: object) -> bool:
        return recording_id in self._rows

    @functools.cached_property
    def _rows(self) -> dict[str, int]:
        """Row of each recording."""
        return {name: row for row, name in enumerate(self.recordings.id)}

    @functools.cached_property
    def _grouped(self) -> tuple[list[NDArray[np.intp]], list[NDArray[np.intp]]]:
        """The blocks and the trials of each recording."""
        found = []
        for of in (self.blocks.recording, self.trials.recording):
            order = np.argsort(of, kind="stable")
            edges = np.searchsorted(of[order], np.arange(1, len(self.recordings)))
            found.append(np.split(order, edges))
        return found[0], found[1]

    def _dataset(self, recording_id: str) -> xr.Dataset:
        row = self._rows[recording_id]
        blocks, own_trials = (of[row] for of in self._grouped)
        table, trials = self.recordings, self.trials
        words = self.blocks.reference_names
        keys = [(int(self.blocks.electrode[b]), words[self.blocks.reference[b]]) for b in blocks]
        inputs = sorted(set(keys))  # by electrode id and reference
        of_row = [blocks[[key == one for key in keys]] for one in inputs]
        names = [self.vocabulary.name_of(i) for i, _ in inputs]
        plain = {c: table.table[c][row].as_py() for c in ("source_sfreq_hz", "line_freq_hz")}

        def read(electrode: int, start: int, stop: int) -> NDArray[np.float32]:
            out = np.full(stop - start, np.nan, np.float32)
            for block in of_row[electrode]:
                begin = int(self.blocks.start_sample[block])
                a, b = max(start, begin), min(stop, begin + int(self.blocks.n_samples[block]))
                if a < b:
                    samples = self.signal_i16(int(block))[a - begin : b - begin]
                    out[a - start : b - start] = samples * self.blocks.scale_uv[block]
            return out

        return recording_dataset(
            read,
            electrodes=names,
            kinds=[self.vocabulary.kind_of(n) for n in names],
            sigma_uv=[float(self.blocks.sigma_uv[own[0]]) for own in of_row],
            references=[reference for _, reference in inputs],
            n_samples=int(table.n_samples[row]),
            sfreq_hz=float(table.sfreq_hz[row]),
            trials=[
                Trial(
                    start_sample=int(trials.start_sample[t]),
                    n_samples=int(trials.n_samples[t]),
                    task=trials.task_names[trials.task[t]],
                    label=trials.label_names[trials.label[t]],
                )
                for t in own_trials
            ],
            steps=table.steps(row).steps_json(),
            source_sfreq_hz=plain["source_sfreq_hz"],
            line_freq_hz=None if math.isnan(plain["line_freq_hz"]) else plain["line_freq_hz"],
            attributes={
                "recording": recording_id,
                "subject": table.subject[row],
                "session": table.session[row],
                "run": table.run[row],
                "split": table.split[row],
                "shard_set_sha256": self.sha256,
            },
        )

    def signal_i16(self, block: int) -> NDArray[np.int16]:
        """A block's samples, (n_samples,) int16, a read-only view; times `blocks.scale_uv[block]` gives microvolt."""
        start = int(self.map.starts[self.blocks.shard[block]] + self.blocks.offset[block]) // 2
        return self.map.samples[start : start + int(self.blocks.n_samples[block])]

    def signal_uv(self, block: int) -> NDArray[np.float32]:
        """A block's samples in microvolt, (n_samples,) float32."""
        return self.signal_i16(block) * self.blocks.scale_uv[block]


def _check_file(path: Path, sha256: str) -> None:
    if not path.is_file():
        raise RefusedError("an index file is missing", where=path, todo="download or build the shard set again")
    if (found := sha256_file(path)) != sha256:
        raise RefusedError(
            f"the hash of {path.name} does not match {SUMS}", where=path, found=found, expected=sha256,
            todo="download or build the shard set again",
        )  # fmt: skip


def _blocks(path: Path) -> BlockTable:
    table = read_table(path / BLOCKS, BLOCK_SCHEMA).unify_dictionaries()
    reference, names = _codes(table["reference"])
    plain = {name: numbers(table[name]) for name in BLOCK_SCHEMA.names if name != "reference"}
    return BlockTable(**plain, reference=reference, reference_names=names)


def _codes(column: pa.ChunkedArray) -> tuple[NDArray[np.int32], tuple[str, ...]]:
    """The codes of a column with one dictionary, and their words."""
    chunks = column.chunks
    names = chunks[0].dictionary.to_pylist() if chunks else []
    return numbers(pa.chunked_array([c.indices for c in chunks], pa.int32())), tuple(names)


def _recordings(path: Path) -> RecordingTable:
    table = read_table(path / RECORDINGS, RECORDING_SCHEMA)
    return RecordingTable(
        id=texts(table["id"]),
        dataset=texts(table["dataset"]),
        subject=texts(table["subject"]),
        session=texts(table["session"]),
        run=texts(table["run"]),
        split=texts(table["split"]),
        within_subject=numbers(table["within_subject"]),
        sfreq_hz=numbers(table["sfreq_hz"]),
        n_samples=numbers(table["n_samples"]),
        signal_sha256=texts(table["signal_sha256"]),
        source_sha256=texts(table["source_sha256"]),
        fingerprint=texts(table["fingerprint"]),
        table=table,
    )


def _trials(path: Path) -> TrialTable:
    table = read_table(path / TRIALS, TRIAL_SCHEMA).unify_dictionaries()
    task, task_names = _codes(table["task"])
    label, label_names = _codes(table["label"])
    return TrialTable(
        **{name: numbers(table[name]) for name in ("recording", "start_sample", "n_samples")},
        task=task,
        label=label,
        task_names=task_names,
        label_names=label_names,
        events=table["event"],
    )
