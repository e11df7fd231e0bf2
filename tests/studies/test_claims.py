"""The paper's comparisons as one command: arms that differ in one thing, encoders for each fold, going on."""

from __future__ import annotations

import dataclasses
import json

import pytest
import typer
from support.transfer_runs import settings
from typer.testing import CliRunner

from _eegpt_cli import claims as command
from eegprep.errors import UsageError
from eegpt.evaluation.compare import Comparison
from eegpt.evaluation.intervals import PairedTest
from eegpt.evaluation.paired import Difference
from eegpt.evaluation.results import read_results
from eegpt.pages.claims import claims_markdown, claims_table, verdict, write_claims_page
from eegpt.pretraining.config import PretrainConfig
from eegpt.runs.settings import changed, differences, to_mapping
from eegpt.studies.claims import CLAIMS, Answer, ArmResult, Claim, ClaimsConfig, ClaimsResult, plan, run_claims

PRETRAIN = changed(PretrainConfig(), {
    "encoder.n_layers": 1, "encoder.width": 16, "encoder.n_heads": 2, "encoder.token_samples": 64,
    "encoder.token_stride": 32, "data.window_samples": (192,), "objective.kind": "new",
    "schedule.batch_size": 32, "schedule.micro_batch": 32, "schedule.steps": 3, "held_out.every": 0,
    "run.checkpoint_every": 0, "compute.precision": "float32",
    "run.tensorboard": False, "held_out.linear_windows": 40, "held_out.final_windows": 20,
})  # fmt: skip
TRANSFER = settings(scheme="kfold:3", tasks=("hand",), steps=4, evaluate_every=2, batch_size=8)
TINY = ClaimsConfig(
    sizes=("1x16x2", "1x32x2"), fractions=(0.5,), pretrain=PRETRAIN,
    transfer=TRANSFER,
)  # fmt: skip


def changes(config, other):
    """The paths of the settings in which two configurations differ."""
    return {path: new for path, (_, new) in differences(to_mapping(config), to_mapping(other)).items()}


def test_arms_differ_in_one_thing():
    claims = {c.name: c for c in plan(ClaimsConfig(), datasets=("a", "b"))}
    assert list(claims) == list(CLAIMS)

    def differ(name: str) -> list[set[str]]:
        first, *others = claims[name].arms
        return [
            {*changes(first.transfer, arm.transfer), *(["encoder"] if arm.encoders != first.encoders else [])}
            for arm in others
        ]

    assert differ("joint") == [{"joint"}]
    assert differ("tuning") == [{"mode"}, {"mode"}]
    assert differ("scratch") == [{"mode"}]
    assert differ("labels") == [{"data.train_fraction"}] * 2
    assert differ("unseen") == [{"encoder", "data.datasets"}] * 2
    for name in ("untrained", "objective", "sizes", "fractions"):
        assert all(d == {"encoder"} for d in differ(name)), name
    assert [a.name for a in claims["objective"].arms] == ["new+spectrum", "token", "new", "masked"]
    runs = {a.run: a for c in claims.values() for a in c.arms}
    for claim in claims.values():  # arms that share a folder are the same run
        for arm in claim.arms:
            assert dataclasses.replace(arm, name=runs[arm.run].name) == runs[arm.run]


def test_graph_claims_use_the_readout():
    """Claims about the graph are made in the paper's form, or with a readout that is named."""
    (joint,) = plan(ClaimsConfig(claims=("joint",)), datasets=())
    assert {(a.transfer.readout, a.transfer.views) for a in joint.arms} == {("special", ())}
    on_views = changed(TRANSFER, {"model.readout": "views"})
    (joint,) = plan(ClaimsConfig(claims=("joint",), transfer=on_views), datasets=())
    assert {(a.transfer.readout, a.transfer.views) for a in joint.arms} == {("views", ())}
    with pytest.raises(UsageError, match="cannot start from views"):
        plan(ClaimsConfig(claims=("tuning",), transfer=on_views), datasets=())


def test_encoders_differ_as_their_names_say():
    common = PretrainConfig()
    config = ClaimsConfig(sizes=("base", "large", "2x64x2"), fractions=(0.25,))
    every = ClaimsConfig(vary=("encoder.token_samples=128",))
    claims = [*plan(config, datasets=("a", "b", "c")), *plan(every, datasets=())]
    encoders = {arm.encoders.name: arm.encoders for claim in claims for arm in claim.arms}

    def of(name: str) -> dict[str, object]:
        return changes(common, encoders[name].config(common, datasets=("a", "b", "c"), n_windows=1000))

    assert of("common") == {}
    assert of("objective-token") == {"objective.kind": "token"}
    assert of("objective-masked") == {"objective.kind": "masked", "held_out.final_windows": 1000}
    assert of("size-large") == {"encoder.size": "large"}
    assert of("size-2x64x2") == {"encoder.n_layers": 2, "encoder.width": 64, "encoder.n_heads": 2}
    assert of("fraction-0.25") == {"data.max_windows": 250}
    assert of("without-b") == {"data.datasets": ["a", "c"]}
    assert of("set-encoder.token_samples=128") == {"encoder.token_samples": 128}
    small = ClaimsConfig(sizes=("base", "large", "1x16x2"), claims=("sizes",), pretrain=PRETRAIN)
    (sizes,) = plan(small, datasets=())
    shapes = [arm.encoders.config(PRETRAIN, datasets=()).ete(138) for arm in sizes.arms]
    assert [(s.n_layers, s.width, s.n_heads) for s in shapes] == [(3, 128, 4), (9, 256, 8), (1, 16, 2)]
    assert sizes.arms[2].encoders.name == "common"
    untrained = {"schedule.steps": 1, "schedule.warmup_steps": 0, "optimiser.learning_rate": 1e-9}
    assert of("untrained") == untrained


def test_the_common_value_is_one_arm():
    """A value that the common encoder has already is neither trained nor compared a second time."""
    config = ClaimsConfig(vary=("encoder.token_samples=64", "encoder.token_samples=128"))
    (tokens,) = plan(config, datasets=("a", "b"))
    assert [a.encoders.name for a in tokens.arms] == ["common", "set-encoder.token_samples=128"]
    with pytest.raises(UsageError, match="only the value that it has already"):
        ClaimsConfig(vary=("encoder.token_samples=64",))


def test_varied_settings_are_questions():
    """They are asked alone unless claims are named as well."""
    config = ClaimsConfig(vary=("encoder.norm=pre", "encoder.token_samples=256", "encoder.token_samples=128"))
    norm, tokens = plan(config, datasets=("a", "b"))
    assert [a.name for a in norm.arms] == ["output", "pre"]
    assert [(a.name, a.encoders.name) for a in tokens.arms] == [
        ("64", "common"),
        ("256", "set-encoder.token_samples=256"),
        ("128", "set-encoder.token_samples=128"),
    ]
    both = plan(dataclasses.replace(config, claims=("labels",)), datasets=("a", "b"))
    assert [c.name for c in both] == ["labels", "encoder.norm", "encoder.token_samples"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"vary": ("token=1",)}, "token"),
        ({"claims": ("joints",)}, "unknown claim 'joints'"),
        ({"fractions": (1.0,)}, "a fraction must be above 0 and below 1"),
        ({"sizes": ("base",)}, "at least two"),
    ],
)
def test_invalid_claims_are_refused(wrong, message):
    with pytest.raises(UsageError, match=message):
        ClaimsConfig(**wrong)


@pytest.fixture(scope="module")
def answered(shards, other_shards, tmp_path_factory):
    """All claims on two data sets, once."""
    out = tmp_path_factory.mktemp("claims")
    said = []
    result = run_claims(TINY, shards=[shards, other_shards], out=out, tell=said.append)
    return out, result, said


@pytest.mark.slow
def test_all_claims_are_answered_and_resumed(shards, other_shards, answered):
    """Every claim is answered on the same trials, and the same command makes nothing again."""
    out, result, said = answered
    assert said[:2] == ["encoder common, 1 of 3", "encoder common, 2 of 3"]
    answers = {a.claim.name: a for a in result.answers}
    assert list(answers) == list(CLAIMS)
    assert json.loads((out / "claims.json").read_text()) == result.as_json()
    for answer in result.answers:
        assert len(answer.arms) > 1
        names = {a.name for a in answer.arms}
        for row in answer.comparisons:
            assert row.n_trials > 0
            assert row.against == answer.arms[0].name
            assert {row.run, row.against} <= names
        for arm in answer.arms:
            ours = [c.mean - c.against_mean for c in answer.comparisons if c.run == arm.name]
            if arm is answer.arms[0]:
                assert arm.difference is None
            else:
                assert arm.difference.value == pytest.approx(sum(ours) / len(ours))
                assert arm.difference.low <= arm.difference.value <= arm.difference.high
            assert all(0 <= v <= 1 for v in arm.tasks.values())
    assert [a.together is not None for a in result.answers] == [name == "unseen" for name in CLAIMS]
    assert answers["unseen"].together.n_units == 8 + 5
    unseen = answers["unseen"].arms
    assert [a.name for a in unseen] == ["seen", "without alpha", "without beta"]
    assert [list(a.tasks) for a in unseen[1:]] == [["alpha/hand"], ["beta/hand"]]
    assert [a.encoder_error is None for a in unseen] == [False, True, True]
    assert [a.encoder_error is None for a in answers["scratch"].arms] == [False, True]
    for name in ("alpha", "beta"):
        seen = json.loads((out / "encoders" / f"without-{name}" / "0" / "seen.json").read_text())
        assert f'"{name}/' not in json.dumps(seen)
    # Three folds, an encoder each, and none has seen its fold's test subjects: the runs have no leakage.
    assert len(list((out / "encoders" / "common").iterdir())) == 3
    for run in (out / "runs").iterdir():
        assert read_results(run).leakage == ""
    stamps = {p: p.stat().st_mtime_ns for p in out.rglob("*.safetensors")}
    assert run_claims(TINY, shards=[shards, other_shards], out=out) == result
    assert {p: p.stat().st_mtime_ns for p in out.rglob("*.safetensors")} == stamps


@pytest.mark.slow
def test_tables_and_page_show_all_claims(shards, other_shards, answered):
    out, result, _ = answered
    text, markdown = claims_table(result), claims_markdown(result)
    for answer in result.answers:
        assert answer.claim.question in text
        assert answer.claim.question in markdown
    page = write_claims_page(result, shards=[shards, other_shards], out=out).read_text()
    assert page.count("alpha/hand: test trials") == 1
    assert page.count("beta/hand: test trials") == 1


def test_a_verdict_counts_tasks_and_points():
    rows = [
        Comparison(
            task="t", score="balanced_accuracy", within_subject=False, run="b", against="a", n_trials=1, n_subjects=1,
            mean=mean, against_mean=0.6, leakage="",
            test=None if p is None else PairedTest(difference=0.0, p_value=p, test="", n_units=1),
        )
        for mean, p in ((0.7, 0.01), (0.5, 0.04), (0.66, None))
    ]  # fmt: skip
    arms = [ArmResult(name=name, run=name, tasks={}, mean=None, encoder_error=None) for name in ("a", "b")]
    claim = Claim(name="joint", question="?", arms=())
    (said,) = verdict(Answer(claim=claim, arms=arms, comparisons=rows))
    assert said == (
        "b against a: ahead on 2 of 3 tasks, on average +2.0 points; p < 0.05 for it on 1, against it on 1."
    )
    found = Difference(value=0.02, low=-0.01, high=0.054, p_value=0.0004, n_units=9)
    arms = [arms[0], dataclasses.replace(arms[1], difference=found)]
    said = verdict(Answer(claim=claim, arms=arms, comparisons=rows, together=found))
    assert said == [
        "b against a: ahead on 2 of 3 tasks, on average +2.0 (-1.0 to +5.4) points, p < 0.001; "
        "p < 0.05 for it on 1, against it on 1.",
        "All together: +2.0 (-1.0 to +5.4) points, p < 0.001.",
    ]


def test_tables_have_a_column_for_each_arm():
    """So nine tasks fit, and the means, differences and errors are below them."""
    tasks = {f"data/task_{i}": 0.5 for i in range(9)}
    found = Difference(value=-0.02, low=-0.05, high=0.01, p_value=0.2, n_units=9)
    arms = [
        ArmResult(name="all", run="all", tasks=tasks, mean=0.5, encoder_error=0.8),
        ArmResult(
            name="part", run="part", tasks={"data/task_0": 0.48}, mean=0.48, encoder_error=None, difference=found
        ),
    ]
    answer = Answer(claim=Claim(name="labels", question="Why?", arms=()), arms=arms, comparisons=[])
    lines = claims_markdown(ClaimsResult(scheme="kfold:5", seeds=(0,), answers=[answer])).splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert table[0] == "| task | all | part |"
    assert table[2:4] == ["| task_0 | 50.0 | 48.0 |", "| task_1 | 50.0 | – |"]
    assert table[-4:] == [
        "| mean | 50.0 | – |",
        "| difference, 95 % interval | – | -2.0 (-5.0 to +1.0) |",
        "| p of the difference | – | 0.200 |",
        "| encoder's error | 0.800 | – |",
    ]


def test_the_command_refuses_unknown_claims(shards, tmp_path):
    app = typer.Typer()
    command.register(app)
    app.callback()(lambda: None)
    found = CliRunner().invoke(app, ["claims", "--shards", str(shards), "--out", str(tmp_path), "--claims", "unsen"])
    assert isinstance(found.exception, UsageError)
    assert "unseen" in str(found.exception)
