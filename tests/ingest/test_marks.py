"""What marks in a file do to a store: one channel's bad spans cost that channel, breaks refuse trials across them."""

from __future__ import annotations

from pathlib import Path

import mne
import numpy as np
import pytest
import scipy.io

from eegprep.ingest import ingest
from eegprep.manifest import load_recipe
from eegprep.manifest.schema import Manifest
from eegprep.store import Store

NAMES = ("Fp1", "Fp2", "F3", "F4")
TASK = {
    "name": "k", "classes": ["a", "b"], "trials": {"by": "event", "labels": {"a": "a", "b": "b"}, "length_s": 0.5},
}  # fmt: skip


def store_of(folder: Path, pattern: str, *, recipe: str = "as_recorded"):
    made = Manifest.model_validate(
        {
            "manifest": 1, "name": "m", "version": "1", "title": "t", "citation": "c", "licence": {"id": "CC0-1.0"},
            "anonymous_subjects": True, "source": {"kind": "files", "files": [pattern]}, "tasks": [TASK],
        }
    )  # fmt: skip
    summary = ingest(made, folder, folder / "store", workers=0, recipe=load_recipe(recipe))
    (info,) = Store.open(folder / "store").infos()
    return summary, info


def raw_of(eeg_signal, marks, sfreq_hz: int = 256, seconds: int = 12) -> mne.io.RawArray:
    info = mne.create_info(list(NAMES), sfreq_hz, "eeg")
    raw = mne.io.RawArray(eeg_signal(1, 4, sfreq_hz * seconds) * 1e-6, info, verbose="ERROR")
    onsets, durations, texts, channels = zip(*marks, strict=True)
    return raw.set_annotations(mne.Annotations(onsets, durations, texts, ch_names=channels))


@pytest.mark.parametrize("sfreq_hz", [256, 200, 500])
def test_bad_span_of_one_channel(eeg_signal, tmp_path: Path, sfreq_hz: int) -> None:
    """9 s are kept of Fp1, 12 s of the others, and all of it is accounted for."""
    raw = raw_of(eeg_signal, [(5.0, 3.0, "BAD_loose", ("Fp1",))], sfreq_hz)
    raw.save(tmp_path / "s1_raw.fif", verbose="ERROR")
    summary, info = store_of(tmp_path, "{subject}_raw.fif")
    assert info.quality["kept_s"] == (9.0, 12.0, 12.0, 12.0)
    (entry,) = [x for x in info.left_out if x.kind == "stretch"]
    assert (entry.name, entry.code, entry.start_sample, entry.n_samples) == ("Fp1", "annotated_bad", 1280, 768)
    assert {e: info.kept(e)[0].n_samples for e in info.electrodes} == {"Fp1": 1280, "Fp2": 3072, "F3": 3072, "F4": 3072}
    assert summary.electrode_hours * 3600 == pytest.approx(45)
    assert {k: v * 3600 for k, v in summary.electrode_hours_left_out.items()} == {"annotated_bad": pytest.approx(3)}


def test_channel_marked_bad_throughout(eeg_signal, tmp_path: Path) -> None:
    raw_of(eeg_signal, [(0.0, 12.0, "BAD_loose", ("Fp1",))]).save(tmp_path / "s1_raw.fif", verbose="ERROR")
    _, info = store_of(tmp_path, "{subject}_raw.fif")
    assert info.quality["kept_s"] == (0.0, 12.0, 12.0, 12.0)
    (entry,) = info.left_out
    assert (entry.kind, entry.name, entry.code) == ("channel", "Fp1", "silent")
    assert "annotated bad 12.0 s" in entry.reason


def test_overlapping_marks_count_once(eeg_signal, tmp_path: Path) -> None:
    marks = [(5.0, 3.0, "BAD_x", ("Fp1",)), (6.0, 4.0, "BAD_y", ("Fp1", "F3")), (9.0, 2.0, "BAD_z", ())]
    raw_of(eeg_signal, marks).save(tmp_path / "s1_raw.fif", verbose="ERROR")
    summary, info = store_of(tmp_path, "{subject}_raw.fif")
    assert info.quality["kept_s"] == (6.0, 10.0, 7.0, 10.0)
    assert summary.electrode_hours * 3600 == pytest.approx(33)
    assert sum(summary.electrode_hours_left_out.values()) * 3600 == pytest.approx(15)


@pytest.mark.parametrize("boundary", ["boundary", -99.0])
def test_no_trial_lies_across_a_boundary(eeg_signal, tmp_path: Path, boundary) -> None:
    """EEGLAB writes a boundary between two samples, as a text or as the number -99."""
    signal = eeg_signal(2, 4, 3072)
    signal[:, 2048:] += 150
    rows = [("a", 769.0), ("b", 1985.0), (boundary, 2048.5), ("a", 2049.0)]
    places = np.zeros(4, dtype=[("labels", object)])
    places["labels"] = list(NAMES)
    eeg = {
        "nbchan": 4, "srate": 256.0, "trials": 1, "pnts": 3072, "xmin": 0.0, "xmax": 11.99609375, "data": signal,
        "chanlocs": places, "icawinv": [], "icaweights": [], "epoch": [],
        "event": np.array(rows, dtype=[("type", object), ("latency", object)]),
    }  # fmt: skip
    scipy.io.savemat(tmp_path / "s1.set", {"EEG": eeg})
    _, info = store_of(tmp_path, "{subject}.set")
    assert [(s.start_sample, s.n_samples) for s in info.stretches] == [(0, 2048), (2048, 1024)]
    assert [(t.start_sample, t.label) for t in info.trials] == [(768, "a"), (2048, "a")]
    assert [(x.code, x.start_sample) for x in info.left_out if x.kind == "trial"] == [("outside_stretch", 1984)]


def test_half_a_second_of_zeros_is_named(eeg_signal, tmp_path: Path) -> None:
    raw = raw_of(eeg_signal, [(1.0, 0.0, "a", ())])
    raw._data[:, 1024:1152] = 0.0
    raw._data[:, 2048:2176] = raw._data[:, [2048]]
    raw._data[0, 512:522] = np.nan
    raw.save(tmp_path / "s1_raw.fif", verbose="ERROR")
    summary, info = store_of(tmp_path, "{subject}_raw.fif")
    found = {(x.code, x.start_sample, x.n_samples) for x in info.left_out if x.name == "Fp1"}
    assert found == {("not_finite", 512, 10), ("zeros", 1024, 128), ("held", 2048, 128)}
    assert summary.left_out["stretch"] == {"not_finite": 1, "zeros": 4, "held": 4}
