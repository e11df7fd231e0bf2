"""A run from shards to scores: it learns, repeats itself, resumes after a kill, and refuses leakage."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file
from support.transfer_runs import settings

from eegprep.errors import EEGPTError, InputError, RefusedError, UsageError
from eegprep.shards import ShardSet
from eegprep.splits import Seen
from eegpt.evaluation.compare import compare_runs, comparison_csv, comparison_table
from eegpt.evaluation.evaluate import evaluate, score_baselines, write_results
from eegpt.evaluation.predictions import PREDICTIONS, Predictions
from eegpt.evaluation.results import read_results
from eegpt.evaluation.tables import pretraining_table, results_csv, results_table
from eegpt.interop import open_model
from eegpt.pages import graph as page_graph
from eegpt.runs.checkpoint import load_tensors, save_tensors
from eegpt.runs.folder import CONFIG
from eegpt.runs.results import HeldOutErrors, PretrainingResults
from eegpt.runs.settings import changed
from eegpt.transfer.checkpoint import finished_fits, load_fit, read_run
from eegpt.transfer.config import TransferConfig
from eegpt.transfer.run import transfer
from eegpt.transfer.setup import UNKNOWN_HISTORY

FAST = {
    "graph": True,
    "steps": 60,
    "batch_size": 24,
    "evaluate_every": 20,
    "learning_rate": 3e-3,
    "dropout": 0.0,
    "electrode_dropout": 0.0,
}


def config(**more):
    return settings(**{**FAST, **more})


def finish(run, shards, **more):
    predictions, results = evaluate(run, shards, **more)
    write_results(run, predictions, results)
    return results


@pytest.fixture(scope="module")
def run(shards, encoder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "frozen"
    transfer(config(), shards=[shards], out=folder, encoder=encoder)
    finish(folder, [shards], baselines=("majority", "band_power"))
    return folder


def timeless(run):
    """The results without the seconds that methods took."""
    plain = read_results(run).model_dump()
    for task in plain["tasks"].values():
        for method in task["baselines"].values():
            method.pop("seconds")
    return plain


def results_of(run):
    return read_results(run)


def test_a_random_encoder_learns_a_rhythm(run):
    """A frozen random encoder and the graph recognise a rhythm of new subjects."""
    hand = results_of(run).tasks["alpha/hand"]
    assert hand.model.scores["balanced_accuracy"].mean > 0.8
    assert hand.baselines["band_power"].scores["balanced_accuracy"].mean > 0.9
    assert hand.baselines["majority"].scores["balanced_accuracy"].mean == 0.5
    assert hand.chance == 0.5
    assert hand.n_test_subjects == 1
    assert sum(map(sum, hand.model.confusion)) == hand.n_test == 12


def test_the_papers_form_learns_too(shards, encoder, tmp_path):
    """It has no heads at the electrodes."""
    result = transfer(config(readout="special", views=()), shards=[shards], out=tmp_path / "run", encoder=encoder)
    assert not any(
        name.startswith(("electrode_heads", "scale")) for name in load_file(tmp_path / "run" / "model.safetensors")
    )
    assert result.fits[0].shares == result.fits[0].aligned == ()
    hand = finish(tmp_path / "run", [shards]).tasks["alpha/hand"]
    assert hand.model.scores["balanced_accuracy"].mean > 0.8


def test_the_page_shows_the_graphs_vectors(shards, encoder, tmp_path, monkeypatch):
    transfer(config(views=(), steps=20), shards=[shards], out=tmp_path / "run", encoder=encoder)
    predictions, _ = evaluate(tmp_path / "run", [shards])
    drawn = {}
    real = page_graph.trial_map
    monkeypatch.setattr(
        page_graph,
        "trial_map",
        lambda task, pooled, label: drawn.update({task.key: pooled}) or real(task, pooled, label),
    )
    assert page_graph.graph_sections(tmp_path / "run", [shards])
    trained, (record,) = read_run(tmp_path / "run"), finished_fits(tmp_path / "run").values()
    assert record.aligned == ("alpha/hand", "alpha/load")
    heads = load_fit(trained, record, device=torch.device("cpu")).heads
    pooled = torch.from_numpy(drawn["alpha/hand"])
    task = torch.full((len(pooled),), trained.head_of_task["alpha/hand"])
    answers = heads(pooled, task)[:, :2].softmax(dim=1).numpy()
    np.testing.assert_allclose(answers, predictions.stacked("alpha/hand", "model")[0], atol=0.02)


def test_shares_are_recorded(run):
    (record,) = finished_fits(run).values()
    weight = {name: share for head, name, share in record.shares if head == "hand"}
    assert set(weight) == {*TransferConfig().views, "graph"}
    assert sum(weight.values()) == pytest.approx(1, abs=1e-3)
    assert min(weight.values()) >= 0
    assert record.aligned == ("alpha/hand", "alpha/load")


def test_tables_mention_the_alignment(run, shards, encoder, tmp_path):
    assert "align=subject" in results_table(results_of(run))
    transfer(config(graph=False, align="none"), shards=[shards], out=tmp_path / "run", encoder=encoder)
    results = finish(tmp_path / "run", [shards])
    assert "align" not in results_table(results)
    assert results.tasks["alpha/hand"].model.scores["balanced_accuracy"].mean > 0.9


def test_signals_are_whitened_only_where_views_are_standardised(shards, encoder, tmp_path):
    """Without standardising by subject there is nothing to read, and a run says so."""
    whitened = ("whitened_spectrum", "whitened_course")
    options = {"shards": [shards], "encoder": encoder}
    (record,) = transfer(config(graph=False, align="none"), out=tmp_path / "a", **options).fits
    assert {view for _, view, _ in record.shares} == {*TransferConfig().views} - {*whitened}
    with pytest.raises(UsageError, match="standardised by subject"):
        transfer(config(graph=False, align="none", views=whitened), out=tmp_path / "b", **options)
    result = transfer(config(graph=False, views=whitened), out=tmp_path / "c", shards=[shards])  # no encoder
    hand = finish(result.run, [shards]).tasks["alpha/hand"].model.scores["balanced_accuracy"]
    assert hand.mean > 0.9


def test_readouts_alone_need_no_training(shards, encoder, tmp_path):
    result = transfer(config(graph=False, seeds=(0, 1)), shards=[shards], out=tmp_path / "run", encoder=encoder)
    assert [f.best_step for f in result.fits] == [0, 0]
    hand = finish(tmp_path / "run", [shards]).tasks["alpha/hand"].model.scores["balanced_accuracy"]
    assert hand.mean > 0.9
    assert hand.sd == 0


def test_regressions_keep_their_units(run):
    load = results_of(run).tasks["alpha/load"]
    scores = load.model.scores
    assert scores["r2"].mean > 0.2
    assert scores["mae"].mean < 7.5  # guessing the mean of 0 to 3 and 15 to 18 is off by 7.5
    table = Predictions.read(run / "predictions.parquet")
    assert 0 < table.stacked("alpha/load", "model").mean() < 20


def test_equal_commands_give_equal_files(run, shards, encoder, tmp_path):
    transfer(config(), shards=[shards], out=tmp_path / "again", encoder=encoder)
    finish(tmp_path / "again", [shards], baselines=("majority", "band_power"))
    for name in ("model.safetensors", "config.json", "seen.json", "predictions.parquet"):
        assert (tmp_path / "again" / name).read_bytes() == (run / name).read_bytes(), name
    assert timeless(run) == timeless(tmp_path / "again")


def test_a_killed_run_is_resumed(shards, encoder, tmp_path):
    """Finished fits are not made again."""
    chosen = config(seeds=(0, 1), steps=20)
    transfer(chosen, shards=[shards], out=tmp_path / "whole", encoder=encoder)

    def killed(name, step, steps, record):
        if name.startswith("seed-1"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        transfer(chosen, shards=[shards], out=tmp_path / "part", encoder=encoder, report=killed)
    assert list(finished_fits(tmp_path / "part")) == ["seed-0_division-0"]
    before = (tmp_path / "part" / "fits" / "seed-0_division-0.json").stat().st_mtime_ns
    transfer(chosen, shards=[shards], out=tmp_path / "part", encoder=encoder)
    assert (tmp_path / "part" / "fits" / "seed-0_division-0.json").stat().st_mtime_ns == before
    for name in ("seed-0_division-0", "seed-1_division-0"):
        whole, part = (tmp_path / w / "fits" / f"{name}.safetensors" for w in ("whole", "part"))
        assert whole.read_bytes() == part.read_bytes()
    results = finish(tmp_path / "whole", [shards])
    assert results.tasks["alpha/hand"].model.scores["accuracy"].n == 2


def test_other_folders_are_not_overwritten(run, shards, encoder, tmp_path):
    with pytest.raises(UsageError, match="other settings") as caught:
        transfer(config(steps=61), shards=[shards], out=run, encoder=encoder)
    assert "steps" in caught.value.found
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="other files"):
        transfer(config(), shards=[shards], out=tmp_path, encoder=encoder)
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]


def test_leakage_is_refused_or_printed(shards, make_encoder, tmp_path):
    """Test subjects seen in pre-training stop the run unless allowed, and then every table says so."""
    everything = Seen.of(ShardSet.open(shards).recordings.seen())
    seen_all = make_encoder(tmp_path / "encoder", everything)
    with pytest.raises(RefusedError) as caught:
        transfer(config(), shards=[shards], out=tmp_path / "run", encoder=seen_all)
    assert caught.value.exit_code == 3
    assert "pre-training" in str(caught.value)
    assert not (tmp_path / "run").exists()
    transfer(config(steps=10, allow_leakage=True), shards=[shards], out=tmp_path / "run", encoder=seen_all)
    results = finish(tmp_path / "run", [shards])
    assert "LEAKAGE ALLOWED" in results_table(results)
    assert "LEAKAGE ALLOWED" in results_csv(results)
    finish(tmp_path / "run", [shards])
    rows = compare_runs([tmp_path / "run", tmp_path / "run"])
    assert "LEAKAGE ALLOWED" in comparison_table(rows)


@pytest.mark.parametrize("seen", [None, Seen()])
def test_unknown_history_is_refused(shards, make_encoder, tmp_path, seen):
    """A run without seen.json, or with an empty one; where it is allowed, every table says so."""
    silent = make_encoder(tmp_path / "encoder", seen)
    with pytest.raises(RefusedError, match="unknown what the encoder has seen") as refused:
        transfer(config(steps=10), shards=[shards], out=tmp_path / "run", encoder=silent)
    assert refused.value.exit_code == 3
    assert not (tmp_path / "run").exists()
    transfer(config(steps=10, allow_leakage=True), shards=[shards], out=tmp_path / "run", encoder=silent)
    assert UNKNOWN_HISTORY in results_table(finish(tmp_path / "run", [shards]))
    assert not (tmp_path / "run" / "seen.json").exists()


def test_seen_recordings_are_kept(run, shards):
    """Test subjects are not among them."""
    seen = {r["id"] for r in json.loads((run / "seen.json").read_text())["recordings"]}
    tested = {t.split("/")[1] for t in Predictions.read(run / "predictions.parquet").trials["alpha/hand"].recording}
    assert len(seen) == 8
    assert "elsewhere/s1/-/1" in seen  # by the encoder
    assert tested.isdisjoint({s.split("/")[1] for s in seen})


def test_other_sets_have_no_model_score(run, shards, other_shards):
    """Tasks of a shard set that the run was not trained on have no head."""
    _, results = evaluate(run, [shards, other_shards])
    assert results.tasks["alpha/hand"].model is not None
    assert results.tasks["beta/hand"].model is None  # it has no head of that name and data set


def test_equal_tasks_share_a_head(shards, other_shards, encoder, tmp_path):
    """Each data set is scored by itself."""
    transfer(config(steps=10), shards=[shards, other_shards], out=tmp_path / "run", encoder=encoder)
    results = finish(tmp_path / "run", [shards, other_shards])
    assert len(json.loads((tmp_path / "run" / "config.json").read_text())["heads"]) == 2
    assert set(results.tasks) == {"alpha/hand", "alpha/load", "beta/hand", "beta/load"}
    for task in results.tasks.values():
        assert np.isfinite(task.model.interval.low)


def test_weights_are_those_of_scored_tasks(shards, other_shards, encoder, tmp_path):
    """A head that data sets share has no weights in the table of one that is not scored here."""
    chosen = config(graph=False, views=("spectrum", "level"))
    transfer(chosen, shards=[shards, other_shards], out=tmp_path / "run", encoder=encoder)
    _, results = evaluate(tmp_path / "run", [shards])
    assert set(results.weights) == set(results.tasks) == {"alpha/hand", "alpha/load"}
    assert "beta" not in results_table(results)


def test_settings_of_an_encoder_are_not_ignored(shards, encoder, tmp_path):
    """A pre-trained encoder has its own, in every mode."""
    for mode in ("frozen", "scratch"):
        chosen = changed(config(mode=mode), {"encoder.token_samples": 128})
        with pytest.raises(UsageError, match="its own settings") as caught:
            transfer(chosen, shards=[shards], out=tmp_path / "run", encoder=encoder)
        assert caught.value.found == "encoder.token_samples=128"
    assert not (tmp_path / "run").exists()


def test_lodo_learns_from_a_few_trials(shards, other_shards, tmp_path):
    """Trials of the tested subjects that the scheme learns from are no leak; no encoder is needed for the spectrum."""
    chosen = config(scheme="lodo:2", graph=False, views=("spectrum",), tasks=("hand",))
    transfer(chosen, shards=[shards, other_shards], out=tmp_path / "run")
    assert set(finish(tmp_path / "run", [shards, other_shards]).tasks) == {"alpha/hand", "beta/hand"}


def test_lodo_tests_an_unseen_data_set(shards, other_shards, encoder, tmp_path):
    transfer(config(scheme="lodo", steps=20), shards=[shards, other_shards], out=tmp_path / "run", encoder=encoder)
    results = finish(tmp_path / "run", [shards, other_shards])
    assert results.tasks["beta/hand"].n_test_subjects == 5
    assert results.tasks["alpha/hand"].n_test == 8 * 12


@pytest.mark.parametrize("mode", ["full", "lora", "scratch", "probe"])
def test_every_mode_runs_and_reloads(mode, shards, encoder, tmp_path):
    transfer(config(mode=mode, steps=20, tasks=("hand",)), shards=[shards], out=tmp_path / "run", encoder=encoder)
    first, _ = evaluate(tmp_path / "run", [shards])
    again, results = evaluate(tmp_path / "run", [shards])
    np.testing.assert_array_equal(first.stacked("alpha/hand", "model"), again.stacked("alpha/hand", "model"))
    assert results.mode == mode
    from safetensors.torch import load_file

    tuned = load_file(tmp_path / "run" / "model.safetensors")
    start = load_file(encoder / "model.safetensors")
    same = all(torch.equal(tuned[f"ete.{k}"], v) for k, v in start.items())
    assert same == (mode == "probe")


def test_only_scratch_needs_no_encoder(shards, tmp_path):
    with pytest.raises(UsageError, match="needs a pre-trained encoder"):
        transfer(config(), shards=[shards], out=tmp_path / "run")
    chosen = config(mode="scratch", steps=3, token_samples=64, tasks=("hand",))
    transfer(chosen, shards=[shards], out=tmp_path / "run")
    assert finish(tmp_path / "run", [shards]).tasks["alpha/hand"].model is not None


def test_folds_answer_every_trial_once(shards, encoder, tmp_path):
    """With a separate model for each task."""
    chosen = config(joint=False, scheme="kfold:4", steps=5)
    result = transfer(chosen, shards=[shards], out=tmp_path / "run", encoder=encoder)
    assert len(result.fits) == 2 * 4
    hand = finish(tmp_path / "run", [shards]).tasks["alpha/hand"]
    assert hand.n_test == 8 * 12
    assert set(hand.model.by_fold) == {f"fold-{i}" for i in range(4)}
    assert len(hand.model.by_subject) == 8
    assert hand.model.interval.over == "subjects"


def test_train_fraction_limits_the_trials(shards, encoder, tmp_path):
    chosen = config(train_fraction=0.25, steps=3, tasks=("hand",))
    (record,) = transfer(chosen, shards=[shards], out=tmp_path / "run", encoder=encoder).fits
    assert record.n_train == 18  # a quarter of 6 subjects' 12 trials


def test_fewer_trials_keep_subjects_folds_and_tests(shards, encoder, tmp_path):
    """`trials_per_class` limits training and test alike, so that fewer trials are encoded; the folds stay."""
    whole, fewer = (config(scheme="kfold:4", mode="probe", trials_per_class=n, steps=4) for n in (0, 2))
    runs = [tmp_path / "whole", tmp_path / "fewer"]
    for chosen, run in zip((whole, fewer), runs, strict=True):
        transfer(chosen, shards=[shards], out=run, encoder=encoder)
    every, some = (finish(run, [shards]).tasks["alpha/hand"] for run in runs)
    assert (every.n_test, some.n_test) == (8 * 12, 8 * 4)
    assert list(every.model.by_subject) == list(some.model.by_subject)
    (row,) = (r for r in compare_runs(runs) if r.task == "alpha/hand")
    assert row.n_trials == 8 * 4
    folds = [dict(zip(p.subject, p.fold, strict=True)) for p in map(_hand, runs)]
    assert folds[0] == folds[1]


def _hand(run):
    return Predictions.read(run / PREDICTIONS).trials["alpha/hand"]


def test_mapped_electrodes_are_in_the_result(synthetic, tmp_path, encoder):
    from eegprep.electrodes import Vocabulary
    from eegprep.electrodes.vocabulary import Electrode
    from eegprep.shards import build_shard_set

    strange = Vocabulary.base().extend([Electrode(name="X9", position_m=(0.0, 0.01, 0.1))])
    random = np.random.default_rng(0)
    subjects = [_subject(synthetic, random, f"{s:02d}") for s in range(5)]
    store = synthetic.MemoryStore(synthetic.manifest("odd"), [i for i, _ in subjects], {i.id: x for i, x in subjects})
    build_shard_set([store], tmp_path / "odd", vocabulary=strange, sync=False)
    with pytest.raises(RefusedError, match="not in the encoder's vocabulary"):
        transfer(config(steps=3), shards=[tmp_path / "odd"], out=tmp_path / "run", encoder=encoder)
    chosen = config(steps=3, unknown_electrodes="nearest")
    transfer(chosen, shards=[tmp_path / "odd"], out=tmp_path / "run", encoder=encoder)
    text = results_table(finish(tmp_path / "run", [tmp_path / "odd"]))
    assert "X9: mapped to" in text


def _subject(synthetic, random, subject):
    from eegprep.recording import Trial

    trials = [
        Trial(start_sample=k * 200, n_samples=200, task="hand", label=("left", "right")[k % 2]) for k in range(10)
    ]
    return synthetic.recording(random, subject, dataset="odd", electrodes=("Cz", "X9"), n_samples=2000, trials=trials)


def test_baselines_use_the_runs_trials(run, shards, tmp_path):
    predictions, results = score_baselines([shards], config(mode="scratch"), ("majority", "band_power"))
    ours = Predictions.read(run / "predictions.parquet")
    assert predictions.trials["alpha/hand"].keys() == ours.trials["alpha/hand"].keys()
    np.testing.assert_array_equal(
        predictions.stacked("alpha/hand", "band_power"), ours.stacked("alpha/hand", "band_power")
    )
    write_results(tmp_path, predictions, results)
    assert (tmp_path / "results.json").is_file()


def test_runs_are_compared_on_shared_trials(run, shards, encoder, tmp_path):
    other = tmp_path / "untrained"
    transfer(config(steps=1, learning_rate=1e-9, views=()), shards=[shards], out=other, encoder=encoder)
    finish(other, [shards])
    row = next(r for r in compare_runs([run, other]) if r.task == "alpha/hand")
    assert row.n_trials == 12
    assert row.mean > row.against_mean
    assert row.test.difference > 0
    assert comparison_csv([row]).count("\n") == 2
    with pytest.raises(UsageError, match="at least two runs"):
        compare_runs([run])
    with pytest.raises(InputError, match="without results"):
        compare_runs([run, tmp_path])
    with pytest.raises(UsageError, match="run not found"):
        compare_runs([run, tmp_path / "nothing"])
    with pytest.raises(UsageError, match="no predictions of 'bandpower'"):
        compare_runs([run, other], method="bandpower")


def test_damaged_weights_are_refused(run, shards, tmp_path):
    shutil.copytree(run, tmp_path / "copy")
    weights = tmp_path / "copy" / "fits" / "seed-0_division-0.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(RefusedError, match="damaged"):
        evaluate(tmp_path / "copy", [shards])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e38])
def test_useless_weights_are_refused(run, shards, tmp_path, value):
    """Neither such weights nor what they predict end in a table without our method."""
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    for weights in (copy / "fits").glob("*.safetensors"):
        tensors = load_tensors(weights)
        for name, tensor in tensors.items():
            if tensor.is_floating_point():
                tensors[name] = torch.full_like(tensor, value)
        save_tensors(weights, tensors)
    with pytest.raises(EEGPTError, match="not finite"):
        evaluate(copy, [shards], baselines=())


def test_regression_without_its_unit(run, shards, tmp_path):
    """A record without the mean and SD of a regression is refused; predictions would be in another unit."""
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    record = next((copy / "fits").glob("*.json"))
    plain = json.loads(record.read_text())
    assert plain["scales"]
    for scales in ([], [[key, float("nan"), sd] for key, _, sd in plain["scales"]]):
        record.write_text(json.dumps(plain | {"scales": scales}))
        for use in (lambda: evaluate(copy, [shards], baselines=()), lambda: open_model(copy)):
            with pytest.raises(EEGPTError):
                use()


def test_only_trained_heads_answer(run, tmp_path):
    """A head that the fit has not trained gives no prediction."""
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    assert len(open_model(copy).answers) > 1
    record = next((copy / "fits").glob("*.json"))
    plain = json.loads(record.read_text())
    record.write_text(json.dumps(plain | {"tasks": plain["tasks"][:1]}))
    assert len(open_model(copy).answers) == 1


def test_other_files_are_not_runs(encoder, shards, tmp_path):
    with pytest.raises(UsageError, match="is not a run"):
        evaluate(tmp_path, [shards])
    with pytest.raises(UsageError, match="another kind"):
        evaluate(encoder, [shards])
    (tmp_path / "predictions.parquet").write_bytes(b"no parquet")
    with pytest.raises(InputError):
        Predictions.read(tmp_path / "predictions.parquet")


def test_the_table_has_split_and_interval(run):
    text = results_table(results_of(run))
    assert "1 new subject," in text
    assert "95 % interval" in text
    assert "interval over the trials of one subject" in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 80


def test_pretraining_table_has_predictors():
    errors = {"all": 1.0, "horizon": [], "band": {}, "electrode": {}}
    predictors = {name: {"new": new, **errors} for name, new in (("model", 0.5), ("linear", 0.6), ("zero", 1.0))}
    held_out = {"n_windows": 7, "variance": 1.0, "predictors": predictors}
    run = {"steps": 1, "windows_seen": 1, "windows_per_epoch": 1, "parameters": 1, "unit": "sigma"}
    text = pretraining_table(PretrainingResults.model_validate({**run, "splits": {"test": held_out}}))
    assert text.splitlines()[-1].split() == ["test", "7", "0.5000", "0.6000", "–", "1.0000", "1.0000"]


@pytest.mark.parametrize(
    "change",
    [
        {"predictors": {}}, {"predictors": {"linear": "model"}}, {"predictors": {"model": "model", "x": "model"}},
        {"spectra": {"signal": [1.0]}}, {"spectra": {"hz": [1.0, 2.0], "model": [1.0]}},
        {"spectra": {"hz": [1.0], "x": [1.0]}},
        {"examples": [{"electrode": "Cz", "signal": [1.0, 2.0], "predictions": {"model": [1.0]}}]},
        {"examples": [{"electrode": "Cz", "signal": [1.0], "predictions": {"x": [1.0]}}]},
    ],
    ids=str,
)  # fmt: skip
def test_results_that_cannot_be_drawn(change):
    """Curves of different lengths and unknown predictors are refused when results.json is read."""
    errors = {"new": 1.0, "all": 1.0, "horizon": [], "band": {}, "electrode": {}}
    if "predictors" in change:
        change = {"predictors": dict.fromkeys(change["predictors"], errors)}
    with pytest.raises(ValidationError):
        HeldOutErrors.model_validate({"n_windows": 7, "variance": 1.0, "predictors": {"model": errors}, **change})


@pytest.mark.slow
def test_the_graph_on_band_power_is_seeded(shards):
    """It learns all tasks together and depends on seed and trials alone."""
    names = ("majority", "teg_band_power")
    predictions, results = score_baselines([shards], config(mode="scratch", seeds=(0, 1)), names)
    scored = {key: task.baselines["teg_band_power"] for key, task in results.tasks.items()}
    assert set(scored) == {"alpha/hand", "alpha/load"}
    assert scored["alpha/hand"].scores["balanced_accuracy"].mean > 0.8
    assert scored["alpha/load"].scores["r2"].mean > 0.3
    assert len(predictions.stacked("alpha/hand", "teg_band_power")) == 2
    assert "electrode graph on band power" in results_table(results)
    again, _ = score_baselines([shards], config(mode="scratch", seeds=(1,)), names[1:])
    np.testing.assert_array_equal(
        again.stacked("alpha/load", "teg_band_power")[0], predictions.stacked("alpha/load", "teg_band_power")[1]
    )


def test_a_run_from_before_a_setting_is_read_as_it_was(run, tmp_path):
    """Values were not compressed before there was a setting for it."""
    old = shutil.copytree(run, tmp_path / "old")
    saved = json.loads((old / CONFIG).read_text())
    assert saved["settings"]["model"].pop("compress") is True
    (old / CONFIG).write_text(json.dumps(saved))
    assert read_run(run).config.model.compress
    assert not read_run(old).config.model.compress
