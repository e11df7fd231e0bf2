"""What every source promises, whatever stands behind it: one test over all kinds."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import json
import sys
import types
import warnings
from collections.abc import Callable
from pathlib import Path

import mne
import numpy as np
import pytest
import scipy.io

from eegprep.manifest.schema import Manifest
from eegprep.processes import isolated_reader
from eegprep.recording import subtract
from eegprep.sources import manifest_for_path, open_source
from eegprep.sources.base import Source, SourceRecording

EVENT_TASK = {
    "name": "t",
    "classes": ["a", "b"],
    "trials": {"by": "event", "labels": {"T1": "a", "T2": "b"}, "length_s": 1},
}
TRIAL_TASK = {"name": "t", "classes": ["a", "b"], "trials": {"by": "trial"}}
MARKS = [(1.0, None, "T1"), (2.0, None, "T2"), (3.0, None, "CANARYJohnDoe coughed")]

# Counts of the file's own texts are for the screen of whoever owns the file; nothing stores them.
COUNTS: dict[str, dict[str, int]] = {"event_counts": {}, "label_counts": {}}


def raw_of(made: dict[str, Callable], names: tuple[str, ...], seed: int = 0) -> mne.io.RawArray:
    info = mne.create_info(list(names), 200.0, "eeg")
    raw = mne.io.RawArray(made["eeg_uv"](len(names), 1600, seed=seed) * 1e-6, info, verbose="ERROR")
    info["subject_info"] = {"last_name": "CANARYJohnDoe", "his_id": "CANARYJohnDoe"}
    return raw.set_annotations(mne.Annotations(*zip(*[(t, 0.0, x) for t, _, x in MARKS], strict=True)))


def edf(made, names, folder: Path) -> Manifest:
    for i in range(2):
        made["edf"](folder / f"p{i}_r1.edf", made["eeg_uv"](6, 1600, seed=i), annotations=MARKS)
    return made["manifest"](source={"files": ["{subject}_{run}.edf"]}, tasks=[EVENT_TASK])


def bdf(made, names, folder: Path) -> Manifest:
    made["edf"](folder / "p0.bdf", made["eeg_uv"](6, 1600), bdf=True, annotations=MARKS)
    return made["manifest"](source={"files": ["{subject}.bdf"]}, tasks=[EVENT_TASK])


def plain_folder(made, names, folder: Path) -> Manifest:
    (folder / "CANARYJohnDoe").mkdir()
    made["edf"](folder / "CANARYJohnDoe" / "one.edf", made["eeg_uv"](6, 1600), annotations=MARKS)
    made["edf"](folder / "CANARYJohnDoe" / "two.edf", made["eeg_uv"](6, 1600, seed=1), annotations=MARKS)
    return manifest_for_path(folder)


def fif(made, names, folder: Path) -> Manifest:
    raw_of(made, names).save(folder / "p0_raw.fif", verbose="ERROR")
    mne.write_events(folder / "p0-eve.fif", np.array([[300, 0, 5]]), verbose="ERROR")
    return made["manifest"](source={"files": ["{subject}_raw.fif"]}, tasks=[EVENT_TASK])


def brainvision(made, names, folder: Path) -> Manifest:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mne.export.export_raw(folder / "p0.vhdr", raw_of(made, names), verbose="ERROR")
    task = {**EVENT_TASK, "trials": {"by": "event", "labels": {"Comment/T1": "a", "Comment/T2": "b"}, "length_s": 1}}
    return made["manifest"](source={"files": ["{subject}.vhdr"]}, tasks=[task])


def eeglab(made, names, folder: Path) -> Manifest:
    mne.export.export_raw(folder / "p0.set", raw_of(made, names), verbose="ERROR")
    return made["manifest"](source={"files": ["{subject}.set"]}, tasks=[EVENT_TASK])


def epoched_fif(made, names, folder: Path) -> Manifest:
    raw = raw_of(made, names)
    events = np.array([[200, 0, 1], [600, 0, 2], [1000, 0, 1]])
    mne.Epochs(raw, events, {"a": 1, "b": 2}, 0, 0.5, baseline=None, preload=True, verbose="ERROR").save(
        folder / "p0-epo.fif", verbose="ERROR"
    )
    return made["manifest"](source={"files": ["{subject}-epo.fif"]}, tasks=[TRIAL_TASK])


def neuroscan(made, names, folder: Path) -> Manifest:
    made["neuroscan"](folder / "p0.cnt", made["eeg_uv"](6, 1600))
    task = {**EVENT_TASK, "trials": {"by": "event", "labels": {"7": "a", "8": "b"}, "length_s": 1}}
    return made["manifest"](source={"files": ["{subject}.cnt"]}, tasks=[task])


def gdf(made, names, folder: Path) -> Manifest:
    path = made["gdf"](folder / "p0.gdf", made["eeg_uv"](6, 1600))
    data = bytearray(path.read_bytes())
    data[8:58] = b"CANARYJohnDoe".ljust(50)  # the patient's field
    path.write_bytes(bytes(data))
    return made["manifest"](source={"files": ["{subject}.gdf"]})


def persyst(made, names, folder: Path) -> Manifest:
    comments = "[SampleTimes]\n0=36000\n[Comments]\n1,0,0,100,T1\n2,0,0,100,T2\n3,0,0,100,CANARYJohnDoe coughed\n"
    made["persyst"](folder, made["eeg_uv"](6, 1600), extra=comments)
    return made["manifest"](source={"files": ["{subject}.lay"]}, tasks=[EVENT_TASK])


def xdf(made, names, folder: Path) -> Manifest:
    made["xdf"](folder / "p0.xdf", [("CANARYJohnDoe", "EEG", names, made["eeg_uv"](6, 1600), np.arange(1600) / 200)])
    return made["manifest"](source={"files": ["{subject}.xdf"]})


def packed(made, names, folder: Path) -> Manifest:
    plain = made["edf"](folder / "p0.edf", made["eeg_uv"](6, 1600), annotations=MARKS)
    (folder / "p0.edf.gz").write_bytes(gzip.compress(plain.read_bytes(), mtime=0))
    plain.unlink()
    return made["manifest"](source={"files": ["{subject}.edf.gz"]}, tasks=[EVENT_TASK])


def oddly_named(made, names, folder: Path) -> Manifest:
    made["brainvision"](folder, "p0", made["eeg_uv"](6, 1600))
    (folder / "p0.vhdr").rename(folder / "p0.VHDR")
    return made["manifest"](source={"files": ["{subject}.VHDR"]})


def ts(made, names, folder: Path) -> Manifest:
    cases = [(made["eeg_uv"](6, 100, seed=i), "ab"[i % 2]) for i in range(4)]
    for part in ("TRAIN", "TEST"):
        made["ts"](folder / f"made_{part}.ts", cases)
    source = {"kind": "ts", "files": ["made_{run}.ts"], "subject": "1", "sfreq_hz": 100, "unit": "uV"}
    return made["manifest"](source={**source, "channels": list(names)}, tasks=[TRIAL_TASK])


def table(made, names, folder: Path) -> Manifest:
    rows = ["time;" + ";".join(names) + ";mark"]
    for i, row in enumerate(made["eeg_uv"](6, 1600).T):
        rows.append(f"{i / 200:.4f};" + ";".join(f"{v:.4f}" for v in row) + (";T1" if i == 400 else ";0"))
    (folder / "p0.csv").write_text("\n".join(rows) + "\n")
    source = {"kind": "table", "files": ["{subject}.csv"], "sfreq_hz": 200, "unit": "uV", "separator": ";"}
    source |= {"channels": list(names), "time_column": "time", "event_column": "mark"}
    return made["manifest"](source=source, tasks=[EVENT_TASK])


def electrode_files(made, names, folder: Path) -> Manifest:
    for name, row in zip(names, made["eeg_uv"](6, 1600), strict=True):
        (folder / f"p0_{name}.txt").write_text("\n".join(f"{v:.4f}" for v in row) + "\n")
    source = {"kind": "table", "files": ["{subject}_{channel}.txt"], "sfreq_hz": 200, "unit": "uV"}
    return made["manifest"](source=source)


def uci(made, names, folder: Path) -> Manifest:
    made["uci"](folder, "co2a0000001")
    made["uci"](folder, "co2c0000002")
    task = {"name": "t", "classes": ["S1 obj", "S2 match"], "trials": {"by": "trial"}}
    return made["manifest"](source={"kind": "uci", "files": ["{subject}/*.gz"]}, tasks=[task])


def numpy_trials(made, names, folder: Path) -> Manifest:
    signal = made["eeg_uv"](6, 1200).reshape(6, 4, 300).transpose(1, 0, 2)
    np.savez(folder / "p0.npz", x=signal, y=np.array(["a", "b", "a", "b"]))
    source = {"kind": "numpy", "files": ["{subject}.npz"], "sfreq_hz": 200, "unit": "uV", "channels": list(names)}
    source |= {"variable": "x", "event_column": "y", "orientation": "row_per_channel"}
    return made["manifest"](source=source, tasks=[TRIAL_TASK])


def matlab(made, names, folder: Path) -> Manifest:
    scipy.io.savemat(folder / "p0.mat", {"eeg": {"data": made["eeg_uv"](6, 1600)}})
    source = {"kind": "matlab", "files": ["{subject}.mat"], "sfreq_hz": 200, "unit": "uV", "channels": list(names)}
    source |= {"variable": "eeg.data", "orientation": "row_per_channel"}
    return made["manifest"](source=source)


def fieldtrip(made, names, folder: Path) -> Manifest:
    trials = np.empty((1, 3), dtype=object)
    for i in range(3):
        trials[0, i] = made["eeg_uv"](6, 400 + 10 * i, seed=i)
    label = np.array(names, dtype=object).reshape(-1, 1)
    data = {"trial": trials, "label": label, "fsample": 200.0, "trialinfo": np.array([[1], [2], [1]])}
    scipy.io.savemat(folder / "p0.mat", {"data": {**data, "chanunit": np.array(["uV"] * 6, dtype=object)}})
    task = {"name": "t", "classes": ["a", "b"], "trials": {"by": "trial", "labels": {"1": "a", "2": "b"}}}
    return made["manifest"](source={"kind": "matlab", "files": ["{subject}.mat"], "unit": "uV"}, tasks=[task])


def bids(made, names, folder: Path) -> Manifest:
    (folder / "dataset_description.json").write_text('{"Name": "CANARYJohnDoe", "BIDSVersion": "1.9.0"}')
    (folder / "participants.tsv").write_text("participant_id\tname\tgroup\nsub-01\tCANARYJohnDoe\tx\n")
    eeg = folder / "sub-01" / "ses-a" / "eeg"
    eeg.mkdir(parents=True)
    stem = "sub-01_ses-a_task-rest"
    made["edf"](eeg / f"{stem}_eeg.edf", made["eeg_uv"](6, 1600), annotations=MARKS)
    (eeg / f"{stem}_events.tsv").write_text(
        "onset\tduration\ttrial_type\n1.0\t0\tT1\n2.0\t0.5\tT2\n3\t0\tCANARYJohnDoe\n"
    )
    rows = [f"{n}\t{'EOG' if n == 'Fp1' else 'EEG'}\tuV\t{'bad' if n == 'C3' else 'good'}" for n in names]
    (eeg / f"{stem}_channels.tsv").write_text("name\ttype\tunits\tstatus\n" + "\n".join(rows) + "\n")
    (folder / "task-rest_eeg.json").write_text('{"PowerLineFrequency": 60, "EEGReference": "CANARYJohnDoe\'s ear"}')
    return made["manifest"](source={"kind": "bids"}, tasks=[EVENT_TASK])


def moabb(made, names, folder: Path) -> Manifest:
    return made["manifest"](source={"kind": "moabb", "code": "Stand_In"}, tasks=[EVENT_TASK])


KINDS = [
    edf, bdf, plain_folder, fif, brainvision, eeglab, epoched_fif, neuroscan, ts, table, electrode_files, uci,
    numpy_trials, matlab, fieldtrip, bids, moabb, gdf, persyst, xdf, packed, oddly_named,
]  # fmt: skip


@pytest.fixture
def stand_in_moabb(made, names, monkeypatch: pytest.MonkeyPatch) -> None:
    """MOABB's interface as far as it is used; the real one is an extra and is checked where it is installed."""

    class StandIn:
        subject_list = (1, 2)
        event_id = {"T1": 1, "T2": 2}  # noqa: RUF012
        interval = (0, 1)
        paradigm = "imagery"
        doi = None

        def get_data(self, subjects, process_pipeline=None):
            return {s: {"0train": {"0": raw_of(made, names, seed=s)}} for s in subjects}

    StandIn.__name__ = "Stand_In"
    modules = {
        name: types.ModuleType(name)
        for name in ("moabb", *(f"moabb.datasets{end}" for end in ("", ".utils", ".fake", ".preprocessing")))
    }
    modules["moabb.datasets.utils"].dataset_list = [StandIn]
    modules["moabb.datasets.fake"].FakeDataset = StandIn
    modules["moabb.datasets.preprocessing"].FixedPipeline = list
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)


def same(a: SourceRecording, b: SourceRecording) -> bool:
    return a == b and np.array_equal(np.asarray(a.signal), np.asarray(b.signal), equal_nan=True)


def check(source: Source, manifest: Manifest, folder: Path) -> None:
    plan = source.plan()
    assert plan, "nothing planned"
    assert plan == source.plan(), "two plans differ"
    keys = [p.key for p in plan]
    assert keys == sorted(set(keys)), "keys are sorted and unique"
    texts = {t for task in manifest.tasks for t in (*task.classes, *task.trials.labels)}
    for planned in plan:
        assert planned.key == "/".join(x or "-" for x in (planned.subject, planned.session, planned.run))
        assert planned.n_bytes > 0
        first, again = source.read(planned), source.read(planned)
        assert same(first, again), "two reads differ"
        signal = np.asarray(first.signal)
        assert signal.dtype == np.float64
        assert signal.shape == (len(first.channels), first.n_samples)
        middle = signal.shape[1] // 2
        np.testing.assert_array_equal(np.asarray(first.signal[:, middle : middle + 7]), signal[:, middle : middle + 7])
        assert first.sfreq_hz > 0
        ends = 0
        for stretch in first.stretches:
            assert stretch.n_samples > 0
            assert ends <= stretch.start_sample
            ends = stretch.stop_sample
        assert ends <= first.n_samples
        for stretch, label in first.trial_labels:
            assert stretch in first.stretches
            assert label in {"", *texts}, "what no task knows is counted without its text"
        assert {e.text for e in first.events} <= texts, "only texts that a task names leave"
        assert [f for f, _ in first.files] == list(planned.public_files)
        for file, (_, digest) in zip(planned.files, first.files, strict=True):
            assert digest == hashlib.sha256((folder / file).read_bytes()).hexdigest()
        assert any(c.unit for c in first.channels)
        assert first.units_evidence
        amplitude = signal[[i for i, c in enumerate(first.channels) if c.unit and c.kind != "stim"]].std()
        assert 1 < amplitude < 100, "in microvolt"
        everything = json.dumps(
            [dataclasses.asdict(dataclasses.replace(first, signal=np.zeros(0), **COUNTS)) | {"signal": 0}]
        )
        assert "CANARY" not in everything + planned.key, "nothing personal leaves"
        assert "1971" not in everything, "no date leaves"
        assert subtract(first.stretches, ()) == first.stretches
    assert source.entries() == sorted(source.entries())


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__name__)
def test_source_keeps_the_common_promise(kind, made, names, tmp_path: Path, stand_in_moabb) -> None:
    """A source keeps what all sources promise."""
    manifest = kind(made, names, tmp_path)
    check(open_source(manifest, tmp_path), manifest, tmp_path)


@pytest.mark.parametrize("kind", [plain_folder, brainvision, uci, bids, fieldtrip], ids=lambda k: k.__name__)
def test_worker_gives_the_same_recordings(kind, made, names, tmp_path: Path) -> None:
    """A worker process gives the same recordings."""
    manifest = kind(made, names, tmp_path)
    source = open_source(manifest, tmp_path)
    with isolated_reader(manifest, tmp_path) as reader:
        for planned in source.plan():
            assert same(reader.read(planned), source.read(planned))


def test_bids_tables_set_kinds_and_events(made, names, tmp_path: Path) -> None:
    """BIDS tables set kinds, status, line frequency and events."""
    source = open_source(bids(made, names, tmp_path), tmp_path)
    recording = source.read(source.plan()[0])
    by_name = {c.name: c for c in recording.channels}
    assert (by_name["Fp1"].kind, by_name["C4"].kind) == ("eog", "eeg")
    assert (by_name["C3"].status, by_name["C4"].status) == ("bad", "good")
    assert recording.line_freq_hz == 60.0
    assert recording.reference == ""
    assert [(e.start_sample, e.n_samples, e.text) for e in recording.events] == [(200, 0, "T1"), (400, 100, "T2")]


def test_moabb_gives_its_fake_data_set() -> None:
    """MOABB itself gives its fake data set."""
    pytest.importorskip("moabb", reason="the extra [moabb] is not installed")
    from eegprep.sources.moabb import manifest_for_moabb

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        manifest = manifest_for_moabb("FakeDataset")
        source = open_source(manifest, Path())
        recording = source.read(source.plan()[0])
    assert {e.text for e in recording.events} == set(manifest.tasks[0].classes)
