"""The page of a transfer run: scores, confusion matrices, pre-training, and the data, in one HTML file.

The page is self-contained and runs no script (`eegprep.report.figures.page`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from eegprep.files import sha256_file
from eegprep.report.contents import Contents, contents_of_shards
from eegprep.report.figures import Page, Section, Tile, format_duration, format_number, write_page
from eegprep.report.sections import contents as show
from eegprep.report.sections import signal as show_signal
from eegprep.report.sections.left_out import left_out
from eegpt.evaluation.results import Results, read_results
from eegpt.pages.graph import graph_sections
from eegpt.pages.pretraining import pretraining_section, pretraining_tile
from eegpt.pages.tasks import confusions, controls, learning, score_tiles, scores, subjects
from eegpt.runs.folder import RESULTS, WEIGHTS, read_lock
from eegpt.runs.log import read_log
from eegpt.runs.results import PretrainingResults, read_pretraining_results
from eegpt.transfer.checkpoint import FITS, read_run


def write_run_page(
    out: Path,
    *,
    run: Path,
    shards: Sequence[Path],
    pretrain_run: Path | None = None,
    title: str | None = None,
) -> Path:
    """Write the page of a transfer run to the file `out` and return its path.

    Parameters
    ----------
    run : Path
        A run with results.json (written by `eegpt evaluate`) and log.
    shards : sequence of Path
        The shard sets that the run was trained and tested on.
    pretrain_run : Path, optional
        The encoder's run; by default a folder beside `run` whose weights have the hash in the run's lock.

    Raises
    ------
    InputError
        The run has no results.
    """
    run = Path(run)
    results = read_results(run)
    pretrain_run = find_pretraining_run(run) if pretrain_run is None else Path(pretrain_run)
    contents = contents_of_shards(*shards)
    pretraining = read_pretraining_results(pretrain_run) if pretrain_run is not None else results.pretraining
    sections = [
        scores(results),
        controls(results),
        confusions(results),
        subjects(results),
        *(graph_sections(run, shards) if (run / FITS).is_dir() else []),  # a run's weights may have been deleted
        _pretraining(pretraining, pretrain_run, len(read_lock(run).encoder)) if pretraining is not None else None,
        learning(read_log(run), results),
        show.datasets(contents),
        show.coverage(contents),
        show_signal.signal(contents),
        left_out(contents),
        show.trials(contents),
        show.provenance(contents),
    ]
    names = ", ".join(d.name for d in contents.datasets)
    page = Page(
        title=title or "A run of EEGPT",
        kicker="EEGPT · run",
        subtitle=f"An encoder pre-trained on single electrodes and {_read_by(run)} for all tasks, on {names}.",
        tiles=_tiles(contents, results, pretraining),
        sections=[s for s in sections if s is not None],
    )
    return write_page(page, Path(out))


def _read_by(run: Path) -> str:
    """What the run trains on the encoder's outputs."""
    graph = read_run(run).config.model.graph if (run / FITS).is_dir() else True
    return "one electrode graph" if graph else "readouts at electrodes and pairs"


def _pretraining(results: PretrainingResults, run: Path | None, n_encoders: int) -> Section:
    """The section on pre-training; where every fold has an encoder, that of the first."""
    section = pretraining_section(results, run)
    if n_encoders < 2:
        return section
    said = f" Each of {n_encoders} folds has an encoder that has seen none of its test subjects; this is the first one."
    return dataclasses.replace(section, opening=section.opening + said)


def find_pretraining_run(run: Path) -> Path | None:
    """The folder beside `run` whose weights have the hash in the run's lock, or None; of several, the first."""
    wanted = read_lock(run).encoder
    if wanted:
        for weights in sorted(Path(run).resolve().parent.glob(f"*/{WEIGHTS}")):
            if (weights.parent / RESULTS).is_file() and sha256_file(weights) == wanted[0]:
                return weights.parent
    return None


def _tiles(contents: Contents, results: Results, pretraining: PretrainingResults | None) -> list[Tile]:
    tiles = score_tiles(results)
    error = pretraining_tile(pretraining) if pretraining is not None else None
    tiles += [error] if error is not None else []
    within = sum(t.within_subject for t in results.tasks.values())
    tiles += [
        Tile(
            label="Data sets",
            value=format_number(len(contents.datasets)),
            note=f"{format_number(contents.n_subjects)} subjects"
            + (f"; {within} task{'s' if within != 1 else ''} within subject" if within else ""),
        ),
        Tile(
            label="Signal",
            value=format_duration(contents.hours * 3600),
            note=f"{format_number(contents.electrode_hours)} electrode-hours",
        ),
        Tile(label="Electrodes", value=format_number(len(contents.electrodes)), note="of the vocabulary"),
        Tile(label="Trials", value=format_number(sum(t.count for t in contents.trials)), note="with a label"),
    ]
    return tiles
