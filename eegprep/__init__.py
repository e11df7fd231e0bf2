"""Turn EEG recordings of any format into per-electrode shards.

`eegprep` is the data side of EEGPT. It reads a lab's files (`sources`), standardises them (`standardise`, `ingest`)
and writes the shard set (`shards`) that the model side reads. It never imports torch.
"""

__version__ = "0.1.0"
