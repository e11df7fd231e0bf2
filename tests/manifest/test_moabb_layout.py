"""Data sets that MOABB fetches: ingested from made-up runs with MOABB's own montage, rate and event codes.

Only the reading of files is replaced; MOABB's classes say which subjects, channels, rate and events there are, and its
own pipeline turns codes into names.
"""

from __future__ import annotations

import warnings

import mne
import numpy as np
import pytest

from eegprep.ingest import ingest
from eegprep.manifest import catalogue
from eegprep.store import Store

pytest.importorskip("moabb")

MANIFESTS = [m for m in catalogue() if m.source.kind == "moabb"]
#: Montages that MOABB's description leaves to the reader: EGI's and BioSemi's own names.
SENSORS = {
    "Kaneshiro2015": [f"E{i}" for i in range(1, 125)],
    "Nieto2022": [f"{bank}{i}" for bank in "ABCD" for i in range(1, 33)] + [f"EXG{i}" for i in range(1, 9)],
}


@pytest.fixture
def small(monkeypatch):
    """A function that makes one MOABB data set give one subject's short run, with each of its events once."""

    def replace(manifest) -> dict[str, int]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import moabb.datasets as moabb_datasets
            from moabb.datasets.base import BaseDataset
        kind = getattr(moabb_datasets, manifest.source.code)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = kind()
        stated = dataset.METADATA.acquisition
        names = list(stated.sensors or SENSORS[manifest.source.code])
        rate = float(stated.sampling_rate)
        assert len(dataset.subject_list) == manifest.expect.subjects
        assert rate == manifest.expect.sfreq_hz
        assert manifest.source.channels in ([], names) or sorted(manifest.source.channels) == sorted(names)
        reach_s = max(t.trials.offset_s + (t.trials.length_s or 0) for t in manifest.tasks) + 1
        n_samples = int(rate * (2 + reach_s * len(dataset.event_id)))
        signal = 2e-5 * np.random.default_rng(0).normal(size=(len(names) + 1, n_samples))
        signal[-1] = 0
        for k, code in enumerate(dataset.event_id.values()):
            signal[-1, int(rate * (1 + reach_s * k))] = code
        info = mne.create_info([*names, "STI"], rate, ["eeg"] * len(names) + ["stim"])

        def one(self, subject):
            return {"1": {"0": mne.io.RawArray(signal.copy(), info, verbose="error")}}

        monkeypatch.setattr(kind, "_get_single_subject_data", one)
        monkeypatch.setattr(kind, "subject_list", property(lambda self: [1], lambda self, value: None), raising=False)
        monkeypatch.setattr(BaseDataset, "_prefetch_nemar_sourcedata", lambda *a, **k: None)
        return dict(dataset.event_id)

    return replace


@pytest.mark.parametrize("manifest", MANIFESTS, ids=[m.name for m in MANIFESTS])
@pytest.mark.filterwarnings("ignore")
def test_moabb_montage_keeps_the_promise(manifest, small, tmp_path):
    """Runs with the documented montage give what the manifest promises."""
    event_id = small(manifest)
    (tmp_path / "raw").mkdir()
    summary = ingest(manifest, tmp_path / "raw", tmp_path / "store", workers=0, partial=True)
    assert not summary.failed
    (info,) = Store.open(tmp_path / "store").infos()
    assert manifest.expect.channels in (None, len(info.electrodes))
    assert info.source_sfreq_hz == manifest.expect.sfreq_hz
    for task in manifest.tasks:
        assert set(task.trials.labels) <= set(event_id)
        found = sorted(t.label for t in info.trials if t.task == task.name)
        assert found == sorted(task.trials.labels.values()), task.name
