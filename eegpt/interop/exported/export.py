"""Export a model as one standalone file: torch.export (`.pt2`, for `torch.export.load`) or ONNX (`.onnx`).

A `.json` beside it documents inputs and outputs: electrode ids by name, classes, window, rate, recipe, hash. Inputs are
microvolt at 256 Hz after the recipe's steps; batch size and, for the graph, the number of electrodes are dynamic; the
window length is fixed. Normalisation and tokenisation are included.
"""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from eegprep.electrodes.references import SCHEMES
from eegprep.errors import UsageError, install, nearest
from eegprep.files import atomic_path, output_file, write_json
from eegprep.recording import STANDARD_SFREQ_HZ
from eegpt.interop.exported.graphs import EncoderGraph, TaskGraph
from eegpt.interop.model import Model, as_model
from eegpt.version import __version__

Format = Literal["onnx", "pt2"]


@dataclass(frozen=True, kw_only=True)
class Exported:
    """The files written, and the largest difference from the eager model on random input."""

    path: Path
    description: Path
    largest_difference: float


def exportable(
    model: Model, *, task: str | None = None, n_samples: int | None = None
) -> tuple[nn.Module, tuple[Any, ...]]:
    """The module to export and an example of its inputs.

    Parameters
    ----------
    task : str, optional
        Task of a transfer run; optional if there is only one. `encoder` exports only the encoder.
    n_samples : int, optional
        Window length; by default the longest in the encoder's training.
    """
    n = model.window_samples if n_samples is None else n_samples
    random = torch.Generator().manual_seed(0)
    V = model.ete.config.n_electrodes
    if not model.ete.config.causal:
        raise UsageError("an encoder with the masked objective cannot be exported", expected="a causal encoder")
    if model.transfer is None or task == "encoder":
        signal = 20 * torch.randn(3, n, generator=random)
        inputs: tuple[Any, ...] = (signal, torch.tensor([10.0, 20.0, 30.0]), torch.tensor([0, 1, V - 1]))
        return EncoderGraph(model.ete, n).eval(), inputs
    if model.transfer.readout == "band_power":
        raise UsageError(
            "a graph on band power does not read the encoder and cannot be exported",
            found="readout 'band_power'",
            todo="export the encoder (task='encoder'), or transfer with another readout",
        )
    if model.transfer.reads_pairs or model.transfer.reads_whitened:
        raise UsageError(
            "a model that reads pairs of electrodes or whitened signals cannot be exported",
            found="functions of covariance matrices among its inputs, which these formats cannot compute",
            todo="export the encoder (task='encoder'), or transfer with --set model.edges=none --set "
            "'model.views=[states,dynamics,spectrum,course,level]'",
        )
    head = _head(model, task)
    signal = 20 * torch.randn(2, 3, n, generator=random)
    electrode = torch.tensor([[0, 1, V - 1], [V - 1, 2, 0]])
    mask = torch.tensor([[True, True, True], [True, True, False]])
    aligned = model.transfer.sees_views and head in model.aligned_heads
    module = TaskGraph(model.transfer, n, head, aligned=aligned).eval()
    inputs = (signal, torch.full((2, 3), 15.0), electrode, mask)
    if aligned:
        mean, spread = (torch.randn(2, 3, model.transfer.n_views, generator=random) for _ in range(2))
        inputs = (*inputs, mean, 1 + spread.square())
    return module, inputs


def _head(model: Model, task: str | None) -> int:
    names = [answer.task for answer in model.answers]
    if task is None and len(names) == 1:
        return 0
    if task not in names:
        raise UsageError(
            "the run has several tasks" if task is None else f"the run has no task {task!r}",
            expected=", ".join([*names, "encoder"]),
            todo=nearest(task or "", names) or "choose one with task= (--task)",
        )
    return names.index(task)


def _dynamic(inputs: tuple[Any, ...]) -> tuple[dict[int, Any], ...]:
    """Dynamic batch size, and number of electrodes if there is such a dimension."""
    batch = torch.export.Dim("batch", min=1, max=1 << 16)
    if len(inputs) == 3:
        return ({0: batch},) * 3
    electrodes = torch.export.Dim("electrodes", min=1, max=1 << 12)
    return ({0: batch, 1: electrodes},) * len(inputs)


def export(
    model: Model | str | Path,
    out: Path | str,
    *,
    format: Format | None = None,
    task: str | None = None,
    n_samples: int | None = None,
) -> Exported:
    """Write a model as one file, and compare its outputs with those of the eager model.

    Parameters
    ----------
    out : Path
        Ends in `.onnx` or `.pt2`, unless `format` is given.
    task, n_samples
        See `exportable`.

    Raises
    ------
    UsageError
        Unknown format, or a missing extra.
    """
    out = output_file(out)
    chosen = format or out.suffix.removeprefix(".")
    if chosen not in ("onnx", "pt2"):
        raise UsageError("unknown format", found=str(out.name), expected="a name that ends in .onnx or .pt2")
    opened = as_model(model)
    module, inputs = exportable(opened, task=task, n_samples=n_samples)
    with torch.no_grad():
        program = torch.export.export(module, inputs, dynamic_shapes=_dynamic(inputs), strict=False)
    names = ("signal_uv", "sigma_uv", "electrode", "mask", "view_mean", "view_sd")[: len(inputs)]
    outputs: tuple[str, ...] = ("states", "features")
    if isinstance(module, TaskGraph):
        outputs = ("output",) if module.views is None else ("output", "views")
    with atomic_path(out) as part:
        if chosen == "pt2":
            # torch requires this suffix.
            temporary = part.with_name(part.name + ".pt2")
            torch.export.save(program, temporary)
            temporary.replace(part)
        else:
            _write_onnx(program, part, names, outputs)
    largest = _difference(module, inputs, out, chosen, names)
    description = out.with_suffix(out.suffix + ".json")
    write_json(description, _description(opened, module, inputs, names, outputs))
    return Exported(path=out, description=description, largest_difference=largest)


def _write_onnx(program: Any, part: Path, names: tuple[str, ...], outputs: tuple[str, ...]) -> None:
    try:
        import onnxscript  # noqa: F401  torch's exporter needs it and would say so less clearly
    except ModuleNotFoundError:
        raise UsageError("ONNX needs an extra", todo=install("export")) from None
    quiet = logging.getLogger("torch.onnx")
    level = quiet.level
    quiet.setLevel(logging.ERROR)  # it reports that torchvision is missing, which is not needed
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # torch's warnings about itself
            written = torch.onnx.export(
                program,
                input_names=list(names),
                output_names=list(outputs),
                dynamo=True,
                verbose=False,
                external_data=False,
            )
    finally:
        quiet.setLevel(level)
    if written is None:
        raise UsageError("torch has no ONNX exporter for this program")
    written.save(str(part))


def _difference(module: nn.Module, inputs: tuple[Any, ...], path: Path, chosen: str, names: tuple[str, ...]) -> float:
    """Largest absolute difference from the eager model on a batch other than the exported one."""
    more = tuple(torch.cat((x, x.flip(0)))[:-1] for x in inputs)
    with torch.no_grad():
        eager = module(*more)
    eager = eager if isinstance(eager, tuple) else (eager,)
    if chosen == "pt2":
        with torch.no_grad():
            found = torch.export.load(path).module()(*more)
        found = found if isinstance(found, tuple) else (found,)
    else:
        try:
            import onnxruntime
        except ModuleNotFoundError:
            return float("nan")
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        found = tuple(
            torch.from_numpy(o) for o in session.run(None, {n: x.numpy() for n, x in zip(names, more, strict=True)})
        )
    return max(float((a - b).abs().max()) for a, b in zip(eager, found, strict=True))


def _description(
    model: Model, module: nn.Module, inputs: tuple[Any, ...], names: tuple[str, ...], outputs: tuple[str, ...]
) -> dict[str, Any]:
    recipes = model.recipes()
    out: dict[str, Any] = {
        "model_sha256": model.sha256,
        "eegpt": __version__,
        "sfreq_hz": STANDARD_SFREQ_HZ,
        "window_samples": int(inputs[0].shape[-1]),
        "inputs": {
            n: [str(x.dtype).removeprefix("torch."), list(x.shape[1:])] for n, x in zip(names, inputs, strict=True)
        },
        "outputs": list(outputs),
        "electrodes": {n: i for i, n in enumerate(model.vocabulary.names)},
        "recipe": recipes[0][0].model_dump(mode="json") if recipes else None,
    }
    if (n := model.ete.config.n_electrodes) and model.ete.config.n_references:
        # `electrode` takes an electrode's number plus n times its reference's
        schemes = {name: len(model.vocabulary) + k for k, name in enumerate(SCHEMES) if k}
        out["references"] = {"unknown": 0, **{e: 1 + i for e, i in out["electrodes"].items()}, **schemes}
        out["electrode_is"] = f"electrodes[name] + {n} * references[name]"
    if isinstance(module, TaskGraph):
        answer = model.answers[module.head]
        out |= {"task": answer.key, "standardised_by_subject": module.aligned, "classes": list(answer.classes)}
    return out
