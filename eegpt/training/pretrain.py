"""Stage I: the loop that pre-trains the encoder, exact wherever it is stopped.

What enters: shard sets and a `PretrainConfig`. What leaves: a run's folder (see `checkpoint.py`). A run is a
function of its configuration and data: order, augmentation and hidden tokens of step n follow from (seed, n),
so going on from a state repeats, to the last bit on one kind of machine, what an unbroken run would have done.
The same command begins a run, goes on with it after a kill, and finds it finished.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import nn

from eegprep.errors import InputError, UsageError
from eegprep.files import write_json
from eegpt.model.ete import ETE
from eegpt.model.tokens import n_tokens
from eegpt.runs import checkpoint as ck
from eegpt.runs.folder import Lock, open_folder, read_config, software
from eegpt.runs.log import RunLog, progress_line
from eegpt.runs.runtime import Runtime, measured_peak_flops, runtime
from eegpt.runs.settings import from_mapping
from eegpt.training.batches import Batches, Rows
from eegpt.training.building import bare_encoder, fill
from eegpt.training.config import PretrainConfig
from eegpt.training.objective import Pretraining, cosine, hidden_spans
from eegpt.training.parallel import Parallel, parallelise
from eegpt.training.report import final_report, heldout_report, start_from_linear
from eegpt.training.windows import PretrainData, open_windows

__all__ = ["PretrainResult", "pretrain", "pretrain_on", "resumed_config"]


@dataclass(frozen=True, kw_only=True)
class PretrainResult:
    """A run's folder, the steps done, whether it is finished, and its errors on held-out windows by split."""

    run: Path
    steps: int
    finished: bool
    results: dict[str, Any]


def pretrain(
    config: PretrainConfig, *, shards: Sequence[Path], out: Path, show_progress: bool = True
) -> PretrainResult:
    """Pre-train an encoder on shard sets; go on where `out` holds an unfinished run of the same configuration.

    Raises
    ------
    UsageError
        `out` holds something else or a run of another configuration, or there is nothing to train on.
    RefusedError
        `out` holds a run on other shard sets.
    InputError
        A loss or gradient was not finite; the message names the batch.
    """
    return pretrain_on(open_windows(shards, config), config, out=out, show_progress=show_progress)


def resumed_config(run: Path) -> PretrainConfig:
    """The configuration that a run was begun with."""
    config = read_config(run, kind="encoder")
    return from_mapping(PretrainConfig, config["settings"], where=f"{run}/config.json: settings")


def pretrain_on(data: PretrainData, config: PretrainConfig, *, out: Path, show_progress: bool = True) -> PretrainResult:
    """As `pretrain`, on windows that are open already."""
    with runtime(config.precision) as here:
        trainer = _Trainer(data, config, Path(out), here)
        return trainer.run(show_progress=show_progress)


class _Stop:
    """Turns SIGTERM and SIGUSR1 (what Slurm sends before it kills) into a flag that the loop looks at."""

    signals = (signal.SIGTERM, signal.SIGUSR1)

    def __enter__(self) -> _Stop:
        self.asked = False
        try:
            self._old = {s: signal.signal(s, self._ask) for s in self.signals}
        except ValueError:  # only the main thread may set handlers; elsewhere nobody sends us signals
            self._old = {}
        return self

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True

    def __exit__(self, *error: object) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)


class _Trainer:
    """A run under way: model, optimiser, place in the data."""

    def __init__(self, data: PretrainData, config: PretrainConfig, out: Path, here: Runtime) -> None:
        self.data, self.config, self.out, self.here = data, config, out, here
        self.batches = Batches(
            [index for index, _ in data.train],
            [order for _, order in data.train],
            batch_size=config.batch(sum(len(index) for index, _ in data.train)),
            seed=config.seed,
            token_samples=config.token_samples,
            max_windows=config.max_windows,
            random_offset=config.random_offset,
        )
        if self.batches.smallest < here.world:
            raise UsageError(
                "a batch has fewer windows than there are processes",
                found=f"{self.batches.smallest} windows, {here.world} processes",
                todo="start fewer processes, or set batch_size higher",
            )
        self.steps = config.steps or max(config.min_steps, round(config.epochs * self.batches.per_epoch))
        self.encoder_config = config.encoder(len(data.vocabulary))
        self.lr = config.rate(self.encoder_config.width)
        self.ete = bare_encoder(self.encoder_config)
        recompute = config.recompute == "yes" or (config.recompute == "auto" and self.encoder_config.width >= 896)
        self.ete.recompute = recompute
        self.module = Pretraining(self.ete, spectrum_weight=config.spectrum_weight).train()
        self.parallel: Parallel = parallelise(self.module, here, config, self._first_weights)
        self.optimiser = _optimiser(self.ete, config, here)
        self.state = ck.Progress()

    def _first_weights(self) -> None:
        """Weights of step 0: drawn, and fitted where the predictions start from linear autoregression."""
        fill(self.ete, self.here.device, seed=self.config.seed)
        if self.ete.skip is not None and ck.latest_checkpoint(self.out) is None:
            start_from_linear(self.ete, [index for index, _ in self.data.train], self.config.linear_windows)

    # ---- the folder

    def open_folder(self) -> None:
        """Begin the run's folder, or check that it is this run's and take up its newest checkpoint."""
        open_folder(
            self.out,
            kind="encoder",
            settings=self.config,
            lock=Lock(shard_sets=self.data.fingerprints, data=list(self.data.origin), software=software()),
            vocabulary=self.data.vocabulary,
            seen=self.data.seen,
            write=self.here.first,
            encoder=self.encoder_config,
            window_samples=list(self.config.window_samples),
        )
        self.here.wait()
        if (folder := ck.latest_checkpoint(self.out)) is not None:
            self.state = self.parallel.load(folder, self.ete, self.optimiser)

    def save(self, *, finished: bool = False) -> None:
        """Write a state and the weights."""
        state = ck.Progress(**{**vars(self.state), "finished": finished})
        self.parallel.save(self.out, state, self.ete, self.optimiser)

    # ---- the loop

    def run(self, *, show_progress: bool) -> PretrainResult:
        """Train to the end, or until a signal asks to stop."""
        self.open_folder()
        if self.state.finished:
            return self._result(True)
        log = None
        if self.here.first:
            log = RunLog(self.out, from_step=self.state.step, tensorboard=self.config.tensorboard)
        stream = self.batches.stream(self.state.epoch, self.state.number, rank=self.here.rank, world=self.here.world)
        peak = measured_peak_flops(self.here.device, self.here.precision)
        shown = show_progress and self.here.first
        try:
            with _Stop() as stop, progress_line(self.steps, self.state.step, shown=shown) as update:
                while self.state.step < self.steps:
                    started = time.perf_counter()
                    epoch, number, rows = next(stream)
                    waited = time.perf_counter() - started
                    record = self._step(epoch, number, rows)
                    seconds = time.perf_counter() - started
                    self._after_step(epoch, number, record, seconds, waited, peak, log, update)
                    done = self.state.step >= self.steps
                    if self.here.any(stop.asked) and not done:
                        self.save()
                        return self._result(False)
                    every = self.config.checkpoint_every
                    if not done and every and self.state.step % every == 0:
                        self.save()
            results = final_report(self)
            if self.here.first:
                write_json(self.out / "results.json", {"pretraining": results})
            self.save(finished=True)
        finally:
            stream.close()
            self.parallel.finish()
            if log is not None:
                log.close()
        if self.here.first:
            from eegpt.training.page import write_run_page

            write_run_page(self.out)
        return self._result(True)

    def _step(self, epoch: int, number: int, rows: Rows) -> dict[str, float]:
        """One optimiser step over this process's part of a global batch; the global batch's loss and its parts."""
        config, here, step = self.config, self.here, self.state.step
        factor = cosine(step, steps=self.steps, warmup=config.warmup_steps, floor=config.min_lr_ratio)
        for group in self.optimiser.param_groups:
            group["lr"] = self.lr * factor
        # Dropout, too, follows from the step alone.
        torch.manual_seed(config.seed * 1_000_003 + step * here.world + here.rank)
        n_global = int(here.sum(torch.tensor(len(rows))).item())
        hidden, gain = self._draws(n_global, rows.signal_i16.shape[1])
        totals: dict[str, torch.Tensor] = {}
        for start in range(0, len(rows), config.micro_batch):
            part = rows.part(start, start + config.micro_batch).to(here.device)
            last = start + config.micro_batch >= len(rows)
            share = len(part) / n_global
            at = slice(start, start + len(part))
            with self.parallel.accumulate(last), here.autocast():
                losses = self.parallel.module(
                    part.signal_i16,
                    part.scale_uv,
                    part.sigma_uv,
                    part.electrode,
                    None if hidden is None else hidden[at].to(here.device),
                    None if gain is None else gain[at].to(here.device),
                )
                # Gradients are averaged over processes, so each counts its share of the global batch.
                (losses["loss"] * (share * here.world)).backward()
            for name, value in losses.items():
                added = value.detach() * share
                totals[name] = added if name not in totals else totals[name] + added
        norm = nn.utils.clip_grad_norm_(self.ete.parameters(), config.clip_norm)
        norm = norm.full_tensor() if hasattr(norm, "full_tensor") else norm
        summed = here.sum(torch.stack(list(totals.values()))).tolist()
        record = {**dict(zip(totals, summed, strict=True)), "grad_norm": float(norm), "lr": self.lr * factor}
        if not all(map(torch.isfinite, map(torch.tensor, (record["loss"], record["grad_norm"])))):
            raise self._not_finite(epoch, number, rows, record)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        return record

    def _draws(self, n_global: int, n_samples: int) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """Hidden tokens and augmentation factors of this process's rows, drawn for the whole global batch."""
        config, here = self.config, self.here
        generator = torch.Generator().manual_seed(config.seed * 7_368_787 + self.state.step)
        factor = None
        if config.flip or config.gain:
            sign = torch.randint(0, 2, (n_global,), generator=generator) * 2 - 1 if config.flip else 1
            power = (torch.rand(n_global, generator=generator) * 2 - 1) * config.gain
            factor = (sign * torch.exp2(power))[here.rank :: here.world]
        if config.objective != "masked":
            return None, factor
        tokens = n_tokens(n_samples, token_samples=config.token_samples, token_stride=config.token_stride)
        hidden = hidden_spans(n_global, tokens, self.encoder_config, share=config.hidden_share, generator=generator)
        return hidden[here.rank :: here.world], factor

    def _not_finite(self, epoch: int, number: int, rows: Rows, record: dict[str, float]) -> InputError:
        """The error for a loss or gradient that is no number: which batch, and what was in it."""
        names = self.data.vocabulary.names
        signal = rows.signal_i16 * (rows.scale_uv / rows.sigma_uv)[:, None]
        worst = torch.nan_to_num(signal.abs().amax(dim=1), nan=float("inf")).topk(min(3, len(rows))).indices.tolist()
        where = "; ".join(
            f"{self.data.recordings[int(rows.recording[i])]} {names[int(rows.electrode[i])]}" for i in worst
        )
        return InputError(
            f"training stopped: the loss or its gradient is not a number at step {self.state.step}",
            where=f"epoch {epoch}, batch {number} (process {self.here.rank}); largest values in {where}",
            found=", ".join(f"{k}={v:g}" for k, v in record.items()),
            todo="look at those recordings with `eegprep report`; lower lr, or set clip and clip_norm lower. "
            "The last whole state is kept: the same command goes on from there",
        )

    def _after_step(
        self,
        epoch: int,
        number: int,
        record: dict[str, float],
        seconds: float,
        waited: float,
        peak: float,
        log: RunLog | None,
        update: Any,
    ) -> None:
        """Count the step, log it, report on held-out windows when it is time."""
        config = self.config
        n_windows, n_samples = self.batches.shape(epoch, number)
        tokens = n_windows * n_tokens(n_samples, token_samples=config.token_samples, token_stride=config.token_stride)
        step = self.state.step + 1
        self.state = ck.Progress(step=step, epoch=epoch, number=number + 1, windows=self.state.windows + n_windows)
        flops = self.ete.flops_per_token() * tokens / seconds
        update(
            step,
            f"loss {record['loss']:.4f}, {tokens / seconds:,.0f} tokens/s, "
            f"{flops / peak / self.here.world:.0%} of the measured peak",
        )
        last = step == self.steps
        if log is not None and (step % config.log_every == 0 or last or step == 1):
            log.write(
                {
                    "step": step,
                    "epoch": epoch,
                    **record,
                    "windows": self.state.windows,
                    "tokens_per_s": tokens / seconds,
                    "loader_share": waited / seconds,
                    "flops_share": flops / peak / self.here.world,
                }
            )
        if config.evaluate_every and step % config.evaluate_every == 0 and not last:
            heldout = heldout_report(self)
            if log is not None and heldout:
                log.write({"step": step, "heldout": heldout})

    def _result(self, finished: bool) -> PretrainResult:
        path = self.out / "results.json"
        results = json.loads(path.read_text(encoding="utf-8"))["pretraining"] if finished and path.is_file() else {}
        return PretrainResult(run=self.out, steps=self.state.step, finished=finished, results=results)


def _optimiser(ete: ETE, config: PretrainConfig, here: Runtime) -> torch.optim.AdamW:
    """AdamW; weight decay on matrices, not on gains, biases and embeddings."""
    decayed: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, parameter in ete.named_parameters():
        if not parameter.requires_grad:
            continue
        embedding = name in ("electrode.weight", "position.weight", "hidden_token")
        (others if parameter.dim() < 2 or embedding else decayed).append(parameter)
    groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=1.0, betas=config.betas, fused=True)
