"""Configurations as plain data: strict, with hints."""

from __future__ import annotations

import json

import pytest

from eegprep.errors import UsageError
from eegpt.model.ete import ETEConfig
from eegpt.runs.settings import from_mapping, to_mapping, with_settings

CONFIG = ETEConfig(n_layers=2, width=32, n_heads=4)


def test_settings_round_trip_json():
    """A configuration comes back from JSON unchanged."""
    assert from_mapping(ETEConfig, json.loads(json.dumps(to_mapping(CONFIG)))) == CONFIG


def test_unknown_setting_names_nearest():
    """An unknown setting names the nearest."""
    with pytest.raises(UsageError, match="no setting 'token_strid'") as caught:
        with_settings(CONFIG, ["token_strid=16"])
    assert "token_stride" in str(caught.value.todo)


@pytest.mark.parametrize(
    "text", ["width=wide", "width=1.5", "width=true", "norm=post", "clip=null", "spectrum_hz=[1]", "width", "a.b=1"]
)
def test_wrong_kind_of_value_refused(text):
    """A value of the wrong kind is refused."""
    with pytest.raises(UsageError):
        with_settings(CONFIG, [text])


def test_settings_are_read_as_their_type():
    changed = with_settings(CONFIG, ["width=64", "norm=pre", "clip=10", "spectrum_hz=[2, 40]"])
    assert (changed.width, changed.norm, changed.clip, changed.spectrum_hz) == (64, "pre", 10.0, (2.0, 40.0))


def test_a_missing_setting_is_named():
    with pytest.raises(UsageError, match="lacks the setting 'n_layers'"):
        from_mapping(ETEConfig, {"width": 8, "n_heads": 2})
