"""One job of an ingest, in any process: read, standardise, store, report the outcome.

A dry run is the same job with its signal discarded, so `eegprep inspect` reports what `eegprep ingest` does.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import functools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from eegprep.electrodes import Vocabulary, parse_vocabulary
from eegprep.errors import EEGPTError, InputError, UsageError
from eegprep.ingest.outcome import Job, Outcome
from eegprep.manifest.recipe import Recipe
from eegprep.manifest.schema import Manifest
from eegprep.processes.messages import READY, planned_from_plain
from eegprep.processes.shared import SharedBlock
from eegprep.processes.worker import Handler, as_input_error
from eegprep.sources.base import PlannedRecording, SourceRecording
from eegprep.store import Store

# Errors after which no other file can be written either.
_FATAL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}


class Reader(Protocol):
    """A source, or a reader in a separate process."""

    def read(self, planned: PlannedRecording) -> SourceRecording: ...


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Settings shared by all jobs of a run; plain data.

    `threads` filter the channels of one recording in parallel if there are fewer recordings than workers.
    """

    manifest_json: str
    recipe_json: str
    vocabulary_json: str
    folder: str
    out: str
    dry: bool = False
    threads: int = 1

    def manifest(self) -> Manifest:
        return _manifest(self.manifest_json)

    def recipe(self) -> Recipe:
        return _recipe(self.recipe_json)

    def vocabulary(self) -> Vocabulary:
        return _vocabulary(self.vocabulary_json)


# Read once per process, not once per recording.
_manifest = functools.lru_cache(1)(Manifest.model_validate_json)
_recipe = functools.lru_cache(1)(Recipe.model_validate_json)
_vocabulary = functools.lru_cache(1)(parse_vocabulary)


def run_job(job: Job, planned: PlannedRecording, reader: Reader, setting: Setting) -> Outcome:
    """Ingest one recording. Every error becomes an outcome, unless it kills the process."""
    inspected: dict[str, Any] | None = {} if setting.dry else None
    seen: dict[str, dict[str, int]] = {}
    try:
        _do(job, planned, reader, setting, inspected, seen)
    except EEGPTError as error:
        return _failed(job, error.as_dict(), inspected, fatal=isinstance(error, UsageError))
    except OSError as error:
        shown = InputError(
            "the disk is full" if error.errno == errno.ENOSPC else "a file cannot be read or written",
            where=error.filename or (setting.out if error.errno in _FATAL else None),
            found=error.strerror or str(error),
            todo="free some disk space and run the same command again; finished work is kept"
            if error.errno in _FATAL
            else "check its permissions and its disk, or leave it out",
        )
        return _failed(job, shown.as_dict(), inspected, fatal=error.errno in _FATAL, number=error.errno)
    except Exception as error:  # an unexpected error costs one recording, not the run
        return _failed(job, as_input_error(error).as_dict(), inspected)
    finally:
        if (release := getattr(reader, "release", None)) is not None:
            release(planned)
    return Outcome(key=job.key, recording_id=job.recording_id, inspected=inspected, seen=seen)


def handler(shared: SharedBlock | None) -> Handler:
    """Request handler of a worker: receives the run's setting, then one job after another."""
    setting: Setting | None = None
    source: Reader | None = None

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        nonlocal setting, source
        if "setting" in request:
            from eegprep.sources import open_source

            setting = Setting(**request["setting"])
            source = open_source(setting.manifest(), Path(setting.folder))
            return READY
        if setting is None or source is None:
            raise InputError("a job was received before the settings")
        job, planned = Job(**request["job"]), planned_from_plain(request["planned"])
        return dataclasses.asdict(run_job(job, planned, source, setting))

    return answer


def _do(
    job: Job,
    planned: PlannedRecording,
    reader: Reader,
    setting: Setting,
    inspected: dict[str, Any] | None,
    seen: dict[str, dict[str, int]],
) -> None:
    from eegprep.ingest.inspection import describe_decision, describe_result
    from eegprep.ingest.process import carry_out, write
    from eegprep.standardise import Nowhere, decide, make_plan

    recording = reader.read(planned)
    seen.update(events=dict(recording.event_counts), labels=dict(recording.label_counts))
    decision = decide(recording, manifest=setting.manifest(), recipe=setting.recipe(), vocabulary=setting.vocabulary())
    if inspected is not None:
        inspected.update(describe_decision(decision))
    plan = make_plan(decision)
    with ThreadPoolExecutor(setting.threads) if setting.threads > 1 else contextlib.nullcontext() as pool:
        if inspected is None:
            write(plan, Store(Path(setting.out)), job.made_from, pool)
        else:
            inspected.update(describe_result(plan, carry_out(plan, Nowhere(), pool)))


def _failed(
    job: Job,
    error: dict[str, str | None],
    inspected: dict[str, Any] | None,
    *,
    fatal: bool = False,
    number: int | None = None,
) -> Outcome:
    return Outcome(
        key=job.key, recording_id=job.recording_id, error=error, fatal=fatal, errno=number, inspected=inspected
    )


def public_error(error: dict[str, str | None], planned: PlannedRecording, folder: Path) -> dict[str, str | None]:
    """An error that may be stored: without local paths, and with the files' public names."""
    swaps = [(str(folder / f), p) for f, p in zip(planned.files, planned.public_files, strict=False)]
    swaps += list(zip(planned.files, planned.public_files, strict=False))
    swaps += [(Path(f).name, Path(p).name) for f, p in zip(planned.files, planned.public_files, strict=False)]
    swaps += [(str(folder), "<source>"), (str(folder.absolute()), "<source>")]

    def cleaned(text: str | None) -> str | None:
        if text is None:
            return None
        for raw, public in swaps:
            if raw not in ("", "."):
                text = text.replace(raw, public)
        return text

    return {k: cleaned(v) for k, v in error.items()}
