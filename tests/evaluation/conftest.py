"""Shard sets and encoders for scored runs."""

from support.transfer_runs import encoder, shards  # noqa: F401  fixtures
