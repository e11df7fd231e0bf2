"""Every command of `eegpt` as one function with the same defaults; the commands only print what these return.

Where a command takes names separated by commas, these functions also take a sequence; where it takes a settings file,
also a settings object.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from eegprep.errors import UsageError
from eegprep.files import (
    count_of,
    names_of,
    number_of,
    one_of,
    output_file,
    output_path,
    path_of,
    paths_of,
    write_atomic,
)
from eegpt.callbacks import Callback, Logger
from eegpt.interop.model import Model, open_model
from eegpt.pretraining.config import PretrainConfig
from eegpt.pretraining.loop import PretrainResult, resumed_config
from eegpt.runs.settings import Settings, changed, read_settings, with_settings
from eegpt.runs.weights import find
from eegpt.transfer.config import TransferConfig

if TYPE_CHECKING:
    from eegpt.evaluation.compare import Comparison
    from eegpt.evaluation.results import Results
    from eegpt.pretraining.forecast import Forecast
    from eegpt.studies.claims import ClaimsResult

PathLike = str | Path
Paths = PathLike | Sequence[PathLike]
Names = str | Sequence[str]
#: `{"schedule.steps": 500}`, or `["schedule.steps=500"]` as on the command line
Changes = Mapping[str, Any] | Sequence[str]
S = TypeVar("S", bound=Settings)
Tell = Callable[[str], None]


def load(model: PathLike | Model = "base", *, device: torch.device | str = "cpu", fit: str | None = None) -> Model:
    """Open a model.

    Parameters
    ----------
    model : str or Path
        The packaged weights `base` or `small`, the folder of a run of `pretrain` or `transfer`, or `hf://owner/name`.
    device : torch.device or str
    fit : str, optional
        Name of a fit of a transfer run; the first by default.

    Raises
    ------
    UsageError
        There is no such model, or these weights are not part of this installation.
    InputError, RefusedError
        Its files are inconsistent or describe an invalid model.
    """
    return model if isinstance(model, Model) else open_model(model, device=device, fit=fit)


def pretrain(
    shards: Paths,
    out: PathLike | None = None,
    *,
    size: str | None = None,
    config: PathLike | PretrainConfig | None = None,
    settings: Changes = (),
    resume: PathLike | None = None,
    callbacks: Sequence[Callback] = (),
    loggers: Sequence[Logger] = (),
    show_progress: bool = True,
) -> PretrainResult:
    """Pre-train the encoder on shard sets, and write the run's page; the same call resumes a stopped run.

    Parameters
    ----------
    shards : str, Path, or a sequence of them
        Shard sets: folders or addresses.
    out : str or Path
        The run's folder.
    size : {"base", "large", "huge", "giant"}, optional
    config : str, Path or PretrainConfig, optional
        Settings, or a YAML or JSON file with some or all of them; by default `PretrainConfig()`.
    settings : mapping or sequence of str
        More settings by path: `{"schedule.steps": 500}` or `["schedule.steps=500"]`.
    resume : str or Path, optional
        Resume this run with its own settings, instead of `out`.
    callbacks, loggers : sequence
        See `eegpt.callbacks`.
    show_progress : bool
        A progress line on stderr if that is a terminal.

    Returns
    -------
    PretrainResult
        `results` has the errors on held-out windows, or is None if the run was stopped.

    Raises
    ------
    UsageError
        `out` contains other files or a run with other settings, or there is nothing to train on.
    RefusedError
        `out` contains a run on other shard sets.
    InputError
        A loss or gradient was not finite; the message names the batch.
    """
    from eegpt.pages.pretraining import write_pretraining_page
    from eegpt.pretraining.loop import pretrain as run

    if isinstance(shards, (list, tuple)) and not shards:
        raise UsageError("no shard set to train on", todo="pass one or more with --shards")
    sets = paths_of(shards, "the shard sets")
    if resume is not None:
        if out is not None or size is not None or config is not None or settings:
            raise UsageError(
                "the settings of a resumed run cannot be changed",
                expected="only --shards and --resume",
                todo="leave out --out, --size, --config and --set, or start a new run with --out",
            )
        folder = path_of(resume, "resume")
        chosen = resumed_config(folder)
    elif out is None:
        raise UsageError("missing --out", todo="name the run's folder with --out, or a run to resume with --resume")
    else:
        folder = output_path(out)
        chosen = settings_of(PretrainConfig, config, settings, {"encoder.size": size})
    done = run(chosen, shards=sets, out=folder, callbacks=callbacks, loggers=loggers, show_progress=show_progress)
    if done.results is not None and not int(os.environ.get("RANK", "0")):
        write_pretraining_page(done.run)
    return done


def transfer(
    shards: Paths,
    out: PathLike,
    *,
    encoder: Paths | None = None,
    mode: str | None = None,
    scheme: str | None = None,
    seeds: int | None = None,
    tasks: Names | None = None,
    separate: bool = False,
    unknown_electrodes: str | None = None,
    allow_leakage: bool = False,
    config: PathLike | TransferConfig | None = None,
    settings: Changes = (),
    report: Callable[[str, int, int, dict[str, float]], None] | None = None,
) -> Results:
    """Train the electrode graph on all labelled tasks at once and score it; the same call resumes a stopped run.

    Parameters
    ----------
    shards : str, Path, or a sequence of them
        Shard sets: folders or addresses.
    out : str or Path
        The run's folder; `eegpt.load(out)` opens it.
    encoder : str, Path, or a sequence of them, optional
        The packaged weights `base` or `small`, or a run of `pretrain`; or one for each fold of the scheme, in order.
    mode : {"frozen", "full", "scratch", "lora", "probe"}, optional
        What is trained, see `eegpt.transfer.config.TransferConfig`.
    scheme : str, optional
        `split`, `kfold:5`, `loso`, `lodo`, `few-shot:5`, `few-shot:5:5` or `within:5`.
    seeds : int, optional
        Number of fits with different seeds.
    tasks : str or sequence of str, optional
        Only these tasks.
    separate : bool
        One model for each task instead of one for all.
    unknown_electrodes : {"refuse", "nearest", "extend", "leave_out"}, optional
    allow_leakage : bool
        Continue even if test recordings were seen in training; noted on every table.
    config, settings
        As of `pretrain`, with `TransferConfig`.
    report : callable, optional
        Called with (name of the fit, step, steps, record) after every evaluation on the validation trials.

    Returns
    -------
    Results
        Scores on the test trials, also in `OUT/results.json`; printing it shows the table.

    Raises
    ------
    UsageError
        There are no training trials, an encoder is missing, or `out` contains another run.
    RefusedError
        Test recordings were seen before, or electrodes are unknown to the encoder.
    """
    from eegpt.evaluation.evaluate import evaluate as score
    from eegpt.evaluation.evaluate import write_results
    from eegpt.transfer.run import transfer as run

    options = {
        "mode": mode,
        "data.scheme": scheme,
        "seeds": None if seeds is None else list(range(count_of(seeds, "seeds"))),
        "data.tasks": None if tasks is None else list(names_of(tasks, "tasks")),
        "joint": False if separate else None,
        "data.unknown_electrodes": unknown_electrodes,
        "allow_leakage": True if allow_leakage else None,
    }
    chosen = settings_of(TransferConfig, config, settings, options)
    if unread := chosen.without_effect():
        raise UsageError(
            f"settings without an effect in mode {chosen.mode!r}",
            found=", ".join(unread),
            expected=", ".join(f"{name}: {needed}" for name, needed in unread.items()),
            todo="leave them out, or choose what reads them",
        )
    sets, folder = paths_of(shards, "the shard sets"), output_path(out)
    encoders = None if encoder is None else paths_of(encoder, "the encoder")
    run(chosen, shards=sets, out=folder, encoder=encoders, report=report)
    predictions, results = score(folder, sets)
    write_results(folder, predictions, results)
    return results


def evaluate(
    run: PathLike,
    shards: Paths,
    *,
    baselines: Names = "quick",
    controls: bool = False,
    out: PathLike | None = None,
    page: PathLike | None = None,
    title: str | None = None,
    allow_leakage: bool = False,
    tell: Tell = lambda text: None,
) -> Results:
    """Score a run of `transfer` on the test split, with baselines on the same trials.

    Parameters
    ----------
    run : str or Path
    shards : str, Path, or a sequence of them
    baselines : str or sequence of str
        `quick`, `all`, `braindecode`, `none`, or names such as `band_power`.
    controls : bool
        Score every task again without what may come from eyes, muscles or drift.
    out : str or Path, optional
        Folder for the results; by default the run's.
    page : str or Path, optional
        Write an HTML page of the run, with this `title`.
    allow_leakage : bool
        Continue even if test recordings were seen in training; noted on every table.
    tell : callable, optional
        Called with a line of text on progress.

    Raises
    ------
    UsageError
        There is no such run, or the shard sets have none of its tasks.
    RefusedError
        Test recordings were seen by the run.
    """
    from eegpt.evaluation.baselines import chosen
    from eegpt.evaluation.evaluate import evaluate as score
    from eegpt.evaluation.evaluate import write_results

    folder, sets = path_of(run, "the run"), paths_of(shards, "the shard sets")
    target = folder if out is None else output_path(out)
    written = None if page is None else output_file(page, "page")
    names = chosen(",".join(names_of(baselines, "baselines")))
    predictions, results = score(
        folder, sets, baselines=names, allow_leakage=allow_leakage, controls=controls, tell=tell
    )
    write_results(target, predictions, results)
    if written is not None:
        from eegpt.pages.run import write_run_page

        write_run_page(written, run=target, shards=sets, title=title)
    return results


def baselines(
    shards: Paths,
    *,
    names: Names = "all",
    scheme: str = "split",
    seeds: int = 1,
    tasks: Names | None = None,
    out: PathLike | None = None,
    tell: Tell = lambda text: None,
) -> Results:
    """Score the baselines only, on the same trials and splits as the model.

    Parameters
    ----------
    shards : str, Path, or a sequence of them
    names : str or sequence of str
        `quick`, `all`, `braindecode`, or names.
    scheme : str
        See `transfer`.
    seeds : int
        Number of seeds of the networks.
    tasks : str or sequence of str, optional
        Only these tasks; all by default.
    out : str or Path, optional
        Folder for results.json and the predictions.
    tell : callable, optional
        Called with a line of text on progress.
    """
    from eegpt.evaluation.baselines import chosen
    from eegpt.evaluation.evaluate import score_baselines, write_results

    options = {"mode": "scratch", "data.scheme": scheme, "seeds": list(range(count_of(seeds, "seeds")))}
    options |= {} if tasks is None else {"data.tasks": list(names_of(tasks, "tasks"))}
    config = changed(TransferConfig(), options)
    sets, wanted = paths_of(shards, "the shard sets"), chosen(",".join(names_of(names, "names")))
    target = None if out is None else output_path(out)
    predictions, results = score_baselines(sets, config, wanted, tell=tell)
    if target is not None:
        write_results(target, predictions, results)
    return results


def compare(runs: Sequence[PathLike], *, method: str = "model", csv: PathLike | None = None) -> list[Comparison]:
    """Compare runs on the test trials that they share: scores, differences and paired tests.

    Parameters
    ----------
    runs : sequence of str or Path
        Two or more folders with predictions.parquet; the first is compared with the others.
    method : str
        Method whose predictions are compared.
    csv : str or Path, optional
        Write the comparison to this file.
    """
    from eegpt.evaluation.compare import compare_runs, comparison_csv

    table = None if csv is None else output_file(csv, "csv")
    if not isinstance(method, str):
        raise UsageError("method must be a name", found=repr(method)[:200], expected="such as model or band_power")
    rows = compare_runs(paths_of(runs, "the runs"), method=method)
    if table is not None:
        write_atomic(table, comparison_csv(rows))
    return rows


def forecast(
    run: PathLike,
    shards: Paths,
    *,
    seconds: float = 1.0,
    split: str = "test",
    window_samples: int = 1024,
    n_windows: int = 512,
    out: PathLike | None = None,
) -> Forecast:
    """Forecast signals with the encoder, token by token, and plot them against the real ones.

    Parameters
    ----------
    run : str or Path
        The packaged weights `base` or `small`, or a run of `pretrain`.
    shards : str, Path, or a sequence of them
    seconds : float
        Length of the forecast.
    split : str
        Split to forecast.
    window_samples : int
        Window length, including the forecast.
    n_windows : int
        Number of windows, evenly spread.
    out : str or Path, optional
        Output page; by default `RUN/forecast.html`.
    """
    from eegprep.recording import seconds_to_samples, spread
    from eegprep.remote import open_shards
    from eegprep.splits import SPLITS
    from eegpt.data import WindowIndex
    from eegpt.data.loader import in_batches
    from eegpt.pages.pretraining import write_forecast_page
    from eegpt.pretraining.forecast import forecast_errors, with_vocabulary
    from eegpt.runs.checkpoint import load_encoder
    from eegpt.runs.runtime import runtime

    number_of(seconds, "seconds")
    count_of(window_samples, "window_samples")
    count_of(n_windows, "n_windows")
    one_of(split, "split", SPLITS)
    folder = find(run)
    page = folder / "forecast.html" if out is None else output_file(out)
    encoder = load_encoder(folder)
    sfreq_hz = encoder.model.config.sfreq_hz
    sets = [open_shards(s) for s in paths_of(shards, "the shard sets")]
    index = WindowIndex(sets, n_samples=window_samples, stride=window_samples, splits=(split,))
    windows = (
        with_vocabulary(w, index.vocabulary, encoder.vocabulary)
        for w in in_batches(index, spread(len(index), n_windows), 256)
    )
    with runtime("auto") as here:
        result = forecast_errors(
            encoder.model,
            windows,
            n_forecast=seconds_to_samples(seconds, sfreq_hz),
            names=list(encoder.vocabulary.names),
            autocast=here.autocast,
        )
    write_forecast_page(result, sfreq_hz=sfreq_hz, out=page)
    return result


def scaling(
    shards: Paths,
    *,
    out: PathLike = Path("scaling"),
    sizes: Names = "2x64x2,base,large",
    fractions: str | Sequence[float] = "0.25,0.5,1",
    config: PathLike | PretrainConfig | None = None,
    settings: Changes = (),
) -> dict[str, Any]:
    """Train all sizes on all fractions of the data and fit scaling laws; finished runs are skipped.

    Parameters
    ----------
    shards : str, Path, or a sequence of them
    out : str or Path
        Folder of the study, with its page `index.html`.
    sizes : str or sequence of str
        Sizes, or `LAYERSxWIDTHxHEADS`.
    fractions : str or sequence of float
        Fractions of the training windows.
    config, settings
        As of `pretrain`.

    Returns
    -------
    dict
        `rows` of the runs, and the laws `by_parameters` and `by_windows`.
    """
    from eegpt.pages.scaling import write_scaling_page
    from eegpt.studies.scaling import scaling as study

    common = settings_of(PretrainConfig, config, settings)
    sets, folder = paths_of(shards, "the shard sets"), output_path(out)
    result = study(common, shards=sets, out=folder, sizes=names_of(sizes, "sizes"), fractions=_numbers(fractions))
    write_scaling_page(result, folder / "index.html")
    _write_run_pages(folder)
    return result


def ablation(
    shards: Paths,
    *,
    out: PathLike = Path("ablation"),
    questions: Names | None = None,
    probe: bool = False,
    config: PathLike | PretrainConfig | None = None,
    settings: Changes = (),
) -> list[dict[str, Any]]:
    """Train variants that differ in one setting, and compare their errors on held-out subjects.

    Parameters
    ----------
    shards : str, Path, or a sequence of them
    out : str or Path
        Folder of the study.
    questions : str or sequence of str, optional
        Settings to vary; all by default.
    probe : bool
        Score a linear probe of every encoder on the labelled tasks.
    config, settings
        As of `pretrain`.
    """
    from eegpt.studies.ablation import ablation as study

    common = settings_of(PretrainConfig, config, settings)
    sets, folder = paths_of(shards, "the shard sets"), output_path(out)
    scores = None if not probe else lambda run: _probe_scores(run, sets)
    asked = () if questions is None else names_of(questions, "questions")
    rows = study(common, shards=sets, out=folder, questions=asked, probe=scores)
    _write_run_pages(folder)
    return rows


def claims(
    shards: Paths,
    *,
    out: PathLike = Path("claims"),
    names: Names | None = None,
    scheme: str = "kfold:5",
    seeds: int = 1,
    sizes: Names = "base,large",
    fractions: str | Sequence[float] = "0.25,0.5",
    vary: Sequence[str] | None = None,
    settings: Changes = (),
    transfer_settings: Changes = (),
    tell: Tell = lambda text: None,
) -> ClaimsResult:
    """Repeat the paper's comparisons: train the models, score every arm, write tables and a page.

    Parameters
    ----------
    shards : str, Path, or a sequence of them
    out : str or Path
        Folder of the encoders, runs and the page `index.html`.
    names : str or sequence of str, optional
        Claims; all by default.
    scheme : str
        See `transfer`.
    seeds : int
        Seeds of the graphs.
    sizes, fractions
        As of `scaling`, besides the whole data.
    vary : sequence of str, optional
        Pre-training settings to compare with their defaults, `KEY=VALUE`.
    settings, transfer_settings : mapping or sequence of str
        Settings of pre-training, and of the transfer.
    tell : callable, optional
        Called with a line of text on progress.
    """
    from eegpt.pages.claims import write_claims_page
    from eegpt.studies.claims import ClaimsConfig, run_claims

    transferred = changed(TransferConfig(), {"data.scheme": scheme, "seeds": list(range(count_of(seeds, "seeds")))})
    config = ClaimsConfig(
        claims=() if names is None else names_of(names, "names"),
        sizes=names_of(sizes, "sizes"),
        fractions=tuple(_numbers(fractions)),
        vary=() if vary is None else names_of(vary, "vary", separator=None),
        pretrain=settings_of(PretrainConfig, None, settings),
        transfer=settings_of(TransferConfig, transferred, transfer_settings),
    )
    sets, folder = paths_of(shards, "the shard sets"), output_path(out)
    result = run_claims(config, shards=sets, out=folder, tell=tell)
    write_claims_page(result, shards=sets, out=folder)
    return result


# ---- arguments


def settings_of(
    cls: type[S],
    config: PathLike | S | None,
    settings: Changes = (),
    options: Mapping[str, Any] | None = None,
) -> S:
    """Settings from an object or a file, overridden by options (None: not given), then by `settings`."""
    given = {key: value for key, value in (options or {}).items() if value is not None}
    if isinstance(config, Settings):
        if not isinstance(config, cls):
            raise UsageError("settings of another kind", found=type(config).__name__, expected=cls.__name__)
        base = changed(config, given)
    else:
        base = read_settings(cls, None if config is None else path_of(config, "config"), (), given)
    if isinstance(settings, Mapping):
        return changed(base, settings)
    return with_settings(base, names_of(settings, "settings", separator=None) if settings else ())


def _numbers(fractions: str | Sequence[float]) -> list[float]:
    try:
        given = names_of(fractions, "fractions") if isinstance(fractions, str) else list(fractions)
        if not given:
            raise UsageError("no fraction is given", expected="e.g. 0.25,0.5")
        return [float(f) for f in given]
    except (TypeError, ValueError):
        raise UsageError(
            "fractions (--fractions) must be numbers", found=repr(fractions)[:200], expected="e.g. 0.25,0.5"
        ) from None


def _write_run_pages(study: Path) -> None:
    """Write the missing pages of a study's runs."""
    from eegpt.pages.pretraining import write_pretraining_page

    for run in sorted((study / "runs").iterdir()):
        if not (run / "index.html").is_file():
            write_pretraining_page(run)


def _probe_scores(run: Path, shards: Sequence[Path]) -> dict[str, float]:
    """Mean balanced accuracy of a linear probe of a run's encoder over all classification tasks."""
    from eegpt.evaluation.evaluate import evaluate as score
    from eegpt.transfer.run import transfer as train

    train(TransferConfig(mode="probe"), shards=shards, out=run / "probe", encoder=run)
    _, results = score(run / "probe", shards)
    tasks = [task for task in results.tasks.values() if task.kind == "classification"]
    scores = [mean for task in tasks if (mean := task.mean(task.model)) is not None]
    return {"probe": sum(scores) / len(scores)}
