"""The standardised store: a folder with one Arrow file and one JSON sidecar per recording.

    <store>/manifest.yaml            the manifest of the data set
            electrodes.parquet       the vocabulary, if it is not the shipped one
            lock.yaml  report.json   the result (written by `eegprep.ingest`)
            recordings/<key>.arrow   float32 microvolt, one column per electrode, record batches = time chunks
            recordings/<key>.json    RecordingInfo; written last: a recording without it is incomplete
            quarantine/<key>.json    errors of the files that failed

Importing this package imports neither mne nor xarray.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from eegprep.lazy import attach
from eegprep.store.keys import id_of_key, key_of_id
from eegprep.store.reader import Store
from eegprep.store.writer import CHUNK_SAMPLES, StoredRecordingWriter

if TYPE_CHECKING:
    from eegprep.store.raw import to_raw
    from eegprep.store.recordings import Recordings

__all__ = ["Recordings", "Store", "StoredRecordingWriter", "CHUNK_SAMPLES", "key_of_id", "id_of_key", "to_raw"]

__getattr__, __dir__ = attach(__name__, {"Recordings": "recordings", "to_raw": "raw"})
