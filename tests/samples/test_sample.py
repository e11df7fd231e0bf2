"""The excerpt that ships with the package: what is in it, where it is from, and that nobody's leakage hides in it."""

from __future__ import annotations

import gzip
import hashlib
import socket
from collections import Counter

import numpy as np
import pytest

from eegprep import datasets
from eegprep.errors import InputError, RefusedError
from eegprep.formats.edf.header import read_header
from eegprep.ingest import ingest
from eegprep.manifest import catalogue, find_manifest
from eegprep.manifest.overview import how_to_get
from eegprep.samples.build import build, cut
from eegprep.sources.locate import SAMPLES, data_folder
from eegprep.splits import Seen, SeenRecording
from eegprep.splits.leakage import find_leaks
from eegprep.store import Store

NAME = "eegmat_sample"
SHIPPED = [m for m in catalogue() if m.source.excerpts]


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """Made where every use of the network is an error."""

    def refused(*arguments, **options):
        raise AssertionError("the sample asked for the network")

    with pytest.MonkeyPatch.context() as patch:
        for owner, name in ((socket.socket, "connect"), (socket, "create_connection"), (socket, "getaddrinfo")):
            patch.setattr(owner, name, refused)
        return datasets.sample(out=tmp_path_factory.mktemp("sample") / "store")


def test_sample_opens_without_network(sample):
    """Twenty recordings of ten subjects, 19 electrodes, 160 trials in two equal classes."""
    assert len(sample) == 20
    assert {len(sample[key].electrode) for key in sample} == {19}
    assert Counter(t.label for t in sample.trials("arithmetic")) == {"rest": 80, "arithmetic": 80}
    raw = sample.raw(next(iter(sample)))
    assert raw.n_times == 32 * 256


@pytest.mark.parametrize("manifest", SHIPPED, ids=lambda m: m.name)
def test_shipped_bytes_match_their_manifest(manifest):
    """Every shipped file is named in the manifest with the hash of its EDF bytes, and no other file is there."""
    folder = SAMPLES / manifest.name
    assert {p.name for p in folder.iterdir()} == {e.path for e in manifest.source.excerpts}
    for excerpt in manifest.source.excerpts:
        edf = gzip.decompress((folder / excerpt.path).read_bytes())
        assert hashlib.sha256(edf).hexdigest() == excerpt.sha256, excerpt.path
    assert how_to_get(manifest) == "ships with the package"


def test_samples_are_below_seven_megabytes():
    assert sum(p.stat().st_size for p in SAMPLES.rglob("*") if p.is_file() and p.suffix == ".gz") < 7_000_000
    assert "ODC-By-1.0" in (SAMPLES / "ATTRIBUTION.md").read_text("utf-8")


def test_headers_hold_no_subject_data():
    """Sex, birth year and dates of recording are gone; the header says where the seconds are from."""
    for path in sorted((SAMPLES / NAME).iterdir()):
        head = gzip.decompress(path.read_bytes())[:256].decode("ascii")
        assert head[8:88].strip() == "X X X X"
        assert head[88:168].startswith(path.name.removesuffix(".gz"))


def test_own_folder_wins_over_the_package(tmp_path, monkeypatch):
    """`--source` and EEGPT_DATA come before the shipped files; the package is the last resort."""
    manifest = find_manifest(NAME)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EEGPT_DATA", raising=False)
    assert data_folder(manifest) == SAMPLES / NAME
    (tmp_path / "data" / NAME).mkdir(parents=True)
    monkeypatch.setenv("EEGPT_DATA", str(tmp_path / "data"))
    assert data_folder(manifest) == tmp_path / "data" / NAME


@pytest.mark.data
def test_sample_is_cut_from_the_originals(data_dir, tmp_path):
    """The script makes the shipped files again from the published ones, and the samples have the published values."""
    manifest = find_manifest(NAME)
    for path in build(manifest, data_dir / "eegmat", tmp_path):
        assert gzip.decompress(path.read_bytes()) == gzip.decompress((SAMPLES / NAME / path.name).read_bytes())
    excerpt = manifest.source.excerpts[3]
    original, part = data_dir / "eegmat" / excerpt.of, tmp_path / "part.edf"
    part.write_bytes(gzip.decompress((tmp_path / excerpt.path).read_bytes()))
    old, new = read_header(original), read_header(part)
    assert [s.label for s in new.signals] == [s.label for s in old.signals[:19]]
    stored = np.frombuffer(original.read_bytes(), "<i2", offset=old.n_header_bytes).reshape(old.n_records, -1)
    cut_out = np.frombuffer(part.read_bytes(), "<i2", offset=new.n_header_bytes).reshape(new.n_records, 19, -1)
    for i, (a, b) in enumerate(zip(old.signals, new.signals, strict=False)):
        assert (a.physical_min, a.physical_max, a.digital_min) == (b.physical_min, b.physical_max, b.digital_min)
        assert np.array_equal(cut_out[:, i], stored[:32, a.first : a.first + 500 : 2])


@pytest.mark.data
def test_other_files_are_not_cut(data_dir, tmp_path):
    """A file that is not the published one, or too short, is refused."""
    excerpt = find_manifest(NAME).source.excerpts[0]
    other = tmp_path / excerpt.of
    other.write_bytes((data_dir / "eegmat" / excerpt.of).read_bytes()[:-1])
    with pytest.raises(RefusedError, match="not the published file"):
        cut(excerpt, other)
    long = excerpt.model_copy(update={"stop_s": 500})
    with pytest.raises(InputError, match="cannot be cut"):
        cut(long, data_dir / "eegmat" / excerpt.of)


@pytest.mark.data
def test_excerpt_and_original_are_one_signal(data_dir, sample, tmp_path):
    """A model that saw the excerpt is not tested on the whole recordings of EEGMAT, nor the other way round."""
    whole = find_manifest("eegmat")
    some = whole.model_copy(update={"source": whole.source.model_copy(update={"only_subjects": ["Subject00"]})})
    ingest(some, data_dir / "eegmat", tmp_path / "store", partial=True)

    def seen(store):
        return [SeenRecording(id=i.id, signal_sha256=i.signal_sha256, fingerprint=i.fingerprint) for i in store.infos()]

    excerpt = [r for r in seen(sample.store) if "/Subject00/" in r.id]
    originals = seen(Store.open(tmp_path / "store"))
    assert len(excerpt) == len(originals) == 2
    for a, b in ((excerpt, originals), (originals, excerpt)):
        assert [leak.how for leak in find_leaks(Seen.of(a), b)] == ["altered copy"] * 2
