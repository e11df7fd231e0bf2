"""A model to apply: the folder of a run of `eegpt train` or `eegpt transfer`, read as untrusted input.

A downloaded folder may claim any size and contain any file: sizes are compared with those of the weights before
anything is built, weights are read only as safetensors, and other files are never opened.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from eegprep.display import html_table, listed
from eegprep.electrodes import Vocabulary
from eegprep.errors import InputError, RefusedError, UsageError
from eegprep.files import sha256_file
from eegprep.manifest import load_recipe
from eegprep.manifest.recipe import Recipe, recipe_of_steps
from eegpt.model.config import MOST, ETEConfig, too_large
from eegpt.model.ete import ETE
from eegpt.runs.checkpoint import load_encoder
from eegpt.runs.folder import CONFIG, LOCK, VOCABULARY, WEIGHTS, Lock, read_config, read_json, read_lock
from eegpt.runs.settings import from_mapping
from eegpt.runs.weights import find
from eegpt.transfer.checkpoint import FITS, FitRecord, TransferRun, finished_fits, load_fit, read_run
from eegpt.transfer.model import TransferModel

_SIZES = ("n_layers", "width", "n_heads", "n_electrodes", "token_samples", "token_stride")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An output of a transfer run: probabilities of `classes`, or a value if there are none.

    `key` is the name of the output: `probability_<task>`, or `value_<task>` for a regression. `mean` and `sd` are those
    of a regression's training trials.
    """

    head: int
    task: str
    n_outputs: int
    classes: tuple[str, ...]
    mean: float = 0.0
    sd: float = 1.0

    @property
    def key(self) -> str:
        return f"{'probability' if self.classes else 'value'}_{self.task}"

    def in_unit(self, output: NDArray[np.float32]) -> NDArray[np.float32]:
        """The head's output; a regression's in the unit of its labels."""
        return output if self.classes else output * np.float32(self.sd) + np.float32(self.mean)


@dataclass(frozen=True, kw_only=True, repr=False)
class Model:
    """A model with everything needed to apply it; `kind` is `encoder` or `transfer`."""

    folder: Path
    kind: str
    ete: ETE  # in evaluation mode
    vocabulary: Vocabulary  # electrodes by id
    sha256: str  # of the weights: the model's identity
    window_samples: int  # the longest window in training; 1024 (the paper's 4 s) if not recorded
    lock: Lock
    trial_samples: int = 0  # the usual length of a transfer run's trials, the longest of its tasks; 0 if not recorded
    transfer: TransferModel | None = None
    run: TransferRun | None = None
    answers: tuple[Answer, ...] = ()  # the outputs of a transfer run, one per head
    aligned_heads: frozenset[int] = frozenset()  # whose views were standardised by subject in training

    def __repr__(self) -> str:
        n_parameters = sum(p.numel() for p in (self.transfer or self.ete).parameters())
        tasks = f", tasks {', '.join(a.task for a in self.answers)}" if self.answers else ""
        return f"Model({str(self.folder)!r}: {self.kind}, {n_parameters:,} parameters{tasks})"

    def _repr_html_(self) -> str:
        c, data = self.ete.config, self.lock.all_data()
        facts = {
            "kind": self.kind,
            "parameters": sum(p.numel() for p in (self.transfer or self.ete).parameters()),
            "encoder": f"{c.n_layers} layers of width {c.width}, objective {c.objective}",
            "tokens": f"{c.token_samples} samples every {c.token_stride} at {c.sfreq_hz:g} Hz",
            "window": f"{self.window_samples / c.sfreq_hz:g} s",
            "electrodes": f"{len(self.vocabulary)}: {listed(self.vocabulary.names)}",
            "trained on": listed([f"{d.name} ({d.licence.id})" for d in data]) or "unknown",
            "preprocessing": ", ".join(r.name for r, _ in self.recipes()),
            "SHA-256": self.sha256,
        }
        rows = [{"task": a.task, "classes": listed(a.classes) or "a number"} for a in self.answers]
        return html_table(f"Model {self.folder}", facts, rows)

    def recipes(self) -> list[tuple[Recipe, float]]:
        """Recipes of the model's training data with their electrode-hours, in descending order."""
        found: list[tuple[Recipe, float]] = []
        for chain in (chain for entry in self.lock.data for chain in entry.steps):
            recipe = recipe_of_steps(chain.steps)
            same = next((i for i, (r, _) in enumerate(found) if r.steps == recipe.steps), None)
            if same is None:
                found.append((recipe, chain.hours))
            else:
                found[same] = (found[same][0], found[same][1] + chain.hours)
        return sorted(((_named(r), h) for r, h in found), key=lambda rh: -rh[1])

    def recipe(self, name_or_path: str | Path | Recipe | None = None) -> Recipe:
        """The recipe for a new signal: the given one, else that of most of the model's training data.

        Raises
        ------
        UsageError
            None is given, and the run does not record how its data were preprocessed.
        """
        if isinstance(name_or_path, Recipe):
            return name_or_path
        if name_or_path is not None:
            return load_recipe(name_or_path)
        own = self.recipes()
        if not own:
            raise UsageError(
                "the preprocessing of the model's data is unknown",
                where=self.folder / LOCK,
                found="no data sets in its lock",
                todo="pass the recipe of its shards, e.g. recipe='default' (--recipe default)",
            )
        return own[0][0]


def _named(recipe: Recipe) -> Recipe:
    """The named shipped recipe with the same steps, if any, else the recipe itself."""
    for name in ("default", "default_average", "epochs", "epochs_average", "slow_potentials", "as_recorded"):
        if (shipped := load_recipe(name)).steps == recipe.steps:
            return shipped
    return recipe


def as_model(model: Model | str | Path, **options: Any) -> Model:
    """`model` itself, or the model opened from a folder or address."""
    return model if isinstance(model, Model) else open_model(model, **options)


def open_model(path: str | Path, *, device: torch.device | str = "cpu", fit: str | None = None) -> Model:
    """Open a run of `eegpt train` or `eegpt transfer`.

    Parameters
    ----------
    path : str or Path
        The packaged weights `base` or `small`, a folder, or `hf://owner/name`, optionally with `@revision` (downloaded
        once into the hub's cache).
    device : torch.device or str
    fit : str, optional
        Name of a fit of a transfer run; the first by default.

    Raises
    ------
    UsageError
        The run does not exist.
    InputError, RefusedError
        Its files are inconsistent or describe an invalid model.
    """
    try:
        device = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise UsageError("invalid device", found=repr(device)[:200], expected="cpu, cuda, cuda:1, mps") from error
    if str(path).startswith(("hf://", "hf:/")):
        from eegpt.interop.repository import fetch

        folder = fetch(str(path))
    else:
        folder = find(path)
    where = folder / CONFIG
    kind = "transfer" if where.is_file() and read_json(where).get("kind") == "transfer" else "encoder"
    config = read_config(folder, kind=kind)
    weights = folder / WEIGHTS
    if not weights.is_file():
        others = sorted(p.name for p in folder.iterdir() if p.suffix in (".bin", ".pt", ".pth", ".pkl", ".ckpt"))
        raise InputError(
            "the run has no readable weights",
            where=folder,
            found=", ".join(others) + " (they can contain code and are never opened)" if others else "no such file",
            expected=WEIGHTS,
        )
    check_size(config, weights, where)
    common: dict[str, Any] = {
        "folder": folder,
        "kind": kind,
        "window_samples": _longest(config.get("window_samples") or [1024], where),
        "trial_samples": _longest(config["trial_samples"], where) if config.get("trial_samples") else 0,
        "lock": read_lock(folder),
    }
    if kind == "encoder":
        encoder = load_encoder(folder, device=device)
        ete = encoder.model.requires_grad_(False)
        return Model(ete=ete, vocabulary=encoder.vocabulary, sha256=sha256_file(weights), **common)
    run, fits = read_run(folder), finished_fits(folder)
    if len(run.vocabulary) != run.encoder.n_electrodes:
        raise InputError(
            "the model and its vocabulary do not match",
            where=folder / VOCABULARY,
            found=f"{len(run.vocabulary)} electrodes",
            expected=f"{run.encoder.n_electrodes}",
        )
    name = fit or next(iter(fits), None)
    if name is None or name not in fits:
        raise UsageError(
            "the run has no such fit" if fits else "the run has no finished fit",
            where=folder / FITS,
            found=name,
            expected=", ".join(fits) or f"{FITS}/NAME.json",
            todo="run the same `eegpt transfer` again to resume it",
        )
    weights = folder / FITS / f"{name}.safetensors"
    model = load_fit(run, fits[name], device=device)
    return Model(
        ete=model.ete,
        vocabulary=run.vocabulary,
        sha256=sha256_file(weights),
        transfer=model,
        run=run,
        answers=_answers(run, fits[name]),
        aligned_heads=frozenset(run.head_of_task[k] for k in fits[name].aligned if k in run.head_of_task),
        **common,
    )


def _longest(lengths: Any, where: Path) -> int:
    if not isinstance(lengths, list) or not all(isinstance(n, int) and n > 0 for n in lengths):
        raise InputError("config.json lacks a part of a run", where=where, found=f"window_samples: {lengths!r}"[:200])
    return max(lengths)


def _answers(run: TransferRun, fit: FitRecord) -> tuple[Answer, ...]:
    """The outputs of the heads that a fit has trained.

    Duplicate task names are suffixed with the head's number; classes without names are numbered. A head that several
    data sets share has the mean and SD of the first.
    """
    trained = {run.head_of_task[key] for key in fit.tasks if key in run.head_of_task}
    names, out = [h.name for h in run.heads], []
    scales = {run.head_of_task[key]: (mean, sd) for key, mean, sd in reversed(fit.scales) if key in run.head_of_task}
    for i, head in enumerate(run.heads):
        if i not in trained:
            continue
        task = head.name if names.count(head.name) == 1 else f"{head.name}_{i}"
        classes = run.classes[i] if i < len(run.classes) else ()
        if head.kind != "regression" and len(classes) != head.n_outputs:
            classes = tuple(map(str, range(head.n_outputs)))
        regression = head.kind == "regression"
        mean, sd = scales[i] if regression else (0.0, 1.0)
        classes = () if regression else classes
        out.append(Answer(head=i, task=task, n_outputs=head.n_outputs, classes=classes, mean=mean, sd=sd))
    return tuple(out)


def _impossible(where: Path) -> RefusedError:
    return RefusedError(
        "config.json describes an impossible model", where=where, found="a size below 1, or a value out of range"
    )


def check_size(config: dict[str, Any], weights: Path, where: Path) -> None:
    """RefusedError if config.json describes more weights than the file contains, before allocating memory."""
    plain = config.get("encoder") or {}
    sizes = {name: plain.get(name) for name in (*_SIZES, *MOST)} if isinstance(plain, dict) else {}
    whole = {name: size for name, size in sizes.items() if isinstance(size, int)}
    if any(size < 1 for name, size in whole.items() if name in _SIZES) or too_large(whole):
        raise _impossible(where)
    encoder = from_mapping(ETEConfig, plain, where=f"{where}: encoder")
    graph, heads = config.get("graph") or {}, config.get("heads") or []
    try:
        D, layers, small = encoder.width, encoder.n_layers, 1
        n_weights = layers * 4 * D * D + D * (encoder.n_electrodes + 2 * encoder.token_samples)
        if encoder.position == "learned":
            n_weights += encoder.max_tokens * D
        if graph:
            outputs = [int(h["n_outputs"]) for h in heads]
            n_weights += int(graph["n_layers"]) * int(graph["width"]) ** 2 + int(graph["n_electrodes"]) * D
            n_weights += sum(outputs) * D
            small = min(int(graph["n_layers"]) + 1, int(graph["width"]), *outputs)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError("config.json lacks a part of a run", where=where, found=repr(error)) from None
    if small < 1 or not 0 < encoder.ffn_ratio <= 64 or not 0 < encoder.sfreq_hz <= 1e5 or not encoder.clip >= 0:
        raise _impossible(where)
    if n_weights > weights.stat().st_size:
        raise RefusedError(
            "config.json describes a larger model than its weights",
            where=where,
            found=f"{n_weights:,} weights or more",
            expected=f"at most the {weights.stat().st_size:,} bytes of {weights.name}",
        )
