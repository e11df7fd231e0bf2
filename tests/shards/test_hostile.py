"""Sets that a stranger made to harm: short files that become long tables, pipes, links, members that are no files."""

from __future__ import annotations

import os
import resource
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from eegprep.errors import EEGPTError, RefusedError
from eegprep.shards import ShardSet, build_shard_set, verify_shard_set


@pytest.fixture
def damaged(shard_folder, hostile, tmp_path) -> Path:
    return hostile.copy_of(shard_folder, tmp_path / "set")


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def bomb(path: Path, column: str, *, n_rows: int = 20_000, n_characters: int = 1_000_000) -> None:
    """Rewrite a table so that one column says the same long text in every row, stored once."""
    table = pq.ParquetFile(path).read()
    long = pa.DictionaryArray.from_arrays(pa.array(np.zeros(n_rows, np.int32)), pa.array(["x" * n_characters]))
    columns = {}
    for field in table.schema:
        if field.name == column:
            ends = pa.array(np.arange(n_rows + 1, dtype=np.int32))
            columns[column] = pa.ListArray.from_arrays(ends, long) if pa.types.is_list(field.type) else long
        elif field.name == "id" and field.type == pa.int32():
            columns["id"] = pa.array(range(n_rows), pa.int32())
        else:
            columns[field.name] = pa.array([table[field.name][0].as_py()] * n_rows, field.type)
    texts = [f.name for f in table.schema if pa.types.is_string(f.type)]
    pq.write_table(
        pa.table(columns).replace_schema_metadata(table.schema.metadata),
        path,
        compression="none",
        use_dictionary=[*texts, *(["aliases.list.element"] if column == "aliases" else [])],
        dictionary_pagesize_limit=1 << 24,
    )
    assert path.stat().st_size < 5_000_000


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("electrodes.parquet", "source"),
        ("electrodes.parquet", "shards"),
        ("electrodes.parquet", "aliases"),
        ("recordings.parquet", "subject"),
        ("recordings.parquet", "attributes"),
        ("trials.parquet", "event"),
    ],
)
def test_repeated_text_takes_no_memory(damaged, hostile, name, column):
    """20 GB, said in a megabyte."""
    bomb(damaged / name, column)
    hostile.edit_sums(damaged, lambda lines: lines.update({name: hostile._sha256(damaged / name)}))
    before = peak_mib()
    with pytest.raises(RefusedError):
        verify_shard_set(damaged)
    assert peak_mib() - before < 200


def test_delta_encoded_text_is_refused(damaged, hostile):
    """A text that is stored as the difference from the one before is refused."""
    path = damaged / "trials.parquet"
    table = pq.ParquetFile(path).read()
    pq.write_table(
        table, path, compression="none", use_dictionary=False, column_encoding={"event": "DELTA_BYTE_ARRAY"}
    )  # fmt: skip
    hostile.reseal(damaged)
    with pytest.raises(RefusedError, match="could outgrow it"):
        ShardSet.open(damaged)


def test_nested_columns_are_refused(damaged, hostile):
    path = damaged / "trials.parquet"
    table = pq.ParquetFile(path).read()
    nested = table.set_column(5, "event", pa.array([[e] for e in table["event"].to_pylist()]))
    pq.write_table(nested, path, compression="none", use_dictionary=["task", "label"])
    hostile.reseal(damaged)
    with pytest.raises(RefusedError, match=r"trials\.parquet"):
        ShardSet.open(damaged)


def test_text_repeated_too_often_is_refused(damaged, hostile, synthetic, tmp_path):
    """A text that a set to extend repeats too often is refused."""

    def change(columns):
        columns["attributes"] = ["{}" + " " * 30_000_000] * len(columns["id"])

    hostile.edit_table(damaged, "recordings.parquet", change, dictionary_pagesize_limit=1 << 28)
    with pytest.raises(RefusedError, match="far larger than the file"):
        build_shard_set(
            [synthetic.small_store(seed=3, dataset="more")], tmp_path / "new", extends=damaged, sync=False
        )  # fmt: skip


def test_duplicate_recording_is_refused(damaged, hostile):
    """A duplicate recording is refused."""

    def change(columns):
        for name in ("id", "subject", "session", "run"):
            columns[name][1] = columns[name][0]

    hostile.edit_table(damaged, "recordings.parquet", change)
    with pytest.raises(RefusedError, match="duplicate recording"):
        ShardSet.open(damaged)


def test_overlapping_blocks_are_refused(damaged, hostile):
    """Blocks that overlap in the shard are refused."""
    hostile.edit_table(damaged, "blocks.parquet", lambda c: c["offset"].__setitem__(1, c["offset"][0] + 512))
    with pytest.raises(RefusedError, match="column 'offset'"):
        ShardSet.open(damaged)


@pytest.mark.parametrize("by", [-100, 100])
def test_blocks_must_follow_each_other(damaged, hostile, by):
    """A block that overlaps the one before or leaves a gap inside its stretch is refused."""

    def change(columns):
        row = next(k for k, n in enumerate(columns["stretch"]) if k and columns["start_sample"][k] == 512)
        columns["start_sample"][row] += by

    hostile.edit_table(damaged, "blocks.parquet", change)
    with pytest.raises(RefusedError, match=r"column 'start_sample'|column 'n_samples'"):
        ShardSet.open(damaged)


@pytest.mark.parametrize("kind", [tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_link_or_device_member_is_named(damaged, hostile, kind):
    """A member that is a link or a device is named."""
    shard = damaged / ShardSet.open(damaged).shards[0].name
    data = shard.read_bytes()
    head = tarfile.TarInfo.frombuf(data[:512], "utf-8", "strict")
    head.type, head.linkname = kind, "/etc/passwd"
    shard.write_bytes(head.tobuf(tarfile.USTAR_FORMAT) + data[512:])
    hostile.reseal(damaged)
    with pytest.raises(RefusedError, match=r"member synthetic\+000.*Fp1\+0\+0\.npy: the header"):
        verify_shard_set(damaged)


def test_pipe_as_a_shard_does_not_block(damaged):
    """A pipe in the place of a shard does not wait for a writer."""
    shard = damaged / ShardSet.open(damaged).shards[0].name
    shard.unlink()
    os.mkfifo(shard)
    with pytest.raises(RefusedError, match=shard.name):
        verify_shard_set(damaged)
    with pytest.raises(RefusedError, match="the size of shard"):
        ShardSet.open(damaged).signal_i16(0)


@pytest.mark.parametrize("name", ["SHA256SUMS", "blocks.parquet", "lock.yaml"])
def test_pipe_as_an_index_does_not_block(damaged, name):
    """A pipe in the place of an index file does not wait for a writer."""
    (damaged / name).unlink()
    os.mkfifo(damaged / name)
    with pytest.raises(EEGPTError):
        ShardSet.open(damaged)


def test_target_of_a_link_is_verified(damaged, tmp_path):
    """Caches of the hub are made of links; a link shows nothing that its hash and frames do not say already."""
    shard = damaged / ShardSet.open(damaged).shards[0].name
    elsewhere = tmp_path / "elsewhere.tar"
    shard.rename(elsewhere)
    shard.symlink_to(elsewhere)
    verify_shard_set(damaged, deep=True)
    other = bytearray(elsewhere.read_bytes())
    other[3000] ^= 1
    elsewhere.write_bytes(other)
    with pytest.raises(RefusedError, match=shard.name):
        verify_shard_set(damaged, deep=True)


def test_hostile_yaml_takes_little_memory(damaged, hostile):
    """YAML of any size or depth is refused in little memory."""
    before = peak_mib()
    texts = (
        "a: " + "x" * (33 << 20),
        "{a: " * 20_000,
        "[" * 60_000,
        "&a [x]",
        "a: &b [x]\nc: *b\n",
        "- a\n" * 2_100_000,
    )
    for text in texts:
        (damaged / "lock.yaml").write_text(text)
        hostile.reseal(damaged)
        with pytest.raises(RefusedError):
            verify_shard_set(damaged)
    assert peak_mib() - before < 300
