"""Plan a shard set before reading any sample.

From stores, a vocabulary and options: the ordered recordings with splits and row numbers, one job per electrode, and a
hash of the plan, which identifies an interrupted or finished build.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eegprep.electrodes import Vocabulary
from eegprep.errors import RefusedError, UsageError
from eegprep.files import canonical_json
from eegprep.manifest.schema import Manifest
from eegprep.recording import RecordingInfo
from eegprep.shards.build.electrode import ElectrodeJob, RecordingPart
from eegprep.shards.format import FORMAT_VERSION, INT16_PEAK, MAX_BLOCK_SAMPLES
from eegprep.shards.protocol import RecordingStore
from eegprep.splits.fingerprint import Copies


@dataclass(frozen=True, kw_only=True)
class Options:
    """How blocks and shards are divided."""

    block_samples: int
    max_shard_bytes: int

    def __post_init__(self) -> None:
        if not 1 <= self.block_samples <= MAX_BLOCK_SAMPLES:
            raise UsageError("invalid block length", found=self.block_samples, expected=f"1 to {MAX_BLOCK_SAMPLES}")
        if self.max_shard_bytes < 1:
            raise UsageError("invalid shard size", found=self.max_shard_bytes, expected="1 byte or more")


@dataclass(frozen=True, kw_only=True)
class Held:
    """Contents of a set to extend: hash of the signal by recording id, split by (data set, subject)."""

    sha256: str
    signals: dict[str, str]
    splits: dict[tuple[str, str], str]


@dataclass(frozen=True, kw_only=True)
class PlannedRecording:
    """A recording with its store and its split."""

    info: RecordingInfo
    store: int
    split: str
    within_subject: bool


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything that determines the bytes; identified by `sha256`."""

    stores: tuple[RecordingStore, ...]
    manifests: tuple[Manifest, ...]
    vocabulary: Vocabulary
    recordings: tuple[PlannedRecording, ...]
    options: Options
    sha256: str

    def jobs(
        self, folder: Path, *, first_recording: int, first_numbers: dict[str, int], sync: bool
    ) -> list[ElectrodeJob]:
        """One job per electrode of any recording, sorted by electrode id."""
        parts: dict[str, list[RecordingPart]] = {}
        for row, planned in enumerate(self.recordings, first_recording):
            part = RecordingPart(recording=row, store=planned.store, info=planned.info)
            for electrode in dict.fromkeys(planned.info.electrodes):
                parts.setdefault(electrode, []).append(part)
        return [
            ElectrodeJob(
                folder=folder,
                electrode=name,
                stores=self.stores,
                parts=tuple(parts[name]),
                block_samples=self.options.block_samples,
                max_shard_bytes=self.options.max_shard_bytes,
                first_number=first_numbers.get(name, 0),
                sync=sync,
            )
            for name in self.vocabulary.names
            if name in parts
        ]


def make_plan(
    stores: Sequence[RecordingStore],
    vocabulary: Vocabulary,
    options: Options,
    *,
    version: str,
    base: Held | None = None,
) -> Plan:
    """Read the descriptions of the stores' recordings, check that they are compatible, and assign splits.

    Parameters
    ----------
    version : str
        Version of the program, since other versions may decide differently.
    base : Held, optional
        Contents of the set to extend.

    Raises
    ------
    UsageError
        Two stores contain the same recording, an electrode is not in the vocabulary, or there is nothing to write.
    RefusedError
        A recording of the set to extend has a different signal now.
    """
    from eegprep.splits.assign import assign

    manifests: dict[str, Manifest] = {}
    held: dict[str, list[tuple[int, RecordingInfo]]] = {}
    for number, store in enumerate(stores):
        manifest = store.manifest
        if manifests.setdefault(manifest.name, manifest) != manifest:
            raise UsageError(f"two stores have different manifests of the data set {manifest.name!r}")
        held.setdefault(manifest.name, []).extend((number, _as_before(i, manifest, base)) for i in store.infos())
    planned: dict[str, PlannedRecording] = {}
    for name, own in held.items():
        # all stores of a data set together: a subject with recordings in two of them is in one split
        splits = assign([info for _, info in own], manifests[name].split)
        for number, info in own:
            _check(info, vocabulary)
            if info.id in planned:
                raise UsageError(f"two stores contain the recording {info.id!r}", todo="pass each store once")
            within = manifests[name].within_subject
            planned[info.id] = PlannedRecording(info=info, store=number, split=splits[info.id], within_subject=within)
    for known, signal_sha256 in (base.signals if base else {}).items():
        again = planned.pop(known, None)
        if again is not None and again.info.signal_sha256 != signal_sha256:
            raise RefusedError(
                f"recording {known!r} is already in the shard set, with another signal",
                found=again.info.signal_sha256,
                expected=signal_sha256,
                todo="shard the stores into a new set instead of extending this one",
            )
    if not planned:
        raise UsageError("no recordings to shard", todo="ingest some recordings first")
    recordings = tuple(planned[i] for i in sorted(planned))
    _check_copies(recordings)
    decided = {
        "format_version": FORMAT_VERSION,
        "version": version,
        "int16_peak": INT16_PEAK,
        "block_samples": options.block_samples,
        "max_shard_bytes": options.max_shard_bytes,
        "vocabulary": [
            [e.name, list(e.aliases), e.position_m, *([e.kind] if e.kind != "eeg" else [])] for e in vocabulary
        ],
        "manifests": [m.model_dump(mode="json") for m in manifests.values()],
        "extends": base.sha256 if base else None,
    }
    return Plan(
        stores=tuple(stores),
        manifests=tuple(manifests[name] for name in sorted(manifests)),
        vocabulary=vocabulary,
        recordings=recordings,
        options=options,
        sha256=_sha256(decided, recordings),
    )


def _sha256(decided: Mapping[str, Any], recordings: Sequence[PlannedRecording]) -> str:
    """The hash of canonical JSON of `decided` with `recordings` in it, of which one at a time is in memory."""
    before = canonical_json({k: v for k, v in decided.items() if k < "recordings"}).removesuffix("\n}\n")
    after = canonical_json({k: v for k, v in decided.items() if k > "recordings"}).removeprefix("{")
    digest = hashlib.sha256(f'{before},\n "recordings": ['.encode())
    for number, planned in enumerate(recordings):
        text = canonical_json([planned.info.to_json(), planned.split]).rstrip("\n").replace("\n", "\n  ")
        digest.update(f"{',' if number else ''}\n  {text}".encode())
    digest.update(f"\n ],{after}".encode())
    return digest.hexdigest()


def _check_copies(recordings: Sequence[PlannedRecording]) -> None:
    """Refuse a split that tests on an altered copy of training data."""
    known = [(p.info.id, p.info.fingerprint, p.split) for p in recordings if not p.within_subject]
    found = []
    for split in ("train", "validation"):
        copies = Copies((name, text) for name, text, where in known if where == split)
        later = ("validation", "test") if split == "train" else ("test",)
        found += [(name, seen) for name, text, where in known if where in later and (seen := copies.of(text))]
    if found:
        raise RefusedError(
            f"{len(found)} recordings are duplicates of recordings in another split",
            found="; ".join(f"{name} (duplicate of {seen})" for name, seen in found[:5])
            + ("; ..." if found[5:] else ""),
            expected="no signal in more than one split",
            todo="leave out one of each pair, or assign both subjects to one split in the manifest",
        )


def _as_before(info: RecordingInfo, manifest: Manifest, base: Held | None) -> RecordingInfo:
    """Keep a subject that is already in the set in the same split."""
    if base is None or info.split or manifest.split.by != "subject":
        return info
    return dataclasses.replace(info, split=base.splits.get((info.dataset, info.subject), ""))


def _check(info: RecordingInfo, vocabulary: Vocabulary) -> None:
    names = set(vocabulary.names)
    if strange := [e for e in info.electrodes if e not in names]:
        raise UsageError(
            f"recording {info.id!r} has electrodes that are not in the vocabulary",
            found=", ".join(strange),
            todo="pass the vocabulary used by the ingest (--vocabulary)",
        )
    for trial in info.trials:
        if trial.start_sample < 0 or trial.n_samples < 1 or trial.start_sample + trial.n_samples > info.n_samples:
            raise UsageError(
                f"a trial of recording {info.id!r} is outside the recording",
                found=f"samples {trial.start_sample} to {trial.start_sample + trial.n_samples}",
                expected=f"0 to {info.n_samples}",
                todo="ingest it again",
            )
