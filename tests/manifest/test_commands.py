"""The commands around manifests and electrodes: what they print, and how they end."""

from __future__ import annotations

import json

import pytest
from typer import Typer
from typer.testing import CliRunner

from _eegpt_cli import datasets, electrodes, manifest
from eegprep.electrodes import Electrode, Vocabulary
from eegprep.errors import EEGPTError
from eegprep.manifest import catalogue, dump_manifest, find_manifest


def run(*words: str) -> tuple[int, str]:
    app = Typer()
    for group in (datasets, manifest, electrodes):
        group.register(app)
    result = CliRunner().invoke(app, list(words))
    if isinstance(result.exception, EEGPTError):
        return result.exception.exit_code, str(result.exception)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout


def test_datasets_lists_the_whole_catalogue():
    code, text = run("datasets", "--json")
    assert code == 0
    assert [row["name"] for row in json.loads(text)] == [m.name for m in catalogue()]
    code, text = run("datasets")
    assert code == 0
    assert "mental_arithmetic" in text
    assert run("datasets", "eegmat") == (0, dump_manifest(find_manifest("eegmat")))
    assert json.loads(run("datasets", "eegmat", "--json")[1])["name"] == "eegmat"
    code, text = run("datasets", "eegmta")
    assert code == 2
    assert "did you mean 'eegmat'" in text


def test_validate_lists_all_and_exits_with_2(tmp_path):
    """`validate` tells of all files and exits with 2."""
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(dump_manifest(find_manifest("eegmat")))
    bad.write_text(good.read_text().replace("licence:", "licnce:"))
    assert run("manifest", "validate", str(good))[0] == 0
    code, text = run("manifest", "validate", str(bad), str(good), "--json")
    assert code == 2
    rows = json.loads(text)
    assert [r["valid"] for r in rows] == [False, True]
    assert "did you mean 'licence'" in rows[0]["what"]


def test_diff_exits_with_1_on_differences(tmp_path):
    """`diff` exits with 1 where something differs."""
    other = tmp_path / "other.yaml"
    other.write_text(dump_manifest(find_manifest("eegmat")).replace("length_s: 4.0", "length_s: 2.0"))
    assert run("manifest", "diff", "eegmat", "eegmat") == (0, "equal\n")
    code, text = run("manifest", "diff", "eegmat", str(other))
    assert code == 1
    assert text.strip() == "tasks.mental_arithmetic.trials.length_s: 4.0 in the first, 2.0 in the second"


def test_merge_and_subset_write_valid_files(tmp_path):
    """`merge` and `subset` write manifests that validate."""
    both, two = tmp_path / "both.yaml", tmp_path / "two.yaml"
    code, text = run("manifest", "merge", "eegmat", "bnci2014_001", "--out", str(both))
    assert code == 0
    assert "may not be shared" in text
    assert run("manifest", "subset", "eegmat", "--subject", "Subject01", "--name", "one", "--out", str(two))[0] == 0
    assert run("manifest", "validate", str(both), str(two))[0] == 0


def test_resolve_exits_with_1_for_no_name():
    """`resolve` prints where names lead and exits with 1 where none does."""
    code, text = run("electrodes", "resolve", "EEG Fp1-REF", "vEOG", "--json")
    assert code == 0
    assert [(r["electrode"], r["code"]) for r in json.loads(text)] == [("Fp1", "derivation"), (None, "eog")]
    assert run("electrodes", "resolve", "vEOG")[0] == 1
    assert run("electrodes", "resolve", "A1", "--system", "biosemi128")[1].split()[1] == "Cz"
    assert run("electrodes", "resolve", "A1", "--system", "biosemi1288")[0] == 2


def test_list_prints_every_electrode_once():
    rows = json.loads(run("electrodes", "list", "--json")[1])
    assert [r["name"] for r in rows] == list(Vocabulary.base().names)
    assert len(run("electrodes", "list")[1].splitlines()) == 138


@pytest.mark.parametrize("clash", [False, True])
def test_conflicting_merge_is_not_written(tmp_path, clash):
    """Merged vocabularies are written only without conflicts."""
    ours, theirs, out = (tmp_path / f"{n}.parquet" for n in ("ours", "theirs", "out"))
    Vocabulary.base().to_parquet(ours)
    place = (0.0, 0.0, 0.0) if clash else None
    Vocabulary([Electrode(name="Cz", position_m=place), Electrode(name="LabQ")]).to_parquet(theirs)
    code, text = run("electrodes", "merge", str(ours), str(theirs), "--out", str(out), "--json")
    report = json.loads(text)
    assert code == int(clash)
    assert out.exists() == (not clash)
    assert [c["name"] for c in report["conflicts"]] == (["Cz"] if clash else [])
    if not clash:
        assert Vocabulary.from_parquet(out).id_of("LabQ") == 138


def test_lock_sums_up_and_compares(tmp_path):
    from eegprep.manifest.lock import Lock, Stage, write_lock

    for name, count in (("a", 1), ("b", 2)):
        (tmp_path / name).mkdir()
        stages = [Stage(stage="ingest", counts={"recordings": count})]
        write_lock(tmp_path / name, Lock(lock=1, versions={"python": "3.11"}, stages=stages))
    assert "recordings 1" in run("manifest", "lock", str(tmp_path / "a"))[1]
    assert run("manifest", "lock", str(tmp_path / "a"), str(tmp_path / "a")) == (0, "equal\n")
    code, text = run("manifest", "lock", str(tmp_path / "a"), str(tmp_path / "b"))
    assert code == 1
    assert "stage ingest, counts" in text
