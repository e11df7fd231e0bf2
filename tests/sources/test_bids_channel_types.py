"""Every channel type of BIDS in `channels.tsv`: what becomes of the channel, with EEG alone and with other kinds."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.recordings import eeg_uv, write_edf

from eegprep.electrodes import Vocabulary, resolve_all
from eegprep.sources import open_source

KINDS = ("eeg", "eog", "emg", "ecg", "respiration", "other")
ALL = Vocabulary.base(KINDS)


def resolved(made, root: Path, channels: list[tuple[str, str]], kinds=KINDS):
    """The resolutions of an EDF recording's channels whose types are in `channels.tsv`."""
    (root / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.9.0"}')
    stem = root / "sub-01" / "eeg" / "sub-01_task-x"
    stem.parent.mkdir(parents=True)
    names = [name for name, _ in channels]
    write_edf(stem.with_name("sub-01_task-x_eeg.edf"), eeg_uv(len(names), 2000), names=names)
    rows = "".join(f"{name}\t{kind}\tuV\n" for name, kind in channels)
    stem.with_name("sub-01_task-x_channels.tsv").write_text("name\ttype\tunits\n" + rows)
    source = open_source(made["manifest"](source={"kind": "bids"}, anonymous_subjects=True), root)
    (planned,) = source.plan()
    return resolve_all(ALL, source.read(planned).channels, kinds=kinds)


@pytest.mark.parametrize(
    ("kind", "row", "code"),
    [
        ("AUDIO", None, "aux"), ("EEG", None, "aux"), ("EOG", "EOG", "eog"), ("ECG", "ECG", "ecg"),
        ("EMG", "EMG", "emg"), ("EYEGAZE", None, "aux"), ("GSR", None, "gsr"), ("HEOG", "EOGH", "eog"),
        ("MISC", None, "misc"), ("PPG", "Pleth", "oxygen"), ("PUPIL", None, "aux"), ("REF", None, "reference"),
        ("RESP", "RESP", "respiration"), ("SYSCLOCK", None, "stim"), ("TEMP", None, "temperature"),
        ("TRIG", None, "stim"), ("VEOG", "EOGV", "eog"), ("SEEG", None, "intracranial"), ("OTHER", None, "misc"),
        ("resp", "RESP", "respiration"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("kinds", [KINDS, ("eeg",)])
def test_type_decides_without_a_name(made, tmp_path: Path, kinds, kind, row, code) -> None:
    """A channel whose name says nothing gets its type's row, or the reason why it has none."""
    eeg, found = resolved(made, tmp_path, [("C3", "EEG"), ("EXG1", kind)], kinds)
    assert eeg.electrode == "C3"
    if len(kinds) > 1 and row is not None:
        assert (found.electrode, found.code) == (row, "signal")
    else:
        assert (found.electrode, found.code) == (None, code)
        assert ("--kinds" in found.reason) == (row is not None)


def test_all_kinds_of_one_recording(made, tmp_path: Path) -> None:
    """Both directions of the eyes, respiration and pulse are kept; the second belt is a duplicate."""
    channels = [
        ("Fz", "EEG"), ("X1", "HEOG"), ("X2", "VEOG"), ("X3", "EOG"), ("Resp", "RESP"), ("Belt", "RESP"),
        ("Chest", "RESP"), ("Pulse", "PPG"), ("Gaze", "EYEGAZE"),
    ]  # fmt: skip
    found = resolved(made, tmp_path, channels)
    rows = ["Fz", "EOGH", "EOGV", "EOG", "RESP", None, "RESPthorax", "Pleth", None]
    assert [r.electrode for r in found] == rows
    assert found[5].code == "duplicate"


@pytest.mark.parametrize(
    ("channels", "rows"),
    [
        ([("VEOGU", "VEOG"), ("VEOGL", "VEOG")], ["EOGV", "EOG"]),
        ([("VEOG upper", "VEOG"), ("VEOG lower", "VEOG")], ["EOGV", "EOG"]),
        ([("HEOGL", "HEOG"), ("HEOGR", "HEOG")], ["EOGL", "EOGR"]),
        ([("EOG1", "HEOG"), ("EOG2", "VEOG")], ["EOG1", "EOG2"]),
        ([("EOG", "VEOG"), ("EOG-M1", "HEOG")], ["EOGV", "EOGH"]),
        ([("EXG1-EXG2", "HEOG"), ("EXG3-EXG4", "VEOG")], ["EOGH", "EOGV"]),
    ],
)
def test_sides_of_typed_eyes_are_kept(made, tmp_path: Path, channels, rows) -> None:
    """The type completes what a name says, and never makes two sides one channel."""
    found = resolved(made, tmp_path, [("C3", "EEG"), *channels])
    assert [r.electrode for r in found[1:]] == rows


def test_unit_of_respiration_in_a_fif(made, tmp_path: Path) -> None:
    """MNE's respiration channels are in volts, like its EOG, and are known as respiration without a table."""
    mne = pytest.importorskip("mne")
    info = mne.create_info(["C3", "C4", "Belt"], 200, ["eeg", "eeg", "resp"])
    raw = mne.io.RawArray(eeg_uv(3, 2000) * 1e-6, info, verbose="error")
    raw.save(tmp_path / "a_raw.fif", verbose="error")
    source = open_source(made["manifest"](source={"kind": "files", "files": ["{subject}_raw.fif"]}), tmp_path)
    recording = source.read(source.plan()[0])
    belt = recording.channels[2]
    assert (belt.kind, belt.unit) == ("resp", "V")
    assert resolve_all(ALL, recording.channels, kinds=KINDS)[2].electrode == "RESP"
