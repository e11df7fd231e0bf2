"""Everything that talks to a network: data sets, shard sets at an address, push and pull."""

from eegprep.remote.shard_sets import open_shards

__all__ = ["open_shards"]
