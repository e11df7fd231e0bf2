"""Real recordings: what lies in the store is what MNE's own reader and chain give."""

from __future__ import annotations

from pathlib import Path

import mne
import numpy as np
import pytest

from eegprep.errors import InputError
from eegprep.ingest import ingest
from eegprep.manifest import find_manifest
from eegprep.sources import manifest_for_path
from eegprep.store import Store

pytestmark = pytest.mark.data


def one_file(folder: Path, tmp_path: Path, name: str) -> Path:
    """A folder that holds a link to one file alone."""
    if not (folder / name).exists():
        pytest.skip(f"needs {folder / name}")
    data = tmp_path / "data"
    target = data / name
    target.parent.mkdir(parents=True)
    target.write_bytes((folder / name).read_bytes())
    return data


@pytest.mark.parametrize(("dataset", "file"), [("eegmat", "Subject00_2.edf"), ("eegmmidb", "S001R04.edf")])
def test_store_holds_what_mne_computes(data_dir: Path, tmp_path: Path, dataset: str, file: str) -> None:
    """The store holds what MNE makes of the same file."""
    folder = one_file(data_dir / dataset, tmp_path, file)
    if (data_dir / dataset / "subject-info.csv").exists():
        (folder / "subject-info.csv").write_bytes((data_dir / dataset / "subject-info.csv").read_bytes())
    manifest = find_manifest(dataset)
    summary = ingest(manifest, folder, tmp_path / "store", workers=0, partial=True)
    assert summary.recordings == 1
    store = Store.open(tmp_path / "store")
    (info,) = store.infos()
    with mne.utils.use_log_level("ERROR"):
        raw = mne.io.read_raw_edf(folder / file, preload=True)
        signal = 1e6 * raw.get_data(picks=list(info.source_channels))
        rate = raw.info["sfreq"]
        if dataset == "eegmmidb":
            # the last half second of these files is zeros in all channels, which count as missing and are bridged
            assert not signal[:, -80:].any()
            assert {x.code for x in info.left_out if x.n_samples == 128} == {"zeros"}
            signal[:, -80:] = signal[:, [-81]]
        expected = mne.filter.filter_data(signal - np.median(signal, axis=1, keepdims=True), rate, 0.5, 75.0)
        expected = mne.filter.notch_filter(expected, rate, info.line_freq_hz)
        npad = 125 if rate == 500 else 100
        expected = mne.filter.resample(expected, 256.0, rate, npad=npad)
    found = store.signal(info).values
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 0.002
    assert info.n_samples == round(signal.shape[1] * 256 / rate)


def test_malformed_files_have_own_reasons(data_dir: Path, tmp_path: Path) -> None:
    """Every malformed file is refused with its own reason."""
    folder = data_dir / "malformed"
    if not folder.is_dir():
        pytest.skip("needs malformed recordings")
    files = [p for p in sorted(folder.rglob("*")) if p.is_file() and p.suffix not in (".md", ".txt")]
    reasons = {}
    for i, path in enumerate(files):
        try:
            summary = ingest(manifest_for_path(path), path, tmp_path / f"store{i}", workers=0)
        except InputError as error:
            assert not (tmp_path / f"store{i}").exists()
            reasons[path.name] = str(error)
        else:
            assert summary.recordings == 1
            assert summary.left_out, path.name
    assert reasons
    assert all("a way that it should not" not in text for text in reasons.values()), reasons
