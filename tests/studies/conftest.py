"""Shard sets for studies."""

from support.transfer_runs import other_shards, shards, synthetic  # noqa: F401  fixtures
