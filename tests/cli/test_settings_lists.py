"""`--list-settings` and the shell's completion know every setting, with a meaning."""

from __future__ import annotations

import pytest

from _eegpt_cli import settings
from eegpt.runs.settings import changed, described


@pytest.mark.parametrize("command", ["train", "transfer"])
def test_every_setting_has_a_meaning(command):
    """Each listed path can be set, and says what it is for."""
    model = settings.model_of(command)
    found = described(model)
    assert len(found) > 25
    assert [s.path for s in found if not s.meaning] == []
    plain = model().model_dump(mode="json")
    for s in found:
        value = plain
        for part in s.path.split("."):
            value = value[part]
        assert changed(model(), {s.path: value}) == model()


def test_the_shell_completes_settings():
    assert "schedule.steps=" in settings.complete_train("schedule.st")
    assert settings.complete_transfer("selection.pat") == ["selection.patience="]
    assert settings.complete_train("nothing") == []


def test_the_shell_completes_values():
    assert settings.one_of("frozen", "full", "lora")("f") == ["frozen", "full"]
    assert "eegmat" in settings.complete_datasets("eeg")
    assert settings.complete_datasets("zz") == []
