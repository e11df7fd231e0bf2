"""Data sets that MNE and MOABB fetch: planned without a network, named with what is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from eegprep.errors import UsageError
from eegprep.sources.mne import FetchedSource, numbers


def test_mne_sets_are_planned_offline(made, tmp_path: Path) -> None:
    """What MNE fetches is planned without a network."""
    source = FetchedSource(made["manifest"](source={"kind": "mne", "code": "eegbci", "subject": "1-2"}), tmp_path)
    assert len(source.plan()) == 28
    assert source.plan()[13].key == "001/-/14"
    sleep = FetchedSource(made["manifest"](source={"kind": "mne", "code": "sleep_physionet"}), tmp_path)
    assert len(sleep.plan()) == 153
    with pytest.raises(UsageError, match="did you mean 'eegbci'"):
        FetchedSource(made["manifest"](source={"kind": "mne", "code": "eegbc"}), tmp_path)


def test_subject_lists_take_ranges() -> None:
    """Lists of subjects are numbers and ranges among those that exist."""
    assert numbers("1-3,7", tuple(range(10))) == (1, 2, 3, 7)
    assert numbers(None, (1, 2)) == (1, 2)
    for wrong in ("1-", "x", "3,,4", "12"):
        with pytest.raises(UsageError):
            numbers(wrong, tuple(range(10)))


def test_missing_moabb_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where MOABB is not installed, the error names the extra."""
    import sys

    from eegprep.sources.moabb import load_dataset

    monkeypatch.setitem(sys.modules, "moabb", None)
    monkeypatch.setitem(sys.modules, "moabb.datasets", None)
    with pytest.raises(UsageError, match=r'pip install "\.\[moabb\]"'):
        load_dataset("BNCI2014_001")


def test_moabb_mirror_needs_to_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a network MOABB's mirror is not asked unless a lab chose it."""
    import os
    import types

    from eegprep.sources import moabb as moabb_source

    monkeypatch.delenv(moabb_source._PROVIDER, raising=False)
    monkeypatch.setattr(moabb_source, "_mirrored", lambda dataset, mirror: False)
    dataset = types.SimpleNamespace(nemar_id="on000001", code="X")
    for reachable, expected in ((False, "upstream"), (True, None)):
        monkeypatch.setattr(moabb_source, "_reachable", lambda host, answer=reachable: answer)
        with moabb_source._no_waiting(dataset):
            assert os.environ.get(moabb_source._PROVIDER) == expected
        assert moabb_source._PROVIDER not in os.environ
    monkeypatch.setenv(moabb_source._PROVIDER, "nemar")
    monkeypatch.setattr(moabb_source, "_reachable", lambda host: False)
    with moabb_source._no_waiting(dataset):
        assert os.environ[moabb_source._PROVIDER] == "nemar"
