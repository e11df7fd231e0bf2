"""One process at a time writes a file: the second is refused, and takes over after a kill."""

from __future__ import annotations

import subprocess
import sys

import pytest

from eegprep import files
from eegprep.errors import UsageError
from eegprep.files import atomic_path, write_atomic


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(files, "_ORPHANS_S", 0.05)


def test_second_writer_is_refused(impatient, tmp_path):
    """Neither file is mixed, and the first one's `.part` is not removed."""
    target = tmp_path / "results.json"
    with atomic_path(target) as part:
        part.write_text("first")
        with pytest.raises(UsageError, match="another process is writing"):
            write_atomic(target, "second")
        assert part.read_text() == "first"
    assert target.read_text() == "first"
    assert [p.name for p in tmp_path.iterdir()] == ["results.json"]


def test_second_writer_waits_for_the_first(tmp_path):
    """A writer that is soon done is waited for."""
    program = (
        "import sys, time; from pathlib import Path; from eegprep.files import atomic_path\n"
        "with atomic_path(Path(sys.argv[1])) as part:\n"
        "    part.write_text('first'); print(flush=True); time.sleep(0.5)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, tmp_path / "x"], stdout=subprocess.PIPE) as first:
        assert first.stdout is not None
        first.stdout.readline()
        write_atomic(tmp_path / "x", "second")
    assert (tmp_path / "x").read_text() == "second"


def test_killed_writer_is_followed(tmp_path):
    """What a killed writer left is overwritten."""
    program = (
        "import os, sys; from pathlib import Path; from eegprep.files import atomic_path\n"
        "with atomic_path(Path(sys.argv[1])) as part:\n"
        "    part.write_text('a long text of the first one'); os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", program, tmp_path / "x"], check=False)
    assert (tmp_path / "x.part").exists()
    write_atomic(tmp_path / "x", "second")
    assert [p.name for p in tmp_path.iterdir()] == ["x"]
    assert (tmp_path / "x").read_text() == "second"


def test_link_in_place_of_the_part(tmp_path):
    """A `.part` that is a link is not followed."""
    (tmp_path / "victim").write_text("years of work")
    (tmp_path / "x.part").symlink_to(tmp_path / "victim")
    with pytest.raises(UsageError, match="is a link"):
        write_atomic(tmp_path / "x", "data")
    assert (tmp_path / "victim").read_text() == "years of work"
