"""A run's folder: begun once, resumed by the run that began it alone, read back without trusting it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eegprep.electrodes import Vocabulary
from eegprep.errors import InputError, RefusedError, UsageError
from eegpt.runs.folder import Lock, open_folder, read_config, read_lock
from eegpt.runs.settings import Settings, changed


class Inner(Settings):
    rate: float = 0.5


class Outer(Settings):
    inner: Inner = Inner()
    name: str = "a"


LOCK = Lock(
    shard_sets={"set": "0" * 64},
    data=[
        {
            "name": "toy",
            "licence": {"id": "CC0-1.0", "share_shards": True},
            "steps": [{"steps": ["notch"], "sfreq_hz": 200.0, "line_freq_hz": None, "hours": 1.5}],
        }
    ],
)


def begin(out: Path, settings: Settings | None = None, lock: Lock = LOCK, *, kind: str = "encoder") -> None:
    open_folder(out, kind=kind, settings=settings or Outer(), lock=lock, vocabulary=Vocabulary.base(), extra=[1])


def test_folder_is_begun_and_resumed(tmp_path):
    """The same settings and inputs may come a second time, and change nothing."""
    begin(tmp_path / "run")
    before = {p: p.read_bytes() for p in (tmp_path / "run").iterdir()}
    begin(tmp_path / "run")
    assert {p: p.read_bytes() for p in (tmp_path / "run").iterdir()} == before
    config = read_config(tmp_path / "run", kind="encoder")
    assert (config["settings"], config["extra"]) == ({"inner": {"rate": 0.5}, "name": "a"}, [1])


def test_lock_reads_back_with_its_types(tmp_path):
    begin(tmp_path)
    assert read_lock(tmp_path) == LOCK
    assert read_lock(tmp_path).data[0].steps[0].hours == 1.5


def test_other_settings_are_named_by_path(tmp_path):
    begin(tmp_path)
    with pytest.raises(UsageError, match="other settings") as caught:
        begin(tmp_path, changed(Outer(), {"inner.rate": 0.1}))
    assert (caught.value.found, caught.value.expected) == ("inner.rate=0.5", "inner.rate=0.1")


@pytest.mark.parametrize("change", [{"shard_sets": {"set": "1" * 64}}, {"encoder": ["2" * 64]}])
def test_other_inputs_are_refused(change, tmp_path):
    begin(tmp_path)
    with pytest.raises(RefusedError, match="started with other"):
        begin(tmp_path, lock=LOCK.model_copy(update=change))


def test_renamed_shard_set_is_the_same(tmp_path):
    begin(tmp_path)
    begin(tmp_path, lock=LOCK.model_copy(update={"shard_sets": {"moved": "0" * 64}}))


def test_folder_with_other_files_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="other files"):
        begin(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]


def test_folder_of_a_killed_start_is_used(tmp_path):
    """A run that was killed before config.json was written has not begun."""
    begin(tmp_path)
    (tmp_path / "config.json").unlink()
    begin(tmp_path)
    assert (tmp_path / "config.json").is_file()


def test_pre_release_format_is_refused(tmp_path):
    begin(tmp_path)
    plain = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**plain, "format": 1}))
    with pytest.raises(InputError, match="pre-release") as caught:
        read_config(tmp_path, kind="encoder")
    assert "train it again" in str(caught.value.todo)


def test_other_kind_of_run_is_refused(tmp_path):
    begin(tmp_path)
    with pytest.raises(UsageError, match="another kind"):
        begin(tmp_path, kind="transfer")


@pytest.mark.parametrize("address", ["hf://owner/name", "https://host/run"])
def test_run_at_an_address_says_how_to_get_it(address):
    """Pathlib would show one slash of two."""
    with pytest.raises(UsageError, match="at an address") as caught:
        read_config(Path(address), kind="encoder")
    assert caught.value.where == address
    assert "eegpt pull" in str(caught.value.todo)


@pytest.mark.parametrize("text", ["data: 3", "data: [3]", "a: [", "- 1", "data: &x []", "!!python/object:os.system {}"])
def test_unreadable_lock_is_one_error(text, tmp_path):
    """A lock that cannot be read is one error."""
    (tmp_path / "lock.yaml").write_text(text)
    with pytest.raises(InputError, match="lock cannot be read") as caught:
        read_lock(tmp_path)
    assert "pydantic" not in str(caught.value.found)  # nor the address of its pages
