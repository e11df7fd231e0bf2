"""Every corruption is caught and named, also where all hashes were made to agree; nothing runs, grows or is written."""

from __future__ import annotations

import io
import json
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest

from eegprep.errors import EEGPTError, RefusedError, UsageError
from eegprep.shards import ShardSet, verify_shard_set
from eegprep.shards.sums import SHARD_PATH


@pytest.fixture
def damaged(shard_folder, hostile, tmp_path) -> Path:
    return hostile.copy_of(shard_folder, tmp_path / "set")


def first_shard(folder: Path) -> Path:
    return folder / ShardSet.open(folder).shards[0].name


def refuses(folder: Path, *words: str, deep: bool = False) -> str:
    with pytest.raises(RefusedError) as error:
        verify_shard_set(folder, deep=deep)
    text = str(error.value)
    for word in words:
        assert word in text
    return text


def overwrite(path: Path, at: int, data: bytes) -> None:
    with path.open("rb+") as handle:
        handle.seek(at)
        handle.write(data)


def test_whole_set_passes_both_checks(shard_folder):
    """A whole set passes both checks, and the cheap one reads little."""
    cheap, deep = verify_shard_set(shard_folder), verify_shard_set(shard_folder, deep=True)
    assert cheap.n_blocks == deep.n_blocks > 0
    assert deep.n_bytes > cheap.n_bytes


@pytest.mark.parametrize("where", ["header", "samples", "json", "end"])
def test_flipped_bit_in_a_shard_is_named(damaged, where):
    """One flipped bit in a shard is found and named."""
    shard, opened = first_shard(damaged), ShardSet.open(damaged)
    size, offset = shard.stat().st_size, int(opened.blocks.offset[0])
    at = {
        "header": 5,
        "samples": offset + 11,
        "json": offset + 2 * int(opened.blocks.n_samples[0]) + 700,
        "end": size - 3,
    }
    byte = shard.read_bytes()[at[where]]
    overwrite(shard, at[where], bytes([byte ^ 4]))
    refuses(damaged, "shards/Fp1/Fp1-000000.tar", deep=True)
    if where != "samples":
        refuses(damaged, "shards/Fp1/Fp1-000000.tar")


def test_flipped_sample_is_named_by_member(damaged, hostile):
    """A flipped sample is named by its member, also where the shard's hash was made to agree."""
    opened = ShardSet.open(damaged)
    overwrite(first_shard(damaged), int(opened.blocks.offset[1]), b"\x55")
    hostile.reseal(damaged)
    refuses(damaged, "member synthetic+000+-+1+Fp1+0+512.npy", "CRC-32", deep=True)


def test_every_byte_of_a_shard_matters(damaged):
    """Every single byte of a shard matters."""
    shard = first_shard(damaged)
    data = shard.read_bytes()
    for at in np.random.default_rng(0).integers(0, len(data), 60):
        overwrite(shard, int(at), bytes([data[at] ^ 1]))
        refuses(damaged, "Fp1-000000.tar", deep=True)
        overwrite(shard, int(at), data[at : at + 1])
    verify_shard_set(damaged, deep=True)


def test_truncated_shard_is_never_mapped(damaged):
    """A truncated shard is refused before it is mapped."""
    shard = first_shard(damaged)
    os.truncate(shard, shard.stat().st_size - 512)
    refuses(damaged, "Fp1-000000.tar", "bytes")
    with pytest.raises(RefusedError, match="the size of shard"):
        ShardSet.open(damaged).signal_i16(0)


def test_truncated_shard_with_good_hashes(damaged, hostile):
    """A truncated shard is found, also where all hashes agree."""
    shard = first_shard(damaged)
    os.truncate(shard, shard.stat().st_size - 512)
    hostile.reseal(damaged)
    refuses(damaged)


def test_a_missing_shard_is_named(damaged):
    first_shard(damaged).unlink()
    refuses(damaged, "Fp1-000000.tar")
    with pytest.raises(RefusedError, match="missing"):
        ShardSet.open(damaged).signal_i16(0)


def test_two_swapped_shards_are_named(damaged, hostile):
    a, b = (damaged / ShardSet.open(damaged).shards[k].name for k in (0, 1))
    one, two = a.read_bytes(), b.read_bytes()
    a.write_bytes(two)
    b.write_bytes(one)
    refuses(damaged, a.name, b.name, deep=True)
    hostile.reseal(damaged)
    refuses(damaged, a.name)


def test_doubled_or_missing_member_is_found(damaged, hostile):
    """A doubled or missing member is found, also where all hashes agree."""
    shard, opened = first_shard(damaged), ShardSet.open(damaged)
    data, second = shard.read_bytes(), int(opened.blocks.offset[1]) - 1024
    shard.write_bytes(data[:second] + data[:second] + data[second:])
    hostile.reseal(damaged)
    refuses(damaged, shard.name)
    shard.write_bytes(data[second:])
    hostile.reseal(damaged)
    refuses(damaged)


def test_unlisted_file_is_named(damaged):
    """A file that the set does not list is named."""
    (damaged / "shards" / "Fp1" / "notes.txt").write_text("x")
    refuses(damaged, "shards/Fp1/notes.txt")


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("offset", 1 << 50),
        ("offset", -512),
        ("offset", 1025),
        ("n_samples", 1 << 40),
        ("n_samples", 0),
        ("start_sample", -1),
        ("start_sample", 1 << 61),
        ("recording", 10**6),
        ("recording", -1),
        ("electrode", 137),
        ("electrode", 10**6),
        ("shard", 10**6),
        ("shard", -1),
        ("stretch", 99),
        ("scale_uv", 0.0),
        ("scale_uv", float("nan")),
        ("scale_uv", 0.3),
        ("sigma_uv", float("inf")),
        ("sigma_uv", -1.0),
    ],
)
def test_wrong_index_number_is_refused(damaged, hostile, column, value):
    """A wrong number in the index is refused on opening."""

    def change(columns):
        columns[column][3] = value

    hostile.edit_table(damaged, "blocks.parquet", change)
    with pytest.raises(RefusedError, match=f"block \\d+, column '{column}'|block 3"):
        ShardSet.open(damaged)


def test_samples_of_other_blocks_are_found(damaged, hostile):
    """Samples that the index puts into another block are found."""

    def change(columns):
        columns["start_sample"][2] += 512 - 512 // 2
        columns["scale_uv"][0] *= 2

    hostile.edit_table(damaged, "blocks.parquet", change)
    refuses(damaged)


@pytest.mark.parametrize(("column", "value"), [("start_sample", 10**9), ("n_samples", 0), ("recording", 77)])
def test_trial_outside_recording_is_refused(damaged, hostile, column, value):
    """A trial outside its recording is refused."""
    hostile.edit_table(damaged, "trials.parquet", lambda c: c[column].__setitem__(0, value))
    with pytest.raises(RefusedError, match="trial 0"):
        ShardSet.open(damaged)


@pytest.mark.parametrize(("column", "value"), [("task", "feet"), ("label", "up")])
def test_trial_of_unknown_task_is_named(damaged, hostile, column, value):
    """A trial of an unknown task or label is named."""
    hostile.edit_table(damaged, "trials.parquet", lambda c: c[column].__setitem__(0, value))
    refuses(damaged, value)


@pytest.mark.parametrize("value", ["yes", "nan", "inf", "1e39", "0x10", "1_0", ""])
def test_regression_label_is_a_number(damaged, hostile, value):
    """What cannot be a target of a regression is named, instead of refused in training."""

    def edit(columns):
        columns["label"][columns["task"].index("load")] = value

    hostile.edit_table(damaged, "trials.parquet", edit)
    refuses(damaged, "not in task 'load'")


def test_claimed_length_needs_samples(damaged, hostile):
    """A length of days after the last sample, which would fill the memory of whoever loads the recording."""
    hostile.edit_table(damaged, "recordings.parquet", lambda c: c["n_samples"].__setitem__(0, 1 << 31))
    refuses(damaged, "without a sample at its end")


def test_wrong_counts_are_named(damaged, hostile):
    hostile.edit_table(damaged, "electrodes.parquet", lambda c: c["n_blocks"].__setitem__(0, 7), seal=False)
    hostile.reseal(damaged)
    refuses(damaged, "electrodes.parquet counts 7 blocks")


def test_a_moved_electrode_id_is_refused(damaged, hostile):
    def swap(columns):
        columns["name"][0], columns["name"][1] = columns["name"][1], columns["name"][0]

    hostile.edit_table(damaged, "electrodes.parquet", swap)
    with pytest.raises(RefusedError):
        ShardSet.open(damaged)


def test_subject_in_two_splits_is_named(damaged, hostile):
    def change(columns):
        columns["subject"][1] = columns["subject"][0]
        columns["id"][1] = columns["id"][0].replace("/1", "/2")
        columns["run"][1] = "2"
        columns["split"][:2] = ["train", "test"]

    hostile.edit_table(damaged, "recordings.parquet", change)
    assert "splits train and test" in refuses(damaged)


def test_another_version_is_refused(damaged, hostile):
    lock = (damaged / "lock.yaml").read_text().replace("format_version: 1", "format_version: 2")
    (damaged / "lock.yaml").write_text(lock)
    hostile.reseal(damaged)
    refuses(damaged, "format version 1")


def test_other_columns_are_refused(damaged, hostile):
    import pyarrow.parquet as pq

    table = pq.ParquetFile(damaged / "blocks.parquet").read()
    pq.write_table(table.drop_columns(["crc32"]), damaged / "blocks.parquet", compression="none")
    hostile.reseal(damaged)
    with pytest.raises(RefusedError, match="do not match format version 1"):
        ShardSet.open(damaged)


@pytest.mark.parametrize("options", [{"compression": "zstd"}, {"row_group_size": 10**6, "use_dictionary": True}])
def test_table_beyond_its_file_is_refused(damaged, hostile, options):
    """Tables that could outgrow their file are refused."""

    def many(columns):
        for name in columns:
            columns[name] = [columns[name][0]] * 2_000_000

    hostile.edit_table(damaged, "trials.parquet", many, **options)
    assert (damaged / "trials.parquet").stat().st_size < 1_000_000
    with pytest.raises(RefusedError, match="damaged"):
        ShardSet.open(damaged)


@pytest.mark.parametrize(
    "name",
    [
        "../outside.tar",
        "/etc/passwd",
        "shards/Fp1/../../x.tar",
        "shards/Fp1/Cz-000000.tar",
        "shards/Fp1/Fp1-0.tar",
        "x",
    ],
)
def test_path_that_leads_out_is_refused(damaged, hostile, name):
    """A path that leads elsewhere is refused."""
    hostile.edit_sums(damaged, lambda lines: lines.update({name: "0" * 64}))
    with pytest.raises(RefusedError, match="SHA256SUMS"):
        ShardSet.open(damaged)


def test_shard_under_other_path_is_refused(damaged, hostile):
    """A shard listed under a foreign path is refused."""

    def change(columns):
        rows = json.loads(columns["shards"][0])
        rows[0][0] = "../" + rows[0][0]
        columns["shards"][0] = json.dumps(rows)

    hostile.edit_table(damaged, "electrodes.parquet", change, seal=False)
    hostile.edit_sums(damaged, lambda lines: None)
    with pytest.raises(RefusedError):
        ShardSet.open(damaged)


def test_hostile_member_is_never_opened(damaged, hostile, tmp_path):
    """The samples are read by offset and the frame is compared, so a hostile tar has nothing to act on."""
    shard = first_shard(damaged)
    buffer = io.BytesIO()
    evil = io.BytesIO()
    np.save(evil, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        info = tarfile.TarInfo("../../escaped.npy")
        info.size = len(evil.getvalue())
        tar.addfile(info, io.BytesIO(evil.getvalue()))
    data = shard.read_bytes()
    shard.write_bytes((buffer.getvalue() + data)[: len(data)])
    hostile.reseal(damaged)
    refuses(damaged, shard.name, deep=True)
    assert not (tmp_path.parent / "escaped.npy").exists()


def test_yaml_with_objects_is_refused(damaged, hostile):
    """YAML that grows or names objects is refused."""
    bombs = [
        "- &a [x, x]\n- &b [*a, *a]\n- [*b, *b]\n",
        "!!python/object/apply:os.system ['touch /tmp/eegpt-was-here']\n",
        "{a: 1, a: 2}\n",
        "[" * 100_000,
    ]
    for text in bombs:
        (damaged / "manifest.yaml").write_text(text)
        hostile.reseal(damaged)
        with pytest.raises(EEGPTError):
            verify_shard_set(damaged)
    assert not Path("/tmp/eegpt-was-here").exists()


def test_an_unfinished_set_says_what_to_do(damaged):
    (damaged / "SHA256SUMS").unlink()
    with pytest.raises(UsageError, match="not a complete shard set"):
        verify_shard_set(damaged)
    with pytest.raises(UsageError, match="shard set not found"):
        ShardSet.open(damaged / "nothing")


def test_every_truncated_index_is_refused(damaged, hostile):
    """Every truncation of every index file is refused."""
    names = {p.name for p in damaged.iterdir() if p.is_file()} - {"SHA256SUMS", "croissant.json", "README.md"}
    assert len(names) == 6
    for name in names:
        data = (damaged / name).read_bytes()
        for n in {0, 1, len(data) // 2, len(data) - 1}:
            (damaged / name).write_bytes(data[:n])
            with pytest.raises(RefusedError, match="does not match SHA256SUMS"):
                ShardSet.open(damaged)
        (damaged / name).write_bytes(data)


@pytest.mark.parametrize("name", ["croissant.json", "README.md"])
def test_damaged_croissant_is_found(damaged, name):
    """Damaged metadata for search engines is found."""
    data = (damaged / name).read_bytes()
    (damaged / name).write_bytes(data[:-9])
    with pytest.raises(RefusedError, match=f"{name} does not match"):
        verify_shard_set(damaged)
    (damaged / name).unlink()
    with pytest.raises(RefusedError, match=f"{name} is missing"):
        verify_shard_set(damaged)


def test_shard_paths_are_told_from_others():
    """The paths of shards are told from all others."""
    assert SHARD_PATH.fullmatch("shards/Fp1/Fp1-000000.tar")
    for bad in ("shards/Fp1/Fp2-000000.tar", "shards/./.-000000.tar", "shards/Fp1/Fp1-000000.tar\n"):
        assert SHARD_PATH.fullmatch(bad) is None


def test_pre_release_set_is_refused(damaged, hostile):
    """Blocks without a reference are from before version 1 was frozen: the error says to rebuild."""
    import pyarrow.parquet as pq

    table = pq.ParquetFile(damaged / "blocks.parquet").read()
    pq.write_table(table.drop_columns(["reference"]), damaged / "blocks.parquet", compression="none")
    hostile.reseal(damaged)
    with pytest.raises(RefusedError, match="made by a pre-release version: rebuild"):
        ShardSet.open(damaged)
