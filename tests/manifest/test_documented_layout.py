"""Data sets that are not at hand: small files of the documented layout are planned, read and mapped as promised."""

from __future__ import annotations

import numpy as np
import pytest
from edfio import Edf, EdfAnnotation, EdfSignal

from eegprep.electrodes import Vocabulary, resolve_all
from eegprep.electrodes.resolve import NamedChannel
from eegprep.manifest import catalogue
from eegprep.sources import open_source

DESCRIBED = [m for m in catalogue() if m.source.channels and m.source.kind != "ts"]

# A path as each data set has it, and the entities that its parts mean.
PATHS = {
    "sleep_edf": ("sleep-cassette/SC4011E0-PSG.edf", "01", "1", ""),
    "hmc": ("recordings/SN001.edf", "001", "", ""),
    "chbmit": ("chb17/chb17a_03.edf", "17", "", "17a_03"),
    "siena": ("PN00/PN00-1.edf", "00", "", "1"),
    "tuab": ("edf/train/abnormal/01_tcp_ar/aaaaaaaq_s004_t000.edf", "aaaaaaaq", "abnormal", "s004_t000"),
}
EVENTS = {
    "sleep_edf": ("sleep-cassette/SC4011EC-Hypnogram.edf", "Sleep stage R"),
    "hmc": ("recordings/SN001_sleepscoring.edf", "Sleep stage N2"),
}


@pytest.mark.parametrize("manifest", DESCRIBED, ids=[m.name for m in DESCRIBED])
def test_the_described_channels_give_the_expected_number_of_electrodes(manifest):
    channels = [NamedChannel(name=n) for n in manifest.source.channels]
    found = resolve_all(Vocabulary.base(), channels, rules=manifest.channels, system=manifest.electrode_system)
    electrodes = [r.electrode for r in found if r.electrode is not None]
    assert electrodes
    assert manifest.expect.channels in (None, len(electrodes))


@pytest.mark.parametrize("name", sorted(PATHS))
def test_files_of_the_documented_layout_are_read(name, tmp_path):
    manifest = next(m for m in DESCRIBED if m.name == name)
    path, subject, session, run = PATHS[name]
    sfreq_hz = int(manifest.expect.sfreq_hz or 256)
    rng = np.random.default_rng(0)
    # EDF holds 16 characters a label
    labels = [c.removesuffix("-0").removesuffix("-1")[:16] for c in manifest.source.channels]
    signals = [
        EdfSignal(rng.normal(0, 20, sfreq_hz * 60), sfreq_hz, label=label, physical_dimension="uV") for label in labels
    ]
    file = tmp_path / path
    file.parent.mkdir(parents=True)
    Edf(signals).write(file)
    if name in EVENTS:
        events, text = EVENTS[name]
        Edf([], annotations=[EdfAnnotation(0, 30, text)]).write(tmp_path / events)
    source = open_source(manifest, tmp_path)
    (planned,) = source.plan()
    assert (planned.subject, planned.session, planned.run) == (subject, session, run)
    recording = source.read(planned)
    assert recording.sfreq_hz == sfreq_hz
    found = resolve_all(Vocabulary.base(), recording.channels, rules=manifest.channels)
    electrodes = [r.electrode for r in found if r.electrode is not None]
    assert manifest.expect.channels in (None, len(electrodes))
    assert [e.text for e in recording.events] == ([EVENTS[name][1]] if name in EVENTS else [])
    if name in EVENTS:
        assert EVENTS[name][1] in manifest.tasks[0].trials.labels


def test_stew_tables_of_the_documented_layout_are_read(tmp_path):
    manifest = next(m for m in DESCRIBED if m.name == "stew")
    values = 4200 + np.random.default_rng(0).normal(0, 20, (1280, 14))
    for state in ("lo", "hi"):
        np.savetxt(tmp_path / f"sub07_{state}.txt", values, fmt="%.7e", delimiter="  ")
    source = open_source(manifest, tmp_path)
    planned = source.plan()
    assert [(p.subject, p.run) for p in planned] == [("07", "hi"), ("07", "lo")]
    recording = source.read(planned[0])
    assert recording.n_samples == 1280
    assert [c.name for c in recording.channels] == manifest.source.channels
    np.testing.assert_allclose(np.asarray(recording.signal)[0], values[:, 0], rtol=1e-6)
