"""Epoched files: the label is that of the event an epoch was cut around, and time that epochs share counts once."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import mne
import numpy as np
import pytest
import scipy.io

from eegprep.electrodes import Vocabulary
from eegprep.formats.epochs import decode_epochs, overlapping, read_epochs
from eegprep.formats.matlab.read import read_matlab
from eegprep.ingest import ingest
from eegprep.ingest.inspection import describe_result
from eegprep.ingest.process import carry_out
from eegprep.manifest import load_recipe
from eegprep.manifest.schema import Manifest
from eegprep.recording import RecordingInfo, Stretch, covered
from eegprep.sources import open_source
from eegprep.sources.assemble import assemble
from eegprep.sources.base import PlannedRecording
from eegprep.standardise import Nowhere, decide, make_plan
from eegprep.store import Store

NAMES = ("Fp1", "Fp2", "C3", "C4")
SFREQ_HZ = 256


def manifest(labels: dict[str, str], **more) -> Manifest:
    task = {"name": "k", "classes": ["a", "b"], "trials": {"by": "trial", "labels": labels}}
    base = {"manifest": 1, "name": "m", "version": "1", "title": "t", "citation": "c", "licence": {"id": "CC0-1.0"}}
    base |= {"anonymous_subjects": True, "source": {"kind": "files", "files": ["{subject}.set"]}, "tasks": [task]}
    return Manifest.model_validate(base | more)


def write_set(
    path: Path, eeg_signal, epochs, *, n: int = 512, zero: int = 128, tables=("event", "epoch"), **fields
) -> Path:
    """An epoched .set; `epochs` lists for each one its events as (type, samples after time zero, urevent)."""
    events, cut, n, zero = [], [], 512, 128
    for i, own in enumerate(epochs):
        events += [(kind, i * n + zero + at + 1, ur, i + 1) for kind, at, ur in own]
        kinds, latencies = [k for k, _, _ in own], [1000 * at / SFREQ_HZ for _, at, _ in own]
        one = len(own) == 1
        cut.append((kinds[0], latencies[0]) if one else (np.array(kinds, object), np.array(latencies, object)))
    signal = fields.pop("data", None)
    if signal is None:
        signal = eeg_signal(1, len(NAMES), n * len(epochs)).reshape(len(NAMES), len(epochs), n).transpose(0, 2, 1)
    places = np.zeros(len(NAMES), dtype=[("labels", object)])
    places["labels"] = list(NAMES)
    kinds_of = [("type", object), ("latency", object), ("urevent", object), ("epoch", object)]
    eeg = {
        "nbchan": len(NAMES), "srate": float(SFREQ_HZ), "trials": len(epochs), "pnts": n, "xmin": -zero / SFREQ_HZ,
        "xmax": (n - zero - 1) / SFREQ_HZ, "data": signal, "chanlocs": places, "icawinv": [], "icaweights": [],
        "urevent": [],
        "event": np.array(events, dtype=kinds_of) if "event" in tables and events else [],
        "epoch": np.array(cut, [("eventtype", object), ("eventlatency", object)]) if "epoch" in tables else [],
    }  # fmt: skip
    scipy.io.savemat(path, {"EEG": eeg | fields})
    return path


def labels_of(path: Path) -> list[str]:
    return [text for _, text in read_epochs(path, "eeglab").trial_labels]


MIXED = [
    [("square", 0, 1), ("rt", 100, 2)],
    [("circle", 0, 3)],
    [("rt", -60, 4), ("square", 0, 5)],
    [("square", 0.4, 6), ("rt", 1, 7)],
]


@pytest.mark.parametrize("tables", [("event", "epoch"), ("event",), ("epoch",)])
def test_label_is_the_event_at_zero(eeg_signal, tmp_path: Path, tables) -> None:
    """Within half a sample, whichever of EEGLAB's two tables is there."""
    path = write_set(tmp_path / "a.set", eeg_signal, MIXED, tables=tables)
    assert labels_of(path) == ["square", "circle", "square", "square"]


def test_numeric_types_and_texts_alike(eeg_signal, tmp_path: Path) -> None:
    epochs = [[(1.0, 0, 1), (7.0, 50, 2)], [(2, 0, 3)], [("1", 0, 4)], [(2.5, 0, 5)]]
    assert labels_of(write_set(tmp_path / "a.set", eeg_signal, epochs)) == ["1", "2", "1", "2.5"]


def test_several_events_at_zero(eeg_signal, tmp_path: Path) -> None:
    """The same name twice is one; of different names the tasks choose the only one that they know."""
    epochs = [
        [("on", 0, 1), ("square", 0, 2)],
        [("square", 0, 3), ("square", 0, 4)],
        [("square", 0, 5), ("circle", 0, 6)],
    ]
    write_set(tmp_path / "a.set", eeg_signal, epochs)
    assert labels_of(tmp_path / "a.set") == ["on/square", "square", "square/circle"]
    source = open_source(manifest({"square": "a", "circle": "b"}), tmp_path)
    recording = source.read(source.plan()[0])
    assert [text for _, text in recording.trial_labels] == ["square", "square", ""]


def test_epochs_without_an_event_at_zero(eeg_signal, tmp_path: Path) -> None:
    """The only event of an epoch names it, with a note; of several none does."""
    epochs = [[("rt", 90, 1)], [("rt", 90, 2), ("square", 40, 3)], [("square", 0, 4)]]
    decoded = read_epochs(write_set(tmp_path / "a.set", eeg_signal, epochs), "eeglab")
    assert [text for _, text in decoded.trial_labels] == ["rt", "", "square"]
    assert "1 epochs have no event at time zero and are labelled by their only event" in decoded.notes


def test_epochs_without_events(eeg_signal, tmp_path: Path) -> None:
    assert labels_of(write_set(tmp_path / "a.set", eeg_signal, [[], []], tables=())) == ["", ""]


def test_epochs_with_unknown_labels_count(eeg_signal, tmp_path: Path) -> None:
    """They are listed in the store and its report, and counted in a note; their text goes nowhere."""
    write_set(tmp_path / "a.set", eeg_signal, [*MIXED, [("secret", 0, 9)]])
    summary = ingest(
        manifest({"square": "a"}), tmp_path, tmp_path / "store", workers=0, recipe=load_recipe("as_recorded")
    )
    assert (summary.trials, summary.left_out) == ({"k": 3}, {"trial": {"unknown_label": 2}})
    (info,) = Store.open(tmp_path / "store").infos()
    assert [(x.name, x.start_sample, x.n_samples) for x in info.left_out] == [("k", 512, 512), ("k", 2048, 512)]
    assert all(b"secret" not in p.read_bytes() for p in (tmp_path / "store").rglob("*") if p.is_file())
    source = open_source(manifest({"square": "a"}), tmp_path)
    assert "2 of 5 epochs have a label that is unknown to all tasks" in source.read(source.plan()[0]).notes


def continuous(eeg_signal, seconds: int = 60) -> mne.io.RawArray:
    info = mne.create_info(list(NAMES), SFREQ_HZ, "eeg")
    return mne.io.RawArray(eeg_signal(3, len(NAMES), seconds * SFREQ_HZ) * 1e-6, info, verbose="ERROR")


def overlapping_epochs(eeg_signal) -> mne.Epochs:
    """59 epochs of 2 s, one a second: 118 s that show 60 s."""
    events = np.array([(s * SFREQ_HZ, 0, 1 + s % 2) for s in range(59)])
    tmax = 2 - 1 / SFREQ_HZ
    return mne.Epochs(
        continuous(eeg_signal), events, {"x": 1, "y": 2}, 0, tmax, baseline=None, preload=True, verbose="ERROR"
    )


def test_overlapping_fif_epochs_count_once(eeg_signal, tmp_path: Path) -> None:
    epochs = overlapping_epochs(eeg_signal)
    assert len(epochs) == 59
    epochs.save(tmp_path / "a-epo.fif", verbose="ERROR")
    made = manifest({"x": "a", "y": "b"}, source={"kind": "files", "files": ["{subject}-epo.fif"]})
    summary = ingest(made, tmp_path, tmp_path / "store", workers=0, recipe=load_recipe("as_recorded"))
    assert summary.trials == {"k": 59}
    assert summary.hours * 3600 == pytest.approx(60)
    assert summary.electrode_hours * 3600 == pytest.approx(240)
    (info,) = Store.open(tmp_path / "store").infos()
    assert info.quality["kept_s"] == (60.0,) * 4
    assert RecordingInfo.from_json(info.to_json()) == info


def test_rejected_part_may_be_in_other_epoch(eeg_signal) -> None:
    """What one epoch lacks and its neighbour shows is not lost; kept and left out make up the recording."""
    epochs = overlapping_epochs(eeg_signal)
    decoded = decode_epochs(epochs, epochs.get_data(copy=True), "mne")
    signal = np.array(decoded.signal)
    signal[0, 256:512] = np.nan  # the second half of the first epoch, which is the first half of the second
    signal[1, :512], signal[1, 512:768] = np.nan, np.nan
    stretches, origins = decoded.stretches, decoded.origins
    assert covered(stretches, stretches, origins) == 60 * SFREQ_HZ
    planned = PlannedRecording(subject="s", key="s/-/-")
    recording = assemble(dataclasses.replace(decoded, signal=signal), planned, manifest({"x": "a", "y": "b"}), Path())
    plan = make_plan(
        decide(recording, manifest=manifest({}), recipe=load_recipe("as_recorded"), vocabulary=Vocabulary.base())
    )
    info = carry_out(plan, Nowhere())
    assert info.quality["kept_s"] == (60.0, 58.0, 60.0, 60.0)
    told = describe_result(plan, info)
    assert told["hours"] * 3600 == pytest.approx(60)
    assert [c["left_out_s"] for c in told["channels"]] == [{"not_finite": 0.0}, {"not_finite": 2.0}, {}, {}]
    assert all(3600 * (c["hours_kept"] + c["hours_left_out"]) == pytest.approx(60) for c in told["channels"])


def test_made_up_places_do_not_overlap(eeg_signal) -> None:
    """mne.EpochsArray numbers its epochs 0, 1, 2, ...: the samples show that they are not one sample apart."""
    data = eeg_signal(4, len(NAMES), 10 * 512).reshape(len(NAMES), 10, 512).transpose(1, 0, 2) * 1e-6
    epochs = mne.EpochsArray(data, mne.create_info(list(NAMES), SFREQ_HZ, "eeg"), verbose="ERROR")
    assert decode_epochs(epochs, data, "mne").origins == ()
    assert overlapping((), data) == overlapping(range(0, 5120, 512), data) == ()


@pytest.mark.parametrize("baseline", [None, (None, 0)])
@pytest.mark.parametrize("sfreq_hz", [256, 128])
def test_epochs_of_another_rate_and_baseline(eeg_signal, baseline, sfreq_hz: int) -> None:
    """Events count at the rate of the recording; each epoch has lost its own offset."""
    events = np.array([(s * SFREQ_HZ, 0, 1) for s in range(1, 50)])
    epochs = mne.Epochs(
        continuous(eeg_signal),
        events,
        {"x": 1},
        -0.5,
        1.5 - 1 / SFREQ_HZ,
        baseline=baseline,
        preload=True,
        verbose="ERROR",
    )
    if sfreq_hz != SFREQ_HZ:
        epochs.resample(sfreq_hz, verbose="ERROR")
    decoded = decode_epochs(epochs, epochs.get_data(copy=True), "mne")
    assert covered(decoded.stretches, decoded.stretches, decoded.origins) == 50 * sfreq_hz


def eeglab_overlap(eeg_signal) -> tuple[np.ndarray, list]:
    """Epochs of 2 s, one a second and a half a second before their event, each with the next one's event in it."""
    signal = eeg_signal(5, len(NAMES), 30 * SFREQ_HZ)
    data = np.stack([signal[:, s * 256 : s * 256 + 512] for s in range(20)], axis=2)
    return data, [[("x", 0, s + 1), ("x", 256, s + 2)] for s in range(20)]


def test_eeglab_epochs_that_share_an_event(eeg_signal, tmp_path: Path) -> None:
    """The number of an event that lies in two epochs says how far they are apart."""
    data, epochs = eeglab_overlap(eeg_signal)
    decoded = read_epochs(write_set(tmp_path / "a.set", eeg_signal, epochs, data=data), "eeglab")
    assert covered(decoded.stretches, decoded.stretches, decoded.origins) == 21 * SFREQ_HZ


def test_eeglab_epochs_by_their_urevents(eeg_signal, tmp_path: Path) -> None:
    data, epochs = eeglab_overlap(eeg_signal)
    own = [events[:1] for events in epochs]
    recorded = np.array([(s * 256 + 129.0,) for s in range(21)], dtype=[("latency", object)])
    path = write_set(tmp_path / "a.set", eeg_signal, own, data=data, urevent=recorded)
    decoded = read_epochs(path, "eeglab")
    assert decoded.origins == tuple(range(0, 20 * 256, 256))


def test_fieldtrip_sampleinfo_places_trials(eeg_signal, tmp_path: Path) -> None:
    """FieldTrip trials lie where their sampleinfo says."""
    signal = eeg_signal(6, len(NAMES), 30 * SFREQ_HZ)
    trials, times = np.empty(20, object), np.empty(20, object)
    for s in range(20):
        trials[s], times[s] = signal[:, s * 256 : s * 256 + 512], np.arange(512) / SFREQ_HZ
    bounds = np.array([(s * 256 + 1.0, s * 256 + 512.0) for s in range(20)])
    data = {"trial": trials, "time": times, "label": np.array(NAMES, object), "fsample": 256.0, "sampleinfo": bounds}
    scipy.io.savemat(tmp_path / "a.mat", {"data": data})
    decoded = read_matlab(tmp_path / "a.mat")
    assert covered(decoded.stretches, decoded.stretches, decoded.origins) == 21 * SFREQ_HZ


def test_covered_without_origins() -> None:
    parts = (Stretch(start_sample=0, n_samples=5), Stretch(start_sample=9, n_samples=2))
    assert covered(parts, parts, ()) == 7
    assert covered(parts, parts, (0, 3)) == 5
