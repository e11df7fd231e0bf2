"""Stage I: the pre-training loop of the encoder, which resumes exactly.

A run is a function of its settings and data: order, augmentation and masked tokens of step n depend only on (seed, n),
so a resumed run equals an uninterrupted one, bit for bit on the same kind of machine. The same command starts a run and
resumes it; on a finished run it does nothing.
"""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn

from eegprep.display import html_table
from eegprep.errors import InputError
from eegprep.files import alone
from eegprep.platform import stop_signals
from eegpt.callbacks import Callback, Logger
from eegpt.data import WindowBatch
from eegpt.model.config import ETEConfig
from eegpt.model.ete import ETE
from eegpt.model.weights import bare_encoder, fill
from eegpt.pretraining.config import OptimiserSettings, PretrainConfig
from eegpt.pretraining.data import PretrainData, mixture, open_windows
from eegpt.pretraining.heldout import HeldOut
from eegpt.pretraining.objective import Pretraining, hidden_spans
from eegpt.pretraining.parallel import Parallel, parallelise
from eegpt.pretraining.predictors import start_from_linear
from eegpt.runs.checkpoint import Progress, latest_checkpoint
from eegpt.runs.folder import CONFIG, Lock, open_folder, read_config, software
from eegpt.runs.log import TrainingLog
from eegpt.runs.results import PretrainingResults, read_pretraining_results
from eegpt.runs.runtime import Runtime, cosine, runtime
from eegpt.runs.settings import from_mapping, to_mapping


@dataclass(frozen=True, kw_only=True, repr=False)
class PretrainResult:
    """A run's folder, the number of steps done, and its held-out errors (None if unfinished)."""

    run: Path
    steps: int
    results: PretrainingResults | None

    @property
    def finished(self) -> bool:
        """Whether the run is finished."""
        return self.results is not None

    def __repr__(self) -> str:
        errors = self.results.splits if self.results is not None else {}
        told = ", ".join(f"{split} error {one.model.new:.3f}" for split, one in errors.items())
        return f"PretrainResult({str(self.run)!r}: {self.steps:,} steps, {told if self.finished else 'unfinished'})"

    def _repr_html_(self) -> str:
        facts = {"folder": self.run, "steps": self.steps, "finished": "yes" if self.finished else "no, resumable"}
        rows = [
            {"split": split, "windows": one.n_windows, **{name: e.new for name, e in one.predictors.items()}}
            for split, one in (self.results.splits if self.results is not None else {}).items()
        ]
        return html_table("Pre-training, errors on new samples", facts, rows)


def pretrain(config: PretrainConfig, *, shards: Sequence[Path], out: Path, **options: Any) -> PretrainResult:
    """Pre-train an encoder on shard sets; resumes if `out` contains an incomplete run with the same settings.

    Parameters
    ----------
    **options
        Of `pretrain_on`.

    Raises
    ------
    UsageError
        `out` contains other files or a run with other settings, or there is nothing to train on.
    RefusedError
        `out` contains a run on other shard sets.
    InputError
        A loss or gradient was not finite; the message names the batch.
    """
    return pretrain_on(open_windows(shards, config), config, out=out, **options)


def resumed_config(run: Path) -> PretrainConfig:
    """The settings that a run was started with."""
    settings = read_config(run, kind="encoder")["settings"]
    return from_mapping(PretrainConfig, settings, where=f"{run / CONFIG}: settings")


def pretrain_on(
    data: PretrainData,
    config: PretrainConfig,
    *,
    out: Path,
    show_progress: bool = True,
    callbacks: Sequence[Callback] = (),
    loggers: Sequence[Logger] = (),
) -> PretrainResult:
    """As `pretrain`, on windows that are already open; callbacks and loggers see its steps (`eegpt.callbacks`)."""
    with runtime(config.compute.precision) as here, alone(Path(out)) if here.first else nullcontext():
        return _pretrain(data, config, Path(out), here, show_progress, callbacks, loggers)


def _pretrain(
    data: PretrainData,
    config: PretrainConfig,
    out: Path,
    here: Runtime,
    show_progress: bool,
    callbacks: Sequence[Callback],
    loggers: Sequence[Logger],
) -> PretrainResult:
    batches = mixture(data, config, rank=here.rank, world=here.world)
    schedule, compute = config.schedule, config.compute
    steps = schedule.steps or max(schedule.min_steps, round(schedule.epochs * len(batches)), 1)
    shape = config.ete(len(data.vocabulary), [row.kind for row in data.vocabulary])
    ete = bare_encoder(shape)
    ete.recompute = compute.recompute == "yes" or (compute.recompute == "auto" and shape.width >= 896)
    module = Pretraining(ete, spectrum_weight=config.objective.spectrum_weight).train()

    def first_weights() -> None:
        fill(ete, here.device, seed=config.seed)
        if latest_checkpoint(out) is None:
            start_from_linear(ete, [index for index, _ in data.train], config.held_out.linear_windows)

    parallel = parallelise(module, here, compute, first_weights)
    optimiser = make_optimiser(ete, config.optimiser)
    open_folder(
        out,
        kind="encoder",
        settings=config,
        lock=Lock(shard_sets=data.set_sha256, data=list(data.origin), software=software()),
        vocabulary=data.vocabulary,
        seen=data.seen,
        write=here.first,
        encoder=shape,
        window_samples=list(config.data.window_samples),
    )
    here.wait()
    checkpoints = Checkpoints(out, parallel, ete, optimiser, every=config.run.checkpoint_every)
    progress = checkpoints.resume()
    if progress.finished:
        return PretrainResult(run=out, steps=progress.step, results=read_pretraining_results(out))
    heldout = HeldOut(ete, data, config, here)
    log = TrainingLog(
        out,
        here,
        settings=to_mapping(config),
        every=config.run.log_every,
        steps=steps,
        done=progress.step,
        flops_per_token=ete.flops_per_token(),
        shown=show_progress,
        loggers=(*config.run.loggers, *loggers),
        callbacks=callbacks,
    )
    with closing(batches.stream(progress.epoch, progress.number)) as stream, parallel:
        with log, _Stop() as stop:
            while progress.step < steps:
                started = time.perf_counter()
                epoch, number, windows = next(stream)
                waited = time.perf_counter() - started

                # All randomness in a step depends only on the seed and the step.
                step, n_tokens = progress.step, config.n_tokens(windows.signal_i16.shape[1])
                n_windows = int(here.sum(torch.tensor(len(windows))).item())
                hidden, factor = draws(config, shape, step, n_windows, n_tokens, here)
                torch.manual_seed(config.seed * 1_000_003 + step * here.world + here.rank)
                rate = config.rate(shape.width) * cosine(
                    step, steps=steps, warmup=schedule.warmup_steps, floor=schedule.min_rate_ratio
                )
                for group in optimiser.param_groups:
                    group["lr"] = rate

                totals: dict[str, Tensor] = {}
                for start in range(0, len(windows), schedule.micro_batch):
                    part = windows.part(start, start + schedule.micro_batch).to(here.device)
                    share, at = len(part) / n_windows, slice(start, start + len(part))
                    with parallel.accumulate(at.stop == len(windows)), here.autocast():
                        losses = parallel.module(
                            part.signal_i16,
                            part.scale_uv,
                            part.sigma_uv,
                            part.input_ids(ete.config),
                            None if hidden is None else hidden[at].to(here.device),
                            None if factor is None else factor[at].to(here.device),
                        )
                        # Gradients are averaged over processes, so weight each by its share of the global batch.
                        (losses["loss"] * (share * here.world)).backward()
                    for name, value in losses.items():
                        totals[name] = totals.get(name, 0) + value.detach() * share

                norm = nn.utils.clip_grad_norm_(ete.parameters(), config.optimiser.clip_norm)
                norm = norm.full_tensor() if hasattr(norm, "full_tensor") else norm
                summed = here.sum(torch.stack(list(totals.values()))).tolist()
                record = {**dict(zip(totals, summed, strict=True)), "grad_norm": float(norm), "lr": rate}
                if not math.isfinite(record["loss"]) or not math.isfinite(record["grad_norm"]):
                    raise not_finite(data, step, epoch, number, windows, record)
                optimiser.step()
                optimiser.zero_grad(set_to_none=True)

                seen = progress.windows + n_windows
                progress = Progress(step=step + 1, epoch=epoch, number=number + 1, windows=seen)
                log.step(progress, record, n_windows * n_tokens, waited, time.perf_counter() - started)
                if progress.step == steps:
                    break
                if heldout.due(progress.step):
                    log.held_out(progress.step, *heldout.report())
                if callbacks and here.any(log.ended):
                    break
                stopped = here.any(stop.asked)
                if stopped or checkpoints.due(progress.step):
                    checkpoints.save(progress)
                if stop.interrupted:
                    raise KeyboardInterrupt
                if stopped:
                    return PretrainResult(run=out, steps=progress.step, results=None)
        checkpoints.save(progress)  # the final errors take a while; an interruption then costs no steps
        results = heldout.final(progress, windows_per_epoch=batches.windows_per_epoch)
        if here.first:
            results.write(out)
        checkpoints.save(replace(progress, finished=True))
        log.end(results)
    return PretrainResult(run=out, steps=progress.step, results=results)


class Checkpoints:
    """Checkpoints during a run."""

    def __init__(
        self, run: Path, parallel: Parallel, ete: ETE, optimiser: torch.optim.Optimizer, *, every: int
    ) -> None:
        self.run, self.parallel, self.ete, self.optimiser, self.every = run, parallel, ete, optimiser, every

    def resume(self) -> Progress:
        """Load the newest checkpoint's weights and optimiser state, if there is one, and return its position."""
        folder = latest_checkpoint(self.run)
        return Progress() if folder is None else self.parallel.load(folder, self.ete, self.optimiser)

    def due(self, step: int) -> bool:
        """Whether to write a checkpoint after this number of steps."""
        return bool(self.every) and step % self.every == 0

    def save(self, progress: Progress) -> None:
        """Write a checkpoint and the weights."""
        self.parallel.save(self.run, progress, self.ete, self.optimiser)


class _Stop:
    """Turn Ctrl-C, SIGTERM and SIGUSR1 (sent by Slurm before it kills a job) into a flag checked by the loop.

    A second Ctrl-C does not wait for the loop.
    """

    def __enter__(self) -> _Stop:
        self.asked = self.interrupted = False
        try:
            self._old = {s: signal.signal(s, self._ask) for s in stop_signals()}
        except ValueError:  # only the main thread may set handlers; elsewhere nobody sends us signals
            self._old = {}
        return self

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.interrupted and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.asked, self.interrupted = True, self.interrupted or number == signal.SIGINT

    def __exit__(self, *error: object) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)


def make_optimiser(ete: ETE, settings: OptimiserSettings) -> torch.optim.AdamW:
    """AdamW with weight decay on matrices, but not on gains, biases and embeddings."""
    decayed: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, parameter in ete.named_parameters():
        if parameter.requires_grad:
            embedding = name in ("electrode.weight", "position.weight", "hidden_token")
            (others if parameter.dim() < 2 or embedding else decayed).append(parameter)
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=1.0, betas=settings.betas, fused=True)


def draws(
    config: PretrainConfig, shape: ETEConfig, step: int, n_windows: int, n_tokens: int, here: Runtime
) -> tuple[Tensor | None, Tensor | None]:
    """Masked tokens and augmentation factors of this process's windows, drawn for the global batch."""
    generator = torch.Generator().manual_seed(config.seed * 7_368_787 + step)
    flip, gain = config.augmentation.flip, config.augmentation.gain
    hidden, factor, own = None, None, slice(here.rank, None, here.world)
    if flip or gain:
        sign = torch.randint(0, 2, (n_windows,), generator=generator) * 2 - 1 if flip else 1
        power = (torch.rand(n_windows, generator=generator) * 2 - 1) * gain
        factor = (sign * torch.exp2(power))[own]
    if shape.objective == "masked":
        share = config.objective.hidden_share
        hidden = hidden_spans(n_windows, n_tokens, shape, share=share, generator=generator)[own]
    return hidden, factor


def not_finite(
    data: PretrainData, step: int, epoch: int, number: int, windows: WindowBatch, record: dict[str, float]
) -> InputError:
    """The error for a non-finite loss or gradient, with the batch and its windows of largest amplitude."""
    signal = windows.signal_i16 * (windows.scale_uv / windows.sigma_uv)[:, None]
    worst = torch.nan_to_num(signal.abs().amax(dim=1), nan=float("inf")).topk(min(3, len(windows))).indices.tolist()
    names = data.vocabulary.names
    where = "; ".join(f"{data.recordings[int(windows.recording[i])]} {names[int(windows.electrode[i])]}" for i in worst)
    return InputError(
        f"training stopped: the loss or its gradient is not a number at step {step}",
        where=f"epoch {epoch}, batch {number}; largest values in {where}",
        found=", ".join(f"{k}={v:g}" for k, v in record.items()),
        todo="check those recordings with `eegprep report`; lower optimiser.learning_rate, or set encoder.clip and "
        "optimiser.clip_norm lower. The same command resumes from the last checkpoint",
    )
