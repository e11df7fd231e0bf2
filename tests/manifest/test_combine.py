"""Merging, subsets and Croissant: names stay unique, licences never widen, metadata is valid."""

from __future__ import annotations

import importlib.util
import json

import pytest

from eegprep.errors import UsageError
from eegprep.manifest import find_manifest, parse_manifest
from eegprep.manifest.combine import merge_manifests, subset_manifest
from eegprep.manifest.croissant import card, croissant
from eegprep.sources import open_source


def test_merge_keeps_the_narrowest_licence():
    """Merged manifests are sorted and carry the narrowest licence."""
    eegmat, bnci = find_manifest("eegmat"), find_manifest("bnci2014_001")
    merged, licence = merge_manifests([eegmat, bnci, eegmat])
    assert [m.name for m in merged] == ["bnci2014_001", "eegmat"]
    assert licence.id == "CC-BY-ND-4.0 AND ODC-By-1.0"
    assert not licence.share_shards


def test_equal_names_are_not_merged():
    """Two data sets with the same name or the same task are not merged."""
    eegmat = find_manifest("eegmat")
    other = eegmat.model_copy(update={"title": "Another"})
    with pytest.raises(UsageError, match="two different manifests"):
        merge_manifests([eegmat, other])
    with pytest.raises(UsageError, match="the task 'mental_arithmetic' is in both"):
        merge_manifests([eegmat, eegmat.model_copy(update={"name": "copy"})])


def test_subset_keeps_some_subjects(data_dir, tmp_path):
    """A subset keeps some subjects and is planned so."""
    subset = subset_manifest(find_manifest("eegmat"), name="two", subjects=["Subject03", "Subject01"])
    assert parse_manifest(json.dumps(subset.model_dump(mode="json", exclude_defaults=True))) == subset
    assert (subset.expect.subjects, subset.expect.recordings, subset.expect.channels) == (2, None, 19)
    source = open_source(subset, data_dir / "eegmat")
    assert {p.subject for p in source.plan()} == {"Subject01", "Subject03"}
    assert {e.code for e in source.entries() if e.path.endswith(".edf")} == {"not_in_subset", "recording"}


def test_subset_of_tasks_drops_the_others():
    """A subset of tasks drops what belongs to the others."""
    subset = subset_manifest(find_manifest("uci_alcohol"), tasks=["picture"])
    assert [t.name for t in subset.tasks] == ["picture"]
    assert subset.expect.subjects == 20
    with pytest.raises(UsageError, match="did you mean 'picture'"):
        subset_manifest(find_manifest("uci_alcohol"), tasks=["pictures"])
    with pytest.raises(UsageError, match="no subset given"):
        subset_manifest(find_manifest("uci_alcohol"))


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"subjects": [""]}, "subjects: an empty name"),
        ({"tasks": [""]}, "tasks: an empty name"),
        ({"name": "A B", "subjects": ["s1"]}, "invalid name"),
        ({"name": "", "subjects": ["s1"]}, "invalid name"),
    ],
)
def test_subset_with_an_invalid_name_is_one_error(changed, reason):
    with pytest.raises(UsageError, match=reason):
        subset_manifest(find_manifest("eegmat"), **changed)


HASHES = {f"{t}.parquet": "a" * 64 for t in ("electrodes", "recordings", "blocks", "trials")}


def test_croissant_depends_on_input_alone():
    """Croissant metadata depends on its input alone."""
    manifests = [find_manifest("eegmat"), find_manifest("bnci2014_001")]
    assert croissant(manifests, HASHES) == croissant(manifests[::-1], HASHES)
    found = croissant(manifests, HASHES)
    assert found["license"] == "CC-BY-ND-4.0 AND ODC-By-1.0"
    assert {f["sha256"] for f in found["distribution"]} == {"a" * 64}


def test_croissant_names_existing_columns():
    """Croissant metadata names columns that the index has."""
    from eegprep.shards.format import BLOCK_SCHEMA, ELECTRODE_COLUMNS, RECORDING_SCHEMA, TRIAL_SCHEMA

    columns = {
        "electrodes": {"id", "name", *ELECTRODE_COLUMNS.names},
        "recordings": set(RECORDING_SCHEMA.names),
        "blocks": set(BLOCK_SCHEMA.names),
        "trials": set(TRIAL_SCHEMA.names),
    }
    for record_set in croissant([find_manifest("eegmat")], HASHES)["recordSet"]:
        assert {f["name"] for f in record_set["field"]} <= columns[record_set["name"]]


@pytest.mark.skipif(importlib.util.find_spec("mlcroissant") is None, reason="needs the extra [hub]: mlcroissant")
@pytest.mark.filterwarnings("ignore")
def test_croissant_is_valid_by_mlcroissant(tmp_path):
    import mlcroissant

    path = tmp_path / "croissant.json"
    path.write_text(json.dumps(croissant([find_manifest("eegmat"), find_manifest("hmc")], HASHES)))
    assert not mlcroissant.Dataset(jsonld=path).metadata.issues.errors
    broken = json.loads(path.read_text())
    broken["recordSet"][0]["field"][0]["source"]["fileObject"]["@id"] = "nowhere"
    path.write_text(json.dumps(broken))
    with pytest.raises(mlcroissant.ValidationError):
        mlcroissant.Dataset(jsonld=path)


def test_card_header_is_read_by_the_hub():
    """The card has a header that the hub reads."""
    text = card([find_manifest("eegmat")])
    assert text.startswith("---\nlicense: odc-by\n")
    assert "EEG during mental arithmetic tasks" in text
