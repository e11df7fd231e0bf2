"""Two ingests of one new store, and stores whose ingest did not end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from eegprep.errors import UsageError
from eegprep.ingest import ingest
from eegprep.manifest.schema import Manifest

TreeBytes = Callable[[Path], dict[str, bytes]]


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("ending", [UsageError, KeyboardInterrupt])
def test_the_second_ingest_deletes_nothing(
    manifest: Manifest, folder: Path, tmp_path: Path, tree_bytes: TreeBytes, monkeypatch, ending
) -> None:
    """Whether it is refused or interrupted while it waits: the first continues with all that it had written."""
    out = tmp_path / "store"
    ingest(manifest, folder, tmp_path / "whole", workers=0)
    before: list[list[Path]] = []

    def intrude(*_: object) -> None:
        if before:
            return
        part = out / "recordings" / "half.arrow.part"
        part.touch()
        before.append(sorted(out.rglob("*")))
        with monkeypatch.context() as m:
            if ending is KeyboardInterrupt:
                m.setattr("eegprep.files.time.sleep", interrupted)
            with pytest.raises(ending):
                ingest(manifest, folder, out, workers=0)
        assert sorted(out.rglob("*")) == before[0]
        part.unlink()

    ingest(manifest, folder, out, workers=0, progress=intrude)
    assert before
    assert tree_bytes(out) == tree_bytes(tmp_path / "whole")


def test_only_a_run_that_ended_leaves_a_lock(manifest: Manifest, folder: Path, tmp_path: Path) -> None:
    """Also in a store that was whole before: without its lock.yaml it counts as unfinished."""
    out = tmp_path / "store"

    def stop(done: int, *_: object) -> None:
        if done >= 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ingest(manifest, folder, out, workers=0, progress=stop)
    assert list((out / "recordings").glob("*.json"))
    assert not (out / "lock.yaml").exists()
    ingest(manifest, folder, out, workers=0)
    assert (out / "lock.yaml").is_file()
    with pytest.raises(KeyboardInterrupt):
        ingest(manifest, folder, out, workers=0, progress=stop)
    assert not (out / "lock.yaml").exists()
    assert not (out / ".lock").exists()


def test_empty_new_folder_is_removed(manifest: Manifest, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        ingest(manifest, folder, tmp_path / "store", workers=0, progress=interrupted)
    assert not (tmp_path / "store").exists()
