"""The scikit-learn estimators obey the rules of scikit-learn, learn what can be learned, and run inside MOABB."""

from __future__ import annotations

import os
import pickle
import warnings
from pathlib import Path

import mne
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from eegprep.errors import UsageError
from eegpt.interop import EEGPTClassifier, EEGPTFeatures

NAMES = ("C3", "Cz", "C4")
# What can't apply, and why.
ROUNDING = "float32 kernels round differently for another number of rows (2e-6 here); the check allows 1e-7"
NO_SIGNAL = "the check's trials are two numbers with a mean each; the model reads signals, whose offset is removed"


def trials(toy, n: int = 60, *, seconds: float = 1.0, sfreq_hz: float = 200.0) -> tuple[np.ndarray, np.ndarray]:
    """Class `right` has a 10 Hz rhythm at the first channel. Microvolt."""
    n_samples = int(seconds * sfreq_hz)
    x = np.stack([toy.eeg(i, 3, n_samples, sfreq_hz) for i in range(n)])
    y = np.array(["left", "right"] * (n // 2))
    x[y == "right", 0] += 25 * np.sin(2 * np.pi * 10 * np.arange(n_samples) / sfreq_hz)
    return x, y


@pytest.mark.parametrize("which", ["features", "classifier"])
def test_scikit_learn_checks_pass(encoder, which):
    if which == "features":
        estimator = EEGPTFeatures(str(encoder), ch_names=("Cz",), sfreq_hz=256)
        excepted = {"check_methods_subset_invariance": ROUNDING}
    else:
        estimator = EEGPTClassifier(str(encoder), ch_names=("Cz",), sfreq_hz=256, max_steps=5)
        excepted = {"check_classifiers_train": NO_SIGNAL}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the checks feed what warns on purpose
        results = check_estimator(estimator, on_fail=None, expected_failed_checks=excepted)
    failed = [r["check_name"] for r in results if r["status"] == "failed"]
    assert failed == []
    assert sum(r["status"] == "passed" for r in results) > 40


def test_the_classifier_learns_and_pickles(encoder, toy):
    x, y = trials(toy, 120)
    fitted = EEGPTClassifier(str(encoder), ch_names=NAMES, sfreq_hz=200.0, max_steps=120).fit(x[:80], y[:80])
    assert fitted.score(x[80:], y[80:]) >= 0.8
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict_proba(x[80:]), fitted.predict_proba(x[80:]))
    assert list(fitted.classes_) == ["left", "right"]


def test_pickles_contain_no_torch_class(encoder, toy):
    import pickletools

    x, y = trials(toy, 20)
    data = pickle.dumps(EEGPTClassifier(str(encoder), ch_names=NAMES, sfreq_hz=200.0, max_steps=2).fit(x, y))
    modules = {str(arg) for op, arg, _ in pickletools.genops(data) if op.name in ("SHORT_BINUNICODE", "GLOBAL")}
    assert not any(m.startswith("torch") for m in modules)
    assert any(m.startswith("eegpt.interop") for m in modules)


def test_equal_fits_are_equal(encoder, toy):
    """A clone is unfitted."""
    x, y = trials(toy, 24)
    one = EEGPTClassifier(str(encoder), ch_names=NAMES, sfreq_hz=200.0, max_steps=5, random_state=3)
    other = clone(one)
    assert not hasattr(other, "classes_")
    np.testing.assert_array_equal(one.fit(x, y).predict_proba(x), other.fit(x, y).predict_proba(x))


def test_features_work_in_a_grid_search(encoder, toy):
    x, y = trials(toy, 60)
    features = EEGPTFeatures(str(encoder), ch_names=NAMES, sfreq_hz=200.0)
    pipeline = make_pipeline(features, StandardScaler(), LogisticRegression(max_iter=500))
    grid = {"eegptfeatures__sigma": ["fit", "trial"], "logisticregression__C": [0.1, 1.0]}
    search = GridSearchCV(pipeline, grid, cv=3).fit(x, y)
    assert search.best_score_ >= 0.8
    names = features.fit(x).get_feature_names_out()
    assert (len(names), names[0]) == (3 * 2 * 16, "C3_mean_0")


def test_the_classifier_in_a_grid_search(encoder, toy):
    x, y = trials(toy, 24)
    search = GridSearchCV(
        EEGPTClassifier(str(encoder), ch_names=NAMES, sfreq_hz=200.0), {"max_steps": [2, 4]}, cv=2, error_score="raise"
    )
    assert set(search.fit(x, y).best_params_) == {"max_steps"}


def epochs_of(toy, n: int = 24) -> mne.Epochs:
    x, y = trials(toy, n)
    events = np.stack([np.arange(n) * 300, np.zeros(n, int), (y == "right") + 1], axis=1)
    info = mne.create_info(list(NAMES), 200.0, "eeg")
    return mne.EpochsArray(x * 1e-6, info, events, event_id={"left": 1, "right": 2}, verbose="ERROR")


def test_epochs_need_no_parameters(encoder, toy):
    """They have names, rate, unit and labels."""
    epochs = epochs_of(toy)
    x, y = trials(toy, 24)
    by_epochs = EEGPTFeatures(str(encoder)).fit(epochs).transform(epochs)
    by_array = EEGPTFeatures(str(encoder), ch_names=NAMES, sfreq_hz=200.0).fit(x).transform(x)
    np.testing.assert_allclose(by_epochs, by_array, atol=1e-4)
    classifier = EEGPTClassifier(str(encoder), max_steps=4).fit(epochs)
    assert list(classifier.classes_) == ["left", "right"]
    assert len(cross_val_score(EEGPTClassifier(str(encoder), max_steps=2), epochs, y, cv=2)) == 2


def test_channels_are_matched_by_name(encoder, toy):
    epochs = epochs_of(toy)
    fitted = EEGPTFeatures(str(encoder)).fit(epochs)
    turned = epochs.copy().reorder_channels(["C4", "C3", "Cz"])
    np.testing.assert_allclose(fitted.transform(turned), fitted.transform(epochs), atol=1e-5)
    with pytest.raises(ValueError, match="differ from those of the fit"):
        fitted.transform(epochs.copy().drop_channels(["Cz"]))


def test_unknown_channels_are_left_out(encoder, toy):
    x, _ = trials(toy, 8)
    fitted = EEGPTFeatures(str(encoder), ch_names=("C3", "Foo9", "C4"), sfreq_hz=200.0).fit(x)
    assert (fitted.electrodes_, fitted.left_out_) == (("C3", "C4"), ("Foo9",))
    with pytest.raises(UsageError, match="no channel is an electrode"):
        EEGPTFeatures(str(encoder), ch_names=("a1x", "b2x", "c3x"), sfreq_hz=200.0).fit(x)


def test_units_make_no_difference(encoder, toy):
    x, _ = trials(toy, 8)
    here = EEGPTFeatures(str(encoder), ch_names=NAMES, sfreq_hz=200.0, unit="uV").fit(x).transform(x)
    volts = EEGPTFeatures(str(encoder), ch_names=NAMES, sfreq_hz=200.0, unit="V").fit(x * 1e-6).transform(x * 1e-6)
    np.testing.assert_allclose(here, volts, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["WithinSession", "CrossSession", "CrossSubject"])
def test_moabb_evaluates_both(encoder, tmp_path: Path, monkeypatch, kind):
    moabb = pytest.importorskip("moabb")
    for name in ("MNE_DATA", "MOABB_RESULTS"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setitem(os.environ, "_MNE_FAKE_HOME_DIR", str(tmp_path))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MOABB's own, of several libraries that it loads
        import moabb.evaluations as evaluations
        from moabb.datasets.fake import FakeDataset
        from moabb.paradigms import LeftRightImagery

        moabb.set_log_level("error")
        dataset = FakeDataset(["left_hand", "right_hand"], n_sessions=2, n_runs=1, n_subjects=2, n_events=20)
        paradigm = LeftRightImagery(resample=128)
        common = {"ch_names": dataset.channels, "sfreq_hz": 128.0}
        pipelines = {
            "features": make_pipeline(EEGPTFeatures(str(encoder), **common), LogisticRegression(max_iter=200)),
            "graph": EEGPTClassifier(str(encoder), max_steps=3, **common),
        }
        evaluation = getattr(evaluations, f"{kind}Evaluation")(
            paradigm=paradigm, datasets=[dataset], overwrite=True, hdf5_path=str(tmp_path), n_jobs=1
        )
        results = evaluation.process(pipelines)
    assert set(results["pipeline"]) == {"features", "graph"}
    assert results["score"].between(0, 1).all()
    assert len(results) >= 4
