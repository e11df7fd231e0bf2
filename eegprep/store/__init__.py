"""The standardised store: a folder with one Arrow file and one JSON sidecar per recording.

    <store>/manifest.yaml            the manifest of the data set
            electrodes.parquet       the vocabulary, if it is not the shipped one
            lock.yaml  report.json   the result (written by `eegprep.ingest`)
            recordings/<key>.arrow   float32 microvolt, one column per electrode, record batches = time chunks
            recordings/<key>.json    RecordingInfo; written last: a recording without it is incomplete
            quarantine/<key>.json    errors of the files that failed

Importing this package imports neither mne nor xarray.
"""

from eegprep.store.keys import id_of_key, key_of_id
from eegprep.store.reader import Store
from eegprep.store.writer import CHUNK_SAMPLES, StoredRecordingWriter

__all__ = ["Store", "StoredRecordingWriter", "CHUNK_SAMPLES", "key_of_id", "id_of_key"]
