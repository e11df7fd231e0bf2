"""Model cards from a run's files: data and licences, scores, limitations, and the metadata header for the hub."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

from eegprep.errors import RefusedError
from eegprep.manifest.croissant import markdown_text
from eegprep.manifest.licences import merge_licences
from eegprep.manifest.schema import Licence
from eegpt.evaluation.results import read_results
from eegpt.interop.model import Model
from eegpt.runs.folder import LOCK, RESULTS
from eegpt.runs.results import read_pretraining_results
from eegpt.version import __version__

_KNOWN = {"CC0-1.0": "cc0-1.0", "CC-BY-4.0": "cc-by-4.0", "CC-BY-NC-4.0": "cc-by-nc-4.0", "ODC-By-1.0": "odc-by"}


def refuse_passing_on(model: Model | SimpleNamespace) -> dict[str, Licence]:
    """The licence of each data set by name; RefusedError if one forbids sharing or is unknown."""
    licences = {d.name: d.licence for d in model.lock.all_data()}
    if (unknown := _unknown_origin(model)) is not None:
        named = ", ".join(model.lock.shard_sets)
        raise RefusedError(
            f"the training data of {unknown} are unknown, so it cannot be shared",
            where=model.folder / LOCK,
            found="no data sets" + (f"; shard sets {named}" if named else ""),
            expected="the data sets and their licences, as `eegpt train` and `eegpt transfer` write them",
            todo="train it again into a new folder from the same shard sets, which contain the licences, and push that",
        )
    for name, licence in licences.items():
        if licence.signed or not licence.share_shards:
            why = "each lab must sign" if licence.signed else "does not allow sharing what is derived"
            raise RefusedError(
                f"a model trained on {name} cannot be shared",
                found=f"licence {licence.id}, which {why}",
                todo="share the manifests, the configuration and the seed instead: another lab with the data trains it",
            )
    return licences


def _unknown_origin(model: Model | SimpleNamespace) -> str | None:
    """Which of the run and its encoder was trained on data that the lock does not name."""
    if not model.lock.all_data():
        return "the run"
    pretrained = model.run is not None and model.run.config.mode != "scratch"
    return "the run's encoder" if pretrained and not model.lock.encoder_data else None


def model_card(model: Model) -> str:
    """The README of a model."""
    entries = model.lock.all_data()
    whole = merge_licences([e.licence for e in entries]) if entries else None
    c = model.ete.config
    n_parameters = sum(p.numel() for p in (model.transfer or model.ete).parameters())
    lines = [
        "---",
        f"license: {_KNOWN.get(whole.id, 'other') if whole else 'other'}",
        *([f"license_name: {json.dumps(whole.id[:100])}"] if whole and whole.id not in _KNOWN else []),
        "library_name: eegpt",
        "tags: [eeg, electroencephalography, foundation-model]",
        "---",
        "",
        "# EEGPT " + ("encoder" if model.kind == "encoder" else "graph on a pre-trained encoder"),
        "",
        f"An open implementation of EEGPT (Yue et al., arXiv 2410.19779), version {__version__}: "
        f"{n_parameters:,} parameters, {c.n_layers} layers of width {c.width}, tokens of {c.token_samples} samples "
        f"every {c.token_stride} at {c.sfreq_hz:g} Hz, {len(model.vocabulary)} electrodes. SHA-256 of the weights: "
        f"`{model.sha256}`.",
        "",
        "```python",
        "import eegpt, mne",
        'raw = mne.io.read_raw("recording.edf")',
        'features = eegpt.embed(raw, model="hf://OWNER/NAME")',
        "```",
        "",
        "## Data",
        "",
    ]
    if entries:
        lines += ["| data set | version | licence | electrode-hours | cite |", "|---|---|---|---|---|"]
        for e in entries:
            hours = sum(chain.hours for chain in e.steps)
            cells = (e.title or e.name, e.version, e.licence.id, f"{hours:.1f}", e.citation)
            lines.append("| " + " | ".join(markdown_text(x) for x in cells) + " |")
    else:
        lines.append("The training data are unknown.")
    if whole is not None:
        lines += ["", f"Combined licence: {markdown_text(whole.id)}. Commercial use: {_told(whole.commercial_use)}."]
        if whole.note:
            lines += ["", markdown_text(whole.note)]
    lines += ["", "## Preprocessing", ""]
    lines += [
        f"- {hours:.1f} electrode-hours with the recipe `{recipe.name}`: "
        + "; ".join(_step(s.model_dump(exclude_none=True)) for s in recipe.steps)
        for recipe, hours in model.recipes()
    ] or ["Not known."]
    lines += ["", "## Scores", "", *_scores(model), "", "## Limits", "", *_limits(model), ""]
    return "\n".join(lines)


def _told(value: bool | None) -> str:
    return "not stated" if value is None else "yes" if value else "no"


def _step(step: dict[str, Any]) -> str:
    name = step.pop("step")
    return f"{name} ({', '.join(f'{k} {v}' for k, v in step.items())})" if step else str(name)


def _scores(model: Model) -> list[str]:
    """Tables from results.json, or a sentence if there is none."""
    if not (model.folder / RESULTS).is_file():
        return ["This run has no results.json."]
    return _pretraining(model) if model.kind == "encoder" else _tasks(model)


def _pretraining(model: Model) -> list[str]:
    splits = read_pretraining_results(model.folder).splits
    if not splits:
        return ["No held-out windows: errors on unseen signals are unknown."]
    lines = ["Error on new samples of windows of held-out subjects.", ""]
    lines += ["| split | windows | variance | encoder | linear autoregression | persistence | zero |", "|---" * 7 + "|"]
    for split, e in splits.items():
        named = ("model", "linear", "persistence", "zero")
        cells = [f"{e.predictors[n].new:.4f}" if n in e.predictors else "" for n in named]
        lines.append(f"| {markdown_text(split)} | {e.n_windows:,} | {e.variance:.4f} | " + " | ".join(cells) + " |")
    return lines


def _tasks(model: Model) -> list[str]:
    lines = ["Scores of the model and of baselines on the test trials.", ""]
    lines += ["| task | method | score | mean | SD over fits |", "|---" * 5 + "|"]
    for task, entry in read_results(model.folder).tasks.items():
        for method, row in entry.methods().items():
            for name, score in row.scores.items():
                if score.mean is not None:
                    sd = "" if score.sd is None else f"{score.sd:.3f}"
                    cells = (markdown_text(task), markdown_text(method), markdown_text(name), f"{score.mean:.3f}", sd)
                    lines.append("| " + " | ".join(cells) + " |")
    return lines


def _limits(model: Model) -> list[str]:
    lines = [
        "- Not a medical device; not tested for diagnosis.",
        f"- It knows {len(model.vocabulary)} electrodes by name; others are left out, or mapped on request.",
        f"- Signals are resampled to {model.ete.config.sfreq_hz:g} Hz; higher frequencies than half of that are lost.",
        "- Amplitudes are normalised per recording: amplitude differences between subjects are lost."
        if model.ete.config.normalise == "recording"
        else f"- Normalisation: {model.ete.config.normalise}.",
    ]
    if model.run is not None:
        tasks = [a.task + (f" ({', '.join(a.classes)})" if a.classes else "") for a in model.answers]
        lines.append("- It predicts only: " + "; ".join(map(markdown_text, tasks)) + ".")
        lines += [f"- Leakage: {markdown_text(model.run.leakage)}"] if model.run.leakage else []
        lines += [f"- Electrodes: {markdown_text(n)}" for n in model.run.electrode_notes[:20]]
    return lines
