"""The interface between recordings and models: the shard set, format version 1 (docs/reference/shard-format.md)."""

from eegprep.shards.build.shard_set import ShardSummary, build_shard_set
from eegprep.shards.columns import BlockTable, RecordingTable, ShardFile, SpanTable, TrialTable
from eegprep.shards.flatmap import FlatMap
from eegprep.shards.format import FORMAT_VERSION
from eegprep.shards.protocol import RecordingStore
from eegprep.shards.reader import ShardSet
from eegprep.shards.verify.shard_set import VerifyReport, verify_shard_set

__all__ = [
    "FORMAT_VERSION",
    "RecordingStore",
    "ShardSummary",
    "build_shard_set",
    "ShardSet",
    "ShardFile",
    "BlockTable",
    "RecordingTable",
    "TrialTable",
    "SpanTable",
    "FlatMap",
    "VerifyReport",
    "verify_shard_set",
]
