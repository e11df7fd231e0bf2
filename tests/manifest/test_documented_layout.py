"""Every data set of the catalogue is ingested from small files of its documented layout, as its manifest promises."""

from __future__ import annotations

import shutil

import pytest
from support import layouts

from eegprep.electrodes import Vocabulary, resolve_all
from eegprep.electrodes.resolve import NamedChannel
from eegprep.ingest import ingest
from eegprep.manifest import catalogue, find_manifest
from eegprep.sources import open_source
from eegprep.store import Store

ALL = catalogue()
#: `eegmat_sample` is in the package itself: see tests/samples.
FILES = [m.name for m in ALL if m.source.kind != "moabb" and m.name != "eegmat_sample"]
DESCRIBED = [m for m in ALL if m.source.channels and m.source.kind != "ts"]


def test_every_data_set_has_a_layout():
    assert sorted(layouts.LAYOUTS) == sorted(FILES)


@pytest.mark.parametrize("manifest", DESCRIBED, ids=[m.name for m in DESCRIBED])
def test_described_channels_are_as_expected(manifest):
    """The described channels give the expected number of electrodes."""
    channels = [NamedChannel(name=n) for n in manifest.source.channels]
    found = resolve_all(Vocabulary.base(), channels, rules=manifest.channels, system=manifest.electrode_system)
    electrodes = [r.electrode for r in found if r.electrode is not None]
    assert electrodes
    assert manifest.expect.channels in (None, len(electrodes))


@pytest.mark.parametrize("name", FILES)
def test_documented_layout_keeps_the_promise(name, tmp_path):
    """Files of the documented layout give what the manifest promises."""
    layout, manifest = layouts.LAYOUTS[name], find_manifest(name)
    (tmp_path / "raw").mkdir()
    layout.write(tmp_path / "raw")
    planned = open_source(manifest, tmp_path / "raw").plan()
    assert len(planned) == layout.recordings
    assert (planned[0].subject, planned[0].session, planned[0].run) == layout.identity
    summary = ingest(manifest, tmp_path / "raw", tmp_path / "store", workers=0, partial=True)
    assert not summary.failed
    store = Store.open(tmp_path / "store")
    infos = store.infos()
    assert len(infos) == layout.recordings
    n_eeg = [sum(store.vocabulary.kind_of(e) == "eeg" for e in i.electrodes) for i in infos]
    assert n_eeg == [manifest.expect.channels or n for n in n_eeg]
    assert all(manifest.expect.sfreq_hz in (None, i.source_sfreq_hz) for i in infos)
    found = layouts.counted([(t.task, t.label) for i in infos for t in i.trials])
    assert {task: found.get(task) for task in layout.trials} == layout.trials
    assert {t.name for t in manifest.tasks} == set(found)


SOME_FILES = {
    "adhd_nasrabadi": (["ADHD/v10p.mat", "Control/v107.mat"], {"adhd_group": 65}),
    "eegmat": (["Subject03_1.edf", "Subject03_2.edf", "subject-info.csv"], {"mental_arithmetic": 30}),
    "eegmmidb": (
        ["S001R03.edf", "S001R04.edf"],
        {"moved_fist": 15, "imagined_fist": 15, "imagined_fists_or_feet": 0, "eyes_closed_open": 0},
    ),
    "guinea_bissau": (["signal-4.csv.gz", "metadata_guineabissau.csv"], {"epilepsy": 74, "eyes_closed_open": 71}),
    "ssvep_exo": (["subject05"], {"ssvep_frequency": 64}),
    "uci_alcohol": (["co2a0000364"], {"alcoholism": 30, "picture": 30}),
}


@pytest.mark.data
@pytest.mark.parametrize("name", sorted(SOME_FILES))
def test_real_files_keep_the_promise(name, tmp_path, data_dir):
    """Real files give what the manifest promises."""
    manifest, (files, trials) = find_manifest(name), SOME_FILES[name]
    for file in files:
        source, target = data_dir / name / file, tmp_path / "raw" / file
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copy)(source, target)
    summary = ingest(manifest, tmp_path / "raw", tmp_path / "store", workers=0, partial=True)
    assert not summary.failed
    infos = Store.open(tmp_path / "store").infos()
    assert {len(i.electrodes) for i in infos} == {manifest.expect.channels}
    assert all(manifest.expect.sfreq_hz in (None, i.source_sfreq_hz) for i in infos)
    assert dict(summary.trials) == trials
