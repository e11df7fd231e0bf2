"""Follow a pre-training run: callbacks, and loggers to TensorBoard, Weights & Biases and MLflow.

A callback is called after every step and report, and may end the training. A logger gets every line of `log.jsonl`.
Both run in the first process of a distributed run.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from eegprep.errors import MissingExtraError
from eegprep.files import write_atomic

if TYPE_CHECKING:
    from eegpt.runs.results import HeldOutErrors, PretrainingResults

Record = Mapping[str, Any]


class Callback:
    """Base of callbacks: override what you need. `True` ends the training early; the run is then finished as usual.

    Examples
    --------
    >>> class Patience(Callback):
    ...     best, waited = float("inf"), 0
    ...
    ...     def on_held_out(self, step, split, errors):
    ...         better = errors.model.new < self.best
    ...         self.best = min(self.best, errors.model.new)
    ...         self.waited = 0 if better else self.waited + 1
    ...         return self.waited >= 3
    """

    def on_start(self, run: Path, settings: Record, *, step: int, steps: int) -> None:
        """Called once: the run's folder and settings, the steps done before (when resuming), and all steps."""

    def on_step(self, step: int, record: Record) -> bool | None:
        """Called after every step with its losses (`loss`, ...), `grad_norm`, `lr` and speed."""

    def on_held_out(self, step: int, split: str, errors: HeldOutErrors) -> bool | None:
        """Called after every report on held-out windows."""

    def on_end(self, run: Path, results: PretrainingResults) -> None:
        """Called when the run is finished."""


class Logger(Protocol):
    """Anything that takes the records of a run. A record has `step`, and numbers or tables of numbers by name."""

    def write(self, record: Record, /) -> None:
        """Take one record."""

    def close(self) -> None:
        """Called once at the end, also after an error."""


class TensorBoard:
    """Event files in `RUN/tensorboard`."""

    def __init__(self, run: Path, settings: Record, *, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(str(run / "tensorboard"), purge_step=step + 1)

    def write(self, record: Record) -> None:
        """Write the numbers of a record."""
        for name, value in scalars(record):
            self._writer.add_scalar(name, value, record["step"])

    def close(self) -> None:
        """Close the files."""
        self._writer.close()


class WeightsAndBiases:
    """A run of Weights & Biases, continued when the run is resumed; `WANDB_MODE=offline` needs no account.

    Project: `WANDB_PROJECT`, else `eegpt`. Only settings and numbers are sent: no code, console output or git state.
    """

    def __init__(self, run: Path, settings: Record, *, step: int) -> None:
        wandb = _library("wandb")
        known = _known_id(run / "wandb-id")
        self._run: Any = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "eegpt"),
            name=run.resolve().name,
            dir=str(run),
            id=known or secrets.token_hex(4),
            resume="allow" if known else None,
            config=dict(settings),
            settings=wandb.Settings(console="off", disable_git=True, save_code=False, silent=True),
        )
        if known is None:
            write_atomic(run / "wandb-id", self._run.id)

    def write(self, record: Record) -> None:
        """Send the numbers of a record."""
        self._run.log(dict(scalars(record)), step=int(record["step"]))

    def close(self) -> None:
        """End the run."""
        self._run.finish()


class MLflow:
    """A run of MLflow, continued when the run is resumed; where it is kept is up to `MLFLOW_TRACKING_URI`.

    Experiment: `MLFLOW_EXPERIMENT_NAME`, else `eegpt`.
    """

    def __init__(self, run: Path, settings: Record, *, step: int) -> None:
        mlflow = _library("mlflow")
        self._client: Any = mlflow.MlflowClient()
        known = _known_id(run / "mlflow-id")
        if known is None:
            name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "eegpt")
            found = self._client.get_experiment_by_name(name)
            experiment = self._client.create_experiment(name) if found is None else found.experiment_id
            known = self._client.create_run(experiment, run_name=run.resolve().name).info.run_id
            write_atomic(run / "mlflow-id", known)
            for key, value in _flat(settings):
                self._client.log_param(known, key, value)
        else:
            self._client.update_run(known, status="RUNNING")
        self._id = known

    def write(self, record: Record) -> None:
        """Send the numbers of a record."""
        for name, value in scalars(record):
            self._client.log_metric(self._id, name, value, step=int(record["step"]))

    def close(self) -> None:
        """End the run."""
        self._client.set_terminated(self._id)


_LOGGERS: dict[str, Any] = {"tensorboard": TensorBoard, "wandb": WeightsAndBiases, "mlflow": MLflow}


def make_logger(name: str, run: Path, settings: Record, *, step: int) -> Logger | None:
    """The logger `tensorboard`, `wandb` or `mlflow`; None for TensorBoard if it is not installed.

    Raises
    ------
    MissingExtraError
        The library was asked for and is not installed.
    """
    if name == "tensorboard" and importlib.util.find_spec("tensorboard") is None:
        return None
    made: Logger = _LOGGERS[name](run, settings, step=step)
    return made


def scalars(record: Record, prefix: str = "") -> Iterator[tuple[str, float]]:
    """The numbers of a record, those of tables named `table/name`."""
    for key, value in record.items():
        if isinstance(value, Mapping):
            yield from scalars(value, f"{prefix}{key}/")
        elif isinstance(value, (int, float)) and key != "step":
            yield f"{prefix}{key}", float(value)


def _flat(settings: Record, prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", str(value)


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise MissingExtraError(
            f"run.{name} needs {name}", todo=f"python -m pip install {name}, or set run.{name}=false"
        ) from None


def _known_id(path: Path) -> str | None:
    return path.read_text(encoding="utf-8").strip() if path.is_file() else None
