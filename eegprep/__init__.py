"""Recordings of any kind in, per-electrode shards out.

`eegprep` is the data side of EEGPT. It reads what a lab has (`sources`), brings it to one standard
(`steps`, `ingest`) and writes the shard set (`shards`) that the model side reads. It never imports torch.
"""

__version__ = "0.1.0"
