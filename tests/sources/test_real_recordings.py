"""The shared recordings: what each gives, and what each damaged file is refused for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from eegprep.errors import EEGPTError
from eegprep.processes import isolated_reader
from eegprep.sources import manifest_for_path, open_source
from eegprep.standardise.hashing import signal_hash

pytestmark = pytest.mark.data


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        ("annotations_only.edf", "it contains only annotations, no signal"),
        ("crlf_S001R04.edf", "line endings were converted in a binary file"),
        ("truncated_S001R01.edf", "line endings were converted in a binary file"),
        ("no_signal.mff", "contains no signal"),
    ],
)
def test_damaged_files_have_own_reasons(data_dir: Path, file: str, reason: str) -> None:
    """Each damaged file is refused for its own reason."""
    path = data_dir / "malformed" / file
    source = open_source(manifest_for_path(path), path)
    with pytest.raises(EEGPTError) as caught:
        source.read(source.plan()[0])
    assert reason in caught.value.what


def test_the_epoched_set_is_taken_as_epochs(data_dir: Path) -> None:
    path = data_dir / "malformed" / "epoched.set"
    source = open_source(manifest_for_path(path), path)
    recording = source.read(source.plan()[0])
    assert (recording.format, len(recording.stretches), recording.signal.shape) == ("eeglab_epochs", 4, (2, 32))


#: File, format, rate, channels, samples, stretches.
FORMATS = [
    ("ant/test_CA_208.cnt", "ant", 1000.0, 88, 4025, 1),
    ("bdf/test.bdf", "bdf", 2048.0, 73, 2048, 1),
    ("bdf/eeglab_test.bdf", "bdf", 256.0, 17, 15360, 1),
    ("brainvision/test.vhdr", "brainvision", 1000.0, 32, 7900, 1),
    ("brainvision/test_old_layout_latin1_software_filter.vhdr", "brainvision", 250.0, 29, 251, 2),
    ("edf/short_psg.edf", "edf", 100.0, 5, 30000, 1),
    ("edf/test_subsecond.edf", "edf", 128.0, 1, 89344, 1),
    ("eeglab/eeglab_data.set", "eeglab", 128.0, 32, 30504, 1),
    ("eeglab/test_raw_chanloc.set", "eeglab", 128.0, 61, 385, 1),
    ("egi/test_egi.raw", "egi_raw", 250.0, 262, 77, 1),
    ("egi/test_egi_multiepoch_eprime.mff", "egi_mff", 250.0, 263, 4006, 2),
    ("neuroscan/scan41_short.cnt", "neuroscan", 400.0, 128, 3070, 1),
    ("neuroscan/test.cnt", "neuroscan", 200.0, 2, 25605, 13),
    ("openbci/OpenBCI_GUI-v6-blinks-jawClench-alpha.txt", "openbci", 250.0, 8, 22490, 1),
    ("persyst/sub-pt1_ses-02_task-monitor_acq-ecog_run-01_clip2.lay", "persyst", 200.0, 83, 847, 1),
    ("xdf/eeglab_test.xdf", "xdf", 1000.0, 8, 9520, 1),
]


def test_one_file_of_every_vendor_is_read(data_dir: Path) -> None:
    root = data_dir / "formats"
    manifest = manifest_for_path(root)
    planned = {p.files[0]: p for p in open_source(manifest, root).plan()}
    with isolated_reader(manifest, root) as reader:
        for file, name, sfreq_hz, n_channels, n_samples, n_stretches in FORMATS:
            recording = reader.read(planned[file])
            found = (recording.format, recording.sfreq_hz, *recording.signal.shape, len(recording.stretches))
            assert found == (name, sfreq_hz, n_channels, n_samples, n_stretches), file


def test_fif_and_gdf_of_one_run_agree(data_dir: Path) -> None:
    """FIF and GDF of one run agree after their units are corrected."""
    folder = data_dir / "ssvep_exo" / "subject01"
    signals = []
    for suffix in ("_raw.fif", ".gdf"):
        path = folder / f"record-[2012.07.06-19.02.16]{suffix}"
        source = open_source(manifest_for_path(path), path)
        recording = source.read(source.plan()[0])
        assert "multiplied by" in recording.units_evidence
        signals.append(np.asarray(recording.signal)[:8])
    np.testing.assert_allclose(signals[0], signals[1], atol=0.01)
    assert 5 < np.median(np.std(signals[0], axis=1)) < 100


def test_copied_signal_is_found_by_its_hash(data_dir: Path) -> None:
    """The same signal under two subjects is found by its hash."""
    digests = []
    for subject in ("subject03", "subject07"):
        path = data_dir / "ssvep_exo" / subject / "record-[2012.07.11-15.33.08]_raw.fif"
        source = open_source(manifest_for_path(path), path)
        recording = source.read(source.plan()[0])
        digests.append(signal_hash(recording.signal, recording.sfreq_hz))
    assert digests[0] == digests[1]


def test_bids_positions_equal_mne_bids(data_dir: Path) -> None:
    """BIDS positions and kinds are those that MNE-BIDS reads."""
    import warnings

    import mne_bids

    root = data_dir / "formats" / "bids_brainvision"
    source = open_source(manifest_for_path(root), root)
    recording = source.read(source.plan()[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = mne_bids.BIDSPath(subject="01", session="eeg", task="rest", datatype="eeg", root=root)
        theirs = mne_bids.read_raw_bids(path, verbose="CRITICAL")
    assert [c.name for c in recording.channels] == theirs.ch_names
    kinds = dict(zip(theirs.ch_names, theirs.get_channel_types(), strict=True))
    assert {c.name for c in recording.channels if c.kind == "eeg"} == {n for n, k in kinds.items() if k == "eeg"}
    assert {c.name for c in recording.channels if c.status == "bad"} == set(theirs.info["bads"])
    for channel, entry in zip(recording.channels, theirs.info["chs"], strict=True):
        if channel.kind == "eeg" and np.isfinite(entry["loc"][0]):
            np.testing.assert_allclose(channel.position_m, entry["loc"][:3], atol=2e-3)
