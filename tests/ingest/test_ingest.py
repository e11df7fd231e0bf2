"""Ingest as a whole: what goes in is accounted for, what fails is set aside, equal inputs give equal bytes."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from eegprep.errors import InputError, UsageError
from eegprep.ingest import ingest
from eegprep.manifest import load_recipe
from eegprep.manifest.schema import Manifest
from eegprep.store import Store

TreeBytes = Callable[[Path], dict[str, bytes]]
EegSignal = Callable[[int], np.ndarray]
WriteEdf = Callable[[Path, np.ndarray], None]
SECONDS = 24


def test_everything_is_accounted_for(manifest: Manifest, folder: Path, tmp_path: Path) -> None:
    """Every channel, second and trial is accounted for."""
    summary = ingest(manifest, folder, tmp_path / "store", workers=0)
    assert summary.exit_code == 0
    assert (summary.recordings, summary.subjects, summary.electrodes) == (6, 3, 3)
    assert summary.trials == {"hand": 12, "state": 30, "who": 6}
    store = Store.open(tmp_path / "store")
    info = store.info("toy/s1/-/2")
    assert info.electrodes == ("C3", "Cz", "C4")
    assert info.references == ("M1", "M1", "M1") or info.references == ("A1", "A1", "A1")
    assert info.n_samples == SECONDS * 256
    assert info.line_freq_hz == 50
    assert info.attributes["group"] == "b"
    assert {x.name: x.code for x in info.left_out if x.kind == "channel"} == {
        "ECG": "ecg",
        "Foo9": "manifest_left_out",
    }
    hand = [t for t in info.trials if t.task == "hand"]
    assert [(t.start_sample, t.n_samples, t.label, t.event) for t in hand] == [
        (int(3.5 * 256), 512, "left", "T1"),
        (int(9.5 * 256), 512, "right", "T2"),
    ]
    assert [x.code for x in info.left_out if x.kind == "trial"] == ["outside_stretch"]
    assert {t.label for t in info.trials if t.task == "who"} == {"b"}
    assert len(info.sigma_uv) == 3
    assert min(info.sigma_uv) > 1
    for row, electrode in enumerate(info.electrodes):
        found = store.electrode_uv(info, electrode)
        assert np.isfinite(found).all()
        assert info.sigma_uv[row] == pytest.approx(1.4826 * np.median(np.abs(found - np.median(found))), rel=1e-3)


def test_bytes_do_not_depend_on_workers(
    manifest: Manifest, folder: Path, tmp_path: Path, tree_bytes: TreeBytes
) -> None:
    """The bytes depend neither on workers nor on interruptions."""
    ingest(manifest, folder, tmp_path / "a", workers=0)
    ingest(manifest, folder, tmp_path / "b", workers=2)
    expected = tree_bytes(tmp_path / "a")
    assert set(expected) > {"manifest.yaml", "lock.yaml", "report.json", "recordings/toy+s0+-+1.arrow"}
    assert tree_bytes(tmp_path / "b") == expected
    Store(tmp_path / "b").remove("toy/s1/-/1")
    (tmp_path / "b" / "recordings" / "toy+s1+-+1.arrow.0.part").write_bytes(b"half")
    (tmp_path / "b" / "recordings" / "toy+s2+-+1.json").unlink()
    assert ingest(manifest, folder, tmp_path / "b", workers=1).done_before == 4
    assert tree_bytes(tmp_path / "b") == expected
    assert str(folder) not in "".join(b.decode("latin-1") for b in expected.values())


def test_idle_workers_help_with_the_last(
    manifest: Manifest, folder: Path, tmp_path: Path, tree_bytes: TreeBytes
) -> None:
    """Workers without a recording help with the one there is."""
    for path in folder.glob("s*_*.edf"):
        if path.name != "s1_1.edf":
            path.unlink()
    ingest(manifest, folder, tmp_path / "alone", workers=1)
    ingest(manifest, folder, tmp_path / "helped", workers=3)
    assert tree_bytes(tmp_path / "alone") == tree_bytes(tmp_path / "helped")


def test_finished_recordings_are_not_remade(manifest: Manifest, folder: Path, tmp_path: Path) -> None:
    """Finished recordings are not made again."""
    ingest(manifest, folder, tmp_path / "store", workers=0)
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "store" / "recordings").iterdir()}
    assert ingest(manifest, folder, tmp_path / "store", workers=0).done_before == 6
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "store" / "recordings").iterdir()} == before


@pytest.mark.parametrize("change", ["file", "recipe", "manifest"])
def test_what_has_changed_is_made_again(
    manifest: Manifest, folder: Path, tmp_path: Path, change: str, write_edf: WriteEdf, eeg_signal: EegSignal
) -> None:
    ingest(manifest, folder, tmp_path / "store", workers=0)
    recipe = None
    expected = 0
    if change == "file":
        write_edf(folder / "s0_1.edf", eeg_signal(99))
        expected = 5
    elif change == "recipe":
        recipe = load_recipe("as_recorded")
    else:
        manifest = manifest.model_copy(update={"line_freq_hz": 60})
    assert ingest(manifest, folder, tmp_path / "store", recipe=recipe, workers=0).done_before == expected


def test_lost_recording_goes_only_on_request(manifest: Manifest, folder: Path, tmp_path: Path) -> None:
    """A recording that the source no longer has is removed only on request."""
    ingest(manifest, folder, tmp_path / "store", workers=0)
    (folder / "s2_2.edf").unlink()
    with pytest.raises(UsageError, match="1 recordings that are not in this source"):
        ingest(manifest, folder, tmp_path / "store", workers=0)
    assert len(Store(tmp_path / "store").ids()) == 6
    assert ingest(manifest, folder, tmp_path / "store", workers=0, prune=True).recordings == 5


@pytest.mark.parametrize("workers", [0, 2])
def test_broken_file_is_set_aside(
    manifest: Manifest, folder: Path, tmp_path: Path, workers: int, write_edf: WriteEdf, eeg_signal: EegSignal
) -> None:
    """A broken file is set aside with its error."""
    broken = folder / "s1_1.edf"
    broken.write_bytes(broken.read_bytes()[:700])
    summary = ingest(manifest, folder, tmp_path / "store", workers=workers)
    assert summary.exit_code == 1
    assert list(summary.failed) == ["toy/s1/-/1"]
    assert summary.recordings == 5
    kept = json.loads((tmp_path / "store" / "quarantine" / "toy+s1+-+1.json").read_text(encoding="utf-8"))
    assert kept["recording"] == "toy/s1/-/1"
    assert kept["error"]["what"]
    assert str(tmp_path) not in json.dumps(kept)
    write_edf(broken, eeg_signal(11))
    assert ingest(manifest, folder, tmp_path / "store", workers=workers).exit_code == 0
    assert not list((tmp_path / "store" / "quarantine").iterdir())


def test_same_signal_is_taken_once(
    manifest: Manifest, folder: Path, tmp_path: Path, tree_bytes: TreeBytes, write_edf: WriteEdf, eeg_signal: EegSignal
) -> None:
    """The same signal under two subjects is taken once."""
    write_edf(folder / "s2_2.edf", eeg_signal(1))
    summary = ingest(manifest, folder, tmp_path / "store", workers=0)
    assert summary.duplicates == {"toy/s2/-/2": "toy/s0/-/1"}
    assert summary.recordings == 5
    before = tree_bytes(tmp_path / "store")
    again = ingest(manifest, folder, tmp_path / "store", workers=0)
    assert again.done_before == 5
    assert again.duplicates == summary.duplicates
    assert tree_bytes(tmp_path / "store") == before
    assert ingest(manifest, folder, tmp_path / "all", workers=0, keep_duplicates=True).recordings == 6
    (folder / "s0_1.edf").unlink()
    assert "toy/s2/-/2" in [
        i.id for i in Store(ingest(manifest, folder, tmp_path / "store", workers=0, prune=True).out).infos()
    ]


def test_two_ingests_never_share_a_store(manifest: Manifest, folder: Path, tmp_path: Path) -> None:
    """Two ingests never write into one store."""
    seen = []

    def intrude(*_: object) -> None:
        if not seen:
            with pytest.raises(UsageError, match="another process is writing"):
                ingest(manifest, folder, tmp_path / "store", workers=0)
            seen.append(True)

    ingest(manifest, folder, tmp_path / "store", workers=0, progress=intrude)
    assert seen


@pytest.mark.parametrize(
    ("expect", "match"),
    [
        ({"subjects": 4}, "number of subjects"),
        ({"recordings": 5}, "number of recordings"),
        ({"channels": 4}, "number of electrodes"),
        ({"sfreq_hz": 256}, "the sampling rate of"),
    ],
)
def test_expected_counts_are_checked(
    manifest: Manifest, folder: Path, tmp_path: Path, expect: dict[str, float], match: str
) -> None:
    """What the manifest expects is compared with what is there."""
    data = manifest.model_dump()
    wrong = Manifest.model_validate({**data, "expect": expect})
    with pytest.raises(InputError, match=match):
        ingest(wrong, folder, tmp_path / "store", workers=0)
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("expect", "listed", "todo"),
    [
        ({"subjects": 2}, 6, "correct `expect: subjects: 2` in the manifest"),
        ({"recordings": 7}, 6, "correct `expect: recordings: 7` in the manifest"),
        ({"recordings": 7}, 8, "fetch the missing files (2 files, the first s9_0.edf), or use --partial"),
        (
            {"recordings": 7},
            0,
            "add the missing files, or use --partial; if the data set is complete, "
            "correct `expect: recordings: 7` in the manifest",
        ),
    ],
)
def test_a_wrong_expectation_is_corrected(
    manifest: Manifest, folder: Path, tmp_path: Path, expect: dict[str, int], listed: int, todo: str
) -> None:
    """Only where files are missing does it say to fetch them."""
    names = [*(p.name for p in sorted(folder.glob("*.edf"))), "s9_0.edf", "s9_1.edf"][:listed]
    source = {**manifest.source.model_dump(), "base": "https://x.org", "get": [{"path": n} for n in names]}
    wrong = Manifest.model_validate({**manifest.model_dump(), "expect": expect, "source": source})
    with pytest.raises(InputError) as caught:
        ingest(wrong, folder, tmp_path / "store", workers=0)
    assert caught.value.todo == todo


def test_unmet_counts_exit_with_1(manifest: Manifest, folder: Path, tmp_path: Path) -> None:
    """Counts of trials or hours that are not met end with exit code 1."""
    data = manifest.model_dump()
    wrong = Manifest.model_validate({**data, "expect": {"hours": 2.0, "trials": {"hand": 13}}})
    summary = ingest(wrong, folder, tmp_path / "store", workers=0)
    assert summary.exit_code == 1
    assert summary.unmet == ("0.04 hours instead of 2", "12 trials of hand instead of 13")
    assert ingest(wrong, folder, tmp_path / "store", workers=0, partial=True).exit_code == 0


def test_bad_channels_have_their_reason(
    manifest: Manifest, folder: Path, tmp_path: Path, write_edf: WriteEdf, eeg_signal: EegSignal
) -> None:
    """Bad channels and missing samples are rejected with their reason."""
    for subject in (0, 1, 2):
        for run in (1, 2):
            (folder / f"s{subject}_{run}.edf").unlink()
    values = eeg_signal(5)
    values[0] = 7.0
    values[1, 2000:2600] = values[1, 2000]
    values[2, 3000:3030] = 450.0
    write_edf(folder / "s0_1.edf", values)
    ingest(manifest, folder, tmp_path / "store", workers=0)
    info = Store(tmp_path / "store").infos()[0]
    assert info.electrodes == ("Cz", "C4")
    codes = {(x.name, x.code) for x in info.left_out if x.kind != "trial"}
    assert ("EEG C3-A1", "flat") in codes
    assert ("EEG Cz-A1", "flat") in codes
    assert ("EEG C4-A1", "clipped") in codes
    (flat,) = info.rejected["Cz"]
    assert abs(flat.start_sample - 2000 * 1.28) <= 2
    assert abs(flat.n_samples - 600 * 1.28) <= 4


def test_nothing_usable_leaves_no_store(manifest: Manifest, tmp_path: Path) -> None:
    data = tmp_path / "bad"
    data.mkdir()
    (data / "s0_1.edf").write_bytes(b"this is no EDF file")
    (data / "people.csv").write_text("id,Group\ns0,a\n", encoding="utf-8")
    with pytest.raises(InputError):
        ingest(manifest, data, tmp_path / "store", workers=0)
    assert not (tmp_path / "store").exists()


def test_other_store_or_folder_is_untouched(manifest: Manifest, folder: Path, tmp_path: Path) -> None:
    """A store of another data set, or a folder with other files, is not touched."""
    ingest(manifest, folder, tmp_path / "store", workers=0)
    other = manifest.model_copy(update={"name": "other"})
    with pytest.raises(UsageError, match="another data set"):
        ingest(other, folder, tmp_path / "store", workers=0)
    with pytest.raises(UsageError, match="not empty"):
        ingest(manifest, folder, folder, workers=0)


def test_the_summary_is_plain_data(manifest: Manifest, folder: Path, tmp_path: Path) -> None:
    summary = ingest(manifest, folder, tmp_path / "store", workers=0)
    json.dumps(dataclasses.asdict(summary), default=str)
    report = json.loads((tmp_path / "store" / "report.json").read_text(encoding="utf-8"))
    assert report["recordings"] == 6
    assert report["left_out"]["channel"] == {"ecg": 6, "manifest_left_out": 6}
