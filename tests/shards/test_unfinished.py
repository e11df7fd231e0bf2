"""Stores whose ingest had not ended, builds that were killed late, and two builds at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from eegprep.errors import RefusedError, UsageError
from eegprep.files import PART, alone, sha256_file
from eegprep.manifest.lock import LOCK_NAME, Lock, write_lock
from eegprep.report.contents import contents_of_shards, contents_of_store
from eegprep.shards import build_shard_set, verify_shard_set
from eegprep.shards.format import INDEX_FILES, OPTIONAL_FILES, SUMS
from eegprep.shards.lock import LeftOutByShard, read_set_lock, write_set_lock
from eegprep.shards.sums import read_sums, write_sums
from eegprep.shards.verify.rebuild import compare_rebuilt
from eegprep.store import Store


def on_disk(source, folder: Path) -> Path:
    """A store as ingest leaves it when it is killed before its end."""
    made = Store.create(folder, source.manifest)
    for info in source.infos():
        with made.writer(info.id, info.electrodes) as writer:
            writer.append(source.signals[info.id])
            writer.finish(info)
    return folder


@pytest.fixture(scope="module")
def half(synthetic, tmp_path_factory) -> Path:
    return on_disk(synthetic.small_store(n_subjects=2), tmp_path_factory.mktemp("half") / "store")


def test_a_store_without_lock_is_refused(half, tmp_path):
    with pytest.raises(RefusedError, match="stopped or is still running") as refused:
        build_shard_set([half], tmp_path / "set", sync=False)
    assert "--allow-unfinished" in refused.value.todo
    assert not (tmp_path / "set").exists()


def test_rebuilding_from_an_unfinished_store(half, tmp_path, synthetic):
    """A whole set is not proven by a store that may have lost recordings."""
    build_shard_set([synthetic.small_store(n_subjects=2)], tmp_path / "set", sync=False)
    with pytest.raises(RefusedError, match="still running"):
        compare_rebuilt(tmp_path / "set", [half])


def test_allowed_unfinished_store_is_named(half, tmp_path, synthetic):
    """In the summary, the lock, verify's report, the HTML report's facts, and in every set that extends this one."""
    summary = build_shard_set([half], tmp_path / "set", allow_unfinished=True, sync=False)
    name = Store(half).manifest.name
    assert summary.unfinished == (name,)
    assert read_set_lock(tmp_path / "set").unfinished == [name]
    assert verify_shard_set(tmp_path / "set", deep=True).unfinished == (name,)
    assert any(name in value and "missing" in value for _, value in contents_of_shards(tmp_path / "set").provenance)
    compare_rebuilt(tmp_path / "set", [half])
    again = build_shard_set([half], tmp_path / "set", allow_unfinished=True, sync=False)
    assert again.already_done
    assert again.unfinished == (name,)


def test_a_finished_store_is_not_named(half, tmp_path, synthetic):
    folder = on_disk(synthetic.small_store(n_subjects=2), tmp_path / "store")
    write_lock(folder, Lock(lock=1, versions={"eegprep": "0"}, stages=[]))
    assert build_shard_set([folder], tmp_path / "set", allow_unfinished=True, sync=False).unfinished == ()
    assert "unfinished" not in (tmp_path / "set" / LOCK_NAME).read_text()
    assert any("missing" in value for _, value in contents_of_store(half).provenance)


@pytest.mark.parametrize("name", [*INDEX_FILES, *OPTIONAL_FILES, SUMS])
def test_killed_while_index_file_is_renamed(name, synthetic, tmp_path, monkeypatch):
    """The `.part` file belongs to the build: the same command resumes and gives the same bytes."""
    store, out = synthetic.small_store(n_subjects=2), tmp_path / "set"
    build_shard_set([store], tmp_path / "whole", sync=False)
    replace, unlink = Path.replace, Path.unlink

    def killed(self, target):
        if Path(target) == out / name:
            raise KeyboardInterrupt
        return replace(self, target)

    def kept(self, missing_ok=False):
        if self.name != f"{name}{PART}":
            unlink(self, missing_ok=missing_ok)

    with monkeypatch.context() as m:
        m.setattr(Path, "replace", killed)
        m.setattr(Path, "unlink", kept)
        with pytest.raises(KeyboardInterrupt):
            build_shard_set([store], out, sync=False)
    assert (out / f"{name}{PART}").is_file()
    build_shard_set([store], out, sync=False)
    assert verify_shard_set(out, deep=True)
    assert (out / SUMS).read_bytes() == (tmp_path / "whole" / SUMS).read_bytes()


@pytest.mark.parametrize("left", ["building", ".lock"])
def test_killed_after_the_last_file(left, synthetic, tmp_path):
    """What the build leaves beside a finished set goes with the next call."""
    store, out = synthetic.small_store(n_subjects=2), tmp_path / "set"
    build_shard_set([store], out, sync=False)
    (out / left).mkdir() if left == "building" else (out / left).touch()
    assert build_shard_set([store], out, sync=False).already_done
    assert verify_shard_set(out)


def test_other_files_are_not_taken_as_parts(synthetic, tmp_path):
    for name in ("notes.part", "thesis.txt"):
        out = tmp_path / name
        (out / "building").mkdir(parents=True)
        (out / name).touch()
        with pytest.raises(UsageError, match="contains other files"):
            build_shard_set([synthetic.small_store(n_subjects=2)], out, sync=False)
        assert (out / name).is_file()


def test_two_builds_never_write_one_set(synthetic, tmp_path):
    with alone(tmp_path / "set"), pytest.raises(UsageError, match="another process is writing"):
        build_shard_set([synthetic.small_store(n_subjects=2)], tmp_path / "set", sync=False)
    assert not (tmp_path / "set").exists()


def test_lock_with_unknown_recording_refused(synthetic, tmp_path):
    """`report` refuses such a set, so `verify` does not call it whole."""
    out = tmp_path / "set"
    build_shard_set([synthetic.small_store(n_subjects=2)], out, sync=False)
    entry = LeftOutByShard(recording="toy/nobody", electrode="Cz", start_sample=0, n_samples=4, code="overflow")
    write_set_lock(out, read_set_lock(out).model_copy(update={"left_out": [entry]}))
    write_sums(out, read_sums(out) | {LOCK_NAME: sha256_file(out / LOCK_NAME)})
    with pytest.raises(RefusedError, match="names a recording that the index does not have"):
        verify_shard_set(out)
