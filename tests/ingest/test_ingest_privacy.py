"""A header stuffed with marked strings: nothing that ingest writes or prints holds one."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path

import edfio
import numpy as np
import pytest

from eegprep.ingest import ingest
from eegprep.manifest.schema import Manifest
from eegprep.sources import manifest_for_path

CANARIES = ("Zanzibar", "Quetzal", "Xylophon", "Wolperting", "Yggdrasil", "1931", "MRN77")


def stuffed(path: Path, signal: np.ndarray) -> None:
    """An EDF file whose every personal field is marked."""
    signals = [
        edfio.EdfSignal(
            row, 200, label=name, physical_dimension="uV", physical_range=(-500, 500), transducer_type="Quetzal"
        )
        for name, row in zip(("C3", "Cz", "C4"), signal, strict=True)
    ]
    edfio.Edf(
        signals,
        patient=edfio.Patient(
            code="MRN77", sex="F", birthdate=datetime.date(1931, 4, 5), name="Zanzibar", additional=["Quetzal"]
        ),
        recording=edfio.Recording(
            startdate=datetime.date(1991, 2, 3),
            hospital_administration_code="Xylophon",
            investigator_technician_code="Wolperting",
            equipment_code="Yggdrasil",
        ),
        annotations=[edfio.EdfAnnotation(2.0, 1.0, "Zanzibar woke up"), edfio.EdfAnnotation(5.0, None, "T1")],
    ).write(path)


@pytest.mark.parametrize("implicit", [True, False])
def test_no_marked_header_string_gets_out(
    manifest: Manifest,
    eeg_signal: Callable[..., np.ndarray],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    implicit: bool,
) -> None:
    """No marked string of a header gets out."""
    data = tmp_path / "data"
    data.mkdir()
    for run in (1, 2):
        stuffed(data / f"s0_{run}.edf", eeg_signal(run, 3))
    broken = data / "s1_1.edf"
    stuffed(broken, eeg_signal(5, 3))
    broken.write_bytes(broken.read_bytes()[:1500])
    (data / "people.csv").write_text("id,Group,Name\ns0,a,Zanzibar\ns1,b,Quetzal\n", encoding="utf-8")
    summary = ingest(manifest_for_path(data) if implicit else manifest, data, tmp_path / "store", workers=1)
    assert summary.recordings == 2
    assert len(summary.failed) == 1
    written = b"".join(p.read_bytes() for p in sorted((tmp_path / "store").rglob("*")) if p.is_file())
    printed = capfd.readouterr()
    said = (repr(summary) + printed.out + printed.err).encode()
    for canary in CANARIES:
        assert canary.encode() not in written, canary
        assert canary.encode() not in said, canary


@pytest.mark.parametrize("anonymous", [True, False])
def test_channel_with_a_name_is_hidden(eeg_signal: Callable[..., np.ndarray], tmp_path: Path, anonymous: bool) -> None:
    """A channel named after a person is stored under a pseudonym unless the set is anonymous."""
    data = tmp_path / "data"
    data.mkdir()
    names = ("C3", "Cz", "C4", "Zanzibar", "EEG Xylophon", "EOG left")
    signal = np.vstack([eeg_signal(1, 3), eeg_signal(2, 3)])
    signals = [
        edfio.EdfSignal(row, 200, label=name, physical_dimension="uV", physical_range=(-500, 500))
        for name, row in zip(names, signal, strict=True)
    ]
    signals.append(
        edfio.EdfSignal(signal[0, ::2], 100, label="Quetzal", physical_dimension="uV", physical_range=(-500, 500))
    )
    edfio.Edf(signals).write(data / "a.edf")
    manifest = manifest_for_path(data).model_copy(update={"anonymous_subjects": anonymous})
    summary = ingest(manifest, data, tmp_path / "store", workers=0)
    assert summary.recordings == 1
    written = b"".join(p.read_bytes() for p in sorted((tmp_path / "store").rglob("*")) if p.is_file())
    for name in (b"Zanzibar", b"Xylophon", b"Quetzal"):
        assert (name in written) == anonymous
    assert b"EOG left" in written, "a name that everybody knows tells nothing of a person"
