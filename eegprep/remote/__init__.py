"""Network access: data sets, remote shard sets, push and pull."""

from eegprep.remote.shard_sets import open_shards

__all__ = ["open_shards"]
