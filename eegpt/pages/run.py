"""The page of a run: scores, confusion matrices, pre-training, and what went in and what did not, in one HTML file.

What enters: a transfer run with its results.json, the shard sets, and the pre-training run where it can be found.
What leaves: one page that needs nothing else, loads nothing and runs no script (`eegprep.figures.page`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eegprep.contents import Contents, contents_of_shards
from eegprep.contents import sections as show
from eegprep.contents import signal_sections as show_signal
from eegprep.errors import InputError
from eegprep.figures import Page, Section, Tile, format_duration, format_number, write_page
from eegprep.files import sha256_file
from eegpt.evaluation.page_pretraining import pretraining_section, pretraining_tile, read_pretraining
from eegpt.pages.tasks import confusions, learning, people, score_tiles, scores

__all__ = ["find_pretraining_run", "write_run_page"]


def write_run_page(
    out: Path,
    *,
    run: Path,
    shards: Sequence[Path],
    results: Mapping[str, Any] | None = None,
    pretrain_run: Path | None = None,
    title: str | None = None,
) -> Path:
    """Write the page of a transfer run to the file `out` and return its path.

    Parameters
    ----------
    run : Path
        Folder with the run's results.json (as `eegpt evaluate` writes it) and log.
    shards : sequence of Path
        The shard sets that it was trained and tested on.
    results : mapping, optional
        Instead of the run's results.json.
    pretrain_run : Path, optional
        The encoder's run; by default a folder beside `run` that holds the very weights that the run's lock names.

    Raises
    ------
    InputError
        The run has no results.
    """
    run = Path(run)
    results = _results(run) if results is None else results
    pretrain_run = find_pretraining_run(run) if pretrain_run is None else Path(pretrain_run)
    contents = contents_of_shards(*shards)
    graph = _graph(run, shards, results)
    pretraining = read_pretraining(pretrain_run) if pretrain_run is not None else results.get("pretraining") or {}
    sections = [
        scores(results),
        confusions(results),
        people(results),
        *graph,
        pretraining_section(pretraining, pretrain_run) if pretraining else None,
        learning(_log(run), results),
        show.datasets(contents),
        show.coverage(contents),
        show_signal.signal(contents),
        show.left_out(contents),
        show.trials(contents),
        show.provenance(contents),
    ]
    page = Page(
        title=title or "A run of EEGPT",
        kicker="EEGPT · run",
        subtitle=_subtitle(contents),
        tiles=_tiles(contents, results, pretraining),
        sections=[s for s in sections if s is not None],
    )
    return write_page(page, Path(out))


def _results(run: Path) -> dict[str, Any]:
    path = run / "results.json"
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            "the run has no results",
            where=path,
            found=f"{type(error).__name__}: {error}",
            todo="score it first: eegpt evaluate RUN --shards S",
        ) from error
    return found


def _log(run: Path) -> list[dict[str, Any]]:
    from eegpt.runs.log import read_log

    return read_log(run)


def find_pretraining_run(run: Path) -> Path | None:
    """The folder beside `run` whose weights are those that the run's lock names; None where there is none."""
    from eegpt.runs.folder import read_lock

    wanted = read_lock(run).encoder
    if len(wanted) != 1:
        return None
    for weights in sorted(Path(run).resolve().parent.glob("*/model.safetensors")):
        if (weights.parent / "results.json").is_file() and sha256_file(weights) == wanted[0]:
            return weights.parent
    return None


def _subtitle(contents: Contents) -> str:
    names = ", ".join(d.name for d in contents.datasets)
    return f"An encoder pre-trained on single electrodes and one electrode graph for all tasks, on {names}."


def _tiles(contents: Contents, results: Mapping[str, Any], pretraining: Mapping[str, Any]) -> list[Tile]:
    tiles = score_tiles(results)
    error = pretraining_tile(dict(pretraining))
    if error is not None:
        tiles.append(error)
    within = sum(t["within_subject"] for t in results["tasks"].values())
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


def _graph(run: Path, shards: Sequence[Path], results: Mapping[str, Any]) -> list[Section]:
    """What the graph attends to, and a map of the test trials; nothing where the run's weights are not at hand."""
    if not (run / "fits").is_dir():
        return []
    from eegpt.pages.graph import graph_sections

    return graph_sections(run, shards)
