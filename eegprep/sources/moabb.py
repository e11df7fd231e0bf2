"""The source kind `moabb`: MOABB data sets by code, with their subjects, sessions, runs and events.

One recording per subject, session and run. MOABB is in the extra [moabb], imported only here; it
downloads a subject's files during planning, since the runs are unknown before. Signals are cached for one subject
at a time.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import re
import socket
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from eegprep.errors import InputError, UsageError, install, nearest
from eegprep.formats.decoded import Decoded
from eegprep.manifest.schema import Licence, Manifest, SourceSpec
from eegprep.manifest.tasks import Task, TrialRule
from eegprep.privacy import clean_message
from eegprep.sources.assemble import assemble
from eegprep.sources.base import PlannedRecording, SourceRecording
from eegprep.sources.entry import Entry
from eegprep.splits.names import chosen_subjects

#: MOABB's environment variable for the download provider, and the host of its mirror.
_PROVIDER, _MIRROR_HOST = "MOABB_DOWNLOAD_PROVIDER", "data.nemar.org"


def load_dataset(code: str) -> Any:
    """The MOABB data set of a class name (`BNCI2014_001`) or code (`BNCI2014-001`).

    Raises
    ------
    UsageError
        MOABB is not installed, or has no such data set.
    """
    if not re.fullmatch(r"[A-Za-z0-9_\-]{1,80}", code):
        raise UsageError(f"{code!r} is not a MOABB code", expected="letters, digits, - and _, e.g. moabb:BNCI2014_001")
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            datasets = importlib.import_module("moabb.datasets")
            known = list(importlib.import_module("moabb.datasets.utils").dataset_list)
            known.append(importlib.import_module("moabb.datasets.fake").FakeDataset)
        except ImportError as error:
            raise UsageError(
                f"moabb:{code} needs MOABB, which is not installed",
                found=f"no module {error.name}",
                todo=install("moabb"),
            ) from error
        wanted = code.replace("-", "_").casefold()
        for kind in known:
            if kind.__name__.replace("-", "_").casefold() == wanted:
                return getattr(datasets, kind.__name__, kind)()
    names = [k.__name__ for k in known]
    raise UsageError(
        f"MOABB has no data set {code!r}", expected="a class of moabb.datasets", todo=nearest(code, names) or None
    )


def manifest_for_moabb(code: str) -> Manifest:
    """An implicit manifest with one task: the data set's events, with MOABB's names and interval."""
    dataset = load_dataset(code)
    classes = sorted(str(name) for name in dataset.event_id)
    start, stop = (float(v) for v in dataset.interval)
    tasks = []
    if len(classes) >= 2 and stop > start:
        rule = TrialRule(by="event", labels={c: c for c in classes}, offset_s=start, length_s=stop - start)
        tasks.append(Task(name=str(dataset.paradigm).lower().replace("/", "-"), classes=classes, trials=rule))
    return Manifest(
        manifest=1,
        name=re.sub(r"[^a-z0-9_\-]", "-", f"moabb-{code.lower()}")[:63],
        version="0",
        title=f"{code} through MOABB",
        citation=f"MOABB's page of {code}",
        doi=dataset.doi if isinstance(dataset.doi, str) and re.match(r"^10\.\S{3,}$", dataset.doi) else None,
        licence=Licence(id="unknown", share_shards=False),
        anonymous_subjects=True,  # MOABB numbers subjects 1, 2, ...
        source=SourceSpec(kind="moabb", code=code),
        tasks=tasks,
    )


@contextlib.contextmanager
def _no_waiting(dataset: Any) -> Iterator[None]:
    """Disable MOABB's mirror without a network, since MOABB would retry it for half a minute per subject.

    Nothing is changed if the mirror's folder already exists on this machine.
    """
    mirror = getattr(dataset, "nemar_id", None)
    if mirror is None or os.environ.get(_PROVIDER) or _reachable(_MIRROR_HOST) or _mirrored(dataset, mirror):
        yield
        return
    os.environ[_PROVIDER] = "upstream"
    try:
        yield
    finally:
        del os.environ[_PROVIDER]


def _reachable(host: str) -> bool:
    try:
        socket.getaddrinfo(host, 443)
    except OSError:
        return False
    return True


def _mirrored(dataset: Any, mirror: str) -> bool:
    store = getattr(importlib.import_module("moabb.datasets.download"), "nemar_store", None)
    return store is not None and Path(store(dataset.code, mirror)).exists()


class MOABBSource:
    """Recordings of one MOABB data set, whose files are in MOABB's own folder."""

    def __init__(self, manifest: Manifest, folder: Path) -> None:
        if manifest.source.code is None:
            raise UsageError(f"the manifest {manifest.name} must name the MOABB data set", expected="`source: code:`")
        self.manifest, self.folder = manifest, folder
        self.dataset = load_dataset(manifest.source.code)
        self._planned: list[PlannedRecording] | None = None
        self._loaded: tuple[str, dict[str, dict[str, Any]]] | None = None

    def plan(self) -> list[PlannedRecording]:
        """All recordings, sorted by key; downloads missing files."""
        if self._planned is None:
            out: list[PlannedRecording] = []
            chosen = chosen_subjects(self.manifest, map(str, self.dataset.subject_list))
            for subject in (s for s in self.dataset.subject_list if str(s) in chosen):
                for session, runs in self._subject(str(subject)).items():
                    for run, raw in runs.items():
                        key = f"{subject}/{session}/{run}"
                        size = 8 * len(raw.ch_names) * int(raw.n_times)
                        out.append(
                            PlannedRecording(
                                subject=str(subject), session=str(session), run=str(run), key=key, n_bytes=size
                            )
                        )
            self._planned = sorted(out, key=lambda p: p.key)
        return list(self._planned)

    def entries(self) -> list[Entry]:
        """Always empty: recordings come from MOABB's list, not from a folder."""
        return []

    def read(self, planned: PlannedRecording) -> SourceRecording:
        """Read one run, with the data set's own event names."""
        runs = self._subject(planned.subject).get(planned.session, {})
        if planned.run not in runs:
            raise InputError(f"{self.manifest.name} no longer has the recording {planned.key}")
        return assemble(self._decoded(runs[planned.run]), planned, self.manifest, self.folder)

    def _decoded(self, raw: Any) -> Decoded:
        import dataclasses

        from eegprep.formats.mne import decode_raw

        decoded = decode_raw(raw, "moabb")
        names = {str(code): str(name) for name, code in self.dataset.event_id.items()}
        # Some sets have events on a trigger channel, some as annotations, some both.
        events = [dataclasses.replace(e, n_samples=0, text=names.get(e.text, e.text)) for e in decoded.events]
        return dataclasses.replace(decoded, events=tuple(sorted(events)))

    def _subject(self, subject: str) -> dict[str, dict[str, Any]]:
        if self._loaded is None or self._loaded[0] != subject:
            number = next(s for s in self.dataset.subject_list if str(s) == subject)
            try:
                with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), _no_waiting(self.dataset):
                    warnings.simplefilter("ignore")
                    # MOABB's default step would add a copy of every event, shifted by the start of its interval
                    as_read = importlib.import_module("moabb.datasets.preprocessing").FixedPipeline([])
                    data = self.dataset.get_data(subjects=[number], process_pipeline=as_read)[number]
            except Exception as error:  # downloads and readers raise many classes of exceptions
                raise InputError(
                    f"MOABB cannot load subject {subject} of {self.manifest.source.code}",
                    found=clean_message(error),
                    todo="check the network, or download the data set with MOABB itself",
                ) from error
            runs = {str(s): {str(r): raw for r, raw in runs.items()} for s, runs in data.items()}
            self._loaded = (subject, runs)
        return self._loaded[1]
