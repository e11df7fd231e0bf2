"""Format version 1 of the shard set, byte by byte: names, the frame around a block, the columns of the index.

A shard is a tar file of one electrode. Every block is two members, `<key>.npy` and `<key>.json`:

    512 bytes   tar header of the .npy (preceded by a pax header if the name has more than 100 bytes)
    512 bytes   NumPy header, padded with spaces to exactly one tar record
    2 n bytes   little-endian int16 samples, padded with zeros to a full record
    512 bytes   tar header of the .json (again with its pax header)
    m bytes     JSON, padded with zeros to a full record

and the shard ends with two empty records. Nothing in the frame depends on a clock, a user or a path, so the
entire frame can be computed from the index. `verify` does that and compares; no tar is ever parsed.
"""

from __future__ import annotations

import functools
import json
import tarfile
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from eegprep.store.keys import key_of_id

FORMAT_VERSION = 1
RECORD = 512
NPY_HEADER = RECORD
WINDOW_SAMPLES = 1024
BLOCK_SAMPLES = 256 * WINDOW_SAMPLES
# WebDataset users read a block at once, and it must fit a 32-bit row count; 2^28 samples are 12 days.
MAX_BLOCK_SAMPLES = 1 << 28
MAX_SHARD_BYTES = 1 << 30
# Symmetric on purpose: -32768 is never written, so a sign change cannot overflow.
INT16_PEAK = 32767
END_OF_TAR = b"\0" * (2 * RECORD)

SHARDS = "shards"
ELECTRODES = "electrodes.parquet"
RECORDINGS = "recordings.parquet"
BLOCKS = "blocks.parquet"
TRIALS = "trials.parquet"
MANIFEST = "manifest.yaml"
LOCK = "lock.yaml"
SUMS = "SHA256SUMS"
# For search engines, people and the hub. They are never read here, and a set is complete without them.
CROISSANT, CARD = "croissant.json", "README.md"
OPTIONAL_FILES = (CROISSANT, CARD)
INDEX_FILES = (ELECTRODES, RECORDINGS, BLOCKS, TRIALS, MANIFEST, LOCK)

# Flat columns only: a nested Parquet column can claim billions of elements in a few bytes. `n_samples` and the
# offsets are stored plain, so that a file cannot hold more rows than its size allows (see tables.py).
BLOCK_SCHEMA = pa.schema(
    [
        ("recording", pa.int32()),
        ("electrode", pa.int32()),
        ("reference", pa.string()),
        ("stretch", pa.int32()),
        ("shard", pa.int32()),
        ("offset", pa.int64()),
        ("n_samples", pa.int64()),
        ("start_sample", pa.int64()),
        ("scale_uv", pa.float32()),
        ("sigma_uv", pa.float32()),
        ("crc32", pa.uint32()),
    ],
    metadata={"eegprep.blocks": str(FORMAT_VERSION)},
)
RECORDING_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("dataset", pa.string()),
        ("subject", pa.string()),
        ("session", pa.string()),
        ("run", pa.string()),
        ("split", pa.string()),
        ("within_subject", pa.bool_()),
        ("sfreq_hz", pa.float64()),
        ("n_samples", pa.int64()),
        ("reference", pa.string()),
        ("line_freq_hz", pa.float64()),
        ("source_format", pa.string()),
        ("source_sfreq_hz", pa.float64()),
        ("source_sha256", pa.string()),
        ("signal_sha256", pa.string()),
        ("fingerprint", pa.string()),
        ("steps", pa.string()),
        ("attributes", pa.string()),
        ("electrodes", pa.string()),
        ("montage", pa.string()),
    ],
    metadata={"eegprep.recordings": str(FORMAT_VERSION)},
)
TRIAL_SCHEMA = pa.schema(
    [
        ("recording", pa.int32()),
        ("start_sample", pa.int64()),
        ("n_samples", pa.int64()),
        ("task", pa.string()),
        ("label", pa.string()),
        ("event", pa.string()),
    ],
    metadata={"eegprep.trials": str(FORMAT_VERSION)},
)
# Columns that a shard set requires or adds to those of the vocabulary (eegprep.electrodes).
ELECTRODE_COLUMNS = pa.schema(
    [
        ("kind", pa.string()),
        ("n_blocks", pa.int64()),
        ("n_samples", pa.int64()),
        ("hours", pa.float64()),
        ("shards", pa.string()),
    ]
)


@dataclass(frozen=True, kw_only=True)
class Block:
    """The contents of one block's frame: `recording` is the id, `electrode` and `reference` are names."""

    recording: str
    electrode: str
    reference: str
    stretch: int
    start_sample: int
    n_samples: int
    sfreq_hz: float
    scale_uv: float


@dataclass(frozen=True, kw_only=True)
class Frame:
    """The bytes before a block's samples and those after them; both end on a record boundary."""

    head: bytes
    tail: bytes


def block_key(recording: str, electrode: str, stretch: int, start_sample: int) -> str:
    """The block's name in the tar: no dot, no slash, exactly reversible (`eegprep.store.keys`).

    The stretch number distinguishes signals recorded at the same time with several references.
    """
    return key_of_id(f"{recording}/{electrode}/{stretch}/{start_sample}")


def shard_name(electrode: str, number: int) -> str:
    """Path of a shard inside the set."""
    return f"{SHARDS}/{electrode}/{electrode}-{number:06d}.tar"


def padded(n_bytes: int) -> int:
    """`n_bytes` rounded up to whole tar records."""
    return -(-n_bytes // RECORD) * RECORD


@functools.lru_cache(maxsize=4096)
def npy_header(n_samples: int) -> bytes:
    """The 512 bytes before `n_samples` int16: NumPy's format 1.0, padded with spaces as it allows."""
    magic = b"\x93NUMPY\x01\x00" + (NPY_HEADER - 10).to_bytes(2, "little")
    text = f"{{'descr': '<i2', 'fortran_order': False, 'shape': ({n_samples},), }}".encode("ascii")
    return magic + text.ljust(NPY_HEADER - 11) + b"\n"


@functools.lru_cache(maxsize=4096)
def _tar_header(name: str, n_bytes: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = n_bytes
    info.mode = 0o644
    info.mtime = 0
    return info.tobuf(tarfile.PAX_FORMAT)


def frame(block: Block) -> Frame:
    """All bytes of a block except its samples."""
    key = block_key(block.recording, block.electrode, block.stretch, block.start_sample)
    n_bytes = 2 * block.n_samples
    facts: dict[str, Any] = {
        "electrode": block.electrode,
        "n_samples": block.n_samples,
        "recording": block.recording,
        "reference": block.reference,
        "scale_uv": block.scale_uv,
        "sfreq_hz": block.sfreq_hz,
        "start_sample": block.start_sample,
    }
    text = json.dumps(facts, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    head = _tar_header(key + ".npy", NPY_HEADER + n_bytes) + npy_header(block.n_samples)
    padding = b"\0" * (padded(n_bytes) - n_bytes)
    tail = padding + _tar_header(key + ".json", len(text)) + text.ljust(padded(len(text)), b"\0")
    return Frame(head=head, tail=tail)
