"""Read a store: list its recordings and read their signal from memory-mapped Arrow files.

Samples are loaded on request and copied once, from the page cache.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from eegprep.display import html_table, listed
from eegprep.errors import InputError, UsageError, nearest
from eegprep.files import IN_PARTS, address_in, path_of, write_atomic
from eegprep.recording import RecordingInfo, Stretch
from eegprep.store.dataset import RecordingMapping, dataset_of
from eegprep.store.file import RecordingFile
from eegprep.store.keys import id_of_key, key_of_id
from eegprep.store.writer import MADE_FROM, StoredRecordingWriter

if TYPE_CHECKING:
    import xarray as xr

    from eegprep.electrodes import Vocabulary
    from eegprep.manifest import Manifest

# A lab's own vocabulary, from `eegprep ingest --vocabulary`.
VOCABULARY = "electrodes.parquet"


class Store(RecordingMapping):
    """A folder of standardised recordings. Use `create` or `open`.

    `store[recording_id]` is an `xarray.Dataset`, `store.raw(recording_id)` an `mne.io.RawArray`.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.recordings = self.path / "recordings"
        self.quarantine = self.path / "quarantine"
        self._files: dict[str, RecordingFile] = {}

    @classmethod
    def open(cls, path: Path | str) -> Store:
        """Open an existing store.

        Raises
        ------
        UsageError
            If `path` is not a store.
        """
        if address := address_in(path):
            raise UsageError("a store must be on this machine", found=address, expected="a folder", todo=IN_PARTS)
        path = path_of(path, "the store")
        if not (path / "manifest.yaml").is_file() or not (path / "recordings").is_dir():
            raise UsageError(
                "not a store",
                where=path,
                found="a folder without manifest.yaml and recordings/" if path.is_dir() else "no such folder",
                todo="pass a folder written by `eegprep ingest --out`",
            )
        return cls(path)

    @classmethod
    def create(cls, path: Path | str, manifest: Manifest, vocabulary: Vocabulary | None = None) -> Store:
        """Create a store, or open the one from an earlier run of the same ingest.

        `vocabulary` is stored next to the manifest if it is not the shipped one.
        """
        from eegprep.electrodes import Vocabulary, dump_vocabulary
        from eegprep.manifest import dump_manifest

        store = cls(Path(path))
        store.recordings.mkdir(parents=True, exist_ok=True)
        text = dump_manifest(manifest)
        target = store.path / "manifest.yaml"
        if not target.exists() or target.read_text(encoding="utf-8") != text:
            write_atomic(target, text)
        table = store.path / VOCABULARY
        if vocabulary is None or dump_vocabulary(vocabulary) == dump_vocabulary(Vocabulary.base()):
            table.unlink(missing_ok=True)
        else:
            vocabulary.to_parquet(table)
        return store

    @property
    def vocabulary(self) -> Vocabulary:
        """The vocabulary of the recordings' electrodes."""
        from eegprep.electrodes import Vocabulary

        table = self.path / VOCABULARY
        return Vocabulary.from_parquet(table) if table.is_file() else Vocabulary.base()

    @property
    def manifest(self) -> Manifest:
        """The manifest of the data set."""
        from eegprep.manifest import load_manifest

        return load_manifest(self.path / "manifest.yaml")

    def ids(self) -> list[str]:
        """Ids of the finished recordings, sorted."""
        keys = (p.stem for p in self.recordings.glob("*.json"))
        return sorted(id_of_key(k) for k in keys if (self.recordings / f"{k}.arrow").exists())

    def info(self, recording_id: str) -> RecordingInfo:
        """The description of one recording.

        Raises
        ------
        InputError
            If it is not in the store, or its sidecar cannot be read.
        """
        path = self.recordings / f"{key_of_id(recording_id)}.json"
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            if isinstance(found, dict) and any(isinstance(step, str) for step in found.get("steps", ())):
                raise UsageError(
                    "made by a pre-release version: rebuild from the raw files", where=path, todo="choose another --out"
                )
            info = RecordingInfo.from_json(found)
        except FileNotFoundError:
            raise InputError(
                f"no recording {recording_id!r} in the store",
                where=self.path,
                found=nearest(recording_id, self.ids()) or f"{len(self.ids())} recordings",
            ) from None
        except (ValueError, TypeError, KeyError) as error:
            raise InputError(
                "invalid sidecar of a recording",
                where=path,
                found=f"{type(error).__name__}: {error}",
                todo="delete it and run the same ingest again",
            ) from error
        if info.id != recording_id:
            raise InputError("a sidecar names another recording", where=path, found=info.id, expected=recording_id)
        return info

    def infos(self) -> list[RecordingInfo]:
        """All finished recordings, sorted by id."""
        return [self.info(i) for i in self.ids()]

    def electrode_uv(self, info: RecordingInfo, electrode: str, stretch: Stretch | None = None) -> NDArray[np.float32]:
        """The samples of one input (a name of `info.inputs`), of one stretch or of the entire time line.

        Returns
        -------
        ndarray, (stretch.n_samples,) float32
            Microvolt. Read-only if it is a view into the mapped file.
        """
        if electrode not in info.inputs:
            raise InputError(
                f"recording {info.id!r} has no electrode {electrode!r}", found=nearest(electrode, info.inputs)
            )
        stretch = stretch or Stretch(start_sample=0, n_samples=info.n_samples)
        row = info.inputs.index(electrode)
        return self._file(info).read(row, stretch.start_sample, stretch.n_samples)

    def signal(self, info: RecordingInfo) -> xr.DataArray:
        """The recording as a DataArray (electrode, time) in microvolt; samples are read on demand.

        `time` counts samples from the recording's start; `attrs["sfreq_hz"]` is their rate.
        """
        from eegprep.store.lazy import lazy_signal

        return lazy_signal(self._file(info), info)

    def __contains__(self, recording_id: object) -> bool:
        if not isinstance(recording_id, str) or recording_id.count("/") != 3:
            return False
        path = self.recordings / f"{key_of_id(recording_id)}.json"
        return path.exists() and path.with_suffix(".arrow").exists()

    def _dataset(self, recording_id: str) -> xr.Dataset:
        info = self.info(recording_id)
        return dataset_of(self._file(info), info, self.vocabulary)

    def __repr__(self) -> str:
        return f"Store({str(self.path)!r}: {len(self)} recordings)"

    def _repr_html_(self) -> str:
        infos = self.infos()
        electrodes = sorted({e for i in infos for e in i.electrodes})
        facts = {
            "data set": ", ".join(sorted({i.dataset for i in infos})),
            "recordings": len(infos),
            "subjects": len({(i.dataset, i.subject) for i in infos}),
            "electrodes": f"{len(electrodes)}: {listed(electrodes)}",
            "hours": sum(i.n_recorded / i.sfreq_hz for i in infos) / 3600,
            "trials": sum(len(i.trials) for i in infos),
        }
        rows = [
            {
                "recording": i.id,
                "electrodes": len(i.electrodes),
                "minutes": i.n_recorded / i.sfreq_hz / 60,
                "trials": len(i.trials),
            }
            for i in infos
        ]
        return html_table(f"Store {self.path}", facts, rows)

    def made_from(self, recording_id: str) -> str | None:
        """The input hash that was given to the recording's writer; None if it is not finished."""
        path = self.recordings / f"{key_of_id(recording_id)}.arrow"
        if not path.with_suffix(".json").exists():
            return None
        try:
            metadata = pa.ipc.open_file(pa.memory_map(os.fsencode(path))).schema.metadata or {}
        except (OSError, pa.ArrowInvalid):
            return None  # truncated or missing counts as unfinished, so it is processed again
        return str(metadata.get(MADE_FROM, b"").decode("utf-8"))

    def writer(self, recording_id: str, electrodes: Sequence[str], made_from: str = "") -> StoredRecordingWriter:
        """A writer for one recording; its `finish` replaces an incomplete or older one of the same id."""
        self.recordings.mkdir(parents=True, exist_ok=True)
        self._files.pop(recording_id, None)
        return StoredRecordingWriter(self.recordings, recording_id, electrodes, made_from)

    def remove(self, recording_id: str) -> None:
        """Remove a recording, its sidecar first, so that a kill leaves it incomplete, never wrong."""
        key = key_of_id(recording_id)
        self._files.pop(recording_id, None)
        (self.recordings / f"{key}.json").unlink(missing_ok=True)
        (self.recordings / f"{key}.arrow").unlink(missing_ok=True)

    def close(self) -> None:
        """Close the mapped files."""
        self._files.clear()

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["path"])  # type: ignore[misc]

    def _file(self, info: RecordingInfo) -> RecordingFile:
        if info.id not in self._files:
            self._files[info.id] = RecordingFile(self.recordings / f"{key_of_id(info.id)}.arrow", info)
        return self._files[info.id]
