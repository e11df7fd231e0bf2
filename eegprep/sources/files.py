"""The source kinds `files` and `ts`: files of a folder, told apart by patterns, read by their signatures.

What enters: a manifest and a folder, or a single file. Without patterns (an implicit manifest) every file whose
signature or suffix is that of a recording is planned; what is not is listed by `skipped` with a reason.
"""

from __future__ import annotations

from pathlib import Path

from eegprep.errors import EEGPTError, InputError, UsageError
from eegprep.manifest.schema import Manifest
from eegprep.sources.assemble import assemble
from eegprep.sources.base import Decoded, PlannedRecording, SkippedFile, SourceRecording
from eegprep.sources.companions import companions
from eegprep.sources.decode import decode_file
from eegprep.sources.detect import SIDECARS, detect, looks_like_recording
from eegprep.sources.entities import Group, plan_groups
from eegprep.sources.implicit import guess_entities
from eegprep.sources.patterns import compile_pattern, match, walk

__all__ = ["FilesSource"]


class FilesSource:
    """Recordings that are one file each (with side-cars), of any format.

    Parameters
    ----------
    manifest : Manifest
    folder : Path
        The data set's folder, or one file.
    """

    def __init__(self, manifest: Manifest, folder: Path) -> None:
        self.manifest = manifest
        self._only = folder.name if folder.is_file() or folder.suffix.lower() == ".mff" else None
        self.folder = folder.parent if self._only is not None else folder
        if not folder.exists():
            raise UsageError(f"the folder of {manifest.name} is not there", where=folder)
        self._planned: list[PlannedRecording] | None = None
        self._skipped: list[SkippedFile] = []

    def plan(self) -> list[PlannedRecording]:
        """All recordings, sorted by key. Raises UsageError where patterns are given and none fits any file."""
        if self._planned is None:
            self._planned = self._make_plan()
        return list(self._planned)

    def skipped(self) -> list[SkippedFile]:
        """Files that are no recordings, each with its reason."""
        self.plan()
        return sorted(self._skipped)

    def read(self, planned: PlannedRecording) -> SourceRecording:
        """Decode one recording by its signature. Raises InputError where it can't be used."""
        return assemble(self.decode(planned), planned, self.manifest, self.folder)

    def decode(self, planned: PlannedRecording) -> Decoded:
        """What the reader makes of the file, personal data included: never let it leave this package."""
        path = self.folder / planned.files[0]
        if not path.resolve().is_relative_to(self.folder.resolve()):
            raise InputError("the file lies outside the data set's folder", where=path)
        return decode_file(path, self.manifest)

    def _make_plan(self) -> list[PlannedRecording]:
        patterns = [compile_pattern(p) for p in self.manifest.source.files]
        if self._only is not None:
            paths = [self._only]
            patterns = []
        else:
            paths = list(walk(self.folder))
        chosen: list[tuple[str, dict[str, str], bool]] = []
        for path in paths:
            if patterns:
                entities = match(patterns, path)
                if entities is not None:
                    if self.manifest.source.kind == "ts" and "run" in entities:
                        entities["run"] = entities["run"].lower()
                    chosen.append((path, entities, False))
                elif detect_quietly(self.folder / path):
                    self._skip(path, "not_in_patterns", "no pattern of the manifest fits it")
            elif self._is_recording(path):
                chosen.append((path, guess_entities(path), True))
        if patterns and not chosen:
            raise UsageError(
                f"no file of {self.manifest.name} is in {self.folder}",
                found=f"{len(paths)} files, none fits",
                expected=" or ".join(self.manifest.source.files),
                todo="fetch the data set, or give its folder with --source",
            )
        groups = []
        for path, entities, implicit in chosen:
            beside = companions(self.folder, path)
            groups.append(Group(files=(path, *beside), entities=entities, implicit=implicit))
        return plan_groups(self.manifest, self.folder, groups)

    def _is_recording(self, path: str) -> bool:
        full = self.folder / path
        format_name = detect_quietly(full)
        if format_name == "events":
            self._skip(path, "sidecar", "events of a FIF recording")
        elif format_name in ("numpy", "matlab", "ts"):
            self._skip(path, "needs_manifest", "its rate and channels have to be stated in a manifest")
        elif format_name or looks_like_recording(full):
            return True
        else:
            suffix = full.suffix.lower()
            reason = SIDECARS.get(suffix, "no format of a recording is recognised")
            self._skip(path, "sidecar" if suffix in SIDECARS else "no_recording", reason)
        return False

    def _skip(self, path: str, code: str, reason: str) -> None:
        self._skipped.append(SkippedFile(path=path, code=code, reason=reason))


def detect_quietly(path: Path) -> str:
    """The format's name for planning, where a damaged file counts as what its suffix claims."""
    if path.name.endswith(("-eve.fif", "_eve.fif")):
        return "events"
    try:
        found = detect(path)
    except EEGPTError:
        return looks_like_recording(path)
    return "" if found is None else found.name
