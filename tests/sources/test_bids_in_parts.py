"""Parts of a BIDS data set: what is missing, and what is not read, is said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from eegprep.sources import manifest_for_path, open_source
from eegprep.sources.entry import Code

Made = dict[str, Callable]


@pytest.fixture
def tree(made: Made, tmp_path: Path) -> Path:
    """One subject with tables."""
    folder = tmp_path / "sub-01" / "eeg"
    folder.mkdir(parents=True)
    (tmp_path / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.8.0"}')
    made["edf"](folder / "sub-01_task-x_eeg.edf", made["eeg_uv"](6, 800))
    (folder / "sub-01_task-x_events.tsv").write_text("onset\tduration\ttrial_type\n2.5\t0\ta\n")
    (folder / "sub-01_task-x_channels.tsv").write_text("name\ttype\tunits\tstatus\nFp1\tEEG\tuV\tbad\n")
    return tmp_path


@pytest.mark.parametrize("part", ["sub-01", "sub-01/eeg", "sub-01/eeg/sub-01_task-x_eeg.edf"])
def test_tables_that_are_not_read_are_said(tree: Path, part: str) -> None:
    """A folder or file of a data set is read by itself; its tables speak only in the whole data set."""
    for path, said in ((tree, False), (tree / part, True)):
        source = open_source(manifest_for_path(path), path)
        (planned,) = source.plan()
        recording = source.read(planned)
        assert any("channels.tsv and events.tsv beside it are not read" in note for note in recording.notes) is said
        assert [c.status for c in recording.channels if c.name == "Fp1"] == ["good" if said else "bad"]


@pytest.mark.parametrize(("suffix", "header"), [(".eeg", ".vhdr"), (".fdt", ".set")])
def test_samples_without_their_header(tree: Path, suffix: str, header: str) -> None:
    """A subject whose header was not copied is refused; it does not vanish among the side-cars."""
    folder = tree / "sub-02" / "eeg"
    folder.mkdir(parents=True)
    (folder / f"sub-02_task-x_eeg{suffix}").write_bytes(bytes(400))
    source = open_source(manifest_for_path(tree), tree)
    assert len(source.plan()) == 1
    (refused,) = (e for e in source.entries() if e.path.startswith("sub-02"))
    assert (refused.code, refused.reason) == (Code.PART_MISSING, "samples of a recording whose header is missing")
    assert refused.key
    assert header in refused.todo
    (folder / f"sub-02_task-x_eeg{header}").write_text("damaged")
    source = open_source(manifest_for_path(tree), tree)
    assert not [e for e in source.entries() if e.code is Code.PART_MISSING]
