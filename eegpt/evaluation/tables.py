"""`results.json` as a table: on a terminal, as plain text, as CSV.

What enters: the data that `summary.py` makes. What leaves: text. Percentages have one decimal; an asterisk on
a baseline says that our model differs from it at p < 0.05 (paired, not corrected for the number of tests). What
qualifies a table stands on it: within subject, leakage allowed, electrodes taken for others.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["result_rows", "plain_table", "results_table", "pretraining_table", "results_csv", "qualifications"]

SHORT = {
    "majority": "majority",
    "band_power": "band power + LR",
    "log_spectrum": "log spectrum + LR",
    "log_spectrum_by_person": "the same, by person",
    "slow_potentials": "slow potentials + LDA",
    "tangent_space": "tangent space + LR",
    "teg_band_power": "TEG on band power",
    "eegnet": "EEGNet",
    "shallow": "ShallowConvNet",
    "eegconformer": "EEGConformer",
    "labram": "LaBraM",
    "biot": "BIOT",
    "cbramod": "CBraMod",
    "eegpt_wang": "EEGPT (Wang et al.)",
}


def result_rows(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One flat row per task and method, our model first: what the CSV and other tools read."""
    rows = []
    for key, task in results["tasks"].items():
        methods = {"model": task["model"]} if "model" in task else {}
        methods |= task["baselines"]
        for method, summary in methods.items():
            test = summary.get("model_against_it") or {}
            rows.append(
                {
                    "task": key,
                    "method": method,
                    "within_subject": task["within_subject"],
                    "n_train": task.get("n_train"),
                    "n_test": task["n_test"],
                    "n_test_subjects": task["n_test_subjects"],
                    "chance": task["chance"],
                    **{f"{name}_{part}": v[part] for name, v in summary["scores"].items() for part in ("mean", "sd")},
                    "interval_low": (summary["interval"] or {}).get("low"),
                    "interval_high": (summary["interval"] or {}).get("high"),
                    "interval_over": (summary["interval"] or {}).get("over"),
                    "model_minus_method": test.get("difference"),
                    "p_value": test.get("p_value"),
                    "leakage": results.get("leakage", ""),
                }
            )
    return rows


def results_csv(results: Mapping[str, Any]) -> str:
    """The rows as CSV; columns that a task does not have are empty."""
    rows = result_rows(results)
    names = list(dict.fromkeys(name for row in rows for name in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def results_table(results: Mapping[str, Any]) -> str:
    """The table of a run: a line per task; balanced accuracy in percent (R² of regressions)."""
    tasks = results["tasks"]
    methods = list(dict.fromkeys(m for task in tasks.values() for m in task["baselines"] if m != "majority"))
    header = [
        "task",
        "split",
        "train/test",
        "chance",
        *(SHORT.get(m, m) for m in methods),
        "our model",
        "95 % interval",
    ]
    lines = []
    for key, task in tasks.items():
        split = "within subject" if task["within_subject"] else f"{task['n_test_subjects']} new subjects"
        cells = [key, split, f"{task.get('n_train', '?')}/{task['n_test']}", _percent(task["chance"])]
        for method in methods:
            summary = task["baselines"].get(method)
            p = ((summary or {}).get("model_against_it") or {}).get("p_value")
            cells.append(
                "–" if summary is None else _score(summary, task["score"]) + ("*" if p is not None and p < 0.05 else "")
            )
        model = task.get("model")
        interval = (model or {}).get("interval")
        cells.append("–" if model is None else _score(model, task["score"]))
        cells.append("–" if interval is None else f"{_percent(interval['low'])} to {_percent(interval['high'])}")
        lines.append(cells)
    text = plain_table(header, lines)
    return "\n".join([text, *qualifications(results)])


def pretraining_table(pretraining: Mapping[str, Any]) -> str:
    """The encoder's error on the new samples of held-out windows beside the predictors that need no network."""
    header = ["pre-training, new samples", "windows", "model", "linear", "persistence", "zero", "variance"]
    lines = [
        [
            split,
            str(errors["n_windows"]),
            *(
                f"{errors[name]['new']:.4f}" if name in errors else "–"
                for name in ("model", "linear", "persistence", "zero")
            ),
            f"{errors['variance']:.4f}",
        ]
        for split, errors in pretraining.get("splits", {}).items()
    ]
    return plain_table(header, lines)


def qualifications(results: Mapping[str, Any]) -> list[str]:
    """The sentences that belong under every table of these results."""
    out = ["balanced accuracy in percent (R² of regressions); * our model differs, p < 0.05, paired, uncorrected"]
    seeds = results.get("seeds", [])
    out.append(f"split: {results.get('scheme', 'split')}; seeds: {', '.join(map(str, seeds))}" if seeds else "")
    if results.get("leakage"):
        out.append(results["leakage"])
    out += [f"electrodes: {note}" for note in results.get("electrode_notes", ())]
    for key, task in results["tasks"].items():
        out += [f"{key}: {note}" for note in task.get("notes", ())]
        out += [f"{key}: known: {k['metric']} {k['value']:g} ({k['who']})" for k in task.get("known_results", ())]
        intervals = (task.get("model") or {}).get("interval")
        if intervals and intervals["over"] == "trials":
            out.append(f"{key}: interval over trials of one person: it says nothing about other people")
    return [line for line in out if line]


def plain_table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Columns padded to their widest cell: readable on any terminal, in a log and in a document."""
    widths = [max(len(str(row[i])) for row in [header, *lines]) for i in range(len(header))]

    def row(cells: Sequence[str]) -> str:
        return "  ".join(
            str(c).ljust(w) if i == 0 else str(c).rjust(w) for i, (c, w) in enumerate(zip(cells, widths, strict=True))
        ).rstrip()

    return "\n".join([row(header), "  ".join("-" * w for w in widths), *(row(line) for line in lines)])


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"


def _score(summary: Mapping[str, Any], name: str) -> str:
    score = summary["scores"][name]
    if score["mean"] is None:
        return "–"
    sd = score["sd"]
    return _percent(score["mean"]) + (f" ± {_percent(sd)}" if sd is not None else "")
