"""What ingest left out travels with the shard set, also when one set is built on another."""

from __future__ import annotations

import shutil
from pathlib import Path

from eegprep.report.contents import contents_of_shards
from eegprep.shards import build_shard_set
from eegprep.store import Store


def test_extended_set_counts_both_losses(toy_store: Path, toy_shards: Path, tmp_path: Path) -> None:
    """A set that extends another counts what both left out."""
    shutil.copytree(toy_store, tmp_path / "half")
    half = Store.open(tmp_path / "half")
    for recording in [i for i in half.ids() if i.startswith(("toy/s3", "toy/s4"))]:
        half.remove(recording)
    build_shard_set([tmp_path / "half"], tmp_path / "first", sync=False)
    build_shard_set([toy_store], tmp_path / "both", extends=tmp_path / "first", sync=False)
    whole = contents_of_shards(toy_shards).left_out
    assert contents_of_shards(tmp_path / "first").left_out != whole
    assert contents_of_shards(tmp_path / "both").left_out == whole
