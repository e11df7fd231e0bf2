"""Controls: scores that come from eyes, the cue, drift or the order of the trials are found out."""

from __future__ import annotations

import numpy as np
import pytest
from support import synthetic
from support.transfer_runs import settings

from eegprep.recording import RecordingInfo, Stretch, Trial
from eegprep.shards import build_shard_set
from eegpt.data import TrialIndex
from eegpt.evaluation.controls import controls_table, edge_electrodes, findings, order_features, run_controls
from eegpt.evaluation.results import Control, Controls
from eegpt.transfer.checkpoint import read_run
from eegpt.transfer.run import transfer
from eegpt.transfer.setup import make_setup, open_trials

NAMES = ("Fp1", "Fp2", "F7", "F8", "C3", "Cz", "C4", "O1")
LENGTH, GAP, N = 640, 768, 12


def recording(random, subject, source):
    """Trials of 2.5 s, 3 s apart; class 1 has a slow wave across the frontal electrodes, a rhythm at C3, or a drift."""
    n = N * (LENGTH + GAP) + GAP
    signal = random.normal(0, 5, (len(NAMES), n))
    eye, trials = np.zeros(n), []
    labels = random.permutation(np.arange(N) % 2) if source != "order" else np.repeat([0, 1], N // 2)
    for k, label in enumerate(labels):
        start = GAP + k * (LENGTH + GAP)
        part = slice(start, start + LENGTH)
        time_s = np.arange(LENGTH) / 256
        eye[start : start + LENGTH] += random.uniform(20, 60) * np.sin(2 * np.pi * 1.3 * time_s + random.uniform(0, 6))
        if source == "eye":
            eye[part] += (1 if label else -1) * 60 * np.hanning(LENGTH)
        if source == "brain":
            signal[4, part] += 12 * label * np.sin(2 * np.pi * 10 * time_s)
        if source == "early":
            signal[4, start : start + 200] += 25 * (1 if label else -1)
        if source == "before":
            signal[4, start - LENGTH : start + LENGTH] += (
                12 * label * np.sin(2 * np.pi * 10 * np.arange(2 * LENGTH) / 256)
            )
        trials.append(Trial(task="hand", label=("left", "right")[label], start_sample=start, n_samples=LENGTH))
    for electrode, share in zip(range(8), (0.5, 0.5, -1.0, 1.0, -0.3, 0.1, 0.3, 0.0), strict=True):
        signal[electrode] += share * eye
    info = RecordingInfo(
        dataset=source, subject=f"{subject:02d}", run="1", n_samples=n, electrodes=NAMES,
        references=("M1",) * len(NAMES), stretches=(Stretch(start_sample=0, n_samples=n),), trials=tuple(trials),
        sigma_uv=(5.0,) * len(NAMES), signal_sha256=f"{sum(map(ord, source)) * 100 + subject:064d}",
    )  # fmt: skip
    return info, signal.astype(np.float32)


@pytest.fixture(scope="module")
def controlled(tmp_path_factory):
    """Controls by source of the answer, each computed once."""
    folder, found = tmp_path_factory.mktemp("controls"), {}

    def of(source):
        if source not in found:
            random = np.random.default_rng(7)
            subjects = [recording(random, s, source) for s in range(8)]
            store = synthetic.MemoryStore(
                synthetic.manifest(source), [i for i, _ in subjects], {i.id: x for i, x in subjects}
            )
            build_shard_set([store], folder / source, sync=False)
            config = settings(scheme="kfold:4", graph=False, views=("spectrum", "course"), tasks=("hand",))
            transfer(config, shards=[folder / source], out=folder / f"{source}-run")
            run = read_run(folder / f"{source}-run")
            setup = make_setup(*open_trials([folder / source], run.config), run.vocabulary, run.config)
            found[source] = run_controls(run, setup)[f"{source}/hand"]
        return found[source]

    return of


def score(task, name):
    return task.controls[name].score


def test_a_rhythm_over_the_centre_stays(controlled):
    task = controlled("brain")
    assert min(score(task, n) for n in ("unchanged", "electrodes", "first_second", "eog")) > 0.85
    assert max(score(task, n) for n in ("pre_stimulus", "order")) < 0.7
    assert task.findings == []


def test_eyes_are_found_out(controlled):
    task = controlled("eye")
    assert score(task, "unchanged") > 0.9
    assert score(task, "eog") < 0.7
    assert any("eyes" in text for text in task.findings)


def test_the_first_second_is_found_out(controlled):
    task = controlled("early")
    assert score(task, "unchanged") > 0.9
    assert score(task, "first_second") < 0.7
    assert any("first second" in text for text in task.findings)


def test_what_precedes_a_trial_is_found_out(controlled):
    task = controlled("before")
    assert score(task, "pre_stimulus") > 0.85
    assert any("before the trials" in text for text in task.findings)


def test_the_order_is_found_out(controlled):
    task = controlled("order")
    assert score(task, "order") > 0.9
    assert any("order" in text for text in task.findings)
    assert "order" in controls_table({"order/hand": task})


def test_edge_electrodes_by_name():
    edge = edge_electrodes(("Fp1", "Fpz", "AF3", "AFz", "F7", "F5", "FT8", "T7", "T9", "TP10", "P7", "C5", "Cz", "Nz"))
    assert edge == ["Fp1", "Fpz", "AF3", "AFz", "F7", "FT8", "T7", "T9", "TP10", "Nz"]


def test_what_cannot_apply_says_why(shards, encoder, tmp_path):
    """Trials of 0.75 s, one after the other."""
    config = settings(scheme="kfold:4", graph=False, views=("spectrum",), tasks=("hand",))
    transfer(config, shards=[shards], out=tmp_path / "run")
    run = read_run(tmp_path / "run")
    (task,) = run_controls(run, make_setup(*open_trials([shards], config), run.vocabulary, config)).values()
    assert task.controls["first_second"].reason == "its trials are too short"
    assert "before" in task.controls["pre_stimulus"].reason
    assert task.controls["electrodes"].score is not None


def test_order_sees_no_signal(shards):
    index = TrialIndex(shards)
    features = order_features(index)
    assert features.shape == (len(index), 6)
    assert np.isfinite(features).all()
    assert set(features[:, 3]) == {0}


def test_findings_need_a_difference():
    plain = Control(score=0.9, unchanged=0.9, n_test=10)
    same = Control(score=0.88, unchanged=0.9, p_value=0.4)
    found = Controls(chance=0.5, controls={"unchanged": plain, "electrodes": same}, findings=[])
    assert findings(found.controls, 0.5) == ["nothing to explain: the score is not above chance"]
