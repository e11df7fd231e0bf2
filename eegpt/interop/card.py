"""A model card made of what a run's own files say: data and licences, scores, limits. Nothing is written by hand.

What enters: an open model. What leaves: Markdown with the header that the hub reads.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import eegpt
from eegprep.errors import InputError, RefusedError
from eegprep.manifest.licences import merge_licences
from eegprep.manifest.schema import Licence
from eegpt.interop.model import Model
from eegpt.interop.names import class_names, head_names

__all__ = ["licences_of", "model_card", "refuse_passing_on"]

_KNOWN = {"CC0-1.0": "cc0-1.0", "CC-BY-4.0": "cc-by-4.0", "CC-BY-NC-4.0": "cc-by-nc-4.0", "ODC-By-1.0": "odc-by"}


def licences_of(model: Model) -> dict[str, Licence]:
    """The licence of each data set, by its name."""
    return {d.name: d.licence for d in model.lock.all_data()}


def refuse_passing_on(model: Model) -> dict[str, Licence]:
    """The licences; RefusedError where one forbids to pass on what was derived, or is not known."""
    licences = licences_of(model)
    if (unknown := _unknown_origin(model, licences)) is not None:
        raise RefusedError(
            f"{unknown} does not say what it has learned from, so nobody can say whether it may be passed on",
            where=model.folder / "lock.yaml",
            found="no data sets: runs of early versions have no such part"
            + (f"; shard sets {', '.join(map(str, named))}" if (named := model.lock.shard_sets) else ""),
            expected="the data sets and their licences, as `eegpt train` and `eegpt transfer` write them now",
            todo="train it again into a new folder from the same shard sets, which hold the licences, and push that",
        )
    for name, licence in licences.items():
        if licence.signed or not licence.share_shards:
            why = "is signed by each lab for itself" if licence.signed else "does not let what is derived be passed on"
            raise RefusedError(
                f"a model that has learned from {name} is not to be passed on",
                found=f"licence {licence.id}, which {why}",
                todo="share the manifests, the configuration and the seed instead: another lab with the data trains it",
            )
    return licences


def _unknown_origin(model: Model, licences: dict[str, Licence]) -> str | None:
    """What has learned from data that the lock does not name: the run, or the encoder that it began with."""
    if not licences:
        return "the run"
    began = model.kind == "transfer" and (model.config.get("settings") or {}).get("mode") != "scratch"
    return "the run's encoder" if began and not model.lock.encoder_data else None


def model_card(model: Model) -> str:
    """The README of a model."""
    entries, licences = model.lock.all_data(), licences_of(model)
    whole = merge_licences(list(licences.values())) if licences else None
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
        f"An open implementation of EEGPT (Yue et al., arXiv 2410.19779), version {eegpt.__version__}: "
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
            lines.append("| " + " | ".join(_cell(x) for x in cells) + " |")
    else:
        lines.append("The run does not say what it has learned from.")
    if whole is not None:
        lines += ["", f"Licence of the whole: {_cell(whole.id)}. Commercial use: {_told(whole.commercial_use)}."]
        if whole.note:
            lines += ["", _cell(whole.note)]
    lines += ["", "## Preparation", ""]
    lines += [
        f"- {hours:.1f} electrode-hours with the recipe `{recipe.name}`: "
        + "; ".join(_step(s.model_dump(exclude_none=True)) for s in recipe.steps)
        for recipe, hours in model.recipes()
    ] or ["Not known."]
    lines += ["", "## Scores", "", *_scores(model), "", "## Limits", "", *_limits(model), ""]
    return "\n".join(lines)


def _cell(value: Any) -> str:
    return " ".join(str(value).replace("|", "\\|").replace("<", "&lt;").split())


def _told(value: bool | None) -> str:
    return "not stated" if value is None else "yes" if value else "no"


def _step(step: dict[str, Any]) -> str:
    name = step.pop("step")
    return f"{name} ({', '.join(f'{k} {v}' for k, v in step.items())})" if step else str(name)


def _scores(model: Model) -> list[str]:
    """Tables out of results.json; a sentence where there is none."""
    path = model.folder / "results.json"
    if not path.is_file():
        return ["This run has no results.json: nothing is claimed."]
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
        return _pretraining(results) if model.kind == "encoder" else _tasks(results)
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise InputError("results.json can't be read", where=path, found=repr(error)) from None


def _pretraining(results: dict[str, Any]) -> list[str]:
    lines = ["Error on the new samples of windows of people who were not trained on.", ""]
    splits = results.get("splits") or {}
    if not splits:
        return ["No held-out window: nothing can be said about signals that were not seen."]
    lines += ["| split | windows | variance | encoder | linear autoregression | persistence | zero |", "|---" * 7 + "|"]
    for split, e in splits.items():
        cells = [f"{e[n]['new']:.4f}" if n in e else "" for n in ("model", "linear", "persistence", "zero")]
        lines.append(f"| {_cell(split)} | {e['n_windows']:,} | {e['variance']:.4f} | " + " | ".join(cells) + " |")
    return lines


def _tasks(results: dict[str, Any]) -> list[str]:
    lines = ["On the test trials, baselines beside the model.", ""]
    lines += ["| task | method | score | mean | SD over fits |", "|---" * 5 + "|"]
    for task, entry in (results.get("tasks") or {}).items():
        rows = {"model": entry.get("model"), **(entry.get("baselines") or {})}
        for method, row in rows.items():
            for score, value in ((row or {}).get("scores") or {}).items():
                mean, sd = (value.get("mean"), value.get("sd")) if isinstance(value, dict) else (value, None)
                shown = "" if sd is None else f"{sd:.3f}"
                if isinstance(mean, (int, float)):
                    lines.append(f"| {_cell(task)} | {_cell(method)} | {_cell(score)} | {mean:.3f} | {shown} |")
    return lines


def _limits(model: Model) -> list[str]:
    lines = [
        "- Not a medical device; not tested for diagnosis.",
        f"- It knows {len(model.vocabulary)} electrodes by name; others are left out, or mapped on request.",
        f"- Signal is brought to {model.ete.config.sfreq_hz:g} Hz; what lies above half of that is not seen.",
        "- Amplitudes are divided by each recording's own: differences of amplitude between people are not seen."
        if model.ete.config.normalise == "recording"
        else f"- Normalisation: {model.ete.config.normalise}.",
    ]
    if model.transfer is not None:
        pairs = zip(head_names(model), class_names(model), strict=True)
        tasks = [f"{n.partition('_')[2]} ({', '.join(c)})" if n.startswith("p") else n[6:] for n, c in pairs]
        lines.append("- It answers nothing but: " + "; ".join(_cell(t) for t in tasks) + ".")
    leakage: Sequence[str] = [str(model.config.get("leakage") or "")]
    lines += [f"- Leakage: {_cell(text)}" for text in leakage if text]
    notes = model.config.get("electrode_notes") or []
    lines += [f"- Electrodes: {_cell(n)}" for n in notes[:20]]
    return lines
