"""The source kind `mne`: data sets that MNE downloads, `eegbci` and `sleep_physionet`.

The manifest's `code` names the set, and `subject` (`1-10,12`) selects subjects. Recordings are downloaded into the
folder when they are read, not while planning, and decoded by our EDF reader.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import re
from collections.abc import Callable
from pathlib import Path

from eegprep.errors import InputError, UsageError, nearest
from eegprep.formats.decoded import SourceEvent
from eegprep.formats.edf.read import read_annotations, read_edf
from eegprep.manifest.schema import Manifest
from eegprep.privacy import clean_message
from eegprep.recording import recording_id, seconds_to_samples
from eegprep.sources.assemble import assemble
from eegprep.sources.base import PlannedRecording, SourceRecording
from eegprep.sources.entry import Entry
from eegprep.splits.names import chosen_subjects

_EEGBCI_SUBJECTS, _EEGBCI_RUNS = range(1, 110), range(1, 15)
#: Subjects of the age study; 39, 68, 69, 78 and 79 were never recorded, 13, 36 and 52 lack one night.
_SLEEP_SUBJECTS = tuple(n for n in range(83) if n not in (39, 68, 69, 78, 79))
_SLEEP_MISSING = {(36, 1), (52, 1), (13, 2)}


def numbers(text: str | None, allowed: tuple[int, ...]) -> tuple[int, ...]:
    """Parse `1-3,7` as numbers in `allowed`; all of them if the text is empty."""
    if text is None:
        return allowed
    chosen: set[int] = set()
    for part in text.split(","):
        found = re.fullmatch(r"\s*(\d+)(?:\s*-\s*(\d+))?\s*", part)
        if found is None:
            raise UsageError(f"`source: subject: {text}` is not a list of subjects", expected="numbers such as 1-10,12")
        chosen |= set(range(int(found[1]), int(found[2] or found[1]) + 1))
    if strange := sorted(chosen - set(allowed)):
        raise UsageError(f"the data set has no subject {strange[0]}", expected=f"{allowed[0]} to {allowed[-1]}")
    return tuple(sorted(chosen))


class FetchedSource:
    """Recordings of a data set that MNE can download."""

    def __init__(self, manifest: Manifest, folder: Path) -> None:
        plans = {"eegbci": self._plan_eegbci, "sleep_physionet": self._plan_sleep}
        code = manifest.source.code or ""
        if code not in plans:
            raise UsageError(
                f"unsupported MNE data set {code!r}",
                expected=" or ".join(plans),
                todo=nearest(code, plans) or None,
            )
        self.manifest, self.folder = manifest, folder
        self._plan: Callable[[], list[PlannedRecording]] = plans[code]

    def plan(self) -> list[PlannedRecording]:
        """All recordings of the chosen subjects, sorted by key; nothing is downloaded."""
        planned = self._plan()
        chosen = chosen_subjects(self.manifest, (p.subject for p in planned))
        return sorted((p for p in planned if p.subject in chosen), key=lambda p: p.key)

    def entries(self) -> list[Entry]:
        """Always empty: recordings come from the data set's list, not from a folder."""
        return []

    def read(self, planned: PlannedRecording) -> SourceRecording:
        """Download missing files and decode them. Raises InputError if the download fails."""
        paths = self._fetch(planned)
        decoded = read_edf(paths[0])
        if len(paths) > 1:
            # the hypnogram beside the signal, with one annotation per sleep stage
            stages = [
                SourceEvent(
                    start_sample=seconds_to_samples(a.onset_s, decoded.sfreq_hz),
                    n_samples=seconds_to_samples(a.duration_s, decoded.sfreq_hz),
                    text=a.text,
                )
                for a in read_annotations(paths[1]).annotations
            ]
            decoded = dataclasses.replace(decoded, events=(*decoded.events, *stages))
        root = self.folder.resolve()
        files = tuple(p.resolve().relative_to(root).as_posix() for p in paths)
        found = dataclasses.replace(planned, files=files, public_files=files)
        return assemble(decoded, found, self.manifest, self.folder)

    def _fetch(self, planned: PlannedRecording) -> list[Path]:
        import mne

        self.folder.mkdir(parents=True, exist_ok=True)
        subject = int(planned.subject)
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                if self.manifest.source.code == "eegbci":
                    found = mne.datasets.eegbci.load_data(
                        subject, [int(planned.run)], path=self.folder, update_path=False, verbose="CRITICAL"
                    )
                else:
                    found = mne.datasets.sleep_physionet.age.fetch_data(
                        [subject], [int(planned.session)], path=self.folder, on_missing="raise", verbose="CRITICAL"
                    )[0]
        except Exception as error:  # downloads raise many classes of exceptions
            raise InputError(
                f"{self.manifest.name}: recording {planned.key} cannot be downloaded",
                found=clean_message(error),
                expected="access to physionet.org, or the files in the folder",
                todo="download it on another machine and pass the folder with --source",
            ) from error
        return [Path(p) for p in found]

    def _one(self, subject: str, session: str = "", run: str = "") -> PlannedRecording:
        key = recording_id(subject, session, run)
        return PlannedRecording(subject=subject, session=session, run=run, key=key)

    def _plan_eegbci(self) -> list[PlannedRecording]:
        subjects = numbers(self.manifest.source.subject, tuple(_EEGBCI_SUBJECTS))
        return [self._one(f"{s:03d}", run=f"{r:02d}") for s in subjects for r in _EEGBCI_RUNS]

    def _plan_sleep(self) -> list[PlannedRecording]:
        subjects = numbers(self.manifest.source.subject, _SLEEP_SUBJECTS)
        nights = [(s, n) for s in subjects for n in (1, 2) if (s, n) not in _SLEEP_MISSING]
        return [self._one(f"{s:02d}", session=str(n)) for s, n in nights]
