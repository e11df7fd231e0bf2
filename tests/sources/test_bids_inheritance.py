"""Which tables of a BIDS tree apply to a recording: of TSV files the nearest and most specific, of JSON files all."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from support.recordings import BIDS_MANIFEST, eeg_uv, make_manifest, write_edf

from eegprep.manifest import parse_manifest
from eegprep.sources import open_source


@pytest.fixture(scope="module")
def edf(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_edf(tmp_path_factory.mktemp("edf") / "x.edf", eeg_uv(2, 400)).read_bytes()


@pytest.fixture(scope="module")
def readable(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_edf(tmp_path_factory.mktemp("edf") / "x.edf", eeg_uv(6, 400)).read_bytes()


def planned(root: Path) -> dict[str, set[str]]:
    """The tables of each recording, by its path."""
    return {one.files[0]: set(one.files[1:]) for one in open_source(parse_manifest(BIDS_MANIFEST), root).plan()}


def write(root: Path, names: list[str], edf: bytes) -> None:
    (root / "dataset_description.json").write_text("{}")
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(edf if name.endswith(".edf") else b"{}" if name.endswith(".json") else b"onset\tduration\n")


@pytest.mark.parametrize("n_runs", [3, 60])
def test_own_table_of_each_run_is_found(tmp_path: Path, edf: bytes, n_runs: int) -> None:
    """In a folder with few tables and in one with many, which is not searched table by table."""
    stems = [f"sub-01/eeg/sub-01_task-rest_run-{k}" for k in range(n_runs)]
    shared = ["sub-01/eeg/sub-01_channels.tsv", "sub-01/eeg/sub-01_task-rest_channels.tsv", "task-rest_eeg.json"]
    write(tmp_path, [*(f"{s}_eeg.edf" for s in stems), *(f"{s}_events.tsv" for s in stems), *shared], edf)
    tables = planned(tmp_path)
    for stem in stems:
        assert tables[f"{stem}_eeg.edf"] == {f"{stem}_events.tsv", *shared[1:]}


@pytest.mark.parametrize("seed", range(8))
def test_tables_follow_the_rule_of_bids(tmp_path: Path, edf: bytes, seed: int) -> None:
    """Random trees: a table applies if it has no entity that the recording lacks.

    Of several TSV files the nearest, then those with most entities; JSON files complete each other.
    """
    rng = np.random.default_rng(seed)
    folders = ["", "sub-01/", "sub-01/ses-a/", "sub-01/ses-a/eeg/"]
    entities = ["sub-01", "ses-a", "task-x", "task-y", "run-1", "run-2", "acq-b"]
    names = [f"sub-01/ses-a/eeg/sub-01_ses-a_task-{t}_run-{r}_eeg.edf" for t in "xy" for r in "12"]
    for kind, folder in itertools.product(("events.tsv", "channels.tsv", "eeg.json"), folders):
        for _ in range(rng.integers(0, 12)):
            own = [e for e in entities if rng.random() < 0.35]
            names.append(folder + "_".join([*own, kind]))
    write(tmp_path, names, edf)
    for recording, tables in planned(tmp_path).items():
        has = set(Path(recording).name.split("_")[:-1])
        for kind in ("events.tsv", "channels.tsv", "eeg.json"):
            fitting = [
                n for n in sorted(set(names))
                if n.split("/")[-1].split("_")[-1] == kind and set(n.split("/")[-1].split("_")[:-1]) <= has
            ]  # fmt: skip
            found = [t for t in tables if t.endswith(kind)]
            if not fitting or kind.endswith(".json"):
                assert sorted(found) == fitting
                continue
            depth = max(n.count("/") for n in fitting)
            near = [n for n in fitting if n.count("/") == depth]
            best = max(len(set(n.split("/")[-1].split("_")[:-1])) for n in near)
            assert sorted(found) == [n for n in near if len(set(n.split("/")[-1].split("_")[:-1])) == best]


def test_captrak_positions_are_preferred(tmp_path: Path, edf: bytes) -> None:
    stem = "sub-01/eeg/sub-01"
    tables = [f"{stem}_space-{s}_electrodes.tsv" for s in ("ACPC", "CapTrak", "MNI305")]
    write(tmp_path, [f"{stem}_task-rest_eeg.edf", *tables], edf)
    assert planned(tmp_path) == {f"{stem}_task-rest_eeg.edf": {tables[1]}}


EVENTS = "onset\tduration\ttrial_type\n{}\t0\tgo\n"


def events_of(root: Path) -> dict[str, tuple[list[int], tuple[str, ...]]]:
    """Samples of the events `go` and the notes of each recording, by its run."""
    task = {"name": "t", "classes": ["go", "stop"], "trials": {"by": "event", "labels": {"go": "go"}, "length_s": 0.1}}
    source = open_source(make_manifest(source={"kind": "bids"}, tasks=[task]), root)
    read = [source.read(one) for one in source.plan()]
    return {one.run: ([e.start_sample for e in one.events], one.notes) for one in read}


@pytest.mark.parametrize("same", [True, False])
def test_tables_that_apply_equally_must_agree(tmp_path: Path, readable: bytes, same: bool) -> None:
    """Neither a task's nor a run's table is nearer: the first one in the alphabet was used."""
    stem = "sub-01/eeg/sub-01"
    tables = [f"{stem}_task-x_events.tsv", f"{stem}_run-1_events.tsv"]
    write(tmp_path, [f"{stem}_task-x_run-1_eeg.edf", *tables], readable)
    for table, onset in zip(tables, (0.5, 0.5 if same else 1), strict=True):
        (tmp_path / table).write_text(EVENTS.format(onset))
    (samples, notes) = events_of(tmp_path)["task-x_run-1"]
    assert samples == ([100] if same else [])
    assert any("2 files that differ apply" in note for note in notes) is not same


def test_numbers_of_runs_may_have_zeros(tmp_path: Path, readable: bytes) -> None:
    """`run-1` is `run-01` where no recording is spelled so; the exact name comes first."""
    stem = "sub-01/eeg/sub-01_task-x_run-"
    write(tmp_path, [f"{stem}{run}_eeg.edf" for run in ("01", "2", "3", "003")], readable)
    for run, onset in (("1", 0.25), ("2", 0.5), ("02", 0.75), ("3", 1), ("03", 1.25)):
        (tmp_path / f"{stem}{run}_events.tsv").write_text(EVENTS.format(onset))
    found = {run: samples for run, (samples, _) in events_of(tmp_path).items()}
    assert found == {"task-x_run-01": [50], "task-x_run-2": [100], "task-x_run-3": [200], "task-x_run-003": []}


def test_tables_without_a_recording_are_told(tmp_path: Path, edf: bytes) -> None:
    stem = "sub-01/eeg/sub-01_task-x"
    lost = ["sub-02/eeg/sub-02_task-x_events.tsv", "sub-01/eeg/sub-01_task-X_events.tsv"]
    write(tmp_path, [f"{stem}_eeg.edf", f"{stem}_events.tsv", "task-x_events.tsv", *lost], edf)
    source = open_source(make_manifest(source={"kind": "bids"}), tmp_path)
    told = {e.path for e in source.entries() if e.reason == "applies to no recording that is read"}
    assert told == set(lost)
