"""The paper's comparisons as one command: arms that differ in one thing, encoders for each fold, going on."""

from __future__ import annotations

import dataclasses
import json

import pytest
import typer
from typer.testing import CliRunner

from _eegpt_cli import claims as command
from eegprep.errors import UsageError
from eegpt.pages.claims import claims_markdown, claims_table, verdict, write_claims_page
from eegpt.pretraining.config import PretrainConfig
from eegpt.runs.settings import changed
from eegpt.studies.claims import CLAIMS, ClaimsConfig, encoder_settings, plan, run_claims
from eegpt.transfer.config import TransferConfig

PRETRAIN = changed(PretrainConfig(), {
    "encoder.n_layers": 1, "encoder.width": 16, "encoder.n_heads": 2, "encoder.token_samples": 64,
    "encoder.token_stride": 32, "data.window_samples": (192,), "objective.kind": "new",
    "schedule.batch_size": 32, "schedule.micro_batch": 32, "schedule.steps": 3, "held_out.every": 0,
    "run.checkpoint_every": 0, "compute.precision": "float32",
    "run.tensorboard": False, "held_out.linear_windows": 40, "held_out.final_windows": 20,
})  # fmt: skip
TRANSFER = TransferConfig(scheme="kfold:3", tasks=("hand",), steps=4, evaluate_every=2, batch_size=8)
TINY = ClaimsConfig(
    sizes=("base", "1x32x2"), fractions=(0.5,), pretrain=PRETRAIN,
    transfer=TRANSFER,
)  # fmt: skip


def test_arms_of_one_claim_differ_in_one_thing():
    claims = {c.name: c for c in plan(ClaimsConfig(), datasets=("a", "b"))}
    assert list(claims) == list(CLAIMS)

    def differ(name: str) -> list[set[str]]:
        first, *others = claims[name].arms
        changed = []
        for arm in others:
            keys = {k for k, v in vars(arm.transfer).items() if v != getattr(first.transfer, k)}
            changed.append(keys | ({"encoder"} if arm.encoder != first.encoder else set()))
        return changed

    assert differ("joint") == [{"joint"}]
    assert differ("tuning") == [{"mode"}, {"mode"}]
    assert differ("scratch") == [{"mode"}]
    assert differ("labels") == [{"train_fraction"}] * 2
    assert differ("unseen") == [{"encoder", "datasets"}] * 2
    for name in ("untrained", "objective", "sizes", "fractions"):
        assert all(d == {"encoder"} for d in differ(name)), name
    assert [a.name for a in claims["objective"].arms] == ["new+spectrum", "token", "new", "masked"]
    runs = {a.run: a for c in claims.values() for a in c.arms}
    for claim in claims.values():  # arms that share a folder are the same run
        for arm in claim.arms:
            assert dataclasses.replace(arm, name=runs[arm.run].name) == runs[arm.run]


def test_the_graphs_claims_are_asked_of_the_papers_form_or_of_the_readout_that_is_named():
    (joint,) = plan(ClaimsConfig(claims=("joint",)), datasets=())
    assert {(a.transfer.readout, a.transfer.views) for a in joint.arms} == {("special", ())}
    on_views = dataclasses.replace(TRANSFER, readout="views")
    (joint,) = plan(ClaimsConfig(claims=("joint",), transfer=on_views), datasets=())
    assert {(a.transfer.readout, a.transfer.views) for a in joint.arms} == {("views", ())}
    with pytest.raises(UsageError, match="can't start from views"):
        plan(ClaimsConfig(claims=("tuning",), transfer=on_views), datasets=())


def test_encoders_are_the_common_one_but_for_what_they_are_named_after():
    common = PretrainConfig()

    def changed(name: str) -> dict[str, object]:
        settings = encoder_settings(name, common, datasets=("a", "b", "c"), n_windows=1000)
        return {k: v for k, v in vars(settings).items() if v != getattr(common, k)}

    assert changed("common") == {}
    assert changed("objective-token") == {"objective": "token"}
    assert changed("objective-masked") == {"objective": "masked", "final_windows": 1000}
    assert changed("size-large") == {"size": "large"}
    assert changed("size-2x64x2") == {"n_layers": 2, "width": 64, "n_heads": 2}
    assert changed("fraction-0.25") == {"max_windows": 250}
    assert changed("without-b") == {"datasets": ("a", "c")}
    assert changed("set-token_samples=128") == {"token_samples": 128}
    assert changed("untrained") == {"steps": 1, "warmup_steps": 0, "lr": 1e-9}


def test_settings_to_vary_are_questions_of_their_own_and_then_nothing_else_is_asked():
    config = ClaimsConfig(vary=("norm=pre", "token_samples=128", "token_samples=64"))
    norm, tokens = plan(config, datasets=("a", "b"))
    assert [a.name for a in norm.arms] == ["output", "pre"]
    assert [(a.name, a.encoder) for a in tokens.arms] == [
        ("256", "common"), ("128", "set-token_samples=128"), ("64", "set-token_samples=64"),
    ]  # fmt: skip
    both = plan(dataclasses.replace(config, claims=("labels",)), datasets=("a", "b"))
    assert [c.name for c in both] == ["labels", "norm", "token_samples"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"vary": ("token=1",)}, "token"),
        ({"claims": ("joints",)}, "no claim 'joints'"),
        ({"fractions": (1.0,)}, "a fraction is above 0 and below 1"),
        ({"sizes": ("base",)}, "takes two or more"),
    ],
)
def test_settings_that_ask_nothing_are_refused(settings, message):
    with pytest.raises(UsageError, match=message):
        ClaimsConfig(**settings)


@pytest.fixture(scope="module")
def answered(shards, other_shards, tmp_path_factory):
    """All claims on two data sets, once."""
    out = tmp_path_factory.mktemp("claims")
    said = []
    result = run_claims(TINY, shards=[shards, other_shards], out=out, tell=said.append)
    return out, result, said


@pytest.mark.slow
def test_every_claim_is_answered_on_the_same_trials_and_goes_on_where_it_was_stopped(shards, other_shards, answered):
    out, result, said = answered
    assert said[:2] == ["encoder common, 1 of 3", "encoder common, 2 of 3"]
    assert [c["name"] for c in result["claims"]] == list(CLAIMS)
    assert json.loads((out / "claims.json").read_text()) == result
    for claim in result["claims"]:
        assert len(claim["arms"]) > 1
        names = {a["name"] for a in claim["arms"]}
        for row in claim["comparisons"]:
            assert row["n_trials"] > 0
            assert row["against"] == claim["arms"][0]["name"]
            assert {row["run"], row["against"]} <= names
        for arm in claim["arms"]:
            assert all(0 <= v <= 1 for v in arm["tasks"].values())
    by_name = {c["name"]: c for c in result["claims"]}
    unseen = by_name["unseen"]["arms"]
    assert [a["name"] for a in unseen] == ["seen", "without alpha", "without beta"]
    assert [list(a["tasks"]) for a in unseen[1:]] == [["alpha/hand"], ["beta/hand"]]
    assert [a["encoder_error"] is None for a in unseen] == [False, True, True]
    assert [a["encoder_error"] is None for a in by_name["scratch"]["arms"]] == [False, True]
    for name in ("alpha", "beta"):
        seen = json.loads((out / "encoders" / f"without-{name}" / "0" / "seen.json").read_text())
        assert f'"{name}/' not in json.dumps(seen)
    # Three folds, an encoder each, and none has seen whom its fold tests: the runs carry no leakage.
    assert len(list((out / "encoders" / "common").iterdir())) == 3
    for run in (out / "runs").iterdir():
        assert json.loads((run / "results.json").read_text())["leakage"] == ""
    stamps = {p: p.stat().st_mtime_ns for p in out.rglob("*.safetensors")}
    assert run_claims(TINY, shards=[shards, other_shards], out=out) == result
    assert {p: p.stat().st_mtime_ns for p in out.rglob("*.safetensors")} == stamps


@pytest.mark.slow
def test_tables_and_page_say_who_is_ahead(shards, other_shards, answered):
    out, result, _ = answered
    text, markdown = claims_table(result), claims_markdown(result)
    for claim in result["claims"]:
        assert claim["question"] in text
        assert claim["question"] in markdown
    page = write_claims_page(result, shards=[shards, other_shards], out=out).read_text()
    assert page.count("alpha/hand: test trials") == 1
    assert page.count("beta/hand: test trials") == 1


def test_a_verdict_counts_tasks_and_points():
    rows = [
        {"run": "b", "against": "a", "mean": 0.7, "against_mean": 0.6, "p_value": 0.01},
        {"run": "b", "against": "a", "mean": 0.5, "against_mean": 0.6, "p_value": 0.04},
        {"run": "b", "against": "a", "mean": 0.66, "against_mean": 0.6, "p_value": None},
    ]
    (said,) = verdict({"arms": [{"name": "a"}, {"name": "b"}], "comparisons": rows})
    assert said == (
        "b against a: ahead on 2 of 3 tasks, on average +2.0 points; p < 0.05 for it on 1, against it on 1."
    )


def test_the_command_refuses_what_is_no_claim(shards, tmp_path):
    app = typer.Typer()
    command.register(app)
    app.callback()(lambda: None)
    found = CliRunner().invoke(app, ["claims", "--shards", str(shards), "--out", str(tmp_path), "--claims", "unsen"])
    assert isinstance(found.exception, UsageError)
    assert "unseen" in str(found.exception)
