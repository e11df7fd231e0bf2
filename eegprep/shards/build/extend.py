"""Extend a complete shard set: its shards are reused unchanged, its rows come first in every table."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from eegprep.electrodes import Vocabulary
from eegprep.errors import UsageError
from eegprep.manifest.schema import Manifest
from eegprep.shards.build.plan import Held
from eegprep.shards.build.writer import WrittenShard
from eegprep.shards.format import BLOCK_SCHEMA, BLOCKS, RECORDING_SCHEMA, RECORDINGS, TRIAL_SCHEMA, TRIALS
from eegprep.shards.lock import SetLock, read_set_lock
from eegprep.shards.reader import ShardSet
from eegprep.shards.tables import numbers, plain, read_table


@dataclass(frozen=True, kw_only=True)
class Base:
    """The set to extend. Rows of recordings keep their numbers; rows of blocks and shards move, by electrode."""

    set: ShardSet

    @classmethod
    def open(cls, path: Path) -> Base:
        """Open and check the set."""
        return cls(set=ShardSet.open(path))

    @property
    def sha256(self) -> str:
        """Hash of its contents."""
        return self.set.sha256

    @property
    def lock(self) -> SetLock:
        """Its lock."""
        return read_set_lock(self.set.path)

    @property
    def vocabulary(self) -> Vocabulary:
        """Its vocabulary."""
        return self.set.vocabulary

    @property
    def n_recordings(self) -> int:
        """Rows of recordings.parquet."""
        return len(self.set.recordings)

    @property
    def held(self) -> Held:
        """The contents that the plan needs."""
        r = self.set.recordings
        return Held(
            sha256=self.set.sha256,
            signals=dict(zip(r.id, r.signal_sha256, strict=True)),
            splits=dict(zip(zip(r.dataset, r.subject, strict=True), r.split, strict=True)),
        )

    @property
    def shards(self) -> dict[str, tuple[WrittenShard, ...]]:
        """Its shards by electrode name."""
        out: dict[str, tuple[WrittenShard, ...]] = {}
        for s in self.set.shards:
            name = self.vocabulary.name_of(s.electrode)
            out[name] = (*out.get(name, ()), WrittenShard(name=s.name, n_bytes=s.n_bytes, sha256=s.sha256))
        return out

    @property
    def n_shards(self) -> dict[str, int]:
        """Number of shards by electrode name."""
        return {name: len(shards) for name, shards in self.shards.items()}

    @property
    def recordings_table(self) -> pa.Table:
        """Its recordings."""
        return _in_full(self.set.path / RECORDINGS, RECORDING_SCHEMA)

    @property
    def trials_table(self) -> pa.Table:
        """Its trials."""
        return _in_full(self.set.path / TRIALS, TRIAL_SCHEMA)

    def check(self, vocabulary: Vocabulary, out: Path) -> None:
        """Check that the new vocabulary keeps every id and that the new set is in another folder."""
        if vocabulary.names[: len(self.vocabulary)] != self.vocabulary.names:
            raise UsageError(
                "the vocabulary does not begin with that of the set to extend",
                where=self.set.path,
                todo="append rows to the set's own vocabulary: ids must not change",
            )
        if out.resolve() == self.set.path.resolve():
            raise UsageError("a shard set cannot be changed", where=out, todo="choose another --out")

    def link_shards(self, out: Path) -> None:
        """Hard-link (or copy) every shard into the new folder; existing shards are kept."""
        for shard in self.set.shards:
            source, target = self.set.path / shard.name, out / shard.name
            if target.exists():
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            part = target.with_name(target.name + ".part")
            part.unlink(missing_ok=True)
            try:
                os.link(source, part)
            except OSError:  # another file system, or one without hard links
                shutil.copyfile(source, part)
            part.replace(target)

    def merge_blocks(self, blocks: pa.Table, shards: Mapping[str, Sequence[WrittenShard]]) -> pa.Table:
        """Merge old and new blocks in shard order, renumbered."""
        number = {s.name: i for i, s in enumerate(s for name in shards for s in shards[name])}
        moved = np.array([number[s.name] for s in self.set.shards], dtype=np.int32)
        old = _in_full(self.set.path / BLOCKS, BLOCK_SCHEMA)
        if len(moved):
            k = BLOCK_SCHEMA.get_field_index("shard")
            old = old.set_column(k, BLOCK_SCHEMA.field(k), pa.array(moved[numbers(old["shard"])]))
        return pa.concat_tables([old, blocks]).sort_by([("shard", "ascending"), ("offset", "ascending")])

    def merge_manifests(self, manifests: Sequence[Manifest]) -> tuple[Manifest, ...]:
        """The manifests of both sets; a data set cannot have two."""
        known = {m.name: m for m in self.set.manifests}
        for manifest in manifests:
            if known.setdefault(manifest.name, manifest) != manifest:
                raise UsageError(
                    f"the set to extend has a different manifest of the data set {manifest.name!r}",
                    where=self.set.path,
                    todo="shard the stores into a new set instead",
                )
        return tuple(known[name] for name in sorted(known))


def _in_full(path: Path, schema: pa.Schema) -> pa.Table:
    """A table of the set with decoded texts, for rewriting."""
    table = read_table(path, schema)
    columns = [plain(table[f.name], where=path) if pa.types.is_string(f.type) else table[f.name] for f in schema]
    return pa.table(columns, schema=schema)
