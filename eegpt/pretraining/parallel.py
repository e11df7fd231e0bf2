"""One process, or several with a copy of the model each (DDP) or a shard of it each (FSDP2).

With FSDP every process writes its shard of weights and optimiser with torch.distributed.checkpoint, as safetensors
(reading DCP's own format needs pickle), while training continues; checkpoints can be read by a different number of
processes. The plain export, model.safetensors, is always written.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from eegprep.errors import UsageError
from eegpt.model.ete import ETE
from eegpt.pretraining.config import ComputeSettings
from eegpt.pretraining.objective import Pretraining
from eegpt.runs import checkpoint as ck
from eegpt.runs.folder import WEIGHTS
from eegpt.runs.runtime import Runtime


def parallelise(
    module: Pretraining, here: Runtime, compute: ComputeSettings, begin: Callable[[], None] | None = None
) -> Parallel:
    """Wrap the module for the number of processes, and compile it if requested.

    `begin` fills a module on the meta device: after sharding, or before weights are copied to other processes.
    """
    if compute.parallel == "fsdp" and here.world > 1:
        return _Sharded(module, here, compute, begin)
    return Parallel(module, here, compute, begin)


class Parallel:
    """One process, or a copy of the model in each."""

    def __init__(
        self, module: Pretraining, here: Runtime, compute: ComputeSettings, begin: Callable[[], None] | None = None
    ) -> None:
        if begin is not None:
            begin()
        self.here = here
        self.module: Callable[..., dict[str, Tensor]] = module
        self._ddp: nn.parallel.DistributedDataParallel | None = None
        if here.world > 1:
            ids = [here.device.index] if here.device.type == "cuda" else None
            self._ddp = nn.parallel.DistributedDataParallel(module, device_ids=ids, gradient_as_bucket_view=True)
            self.module = self._ddp
        if compute.compile:
            self.module = _compiled(self.module, here)

    def accumulate(self, last: bool) -> AbstractContextManager[Any]:
        """Context for a micro batch: gradients are exchanged only after the last one."""
        return contextlib.nullcontext() if last or self._ddp is None else self._ddp.no_sync()

    def save(self, run: Path, progress: ck.Progress, ete: ETE, optimiser: torch.optim.Optimizer) -> None:
        """Write a checkpoint and the plain export; returns when both are complete."""
        if self.here.first:
            ck.save_checkpoint(run, progress, ete, optimiser)
        self.here.wait()

    def load(self, folder: Path, ete: ETE, optimiser: torch.optim.Optimizer) -> ck.Progress:
        """Load weights and optimiser state of a checkpoint."""
        return ck.load_checkpoint(folder, ete, optimiser)

    def finish(self) -> None:
        """Wait for what is still being written."""

    def __enter__(self) -> Parallel:
        return self

    def __exit__(self, *error: object) -> None:
        self.finish()


class _Sharded(Parallel):
    """A part of every weight in each process; gathered layer by layer when needed."""

    def __init__(
        self, module: Pretraining, here: Runtime, compute: ComputeSettings, begin: Callable[[], None] | None = None
    ) -> None:
        from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard, register_fsdp_forward_method

        self.here = here
        # A CPU group: states are written in the background, concurrently with GPU communication. A study's next run
        # joins new processes, so the group belongs to this run.
        self._group = dist.new_group(backend="gloo")
        self._pending: tuple[Any, Path, ck.Progress] | None = None
        policy = MixedPrecisionPolicy()
        if here.precision == "bfloat16":
            # Inputs stay float32: autocast rounds only the inputs of products, not residuals or last values.
            policy = MixedPrecisionPolicy(
                param_dtype=torch.bfloat16, reduce_dtype=torch.float32, cast_forward_inputs=False
            )
        for layer in module.ete.layers:
            fully_shard(layer, mp_policy=policy)
        # Frozen parameters are not sharded and stay in float32.
        fixed = {p for p in module.ete.parameters() if not p.requires_grad}
        self._root = fully_shard(module.ete, mp_policy=policy, ignored_params=fixed)
        for method in ("predict", "spectrum"):  # they use the encoder's weights outside its forward pass
            register_fsdp_forward_method(module.ete, method)
        if begin is not None:
            begin()
        self.module = _compiled(module, here) if compute.compile else module

    def accumulate(self, last: bool) -> AbstractContextManager[Any]:
        self._root.set_requires_gradient_sync(last)
        return contextlib.nullcontext()

    def save(self, run: Path, progress: ck.Progress, ete: ETE, optimiser: torch.optim.Optimizer) -> None:
        """Start writing a checkpoint; it is valid once `finish` or the next `save` has renamed it."""
        import torch.distributed.checkpoint as dcp
        from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageWriter
        from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

        self.finish()
        if self.here.first:
            ck.begin_checkpoint(run, progress)
        whole: Any = get_model_state_dict(ete, options=StateDictOptions(full_state_dict=True, cpu_offload=True))
        if self.here.first:
            ck.save_tensors(run / WEIGHTS, whole)
        self.here.wait()
        tensors = _flat(ete, optimiser)
        writer = HuggingFaceStorageWriter(path=str(ck.part_of(run, progress)), save_distributed=True)
        future = dcp.async_save(tensors, storage_writer=writer, process_group=self._group)
        self._pending = (future, run, progress)
        if progress.finished:
            self.finish()

    def finish(self) -> None:
        """Wait for the checkpoint being written and rename it into place."""
        if self._pending is None:
            return
        future, run, progress = self._pending
        self._pending = None
        future.result()
        self.here.wait()
        if self.here.first:
            ck.finish_checkpoint(run, progress)
        self.here.wait()

    def load(self, folder: Path, ete: ETE, optimiser: torch.optim.Optimizer) -> ck.Progress:
        import torch.distributed.checkpoint as dcp
        from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader

        for parameter in (p for p in ete.parameters() if p.requires_grad):
            # The fused optimiser counts steps on the parameter's own device.
            optimiser.state[parameter] = {
                "step": torch.zeros((), dtype=torch.float32, device=parameter.device),
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }
        tensors = _flat(ete, optimiser)
        dcp.load(tensors, storage_reader=HuggingFaceStorageReader(path=str(folder)), process_group=self._group)
        progress = ck.read_progress(folder)
        with torch.no_grad():
            for entries in optimiser.state.values():
                entries["step"].fill_(float(progress.step))
        return progress


def _compiled(module: Callable[..., dict[str, Tensor]], here: Runtime) -> Callable[..., dict[str, Tensor]]:
    """The module under torch.compile, which builds its kernels at the first step."""
    variable, usual = ("CC", ("gcc", "clang")) if here.device.type == "cuda" else ("CXX", ("g++", "clang++"))
    named = os.environ.get(variable)
    if not any(map(shutil.which, (named,) if named else usual)):
        raise UsageError(
            "torch.compile cannot build its kernels",
            found=f"no {named or ' or '.join(usual)}",
            expected=f"a compiler in PATH, or its name in {variable}",
            todo="install one, or train without compute.compile=true",
        )
    return torch.compile(module)


def _flat(ete: ETE, optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Weights and moments under flat names, as views: loading into them loads the run."""
    tensors: dict[str, Tensor] = {}
    for name, parameter in ete.named_parameters():
        tensors[f"model/{name}"] = parameter.detach()
        for key in ("exp_avg", "exp_avg_sq"):
            if key in optimiser.state.get(parameter, {}):
                tensors[f"{key}/{name}"] = optimiser.state[parameter][key]
    return tensors
