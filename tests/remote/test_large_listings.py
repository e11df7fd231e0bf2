"""Listings of many files: folders that are one recording, and recordings in several files, are found without a scan."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.recordings import BIDS_MANIFEST

from eegprep.manifest import parse_manifest
from eegprep.remote.listing import ListedFile, Listing
from eegprep.remote.mirror import LISTING, Mirror
from eegprep.sources.remote import RemoteBIDSSource


def listed(folder: Path, names: list[str]) -> Path:
    listing = Listing(address="s3://bucket/set", files=tuple(ListedFile(path=n, n_bytes=10) for n in names))
    folder.mkdir()
    (folder / LISTING).write_text(listing.to_json())
    (folder / "dataset_description.json").write_text("{}")
    return folder


def test_folder_stands_for_its_files_only(tmp_path: Path) -> None:
    """Also beside names that sort before, between and after them."""
    names = [
        "a.mff", "a.mff.bak/x", "a.mff-1/x", "a.mff/info.xml", "a.mff/signal1.bin", "a.mff/z/é", "a.mff0", "a.mffz/x",
        "b.mff/~", "b.mff/\x7f",
    ]  # fmt: skip
    mirror = Mirror(listed(tmp_path / "set", names))
    for path in ("a.mff-1", "a.mffz", "b.mff", "a.mff/z", "none", "a"):
        assert [f.path for f in mirror.expand([path])] == sorted(n for n in names if n.startswith(f"{path}/"))
    assert [f.path for f in mirror.expand(["a.mff"])] == ["a.mff"]
    assert mirror.n_bytes("b.mff") == 20


@pytest.mark.parametrize("n", [2, 3])
def test_parts_of_a_split_are_one_recording(tmp_path: Path, n: int) -> None:
    def parts(run: int) -> list[str]:
        return [f"sub-01/eeg/sub-01_task-x_run-{run}_split-0{k}_eeg.fif" for k in range(1, n + 1)]

    source = RemoteBIDSSource(
        parse_manifest(BIDS_MANIFEST), listed(tmp_path / "set", ["dataset_description.json", *parts(1), *parts(2)[1:]])
    )
    (one,) = source.plan()
    assert list(one.files) == parts(1)
    codes = {e.path: str(e.code) for e in source.entries()}
    assert codes[parts(1)[1]] == "sidecar"
    assert codes[parts(2)[1]] == "part_missing"
