"""Events that MNE's readers drop or cut are counted in a note: none goes without a word."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pybv
import pytest
import scipy.io

from eegprep.formats.mne import read_with_mne

Made = dict[str, Callable]
NAMES = ["Fp1", "Fp2", "C3", "C4", "O1", "O2"]


def texts(path: Path, format_name: str) -> tuple[list[tuple[int, str]], str]:
    decoded = read_with_mne(path, format_name)
    return [(e.start_sample, e.text) for e in decoded.events], "; ".join(decoded.notes)


def test_a_marker_behind_the_samples(made: Made, tmp_path: Path) -> None:
    """BrainVision: the position of a marker lies behind the last sample."""
    marks = [{"onset": at, "duration": 1, "description": n, "type": "Stimulus"} for n, at in ((1, 500), (2, 700))]
    pybv.write_brainvision(
        data=made["eeg_uv"](6, 800) * 1e-6, sfreq=200, ch_names=NAMES, fname_base="a", folder_out=tmp_path, events=marks
    )
    markers = tmp_path / "a.vmrk"
    assert "outside" not in texts(tmp_path / "a.vhdr", "brainvision")[1]
    markers.write_text(markers.read_text(encoding="utf-8").replace(",701,", ",9001,"), encoding="utf-8")
    found, notes = texts(tmp_path / "a.vhdr", "brainvision")
    assert found == [(500, "Stimulus/S  1")]
    assert "1 events lie outside the recording and are left out" in notes


@pytest.mark.parametrize(
    ("latency", "duration", "note"),
    [
        (9001.0, 0.0, "1 events lie outside the recording and are left out"),
        (math.nan, 0.0, "1 events have no time and are left out"),
        (701.0, 500.0, "1 events reach beyond the recording and are cut to it"),
        (701.0, 50.0, ""),
    ],
)
def test_an_eeglab_event_outside(made: Made, tmp_path: Path, latency: float, duration: float, note: str) -> None:
    """EEGLAB: a latency after the last sample, no latency, or a duration beyond the last sample."""
    kinds = [("type", object), ("latency", object), ("duration", object)]
    header = {"setname": "a", "nbchan": 6, "trials": 1, "pnts": 800, "srate": 200.0, "xmin": 0.0, "xmax": 799 / 200}
    empty = {key: [] for key in ("icaweights", "icawinv", "icasphere", "icaact", "epoch", "urevent")}
    header |= empty | {"ref": "common", "comments": "", "data": made["eeg_uv"](6, 800)}
    header["chanlocs"] = np.array([(n,) for n in NAMES], dtype=[("labels", object)])
    header["event"] = np.array([("a", 501.0, 0.0), ("b", latency, duration)], dtype=kinds)
    scipy.io.savemat(tmp_path / "a.set", {"EEG": header}, appendmat=False)
    found, notes = texts(tmp_path / "a.set", "eeglab")
    assert found[0] == (500, "a")
    assert [text for _, text in found[1:]] == ([] if "left out" in note else ["b"])
    assert note in notes
    assert bool(note) == (" events " in notes)
