"""Configurations as plain data: strict, with hints."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import ClassVar

import pytest

import eegpt
from eegprep.errors import UsageError
from eegpt.model.config import ETEConfig
from eegpt.pretraining.config import PretrainConfig
from eegpt.runs.settings import Settings, from_mapping, read_settings, to_mapping, with_settings
from eegpt.transfer.config import TransferConfig

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


class Rate(Settings):
    value: float = 0.0
    compile: bool = False


class Nested(Settings):
    renamed: ClassVar = {"lr": "rate.value"}

    rate: Rate = Rate()
    names: tuple[str, ...] = ()
    width: int | None = None
    seed: int = 1


@pytest.mark.parametrize(
    ("text", "todo"),
    [
        ("lr=1", "lr is now rate.value"),
        ("value=1", "value is now rate.value"),
        ("rate.valu=1", "did you mean 'rate.value'?"),
        ("seeed=1", "did you mean 'seed'?"),
    ],
)
def test_old_and_misspelt_names_get_a_hint(text, todo):
    """A former flat name, a name of a nested table, and near misses."""
    with pytest.raises(UsageError, match="has no setting") as caught:
        with_settings(Nested(), [text])
    assert caught.value.todo == todo


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rate=3", "rate cannot be '3'"),
        ("seed.x=1", "'seed' is a setting"),
        ("seed=true", "seed cannot be 'true'"),
        ("rate.value=.nan", "rate.value cannot be '.nan'"),
        ("rate.value=nan", "rate.value cannot be 'nan'"),
        ("names=a", "names cannot be 'a'"),
        ("seed", "has no '='"),
        ("width=", "has no value"),
        ("width= ", "has no value"),
        ("seed=&a 1", "anchors"),
    ],
)
def test_wrong_nested_values_are_refused(text, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        with_settings(Nested(), [text])


def test_nested_values_are_read_as_yaml():
    found = with_settings(
        Nested(width=8), ["rate.value=1e-3", "rate.compile=true", "names=[a, 010]", "width=null", "seed=1e2"]
    )
    assert found == Nested(rate=Rate(value=1e-3, compile=True), names=("a", "010"), seed=100)


def test_settings_come_from_a_yaml_file(tmp_path):
    """The file first, then options of the command line, then every `--set`."""
    (tmp_path / "a.yaml").write_text("rate: {value: 2e-3, compile: true}\nseed: 7\n")
    found = read_settings(Nested, tmp_path / "a.yaml", ["seed=9"], {"rate.value": None, "width": 4})
    assert found == Nested(rate=Rate(value=2e-3, compile=True), seed=9, width=4)


@pytest.mark.parametrize(("cls", "kind"), [(PretrainConfig, "transfer"), (TransferConfig, "encoder")])
def test_settings_of_another_kind_of_run(cls, kind, tmp_path):
    """One error about the run, not one about a setting that the other kind does not have."""
    (tmp_path / "config.json").write_text(json.dumps({"format": 1, "kind": kind, "settings": {}}))
    with pytest.raises(UsageError, match="a run of another kind") as caught:
        read_settings(cls, tmp_path)
    assert (caught.value.found, caught.value.expected) == (kind, cls.run_kind)


BELOW_ZERO = {
    PretrainConfig: [
        "encoder.spectrum_input", "encoder.clip", "encoder.dropout", "objective.spectrum_weight", "data.window_stride",
        "data.max_windows", "augmentation.gain", "optimiser.learning_rate", "optimiser.weight_decay",
        "schedule.min_steps", "schedule.steps", "schedule.batch_size", "schedule.warmup_steps",
        "schedule.min_rate_ratio", "held_out.every", "run.checkpoint_every", "seed",
    ],
    TransferConfig: [
        "data.trials_per_class", "optimiser.encoder_rate_ratio", "optimiser.weight_decay", "schedule.warmup_steps",
        "schedule.task_exponent", "selection.patience", "compute.cache_mib", "model.dropout",
    ],
}  # fmt: skip
ZERO = {
    PretrainConfig: [
        "encoder.n_layers", "encoder.width", "encoder.n_heads", "encoder.token_samples", "encoder.token_stride",
        "encoder.max_tokens", "encoder.fixed_uv", "objective.hidden_share", "optimiser.clip_norm", "schedule.epochs",
        "schedule.micro_batch", "held_out.windows", "held_out.final_windows", "held_out.linear_windows",
        "run.log_every",
    ],
    TransferConfig: [
        "optimiser.clip_norm", "optimiser.learning_rate", "selection.validation_trials", "selection.evaluate_every",
        "encoder.token_samples", "encoder.token_stride", "schedule.steps", "schedule.batch_size", "model.lora_rank",
    ],
}  # fmt: skip
OTHERS = {
    PretrainConfig: [
        "schedule.min_rate_ratio=2", "encoder.dropout=1", "objective.hidden_share=1", "optimiser.betas=[0.9, 1]",
        "optimiser.betas=[-1, 0.9]", "seed=4294967296", "data.splits=[train, trian]", "held_out.splits=[validaton]",
    ],
    TransferConfig: [
        "data.scheme=kfold:0", "data.scheme=lodo:-1", "seeds=[-1]", "seeds=[0, 4294967296]",
        "model.views=[spectrum, spectrum]", "model.dropout=1",
    ],
}  # fmt: skip
WRONG = [
    *((cls, f"{path}=-1") for cls, paths in BELOW_ZERO.items() for path in paths),
    *((cls, f"{path}={value}") for cls, paths in ZERO.items() for path in paths for value in (0, -1)),
    *((cls, text) for cls, texts in OTHERS.items() for text in texts),
]


@pytest.mark.parametrize(("cls", "text"), WRONG, ids=[f"{cls.__name__}-{text}" for cls, text in WRONG])
def test_senseless_numbers_are_refused(cls, text):
    """Of a run with such a setting, some were a traceback after minutes and some were ignored."""
    with pytest.raises(UsageError):
        with_settings(cls(), [text])


@pytest.mark.parametrize("cls", [PretrainConfig, TransferConfig])
def test_zeros_with_a_meaning_are_kept(cls):
    for path in BELOW_ZERO[cls]:
        with_settings(cls(), [f"{path}=0"])


@pytest.mark.parametrize("name", ["n_layers", "width", "n_heads", "n_electrodes"])
@pytest.mark.parametrize("value", [0, -2])
def test_shapes_of_nothing_are_refused(name, value):
    """Zero heads were a division by zero, and zero layers an encoder that passes its input on."""
    with pytest.raises(UsageError, match="one layer, head and electrode or more"):
        from_mapping(ETEConfig, {**to_mapping(CONFIG), name: value})


def test_spectra_of_no_samples_are_refused():
    with pytest.raises(UsageError, match="two samples or more"):
        from_mapping(ETEConfig, {**to_mapping(CONFIG), "spectra": [256, 0]})


@pytest.mark.parametrize(
    ("mode", "setting", "needed"),
    [
        ("frozen", "model.lora_rank=4", "mode lora"),
        ("full", "model.lora_rank=4", "mode lora"),
        ("frozen", "optimiser.encoder_rate_ratio=0.1", "mode full"),
        ("scratch", "optimiser.encoder_rate_ratio=0.1", "mode full"),
        ("frozen", "model.teg_layers=2", "model.graph=true"),
        ("frozen", "model.electrode_dropout=0.1", "model.graph=true"),
        ("frozen", "selection.graph_folds=3", "model.graph=true"),
        ("probe", "model.graph=true", "a mode other than probe"),
        ("probe", "model.views=[states]", "a mode other than probe"),
        ("probe", "model.edges=none", "a mode other than probe"),
        ("probe", "model.dropout=0.1", "a mode other than probe"),
    ],
)
def test_settings_that_a_mode_does_not_read(tmp_path: Path, mode: str, setting: str, needed: str) -> None:
    """They are refused before anything is opened, and accepted where they are read."""
    with pytest.raises(UsageError, match="without an effect") as caught:
        eegpt.transfer(tmp_path / "shards", tmp_path / "run", mode=mode, settings=[setting])
    assert setting.partition("=")[0] in str(caught.value)
    assert needed in str(caught.value)
    assert not (tmp_path / "run").exists()
    read_in = {"mode lora": "mode=lora", "mode full": "mode=full", "model.graph=true": "model.graph=true"}
    chosen = with_settings(TransferConfig(), [read_in.get(needed, "mode=frozen"), setting])
    assert chosen.without_effect() == {} or setting == "model.dropout=0.1"


@pytest.mark.parametrize(
    "setting",
    [
        "encoder.n_layers=1000000000", "encoder.width=1000000000", "encoder.n_heads=1000000000",
        "encoder.token_samples=1000000000", "encoder.max_tokens=1000000000", "encoder.spectrum_input=1000000000",
        "objective.spectra=[1000000000]", "schedule.batch_size=99999999999999999999",
    ],
)  # fmt: skip
def test_sizes_beyond_any_computer_are_refused(setting: str) -> None:
    with pytest.raises(UsageError, match=r"at most|less than|up to|2 to"):
        with_settings(PretrainConfig(), [setting]).ete(138)


@pytest.mark.parametrize("setting", ["model.teg_layers=1000000000", "model.lora_rank=1000000000"])
def test_sizes_of_a_graph_are_bounded(setting: str) -> None:
    with pytest.raises(UsageError, match="less than or equal"):
        with_settings(TransferConfig(), [setting])


def test_many_layers_of_a_large_width_are_refused() -> None:
    """Each number alone is possible."""
    with pytest.raises(UsageError, match="1000 layers of width 65536"):
        ETEConfig(n_layers=1000, width=1 << 16, n_heads=64)
