"""A word of the command line: path, manifest, data set of the catalogue, or nothing that we know."""

from __future__ import annotations

from pathlib import Path

import pytest

from eegprep.errors import UsageError
from eegprep.manifest import dump_manifest, find_manifest
from eegprep.remote.fetch import default_folder, missing_files
from eegprep.sources.locate import data_folder, find_argument


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EEGPT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("EEGPT_DATA", raising=False)


def test_catalogue_name_goes_before_a_folder(tmp_path: Path) -> None:
    """A name of the catalogue goes before a folder of that name, which holds its files."""
    (tmp_path / "eegmat").mkdir()
    manifest, folder = find_argument("eegmat")
    assert (manifest.name, manifest.doi is not None, folder) == ("eegmat", True, tmp_path / "eegmat")


def test_given_folder_goes_first(tmp_path, monkeypatch) -> None:
    """The given folder goes first, then `EEGPT_DATA`, then what was fetched."""
    manifest = find_manifest("eegmat")
    with pytest.raises(UsageError, match="the files of eegmat were not found"):
        data_folder(manifest)
    default_folder(manifest).mkdir(parents=True)
    assert data_folder(manifest) == default_folder(manifest)
    monkeypatch.setenv("EEGPT_DATA", str(tmp_path / "data"))
    (tmp_path / "data" / "eegmat").mkdir(parents=True)
    assert data_folder(manifest) == tmp_path / "data" / "eegmat"
    (tmp_path / "own").mkdir()
    assert data_folder(manifest, tmp_path / "own") == tmp_path / "own"
    with pytest.raises(UsageError):
        data_folder(manifest, tmp_path / "missing")


def test_manifest_takes_files_beside_it(made, tmp_path: Path) -> None:
    """A manifest is taken with the files that lie beside it."""
    lab = tmp_path / "lab"
    lab.mkdir()
    made["edf"](lab / "s1.edf", made["eeg_uv"](6, 400))
    (lab / "made.yaml").write_text(dump_manifest(made["manifest"](source={"files": ["{subject}.edf"]})))
    manifest, folder = find_argument(str(lab / "made.yaml"))
    assert (manifest.name, folder) == ("made", lab)


def test_plain_path_gets_a_private_manifest(made, tmp_path: Path) -> None:
    """A plain path gets a manifest that shares nothing and hides subjects."""
    made["edf"](tmp_path / "John Doe.edf", made["eeg_uv"](6, 400))
    manifest, folder = find_argument("John Doe.edf")
    assert folder == Path("John Doe.edf")
    assert (manifest.licence.share_shards, manifest.anonymous_subjects, manifest.tasks) == (False, False, [])


def test_sets_of_mne_need_no_folder() -> None:
    """Data sets that others fetch need no folder."""
    manifest = find_manifest("eegmat")
    fetched = manifest.model_copy(update={"source": manifest.source.model_copy(update={"kind": "mne"})})
    assert data_folder(fetched) == default_folder(fetched)


@pytest.mark.parametrize(("word", "hint"), [("eegmatt", "eegmat"), ("moabb:../x", "is not a MOABB code")])
def test_word_for_nothing_is_wrong_usage(word: str, hint: str) -> None:
    """A word that names nothing is wrong usage, with a hint."""
    with pytest.raises(UsageError) as caught:
        find_argument(word)
    assert hint in str(caught.value)


@pytest.mark.parametrize("name", ["chbmit", "hmc", "siena", "sleep_edf", "eegmmidb", "eegmat"])
def test_what_fetch_gets_ingest_takes(name: str, tmp_path: Path) -> None:
    """One look-up: a data set that its server lists is fetched where its files are not here."""
    asked: list[str] = []

    def fetch(manifest: object) -> Path:
        asked.append(manifest.name)  # type: ignore[attr-defined]
        return tmp_path

    assert find_argument(name, fetch=fetch) == (find_manifest(name), tmp_path)
    assert asked == [name]
    with pytest.raises(UsageError, match=f"eegprep fetch {name}"):
        find_argument(name)
    (tmp_path / name).mkdir()
    assert find_argument(name, fetch=fetch)[1] == tmp_path / name
    assert asked == [name]


@pytest.mark.parametrize("name", ["tuab", "deap"])
def test_what_nobody_may_fetch_says_how(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"the files of {name} were not found"):
        find_argument(name, fetch=lambda manifest: tmp_path)


def test_files_of_a_list_that_are_missing(tmp_path: Path) -> None:
    """The server's own list, where it is in the folder, says what is missing."""
    manifest = find_manifest("chbmit")
    assert missing_files(manifest, tmp_path) is None
    lines = [f"{'0' * 64}  chb{n:02d}/chb{n:02d}_{r:02d}.edf" for n in (1, 2) for r in (1, 2)]
    (tmp_path / "SHA256SUMS.txt").write_text("\n".join([*lines, f"{'0' * 64}  RECORDS"]) + "\n")
    for name in ("chb01/chb01_01.edf", "chb01/chb01_02.edf", "chb02/chb02_01.edf"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert missing_files(manifest, tmp_path) == ["chb02/chb02_02.edf"]
    (tmp_path / "chb02/chb02_02.edf").write_bytes(b"")
    assert missing_files(manifest, tmp_path) == []
