"""Characters that Python counts as digits but does not read as a number (`²`) are not numbers."""

from __future__ import annotations

import pytest

from eegprep.api import _n_bytes
from eegprep.errors import UsageError
from eegprep.ingest.draft import _natural
from eegprep.remote.cache import cache_bytes
from eegpt.pretraining.config import PretrainConfig
from eegpt.pretraining.data import divided
from eegpt.studies.scaling import sized
from eegpt.transfer import states


def test_names_with_such_digits_are_sorted() -> None:
    assert sorted(["x²10", "x²9"], key=_natural) == ["x²9", "x²10"]


@pytest.mark.parametrize("variable", ["EEGPT_CACHE_BYTES", "EEGPT_STATES_BYTES"])
def test_limits_are_numbers(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "8²")
    with pytest.raises(UsageError, match=variable):
        cache_bytes() if variable == "EEGPT_CACHE_BYTES" else states.max_bytes()


@pytest.mark.parametrize("text", ["²x16x2", "0x16x2", "1x16", "1x-16x2"])
def test_sizes_are_numbers(text: str) -> None:
    with pytest.raises(UsageError, match="unknown size"):
        sized(PretrainConfig(), text)


@pytest.mark.parametrize("text", ["kfold:5/²", "kfold:5/", "kfold:5/-1", "/0", "0"])
def test_divisions_are_numbers(text: str) -> None:
    with pytest.raises(UsageError, match="is not a division"):
        divided([], text)


def test_sizes_of_shards_are_numbers() -> None:
    with pytest.raises(UsageError, match="invalid size"):
        _n_bytes("5²M")
