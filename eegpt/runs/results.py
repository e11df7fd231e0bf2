"""Errors of a pre-training run on held-out windows: the typed contents of `results.json`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from eegprep.errors import InputError
from eegprep.files import write_json
from eegprep.recording import spread
from eegpt.runs.folder import RESULTS, read_json
from eegpt.runs.settings import problem_of

# All predictors whose errors are reported, the model first.
PREDICTORS = ("model", "linear", "linear_whole_context", "persistence", "zero")


class _Results(BaseModel):
    model_config = ConfigDict(frozen=True)


class PredictorErrors(_Results):
    """Mean square errors of one predictor, in units of the normalisation squared.

    `new`: on the samples that no earlier token has shown; `all`: on all values of the next token (a trivial predictor
    copies what it has seen, without error); `horizon`: `new` by samples ahead; `band`: power of the error of
    consecutive predictions (None for a band without a frequency); `electrode`: `new` by electrode.
    """

    new: float
    all: float
    horizon: list[float]
    band: dict[str, float | None]
    electrode: dict[str, float]


class Example(_Results):
    """A held-out window and predictions of it, as strings of new samples."""

    electrode: str
    signal: list[float]
    predictions: dict[str, list[float]]


def evenly(examples: Mapping[int, Example], n: int) -> list[Example]:
    """At most `n` of the examples of different electrodes, evenly spread over the electrodes' ids."""
    ids = sorted(examples)
    return [examples[ids[i]] for i in spread(len(ids), n)]


class HeldOutErrors(_Results):
    """Errors on the windows of one split, by the names of `PREDICTORS`, and the `variance` of the new samples.

    `spectra` are power densities of `signal` and of predictions at `hz`.
    """

    n_windows: int
    variance: float
    predictors: dict[str, PredictorErrors]
    spectra: dict[str, list[float]] = {}
    examples: list[Example] = []

    @model_validator(mode="after")
    def _belong_together(self) -> HeldOutErrors:
        named = {*self.predictors, *(name for e in self.examples for name in e.predictions)}
        if not {"model"} <= named <= set(PREDICTORS) or "model" not in self.predictors:
            raise ValueError(f"predictors other than {', '.join(PREDICTORS)}, or none of the model")
        if len({tuple(e.band) for e in self.predictors.values()}) > 1:
            raise ValueError("predictors with errors in different bands")
        if not self.spectra.keys() <= {"hz", "signal", *PREDICTORS} or ("hz" not in self.spectra and self.spectra):
            raise ValueError("unknown spectra, or spectra without frequencies")
        lengths = [{len(s) for s in self.spectra.values()}]
        lengths += [{len(e.signal), *(len(p) for p in e.predictions.values())} for e in self.examples]
        if any(len(found) > 1 for found in lengths):
            raise ValueError("curves of different lengths")
        return self

    @property
    def model(self) -> PredictorErrors:
        """The encoder's own errors."""
        return self.predictors["model"]

    def gain(self, *names: str) -> float | None:
        """Relative reduction of the error against the best of some predictors; None if there is none."""
        best = min((self.predictors[n].new for n in names or ("linear",) if n in self.predictors), default=0.0)
        return 1 - self.model.new / best if best else None

    def figures(self) -> HeldOutErrors:
        """The errors without curves and examples, for the log."""
        return self.model_copy(update={"spectra": {}, "examples": []})


class PretrainingResults(_Results):
    """What a finished run reports; `other_lengths` are errors by window length and split."""

    steps: int
    windows_seen: int
    windows_per_epoch: int
    parameters: int
    unit: str
    splits: dict[str, HeldOutErrors]
    other_lengths: dict[int, dict[str, HeldOutErrors]] = {}

    def write(self, run: Path) -> None:
        """Write results.json."""
        write_json(Path(run) / RESULTS, {"pretraining": self.model_dump(mode="json")})


def read_pretraining_results(run: Path) -> PretrainingResults:
    """results.json of a pre-training run; InputError if the run is not finished."""
    path = Path(run) / RESULTS
    try:
        return PretrainingResults.model_validate(read_json(path)["pretraining"])
    except (OSError, KeyError, ValidationError) as error:
        raise InputError(
            "the pre-training run has no results",
            where=path,
            found=f"{type(error).__name__}: {problem_of(error)}",
            todo="run the same `eegpt train` command again to resume it",
        ) from error
