"""Shard sets and encoders for transfer runs."""

from support.transfer_runs import encoder, make_encoder, other_shards, shards  # noqa: F401  fixtures
