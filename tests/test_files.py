"""Outputs that one process at a time may write, and arguments that are no paths or numbers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from eegprep.errors import UsageError
from eegprep.files import alone, not_found, number_of, output_file, path_of, write_atomic
from eegprep.temporary import TemporaryFolder

HOLDER = """if True:
    import sys
    from pathlib import Path
    from eegprep.files import alone
    with alone(Path(sys.argv[1]), file=sys.argv[2] == "file"):
        print("held", flush=True)
        sys.stdin.read()
"""


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_one_process_at_a_time_may_write(kind, tmp_path):
    """The second is refused and leaves all that is there; the first still removes its own traces at the end."""
    out = tmp_path / "out"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(out), kind], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as first:
        assert first.stdout.readline() == b"held\n"
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(UsageError, match="another process is writing"), alone(out, file=kind == "file"):
            pass
        assert sorted(tmp_path.rglob("*")) == before
        first.stdin.close()
    assert list(tmp_path.iterdir()) == []
    with alone(out, file=kind == "file"):
        pass


def test_a_killed_holder_blocks_nobody(tmp_path):
    """Its empty lock file stays, and the next one takes it."""
    out = tmp_path / "out"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(out), "folder"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as first:
        first.stdout.readline()
        first.kill()
    with alone(out) as new:
        assert not new
        (out / "result").touch()
    assert [p.name for p in out.iterdir()] == ["result"]


def test_new_means_made_here_and_still_empty(tmp_path: Path):
    with alone(tmp_path / "made") as new:
        assert new
    assert not (tmp_path / "made").exists()
    (tmp_path / "own").mkdir()
    with alone(tmp_path / "own") as new:
        assert not new
    assert list((tmp_path / "own").iterdir()) == []


def test_lock_that_is_a_link_is_not_followed(tmp_path: Path):
    (tmp_path / ".lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="is a link"), alone(tmp_path):
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_new_temporary_folders_are_left_alone(tmp_path: Path, monkeypatch):
    """Processes that make and remove folders at once never take each other's, and all are private."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    code = """if True:
        import time
        from eegprep.temporary import TemporaryFolder
        end = time.time() + 2
        while time.time() < end:
            with TemporaryFolder() as path:
                (path / "x").touch()
                assert oct(path.stat().st_mode)[-3:] == "700"
                assert (path / "x").exists()
    """
    others = [subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True) for _ in range(4)]
    assert [other.communicate()[1] for other in others] == [""] * 4
    assert list(tmp_path.iterdir()) == []


def test_a_kill_leaves_no_temporary_folder(tmp_path: Path, monkeypatch):
    """Whoever makes the next one removes it; folders that are in use, and those of others, stay."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    code = """if True:
        import sys
        from eegprep.temporary import TemporaryFolder
        own = TemporaryFolder()
        (own.path / "unpacked.edf").touch()
        print(own.path, flush=True)
        sys.stdin.read()
    """
    (tmp_path / "other-folder").mkdir()
    (tmp_path / "eegprep-file").touch()
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        left = Path(other.stdout.readline().strip())
        with TemporaryFolder() as own:
            assert left.is_dir()
            assert own.is_dir()
        assert not own.exists()
        other.kill()
    assert left.is_dir()
    (tmp_path / "eegprep-killed-before-its-folder-was-made.lock").touch()
    with TemporaryFolder():
        assert not left.exists()
    assert {p.name for p in tmp_path.iterdir()} == {"other-folder", "eegprep-file"}


def no_place(tmp_path: Path, kind: str) -> Path:
    """A path at which there can be no file."""
    if kind == "folder":
        (tmp_path / "here").mkdir()
        return tmp_path / "here"
    if kind == "below a file":
        (tmp_path / "here").touch()
        return tmp_path / "here" / "new" / "page.html"
    if kind == "pipe":
        os.mkfifo(tmp_path / "here")
        return tmp_path / "here"
    return tmp_path / ("x" * 300)


PLACES = [
    ("folder", "is a folder"),
    ("below a file", "is a file"),
    pytest.param("pipe", "is a device or pipe", marks=pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes")),
    pytest.param("long", "too long", marks=pytest.mark.skipif(os.name == "nt", reason="another limit")),
]


@pytest.mark.parametrize(("kind", "message"), PLACES)
@pytest.mark.parametrize("write", [output_file, lambda path: write_atomic(path, "text")])
def test_no_file_can_be_there(write, kind: str, message: str, tmp_path: Path) -> None:
    """It is refused before the work and when it is written; a rename would replace a pipe."""
    path = no_place(tmp_path, kind)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UsageError, match=message):
        write(path)
    assert sorted(tmp_path.rglob("*")) == before
    assert kind != "pipe" or path.is_fifo()


@pytest.mark.parametrize("kind", ["below a file", "long"])
def test_no_folder_can_be_there(kind: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"too long|a file of that name"), alone(no_place(tmp_path, kind)):
        pass


def test_folder_of_a_file_is_made(tmp_path: Path) -> None:
    write_atomic(tmp_path / "a" / "b" / "c.txt", "text")
    assert (tmp_path / "a" / "b" / "c.txt").read_text() == "text"


@pytest.mark.parametrize("value", ["", "a\0b"])
def test_paths_that_are_none(value) -> None:
    """An empty path would be the working folder."""
    with pytest.raises(UsageError, match="the store: not a path"):
        path_of(value, "the store")


@pytest.mark.parametrize("value", [-1, float("nan"), float("inf"), "3", True, None])
def test_numbers_are_finite_and_not_negative(value) -> None:
    with pytest.raises(UsageError, match="invalid --speed"):
        number_of(value, "--speed", zero=True)


def test_zero_is_a_number_where_it_means_something() -> None:
    assert number_of(0, "--speed", zero=True) == 0
    with pytest.raises(UsageError, match="above 0"):
        number_of(0, "--speed")


def test_missing_inputs_keep_their_address() -> None:
    """Pathlib would show one slash of two."""
    assert not_found("file", Path("https://host/x.yaml"), "a YAML file").where == "https://host/x.yaml"
    assert not_found("file", Path("x.yaml"), "a YAML file").where == "x.yaml"
