"""BIDS data sets at an address: planned from names and side-cars, read recording by recording.

`read` fetches a recording's files into the mirror (`eegprep.remote.mirror`), `release` drops them. What a local data
set is asked by opening its files is known from names here: a split FIF by its numbers, the samples of a header by its
stem.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from eegprep.errors import InputError, RefusedError
from eegprep.formats.companions import named_files
from eegprep.manifest.lock import FetchedFile
from eegprep.manifest.schema import Manifest
from eegprep.remote.mirror import Mirror
from eegprep.sources.base import PlannedRecording, SourceRecording
from eegprep.sources.bids import BIDSSource, tables_of
from eegprep.sources.bids_tables import merged_json
from eegprep.sources.entry import Code, Entry
from eegprep.sources.tree import FOLDER_FORMATS, Tree

_PART = re.compile(r"(?P<before>.*_split-)(?P<n>\d{1,4})(?P<after>_.*\.fif)")
#: Suffixes of the files that belong to a main file of the same stem.
_BESIDE = {
    ".vhdr": (".eeg", ".dat", ".avg", ".seg", ".vmrk"),
    ".set": (".fdt",),
    ".cnt": (".seg", ".SEG"),
}
_N_BYTES = {".edf": 2, ".bdf": 3, ".gdf": 2, ".eeg": 2, ".dat": 2, ".fdt": 4, ".set": 4, ".cnt": 2, ".fif": 4}
_COUNTS = ("EEGChannelCount", "EOGChannelCount", "ECGChannelCount", "EMGChannelCount", "MiscChannelCount",
           "TriggerChannelCount")  # fmt: skip


class RemoteBIDSSource(BIDSSource):
    """Recordings of one BIDS data set at an address.

    Parameters
    ----------
    manifest : Manifest
    folder : Path
        Its mirror.
    """

    def __init__(self, manifest: Manifest, folder: Path) -> None:
        self.mirror = Mirror(folder)
        super().__init__(manifest, folder)

    def read(self, planned: PlannedRecording) -> SourceRecording:
        """Fetch and decode one recording; its files stay until `release`."""
        self.mirror.fetch(planned.key, planned.files)
        try:
            return super().read(planned)
        except BaseException:
            self.release(planned)
            raise

    def release(self, planned: PlannedRecording) -> None:
        """Drop the files of a recording."""
        self.mirror.release(planned.key)

    def identity(self, planned: PlannedRecording) -> str:
        """Changes if a file of the recording has changed at the address."""
        return " ".join(self.mirror.identity(f) for f in planned.files)

    def fetched(self, planned: PlannedRecording) -> dict[str, FetchedFile]:
        """What the server says of a recording's files, by public name."""
        found = {}
        for path, public in zip(planned.files, planned.public_files, strict=True):
            for file in self.mirror.expand([path]):
                found[public + file.path.removeprefix(path)] = FetchedFile(
                    n_bytes=file.n_bytes, etag=file.etag[:200], version=file.version[:1100], digest=file.digest
                )
        return found

    def description(self, planned: PlannedRecording) -> Mapping[str, Any]:
        """The content of the recording's `eeg.json`, with inherited keys; empty if it has none, or not a valid one."""
        tables = tables_of(planned, "eeg.json")
        self.mirror.bring(tables)
        return merged_json([self.folder / table for table in tables])[0]

    def hours(self, planned: PlannedRecording) -> float:
        """The recording's length from its side-car, or from its size.

        Raises
        ------
        InputError
            The side-car says neither its length nor its rate and channels.
        """
        said = self.description(planned)
        length_s = _positive(said.get("RecordingDuration"))
        if length_s is not None and said.get("RecordingType") != "epoched":
            return length_s / 3600
        n_channels = sum(int(_positive(said.get(name)) or 0) for name in _COUNTS)
        sfreq_hz = _positive(said.get("SamplingFrequency"))
        n_bytes = {PurePosixPath(f).suffix.lower(): self.mirror.n_bytes(f) for f in planned.files}
        if sfreq_hz is not None and n_channels:
            for suffix in (".eeg", ".fdt", *_N_BYTES):
                if suffix in n_bytes and suffix in _N_BYTES:
                    return n_bytes[suffix] / (_N_BYTES[suffix] * n_channels * sfreq_hz) / 3600
        raise InputError(
            "the length of a recording is unknown before it is fetched", where=planned.files[0],
            found="no RecordingDuration in its eeg.json", todo="use --subjects or --tasks instead of --limit-hours",
        )  # fmt: skip

    def _scan(self) -> Tree:
        files: dict[str, int] = {}
        hidden = []
        for path in self.mirror.files:
            parts = PurePosixPath(path).parts
            if any(p.startswith(".") for p in parts):
                hidden.append(Entry(path=path, code=Code.HIDDEN, reason="hidden; ignored"))
                continue
            inner = next(
                (i for i, p in enumerate(parts[:-1]) if PurePosixPath(p).suffix.lower() in FOLDER_FORMATS), None
            )
            whole = path if inner is None else "/".join(parts[: inner + 1])
            files[whole] = files.get(whole, 0) + 1
        return Tree(root=self.folder, files=tuple(sorted(files)), entries=tuple(sorted(hidden)), n_inside=files)

    @functools.cached_property
    def _parts(self) -> dict[tuple[str, str], list[re.Match[str]]]:
        """The files of each split FIF recording."""
        found: dict[tuple[str, str], list[re.Match[str]]] = {}
        for part in filter(None, map(_PART.fullmatch, self.mirror.files)):
            found.setdefault((part["before"], part["after"]), []).append(part)
        return found

    def _known(self, path: str) -> tuple[Code, str, str] | None:
        part = _PART.fullmatch(path)
        if part is None:
            return None
        numbers = {int(m["n"]) for m in self._parts[part["before"], part["after"]]}
        if missing := [n for n in range(1, max(numbers)) if n not in numbers]:
            return Code.PART_MISSING, f"part of a split recording, with part {missing[0]} missing", "ask the publisher"
        return (Code.SIDECAR, "a later part of a split recording", "") if int(part["n"]) > 1 else None

    def _exists(self, path: str) -> bool:
        return path in self.mirror.files

    def _companions(self, path: str) -> tuple[str, ...]:
        name = PurePosixPath(path)
        suffix = name.suffix.lower()
        beside = [str(name.with_suffix(s)) for s in _BESIDE.get(suffix, ())]
        if suffix == ".fif" and (part := _PART.fullmatch(path)) is not None:
            beside = [m.string for m in self._parts[part["before"], part["after"]] if m.string != path]
        found = [b for b in beside if self._exists(b)]
        if suffix == ".vhdr" and not any(not b.endswith(".vmrk") for b in found):
            found = self._named(path)
        return tuple(sorted(found))

    def _named(self, path: str) -> list[str]:
        """The files that a header names, for headers whose files have other names; the header is fetched."""
        try:
            self.mirror.read(path)
        except (InputError, RefusedError):
            return []
        parent = PurePosixPath(path).parent
        names = [str(parent / re.split(r"[\\/]", n)[-1]) for n in named_files(self.folder / path)]
        return [n for n in names if self._exists(n)]

    def _size(self, path: str) -> int:
        return self.mirror.n_bytes(path)


def _positive(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and value > 0 else None
