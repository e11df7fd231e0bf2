"""A run's log: JSON lines, loggers and callbacks (`eegpt.callbacks`), and a progress line on a terminal.

Every line of `log.jsonl` is complete, and every step has one record even if the run was resumed.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from eegprep.errors import InputError
from eegprep.files import write_atomic
from eegpt.callbacks import Callback, Logger, make_logger
from eegpt.runs.checkpoint import Progress
from eegpt.runs.results import HeldOutErrors, PretrainingResults
from eegpt.runs.runtime import Runtime, measured_peak_flops

LOG = "log.jsonl"


def read_log(run: Path) -> list[dict[str, Any]]:
    """All complete lines of a run's log; a truncated last line is skipped.

    Raises
    ------
    InputError
        A line is no record of a step.
    """
    path = Path(run) / LOG
    if not path.is_file():
        return []
    records = []
    for number, line in enumerate(path.read_bytes().split(b"\n")[:-1], 1):  # a complete line ends with a newline
        if not line:
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):  # of bytes that are not UTF-8, too
            record = None
        if not (isinstance(record, dict) and isinstance(record.get("step"), int)):
            raise InputError(
                "the log is damaged",
                where=f"{path}:{number}",
                found=repr(line[:60]),
                expected="JSON with the number of a step",
                todo="delete the file: results and checkpoints do not need it",
            )
        records.append(record)
    return records


class RunLog:
    """Appends to `log.jsonl` and hands on to loggers; earlier records after `from_step` are dropped."""

    def __init__(self, run: Path, *, from_step: int, loggers: Sequence[Logger] = ()) -> None:
        kept = [r for r in read_log(run) if r["step"] <= from_step]
        write_atomic(run / LOG, "".join(_line(r) for r in kept))
        self._file = (run / LOG).open("a", encoding="utf-8")
        self._loggers = loggers

    def write(self, record: Mapping[str, Any]) -> None:
        """Append one record, which must have a `step`."""
        self._file.write(_line(record))
        self._file.flush()
        for logger in self._loggers:
            logger.write(record)

    def close(self) -> None:
        """Close all outputs."""
        self._file.close()
        for logger in self._loggers:
            logger.close()


def _line(record: Mapping[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n"


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
    of steps, `done` the number before the run was resumed. `loggers` are names for `make_logger`, or objects.
    `ended` is set once a callback has asked for the end of the training.
    """

    def __init__(
        self, run: Path, here: Runtime, *, settings: Mapping[str, Any], every: int, steps: int, done: int,
        flops_per_token: float, shown: bool, loggers: Sequence[str | Logger] = (), callbacks: Sequence[Callback] = (),
    ) -> None:  # fmt: skip
        super().__init__()
        self._run, self._every, self._steps, self._flops_per_token = run, every, steps, flops_per_token
        self._peak = measured_peak_flops(here.device, here.precision) * here.world
        self._log: RunLog | None = None
        self._callbacks = callbacks if here.first else ()
        self.ended = False
        if here.first:
            made = [make_logger(x, run, settings, step=done) if isinstance(x, str) else x for x in loggers]
            self._log = RunLog(run, from_step=done, loggers=[x for x in made if x is not None])
            self.callback(self._log.close)
        self._update = self.enter_context(progress_line(steps, done, shown=shown and here.first))
        for one in self._callbacks:
            one.on_start(run, settings, step=done, steps=steps)

    def step(
        self, progress: Progress, record: Mapping[str, float], tokens: int, waited_s: float, total_s: float
    ) -> None:
        """Log the losses and speed of one step."""
        step, tokens_per_s = progress.step, tokens / total_s
        flops_share = self._flops_per_token * tokens_per_s / self._peak
        self._update(
            step, f"loss {record['loss']:.4f}, {tokens_per_s:,.0f} tokens/s, {flops_share:.0%} of the measured peak"
        )
        speed = {"tokens_per_s": tokens_per_s, "loader_share": waited_s / total_s, "flops_share": flops_share}
        line = {"step": step, "epoch": progress.epoch, **record, "windows": progress.windows, **speed}
        if self._log is not None and (step % self._every == 0 or step in (1, self._steps)):
            self._log.write(line)
        self.ended |= any([one.on_step(step, line) for one in self._callbacks])  # noqa: C419 - every callback is called

    def held_out(self, step: int, split: str, errors: HeldOutErrors) -> None:
        """Log errors on held-out windows."""
        if self._log is not None:
            self._log.write({"step": step, "heldout": {"split": split, **errors.figures().model_dump(mode="json")}})
        self.ended |= any([one.on_held_out(step, split, errors) for one in self._callbacks])  # noqa: C419

    def end(self, results: PretrainingResults) -> None:
        """Tell callbacks that the run is finished."""
        for one in self._callbacks:
            one.on_end(self._run, results)
