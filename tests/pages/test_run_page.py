"""The page of a run: what results.json says is on it, it renders without errors, and attention adds up."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from eegprep.errors import InputError
from eegpt.evaluation.results import Results, read_results
from eegpt.model.teg import GraphAttention
from eegpt.pages.graph import attention_received
from eegpt.pages.run import find_pretraining_run, write_run_page
from eegpt.pages.tasks import score_tiles, scores

Browse = Callable[[Path], tuple[str, list[str]]]


def plain(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def test_page_shows_scores_and_errors(toy_run: Path, toy_shards: Path, tmp_path: Path) -> None:
    """The page shows the scores, the encoder's errors and what went in."""
    page = write_run_page(tmp_path / "run.html", run=toy_run, shards=[toy_shards], title="A small run")
    html = page.read_text(encoding="utf-8")
    said = plain(html)
    task = read_results(toy_run).tasks["toy/state"]
    model = task.mean(task.model)
    assert model is not None
    assert f"{100 * model:.1f}" in said
    assert "log spectrum, z-scored per subject" in said
    for anchor in ("scores", "confusion", "graph", "pretraining", "transfer", "data", "coverage", "left-out", "trials"):
        assert f'<section id="{anchor}"' in html
    for words in ("persistence", "linear autoregression", "held out", "CC-BY-4.0", "unknown_name", "Nobody (2026)"):
        assert words in said
    assert len(html) < 3 << 20
    assert str(tmp_path) not in html


def test_equal_runs_have_equal_pages(toy_run: Path, toy_shards: Path, tmp_path: Path) -> None:
    first = write_run_page(tmp_path / "a.html", run=toy_run, shards=[toy_shards])
    second = write_run_page(tmp_path / "b.html", run=toy_run, shards=[toy_shards])
    assert first.read_bytes() == second.read_bytes()


def test_the_page_renders_without_errors(toy_run: Path, toy_shards: Path, tmp_path: Path, browse: Browse) -> None:
    page = write_run_page(tmp_path / "run.html", run=toy_run, shards=[toy_shards])
    dom, console = browse(page)
    assert console == []
    assert dom.count("<svg") >= 8


def test_encoder_run_is_found_by_its_weights(toy_run: Path, tmp_path: Path) -> None:
    """The encoder's run is found by its weights, not by its name."""
    assert find_pretraining_run(toy_run) == toy_run.parent / "encoder"
    shutil.copytree(toy_run.parent, tmp_path / "runs")
    (tmp_path / "runs" / "encoder").rename(tmp_path / "runs" / "renamed")
    assert find_pretraining_run(tmp_path / "runs" / "model") == tmp_path / "runs" / "renamed"
    (tmp_path / "runs" / "renamed" / "model.safetensors").write_bytes(b"other weights")
    assert find_pretraining_run(tmp_path / "runs" / "model") is None


def test_run_without_encoder_has_a_page(toy_run: Path, toy_shards: Path, tmp_path: Path) -> None:
    """A run without its encoder still has a page."""
    shutil.copytree(toy_run, tmp_path / "model")
    page = write_run_page(tmp_path / "run.html", run=tmp_path / "model", shards=[toy_shards])
    said = plain(page.read_text(encoding="utf-8"))
    assert "linear autoregression" in said  # the errors came with the transfer run
    assert "Training loss and held-out error" not in page.read_text(encoding="utf-8")


def test_folder_without_results_is_refused(toy_shards: Path, tmp_path: Path) -> None:
    """A folder without results is refused and leaves no page."""
    with pytest.raises(InputError, match="without results"):
        write_run_page(tmp_path / "run.html", run=tmp_path, shards=[toy_shards])
    assert list(tmp_path.iterdir()) == []


def result(model: float, baseline: float, low: float) -> Results:
    def summary(value: float) -> dict[str, object]:
        return {
            "scores": {"balanced_accuracy": {"mean": value, "sd": None, "n": 1}},
            "by_seed": {},
            "by_subject": {},
            "interval": {"low": low, "high": value + 0.1, "level": 0.95, "over": "subjects", "n_units": 2},
        }

    task = {
        "dataset": "d", "task": "t", "kind": "classification", "classes": ["a", "b"], "within_subject": False,
        "n_train": 10, "n_test": 4, "n_test_subjects": 2, "score": "balanced_accuracy", "chance": 0.5,
        "model": summary(model), "baselines": {"band_power": summary(baseline)}, "known_results": [], "notes": [],
    }  # fmt: skip
    return Results.model_validate({"kind": "transfer", "tasks": {"d/t": task}, "seeds": [0]})


@pytest.mark.parametrize(
    ("model", "baseline", "low", "above", "ahead"), [(0.8, 0.7, 0.6, 1, 1), (0.6, 0.7, 0.45, 0, 0)]
)
def test_tiles_count_tasks_above_chance(model: float, baseline: float, low: float, above: int, ahead: int) -> None:
    """The tiles count tasks above chance and ahead of baselines."""
    assert [t.value for t in score_tiles(result(model, baseline, low))] == [f"{above} of 1", f"{ahead} of 1"]


def test_best_of_a_task_is_bold() -> None:
    """The best of a task is bold, also where it is a baseline."""
    table = next(p for p in scores(result(0.6, 0.7, 0.45)).parts if getattr(p, "kind", "") == "table")
    bold = [str(row[1]) for row in table.rows if "<strong>" in str(row[1])]  # type: ignore[union-attr]
    assert len(bold) == 1
    assert bold[0].startswith("<strong>70.0</strong>")


def test_allowed_leakage_is_on_the_page() -> None:
    """Leakage that was allowed stands on the page."""
    results = result(0.8, 0.7, 0.6).model_copy(update={"leakage": "test recordings were seen"})
    first = scores(results).parts[0]
    assert (first.kind, first.text, first.tone) == ("note", "test recordings were seen", "bad")  # type: ignore[union-attr]


@torch.no_grad()
def test_attention_received_averages_one() -> None:
    """Attention received is one on average, and padding takes none."""
    torch.manual_seed(0)
    module = GraphAttention(8)
    mask = torch.tensor([[True, True, True, False], [True, True, True, True]])
    beta = (mask.unsqueeze(2) & mask.unsqueeze(1)) | torch.eye(4, dtype=torch.bool)
    received = attention_received(module, torch.randn(2, 4, 8), beta)
    for row, own in zip(received, mask, strict=True):
        assert float(row[own].mean()) == pytest.approx(1.0, abs=1e-5)
    alike = attention_received(module, torch.ones(1, 4, 8), torch.ones(1, 4, 4, dtype=torch.bool))
    assert torch.allclose(alike, torch.ones(1, 4))
