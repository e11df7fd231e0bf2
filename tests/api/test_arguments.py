"""Wrong arguments of `eegprep` are usage errors before anything is started, never ignored and never a traceback."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import typer
from support.small_models import recorded, toy  # noqa: F401  fixtures
from typer.testing import CliRunner

import eegprep
from _eegpt_cli import ingest as ingest_command
from _eegpt_cli import inspect as inspect_command
from eegprep import datasets
from eegprep.errors import UsageError
from eegprep.files import count_of, names_of, number_of, one_of


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with a file; wrong arguments are found before it is read."""
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "S1.edf").write_bytes(b"0")
    return tmp_path / "files"


WRONG = [
    ("workers", -1), ("workers", "2"), ("workers", 1.5), ("workers", float("nan")), ("workers", True),
    ("workers", None), ("limit_hours", 0), ("limit_hours", -1.0), ("limit_hours", float("nan")),
    ("limit_hours", float("inf")), ("limit_hours", "3"), ("subjects", ""), ("subjects", [""]), ("subjects", []),
    ("subjects", ["a", " "]), ("subjects", ","), ("subjects", [1]), ("subjects", 1), ("tasks", ""), ("tasks", [""]),
    ("tasks", [2]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_wrong_options_are_refused(files, tmp_path, name, value):
    out = tmp_path / "store"
    for call in (eegprep.ingest, datasets.load):
        with pytest.raises(UsageError, match=name):
            call(str(files), out=out, **{name: value})
    with pytest.raises(UsageError, match=name):
        eegprep.inspect(files, **{name: value})
    assert not out.exists()


@pytest.mark.parametrize("value", ["", [""], [], [3], 3, ["eog", "nose"], "eog"])
def test_wrong_kinds_are_refused(files, tmp_path, value):
    for call in (eegprep.ingest, eegprep.inspect):
        more = {"out": tmp_path / "store"} if call is eegprep.ingest else {}
        with pytest.raises(UsageError, match=r"kinds|kind of channel|EEG channels"):
            call(files, kinds=value, **more)


@pytest.mark.parametrize("value", [0, -1, "2", 1.5, float("nan")])
def test_wrong_counts_of_shards_refused(tmp_path, value):
    calls = (
        lambda: eegprep.shard(tmp_path, tmp_path / "out", workers=value),
        lambda: eegprep.verify(tmp_path, workers=value),
        lambda: eegprep.fetch("eegmat", tmp_path / "out", workers=value),
    )
    for call in calls:
        with pytest.raises(UsageError, match="workers"):
            call()


@pytest.mark.parametrize("value", [0, -1, 1.5, "1X", "", "²", None, float("nan")])
def test_wrong_shard_sizes_are_refused(tmp_path, recorded, value):  # noqa: F811
    with pytest.raises(UsageError, match="invalid size"):
        eegprep.shard(recorded.store, tmp_path / "out", max_shard_size=value)


@pytest.mark.parametrize("value", [3, "", "foo", ["Cz"]])
def test_wrong_references_are_refused(tmp_path, recorded, value):  # noqa: F811
    with pytest.raises(UsageError, match="reference"):
        eegprep.shard(recorded.store, tmp_path / "out", reference=value)


@pytest.mark.parametrize("value", ["", [""], [], [3]])
def test_wrong_parts_of_downloads_refused(tmp_path, value):
    with pytest.raises(UsageError, match="only"):
        eegprep.fetch("eegmat", tmp_path / "out", only=value)


@pytest.mark.parametrize("value", ["", 3, "foo"])
def test_wrong_words_of_ingest_are_refused(files, tmp_path, value):
    for name in ("recipe", "cluster"):
        with pytest.raises(UsageError):
            eegprep.ingest(files, out=tmp_path / "store", **{name: value})


@pytest.mark.parametrize("option", ["--subjects", "--tasks", "--kinds"])
def test_empty_variables_are_refused(files, tmp_path, option):
    """`--subjects "$UNSET"` doesn't ingest everything."""
    for command, more in ((ingest_command, ["--out", str(tmp_path / "store")]), (inspect_command, [])):
        app = typer.Typer()
        command.register(app)
        found = CliRunner().invoke(app, [str(files), *more, option, ""])
        assert isinstance(found.exception, UsageError)
        assert "empty" in str(found.exception)
    assert not (tmp_path / "store").exists()


def test_names_come_from_text_or_lists():
    assert names_of("a, b", "x") == names_of(["a", "b"], "x") == names_of(("a,b",), "x") == ("a", "b")
    assert names_of(np.array(["a", "b"]), "x") == ("a", "b")
    assert names_of("a,b", "x", separator=None) == ("a,b",)
    assert names_of("a,", "x") == ("a",)


def test_numbers_of_numpy_are_numbers():
    assert count_of(np.int64(2), "x") == 2
    assert number_of(np.float32(0.5), "x") == 0.5
    assert number_of(2, "x") == 2.0
    with pytest.raises(UsageError, match="did you mean 'refuse'"):
        one_of("refused", "x", ("refuse", "nearest"))


def test_stores_and_shards_are_mappings(recorded):  # noqa: F811
    """With everything that a mapping has, without reading a recording that isn't asked for."""
    for opened in (eegprep.open_store(recorded.store), eegprep.open_shards(recorded.shards)):
        assert isinstance(opened, Mapping)
        first = next(iter(opened))
        assert opened.get("nope") is None
        assert opened.get("nope", 3) == 3
        assert opened.get(first).identical(opened[first])
        assert list(opened.keys()) == list(opened) == [name for name, _ in opened.items()]
        assert first in opened
        assert len(opened.values()) == len(opened)
        with pytest.raises(KeyError):
            opened["nope"]
        # As keys, and compared, without a look into the recordings.
        assert {opened: 1}[opened] == 1
        assert opened == opened
        assert opened != dict.fromkeys(opened)


@pytest.mark.parametrize("value", ["", [], {}, 3, [3]])
def test_nothing_to_rebuild_from_is_no_check(tmp_path, value):
    """Before the set is verified, which would pass."""
    with pytest.raises(UsageError, match="rebuild"):
        eegprep.verify(tmp_path / "set", rebuild=value)
