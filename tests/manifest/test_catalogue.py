"""The shipped manifests and recipes are valid, honest about what was checked, and in step with their schema files."""

from __future__ import annotations

import importlib.resources
import json

import pytest

from eegprep.electrodes import Vocabulary
from eegprep.manifest import catalogue, dump_manifest, load_recipe, parse_manifest, recipe_of
from eegprep.manifest.json_schema import SCHEMAS, schema_text
from eegprep.manifest.overview import markdown_table, overview, page

ALL = catalogue()
NAMES = [m.name for m in ALL]


@pytest.mark.parametrize("manifest", ALL, ids=NAMES)
def test_a_shipped_manifest_is_whole(manifest):
    assert parse_manifest(dump_manifest(manifest)) == manifest
    assert recipe_of(manifest).steps
    assert manifest.citation
    assert manifest.checked.against_files or manifest.checked.not_checked
    assert manifest.line_freq_hz in (50, 60)
    for rule in manifest.channels.values():
        assert rule.electrode is None or rule.electrode in Vocabulary.base()
        assert rule.electrode is not None or rule.leave_out or rule.reference or rule.unit


@pytest.mark.parametrize("manifest", ALL, ids=NAMES)
def test_licence_limits_fetch_and_share(manifest):
    """What a licence forbids is never fetched or shared."""
    if manifest.licence.signed:
        assert manifest.licence.apply_at or manifest.url
        assert not manifest.licence.share_shards
        assert not manifest.source.get
        assert manifest.source.wheel is None
        assert manifest.source.kind not in ("moabb", "mne")


def test_expectations_name_existing_tasks():
    """Expected trials and known results name tasks that exist."""
    for manifest in ALL:
        tasks = {t.name for t in manifest.tasks}
        assert set(manifest.expect.trials) <= tasks, manifest.name
        assert {k.task for k in manifest.known_results} <= tasks, manifest.name


def test_tasks_of_one_name_are_one_task():
    """A data set has a name once, and tasks of several data sets that share a name have the same classes."""
    classes = {}
    for manifest in ALL:
        names = [t.name for t in manifest.tasks]
        assert len(set(names)) == len(names), manifest.name
        for task in manifest.tasks:
            assert classes.setdefault(task.name, task.classes) == task.classes, (manifest.name, task.name)


@pytest.mark.parametrize(
    "name", ["default", "default_average", "slow_potentials", "epochs", "epochs_average", "as_recorded"]
)
def test_recipes_end_at_the_standard_rate(name):
    steps = load_recipe(name).steps
    assert [s.sfreq_hz for s in steps if s.step == "resample"] == [256.0]


def test_slow_potentials_keep_a_trials_mean():
    steps = {s.step: s for s in load_recipe("slow_potentials").steps}
    assert steps["remove_offset"].over == "recording"
    assert not {"band_pass", "notch"} & set(steps)


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_schema_files_fit_the_models(name):
    """The schema files are those of the models."""
    shipped = importlib.resources.files("_eegpt_manifests") / "schema" / name
    text = shipped.read_text("utf-8")
    assert text == schema_text(SCHEMAS[name]), "run `python -m eegprep.manifest.json_schema`"
    assert json.loads(text)["additionalProperties"] is False


def test_overview_has_one_row_per_data_set():
    """The overview has one row per data set."""
    table = markdown_table(ALL).splitlines()
    assert len(table) == len(ALL) + 2
    assert all(line.count("|") - line.count("\\|") == 10 for line in table)
    eegmat = overview(next(m for m in ALL if m.name == "eegmat"))
    assert (eegmat.subjects, eegmat.electrodes, eegmat.tasks) == (36, 19, (("mental_arithmetic", 2),))


def test_catalogue_page_fits_the_manifests(repository):
    """The page of the catalogue is that of the manifests."""
    text = (repository / "docs" / "reference" / "datasets.md").read_text("utf-8")
    assert text == page(ALL), "run `python -m eegprep.manifest.overview`"
    assert len(ALL) >= 28


def test_eegmat_channels_are_as_expected(data_dir):
    """Channels of the real EEGMAT files are what the manifest expects."""
    import mne

    from eegprep.electrodes import resolve_all
    from eegprep.electrodes.resolve import NamedChannel

    manifest = next(m for m in ALL if m.name == "eegmat")
    names = mne.io.read_raw_edf(data_dir / "eegmat" / "Subject00_1.edf", verbose="error").ch_names
    found = resolve_all(Vocabulary.base(), [NamedChannel(name=n) for n in names], rules=manifest.channels)
    assert sum(r.electrode is not None for r in found) == manifest.expect.channels == 19
    assert {r.channel: r.code for r in found if r.electrode is None} == {
        "EEG A2-A1": "manifest_left_out",
        "ECG ECG": "ecg",
    }


def test_eegmat_hashes_fit_the_real_files(data_dir):
    """The EEGMAT hashes are those of the real files."""
    from eegprep.files import sha256_file

    manifest = next(m for m in ALL if m.name == "eegmat")
    stated = {f.path: f.sha256 for f in manifest.source.get if f.sha256}
    assert len(stated) == 21
    for path, sha256 in stated.items():
        assert sha256_file(data_dir / "eegmat" / path) == sha256
