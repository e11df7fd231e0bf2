"""A model to apply: an encoder's or a transfer run's folder, opened without trusting it.

What enters: a folder, or an address `hf://owner/name`. What leaves: `Model`. A stranger's folder may claim any size and
hold any file: sizes are held against the weights' own before anything is built, weights are safetensors alone, and
whatever else lies in the folder is never opened.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from eegprep.electrodes import Vocabulary
from eegprep.errors import InputError, RefusedError, UsageError
from eegprep.files import sha256_file
from eegprep.manifest import load_recipe
from eegprep.manifest.recipe import Recipe
from eegprep.steps.described import recipe_of_steps
from eegpt.model.ete import ETE, ETEConfig
from eegpt.runs import checkpoint as ck
from eegpt.runs.folder import CONFIG, VOCABULARY, WEIGHTS, Lock, read_config, read_json, read_lock
from eegpt.runs.settings import from_mapping
from eegpt.transfer.checkpoint import TransferRun, finished_fits, load_fit, read_run
from eegpt.transfer.model import TransferModel

__all__ = ["Model", "open_model", "as_model"]


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model with all that applying it needs.

    Attributes
    ----------
    folder : Path
    kind : str
        `encoder` or `transfer`.
    ete : ETE
        The encoder, in evaluation mode.
    vocabulary : Vocabulary
        The electrodes that its ids mean.
    sha256 : str
        Hash of the weights: the model's identity.
    config : dict
        The run's config.json as plain data.
    lock : Lock
    transfer : TransferModel or None
    run : TransferRun or None
    aligned_heads : frozenset of int
        Heads whose views were centred by person in training, and have to be for a new person.
    """

    folder: Path
    kind: str
    ete: ETE
    vocabulary: Vocabulary
    sha256: str
    config: dict[str, Any]
    lock: Lock
    transfer: TransferModel | None = None
    run: TransferRun | None = None
    aligned_heads: frozenset[int] = frozenset()

    @property
    def window_samples(self) -> int:
        """The longest window that the encoder was trained on; 1024 (the paper's 4 s) where its run does not say."""
        lengths = self.config.get("window_samples") or [1024]
        return max(int(n) for n in lengths)

    def recipes(self) -> list[tuple[Recipe, float]]:
        """Every recipe that the model's data were made with, and electrode-hours of each, most hours first."""
        found: list[tuple[Recipe, float]] = []
        for chain in (chain for entry in self.lock.data for chain in entry.steps):
            recipe = recipe_of_steps(chain.steps, sfreq_hz=chain.sfreq_hz, line_freq_hz=chain.line_freq_hz)
            same = next((i for i, (r, _) in enumerate(found) if r.steps == recipe.steps), None)
            if same is None:
                found.append((recipe, chain.hours))
            else:
                found[same] = (found[same][0], found[same][1] + chain.hours)
        return sorted(((_named(r), h) for r, h in found), key=lambda rh: -rh[1])

    def recipe(self, name_or_path: str | Path | Recipe | None = None) -> Recipe:
        """The recipe for a new signal: the one asked for, else that of most of the model's own data.

        Raises
        ------
        UsageError
            None is asked for, and the run does not say how its data were made.
        """
        if isinstance(name_or_path, Recipe):
            return name_or_path
        if name_or_path is not None:
            return load_recipe(name_or_path)
        own = self.recipes()
        if not own:
            raise UsageError(
                "the model does not say how its data were prepared",
                where=self.folder / "lock.yaml",
                found="a run without `data:` in its lock, as versions before this one wrote it",
                todo="name the recipe that its shards were made with, e.g. recipe='default' (--recipe default)",
            )
        return own[0][0]


def _named(recipe: Recipe) -> Recipe:
    """The shipped recipe of the same steps, so that it has its name; else the recipe itself."""
    for name in ("default", "default_average", "epochs", "epochs_average", "slow_potentials", "as_recorded"):
        if (shipped := load_recipe(name)).steps == recipe.steps:
            return shipped
    return recipe


def as_model(model: Model | str | Path, **options: Any) -> Model:
    """`model` itself, or the model of a folder or address."""
    return model if isinstance(model, Model) else open_model(model, **options)


def open_model(path: str | Path, *, device: torch.device | str = "cpu", fit: str | None = None) -> Model:
    """Open a run of `eegpt train` or `eegpt transfer`.

    Parameters
    ----------
    path : str or Path
        A folder, or `hf://owner/name` with `@revision` where wanted (fetched once into the hub's own cache).
    device : torch.device or str
    fit : str, optional
        Which fit of a transfer run; the first by default.

    Raises
    ------
    UsageError
        There is no run.
    InputError, RefusedError
        Its files do not fit together, or claim what cannot be.
    """
    text = str(path)
    if text.startswith(("hf://", "hf:/")):
        from eegpt.interop.hub import fetch

        folder = fetch(text)
    else:
        folder = Path(path)
    kind = _kind(folder)
    config = read_config(folder, kind=kind)
    weights = folder / WEIGHTS
    if not weights.is_file():
        others = sorted(p.name for p in folder.iterdir() if p.suffix in (".bin", ".pt", ".pth", ".pkl", ".ckpt"))
        raise InputError(
            "the run has no weights that can be read",
            where=folder,
            found=", ".join(others) + " (such files can hold code and are never opened)" if others else "no such file",
            expected=WEIGHTS,
        )
    _check_claims(config, weights, folder / CONFIG)
    sha256, lock = sha256_file(weights), read_lock(folder)
    if kind == "encoder":
        encoder = ck.load_encoder(folder, device=device)
        _check_finite(encoder.model, weights)
        return Model(
            folder=folder, kind=kind, ete=encoder.model.requires_grad_(False), vocabulary=encoder.vocabulary,
            sha256=sha256, config=config, lock=lock,
        )  # fmt: skip
    run = read_run(folder)
    if len(run.vocabulary) != run.encoder.n_electrodes:
        raise InputError(
            "the model and its vocabulary do not fit together",
            where=folder / VOCABULARY,
            found=f"{len(run.vocabulary)} electrodes",
            expected=f"{run.encoder.n_electrodes}",
        )
    fits = finished_fits(folder)
    name = fit or next(iter(fits), None)
    if name is None or name not in fits:
        raise UsageError(
            "the run has no such fit" if fits else "the run has no finished fit",
            where=folder / "fits",
            found=name,
            expected=", ".join(fits) or "fits/NAME.json",
            todo="run the same `eegpt transfer` again: it goes on where it stopped",
        )
    model = load_fit(run, fits[name], device=torch.device(device))
    path_of_fit = folder / "fits" / f"{name}.safetensors"
    _check_finite(model, path_of_fit)
    return Model(
        folder=folder, kind=kind, ete=model.ete, vocabulary=run.vocabulary, sha256=sha256_file(path_of_fit),
        config=config, lock=lock, transfer=model, run=run,
        aligned_heads=frozenset(run.head_of_task[k] for k in fits[name].aligned if k in run.head_of_task),
    )  # fmt: skip


def _kind(folder: Path) -> str:
    path = folder / CONFIG
    config = read_json(path) if path.is_file() else {}
    kind = config.get("kind")
    return kind if kind == "transfer" else "encoder"


def _check_claims(config: dict[str, Any], weights: Path, where: Path) -> None:
    """RefusedError where config.json claims more weights than the file has bytes: nothing of that size is built."""
    encoder = from_mapping(ETEConfig, config.get("encoder") or {}, where=f"{where}: encoder")
    graph, heads = config.get("graph") or {}, config.get("heads") or []
    try:
        D, layers = encoder.width, encoder.n_layers
        small = min(D, layers, encoder.n_heads, encoder.n_electrodes, encoder.token_samples)
        claimed = layers * 4 * D * D + D * (encoder.n_electrodes + 2 * encoder.token_samples)
        if encoder.position == "learned":
            claimed += encoder.max_tokens * D
        if graph:
            claimed += int(graph["n_layers"]) * int(graph["width"]) ** 2 + int(graph["n_electrodes"]) * D
            claimed += sum(int(h["n_outputs"]) for h in heads) * D
            small = min(small, int(graph["n_layers"]) + 1, int(graph["width"]), *(int(h["n_outputs"]) for h in heads))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError("config.json lacks a part of a run", where=where, found=repr(error)) from None
    if small < 1 or not 0 < encoder.ffn_ratio <= 64 or not 0 < encoder.sfreq_hz <= 1e5 or not encoder.clip >= 0:
        raise RefusedError(
            "config.json claims a model that can't be", where=where, found="a size of nothing, or no number"
        )
    if claimed > weights.stat().st_size:
        raise RefusedError(
            "config.json claims a larger model than its weights are",
            where=where,
            found=f"{claimed:,} weights or more",
            expected=f"at most the {weights.stat().st_size:,} bytes of {weights.name}",
        )


def _check_finite(model: torch.nn.Module, where: Path) -> None:
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise RefusedError("the weights hold values that are no numbers", where=where, found=name)
