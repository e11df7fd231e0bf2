"""A wrong word or number in an option of `eegpt` is a usage error, never another option's behaviour in silence."""

from __future__ import annotations

import json

import mne
import numpy as np
import pytest
from support.transfer_runs import build, settings, write_encoder

import eegpt
from eegprep.errors import InputError, UsageError
from eegprep.splits import Seen, SeenRecording
from eegpt.torch import EEGPT
from eegpt.transfer.run import transfer

NAMES = ("C3", "Cz", "C4")
WRONG = [
    ("unknown", "refused"), ("unknown", "leave-out"), ("unknown", ""), ("unknown", None), ("unknown", 3),
    ("window_s", 0), ("window_s", -1), ("window_s", float("nan")), ("window_s", float("inf")), ("window_s", "4"),
    ("stride_s", 0), ("stride_s", -0.5), ("stride_s", "1"), ("reference", 3), ("reference", "foo"),
    ("line_freq_hz", 55), ("line_freq_hz", "50"), ("line_freq_hz", np.array([50, 60])), ("recipe", 3),
    ("recipe", "zzz"),
]  # fmt: skip


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A run on two tasks."""
    folder = tmp_path_factory.mktemp("options")
    shards = build(folder / "alpha", "alpha", NAMES)
    encoder = write_encoder(folder / "encoder", Seen.of([SeenRecording(id="a/b/-/-")]))
    transfer(settings(steps=2, precision="float32", teg_layers=1), shards=[shards], out=folder / "run", encoder=encoder)
    return folder / "run"


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_wrong_options_of_embed_refused(encoder, model, toy, recorded, name, value):
    """Even if no channel is unknown, and of files before any of them is read."""
    raw, file = toy.raw(1), recorded.files / "s1.fif"
    options = {"window_s": 2.0, name: value}
    for call in (
        lambda: eegpt.embed(raw, encoder, **options),
        lambda: eegpt.embed_files(recorded.files, encoder, **options),
        lambda: eegpt.predict(raw, model, **{"recipe": "default"} | options),
        lambda: eegpt.predict([file], model, **{"recipe": "default"} | options),
    ):
        with pytest.raises(UsageError):
            call()


@pytest.mark.parametrize("given", ["", [], [""]])
def test_no_recording_is_not_the_working_folder(encoder, model, given):
    """Nor an empty table."""
    for call in (lambda: eegpt.predict(given, model), lambda: eegpt.embed_files(given, encoder)):
        with pytest.raises(UsageError, match=r"not a path|none given"):
            call()
    with pytest.raises(UsageError, match="not a path"):
        eegpt.embed("", encoder)


@pytest.mark.parametrize(
    ("name", "value"),
    [("unit", "volt"), ("phase", "zero"), ("recipe", "zzz"), ("reference", "foo"), ("reference", 3),
     ("line_freq_hz", "50"), ("line_freq_hz", 55), ("window_tokens", 0), ("window_tokens", "4"), ("sigma_s", 0),
     ("sigma_s", float("nan")), ("sfreq_hz", 0), ("sfreq_hz", "256")],
)  # fmt: skip
def test_wrong_options_of_live_refused(encoder, name, value):
    with pytest.raises(UsageError):
        eegpt.LiveModel(encoder, NAMES, **{"sfreq_hz": 256.0, name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [("unit", "volt"), ("mode", "frosen"), ("unknown", "refused"), ("kinds", "eeeg"), ("kinds", ["eeg", "nose"]),
     ("kinds", []), ("reference", "foo"), ("reference", 3)],
)  # fmt: skip
def test_wrong_options_of_module_refused(encoder, name, value):
    with pytest.raises(UsageError):
        EEGPT(2, chs_info=list(NAMES), sfreq=200.0, pretrained=encoder, **{name: value})


def test_kinds_and_bads_may_be_one_word(encoder):
    module = EEGPT(2, chs_info=list(NAMES), sfreq=200.0, pretrained=encoder, kinds="eeg", bads="Cz")
    assert module.electrodes == ("C3", "C4")


@pytest.mark.parametrize(
    ("name", "value"),
    [("unit", "volt"), ("sigma", "fitted"), ("recipe", "zzz"), ("recipe", 3), ("reference", "foo"), ("reference", 3),
     ("mode", "frosen")],
)  # fmt: skip
def test_wrong_options_of_fit_are_refused(encoder, toy, name, value):
    x = np.stack([toy.eeg(i, 3, 200, 200.0) for i in range(6)])
    for kind in (eegpt.EEGPTFeatures, eegpt.EEGPTClassifier, eegpt.EEGPTRegressor):
        if (kind, name) != (eegpt.EEGPTFeatures, "mode"):
            with pytest.raises(UsageError):
                kind(str(encoder), ch_names=NAMES, sfreq_hz=200.0, **{name: value}).fit(x, [0, 1] * 3)


RATES = [0, -256.0, float("nan"), float("inf"), 1.0, 1e9, "256", [256], True, None]


@pytest.mark.parametrize("rate", RATES)
def test_wrong_rates_are_refused_everywhere(encoder, toy, rate):
    """At 1 Hz a second of signal became four minutes; others were a division by zero, or an overflow."""
    x = np.stack([toy.eeg(i, 3, 200, 200.0) for i in range(6)])
    for call in (
        lambda: eegpt.EEGPTFeatures(str(encoder), ch_names=NAMES, sfreq_hz=rate).fit(x),
        lambda: eegpt.LiveModel(encoder, NAMES, rate),
        lambda: EEGPT(2, chs_info=list(NAMES), sfreq=rate, pretrained=encoder),
    ):
        with pytest.raises(UsageError) as caught:
            call()
        assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("name", "value"),
    [("ch_names", "C3"), ("ch_names", 3), ("ch_names", ["C3", "C3", "C4"]), ("unit", ["uV"]), ("unit", None)],
)
def test_wrong_names_and_units_are_refused(encoder, toy, name, value):
    x = np.stack([toy.eeg(i, 3, 200, 200.0) for i in range(6)])
    with pytest.raises(UsageError):
        eegpt.EEGPTFeatures(str(encoder), **{"ch_names": NAMES, "sfreq_hz": 200.0, name: value}).fit(x)


def test_settings_of_an_estimator_are_a_mapping(encoder, toy):
    x = np.stack([toy.eeg(i, 3, 200, 200.0) for i in range(6)])
    for wrong in ("schedule.steps=3", 3, ["schedule.steps=3"]):
        with pytest.raises(UsageError, match="settings must be a mapping"):
            eegpt.EEGPTClassifier(str(encoder), ch_names=NAMES, sfreq_hz=200.0, settings=wrong).fit(x, [0, 1] * 3)


def epochs(toy, names=NAMES, sfreq_hz=200.0, n_samples=200):
    """Six trials in volt; the signal of a channel depends on its name alone."""
    rows = [NAMES.index(name) for name in names]
    x = np.stack([toy.eeg(i, 3, n_samples, sfreq_hz)[rows] for i in range(6)]) * 1e-6
    return mne.EpochsArray(x, mne.create_info(list(names), sfreq_hz, "eeg"), verbose="error")


def test_lists_of_epochs_are_joined_by_name(encoder, toy):
    """Channels in another order were joined by their place."""
    same = eegpt.EEGPTFeatures(str(encoder)).fit([epochs(toy), epochs(toy)])
    turned = eegpt.EEGPTFeatures(str(encoder)).fit([epochs(toy), epochs(toy, NAMES[::-1])])
    np.testing.assert_array_equal(turned.sigma_uv_, same.sigma_uv_)
    found = turned.transform([epochs(toy, NAMES[::-1]), epochs(toy)])
    np.testing.assert_array_equal(found, same.transform([epochs(toy), epochs(toy)]))


@pytest.mark.parametrize("other", [{"names": ("C3", "C4")}, {"sfreq_hz": 250.0}, {"n_samples": 150}])
def test_lists_of_other_epochs_are_refused(encoder, toy, other):
    with pytest.raises(UsageError, match="the Epochs of the list differ"):
        eegpt.EEGPTFeatures(str(encoder)).fit([epochs(toy), epochs(toy, **other)])


@pytest.mark.parametrize("kind", ["raw", "evoked", "list"])
def test_objects_without_trials_are_refused(encoder, toy, kind):
    """Not as an array without a rate."""
    given = {"raw": toy.raw(1), "evoked": epochs(toy).average(), "list": [epochs(toy), toy.raw(1)]}[kind]
    for options in ({}, {"ch_names": NAMES, "sfreq_hz": 200.0}):
        with pytest.raises(UsageError, match="not trials"):
            eegpt.EEGPTFeatures(str(encoder), **options).fit(given)


def test_wrong_words_of_commands_refused(encoder, model, recorded, tmp_path):
    shards, out = recorded.shards, tmp_path / "out"
    for call in (
        lambda: eegpt.load(encoder, device="gpu"),
        lambda: eegpt.load(model, fit="nope"),
        lambda: eegpt.predict("x.edf", model, task="nope"),
        lambda: eegpt.export(encoder, tmp_path / "x.bin", format="tf"),
        lambda: eegpt.pretrain(shards, out, size="bse"),
        lambda: eegpt.pretrain(shards, out, settings=[""]),
        lambda: eegpt.pretrain(shards, out, settings=[3]),
        lambda: eegpt.transfer(shards, out, mode="frosen"),
        lambda: eegpt.transfer(shards, out, scheme="kfolds"),
        lambda: eegpt.transfer(shards, out, tasks=""),
        lambda: eegpt.transfer(shards, out, tasks=[1]),
        lambda: eegpt.transfer(shards, out, seeds="2"),
        lambda: eegpt.transfer(shards, out, seeds=0),
        lambda: eegpt.transfer(shards, out, unknown_electrodes="refused"),
        lambda: eegpt.evaluate(model, shards, baselines="nope"),
        lambda: eegpt.evaluate(model, shards, baselines=""),
        lambda: eegpt.baselines(shards, names="nope"),
        lambda: eegpt.baselines(shards, tasks=""),
        lambda: eegpt.baselines(shards, scheme="kfolds"),
        lambda: eegpt.baselines(shards, seeds=-1),
        lambda: eegpt.forecast(encoder, shards, split="tests"),
        lambda: eegpt.forecast(encoder, shards, seconds="1"),
        lambda: eegpt.forecast(encoder, shards, seconds=0),
        lambda: eegpt.forecast(encoder, shards, n_windows=0),
        lambda: eegpt.forecast(encoder, shards, window_samples=-4),
        lambda: eegpt.scaling(shards, out=out, sizes="bse"),
        lambda: eegpt.scaling(shards, out=out, sizes=""),
        lambda: eegpt.scaling(shards, out=out, fractions="a"),
        lambda: eegpt.scaling(shards, out=out, fractions=0.5),
        lambda: eegpt.scaling(shards, out=out, fractions=""),
        lambda: eegpt.scaling(shards, out=out, fractions=[]),
        lambda: eegpt.compare([model, model], method=3),
        lambda: eegpt.ablation(shards, out=out, questions="nope"),
        lambda: eegpt.ablation(shards, out=out, questions=""),
        lambda: eegpt.claims(shards, out=out, names="nope"),
        lambda: eegpt.claims(shards, out=out, names=""),
        lambda: eegpt.claims(shards, out=out, vary=[""]),
        lambda: eegpt.claims(shards, out=out, seeds=0),
    ):
        with pytest.raises(UsageError):
            call()
    assert not out.exists()


def test_no_usable_window_is_an_input_error(encoder, model, toy, tmp_path):
    """Every sample above the limit of the recipe."""
    raw = toy.raw(1)
    raw._data *= 60
    for call in (
        lambda: eegpt.embed(raw, encoder),
        lambda: eegpt.predict(raw, model, recipe="default", window_s=2.0),
    ):
        with pytest.raises(InputError, match=r"no window has usable signal[\s\S]*too large"):
            call()


def test_rejected_files_fail_by_themselves(encoder, toy, tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    toy.raw(1).save(folder / "a_raw.fif", verbose="ERROR")
    loud = toy.raw(2)
    loud._data *= 60
    loud.save(folder / "b_raw.fif", verbose="ERROR")
    for out in (None, tmp_path / "features.nc"):
        found, failed = eegpt.embed_files(folder, encoder, out=out)
        assert list(found) == ["a_raw.fif"]
        assert isinstance(failed["b_raw.fif"], InputError)
        assert "no window has usable signal" in str(failed["b_raw.fif"])


def test_windows_longer_than_what_is_left(encoder, toy):
    """Each electrode is flat once in a while: nothing of 10 s is left, though 1 s is."""
    raw = toy.raw(3)
    for start in range(600, 6000, 1200):
        raw._data[:, start : start + 500] = raw._data[:, start : start + 1]
    with pytest.raises(InputError, match=r"no window has usable signal[\s\S]*set window_s to less"):
        eegpt.embed(raw, encoder, window_s=10.0)
    kept = eegpt.embed(raw, encoder, window_s=1.0)
    assert np.isfinite(kept.features.values).any()
    assert json.loads(kept.attrs["left_out"])
