"""Shard sets for studies."""

from support.transfer_runs import other_shards, shards  # noqa: F401  fixtures
