"""A run's log: JSON lines, TensorBoard if installed, and a progress line on a terminal.

Every line of `log.jsonl` is complete, and every step has one record even if the run was resumed.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from eegprep.files import write_atomic
from eegpt.runs.checkpoint import Progress
from eegpt.runs.results import HeldOutErrors
from eegpt.runs.runtime import Runtime, measured_peak_flops

LOG = "log.jsonl"


def read_log(run: Path) -> list[dict[str, Any]]:
    """All complete lines of a run's log; a truncated line is skipped."""
    path = Path(run) / LOG
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines[:-1] if line]  # a complete line ends with a newline


class RunLog:
    """Appends to `log.jsonl` and TensorBoard; earlier records after `from_step` are dropped."""

    def __init__(self, run: Path, *, from_step: int, tensorboard: bool) -> None:
        kept = [r for r in read_log(run) if r["step"] <= from_step]
        write_atomic(run / LOG, "".join(_line(r) for r in kept))
        self._file = (run / LOG).open("a", encoding="utf-8")
        self._board: Any = None
        if tensorboard and importlib.util.find_spec("tensorboard") is not None:
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(run / "tensorboard"), purge_step=from_step + 1)

    def write(self, record: Mapping[str, Any]) -> None:
        """Append one record, which must have a `step`."""
        self._file.write(_line(record))
        self._file.flush()
        if self._board is not None:
            for name, value in _scalars(record):
                self._board.add_scalar(name, value, record["step"])

    def close(self) -> None:
        """Close both outputs."""
        self._file.close()
        if self._board is not None:
            self._board.close()


def _line(record: Mapping[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n"


def _scalars(record: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    for key, value in record.items():
        if isinstance(value, Mapping):
            yield from _scalars(value, f"{prefix}{key}/")
        elif isinstance(value, (int, float)) and key != "step":
            yield f"{prefix}{key}", float(value)


@contextlib.contextmanager
def progress_line(total: int, start: int, *, shown: bool) -> Iterator[Callable[[int, str], None]]:
    """A rich progress line on stderr if it is a terminal; yields `update(step, text)`."""
    if not (shown and sys.stderr.isatty()):
        yield lambda step, text: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("pre-training"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[text]}"),
    )
    # The command line's stream escapes terminal control sequences, so it must not get the bar.
    stream = getattr(sys.stderr, "stream", sys.stderr)
    with Progress(*columns, console=Console(file=stream)) as progress:
        task = progress.add_task("", total=total, completed=start, text="")
        yield lambda step, text: progress.update(task, completed=step, text=text)


class TrainingLog(contextlib.ExitStack):
    """Log the steps of a pre-training run; all processes compute the records, only the first writes them.

    `every` is the number of steps between records; the first and last step always have one. `steps` is the total number
    of steps, `done` the number before the run was resumed.
    """

    def __init__(
        self, run: Path, here: Runtime, *, every: int, tensorboard: bool, steps: int, done: int,
        flops_per_token: float, shown: bool,
    ) -> None:  # fmt: skip
        super().__init__()
        self._every, self._steps, self._flops_per_token = every, steps, flops_per_token
        self._peak = measured_peak_flops(here.device, here.precision) * here.world
        self._log: RunLog | None = None
        if here.first:
            self._log = RunLog(run, from_step=done, tensorboard=tensorboard)
            self.callback(self._log.close)
        self._update = self.enter_context(progress_line(steps, done, shown=shown and here.first))

    def step(
        self, progress: Progress, record: Mapping[str, float], tokens: int, waited_s: float, total_s: float
    ) -> None:
        """Log the losses and speed of one step."""
        step, tokens_per_s = progress.step, tokens / total_s
        flops_share = self._flops_per_token * tokens_per_s / self._peak
        self._update(
            step, f"loss {record['loss']:.4f}, {tokens_per_s:,.0f} tokens/s, {flops_share:.0%} of the measured peak"
        )
        if self._log is not None and (step % self._every == 0 or step in (1, self._steps)):
            speed = {"tokens_per_s": tokens_per_s, "loader_share": waited_s / total_s, "flops_share": flops_share}
            self._log.write({"step": step, "epoch": progress.epoch, **record, "windows": progress.windows, **speed})

    def held_out(self, step: int, split: str, errors: HeldOutErrors) -> None:
        """Log errors on held-out windows."""
        if self._log is not None:
            self._log.write({"step": step, "heldout": {"split": split, **errors.figures().model_dump(mode="json")}})
