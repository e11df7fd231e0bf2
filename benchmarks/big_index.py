"""The index of a very large shard set without its data: how long to open, how much memory to hold.

    python benchmarks/big_index.py

Writes the index of a set with the given number of windows of 1024 samples, with sparse files as shards (which take no
space), opens it as training does, in this process, and prints JSON.
"""

from __future__ import annotations

import argparse
import gc
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from ours import Corpus, CorpusStore

from eegprep.electrodes import Vocabulary
from eegprep.files import sha256_file, write_atomic
from eegprep.remote import open_shards
from eegprep.shards.build.index import electrodes_table, recordings_table, trials_table
from eegprep.shards.build.plan import PlannedRecording
from eegprep.shards.build.writer import WrittenShard
from eegprep.shards.format import (
    BLOCK_SAMPLES,
    BLOCK_SCHEMA,
    BLOCKS,
    ELECTRODES,
    INDEX_FILES,
    LOCK,
    MANIFEST,
    RECORDINGS,
    TRIALS,
    shard_name,
)
from eegprep.shards.manifests import write_manifests
from eegprep.shards.sums import write_sums
from eegprep.shards.tables import write_table
from eegpt.data import SampleOrder, WindowIndex

BLOCK_BYTES = 2 * BLOCK_SAMPLES + 5 * 512
BLOCKS_PER_SHARD = (1 << 30) // BLOCK_BYTES


def write_index(n_windows: int, folder: Path) -> None:
    """One block of 256 windows per electrode and recording, all electrodes of the vocabulary."""
    vocabulary = Vocabulary.base()
    n_recordings = -(-n_windows // (256 * len(vocabulary)))
    store = CorpusStore(Corpus(signal_i16=np.broadcast_to(np.int16(0), (n_recordings, 1, BLOCK_SAMPLES))))
    planned = [PlannedRecording(info=info, store=0, split="train", within_subject=False) for info in store.infos()]
    shards: dict[str, list[WrittenShard]] = {}
    columns: dict[str, list[np.ndarray]] = {name: [] for name in BLOCK_SCHEMA.names}
    first = 0
    for electrode, name in enumerate(vocabulary.names):
        row = np.arange(n_recordings)
        inside = row % BLOCKS_PER_SHARD
        values = {
            "recording": row,
            "electrode": np.full(n_recordings, electrode),
            "reference": np.full(n_recordings, "average"),
            "stretch": np.zeros(n_recordings),
            "shard": first + row // BLOCKS_PER_SHARD,
            "offset": inside * BLOCK_BYTES + 1024,
            "n_samples": np.full(n_recordings, BLOCK_SAMPLES),
            "start_sample": np.zeros(n_recordings),
            "scale_uv": np.full(n_recordings, 2.0**-5),
            "sigma_uv": np.full(n_recordings, 10.0),
            "crc32": np.zeros(n_recordings),
        }
        for column, value in values.items():
            columns[column].append(value)
        shards[name] = []
        for number in range(-(-n_recordings // BLOCKS_PER_SHARD)):
            path = folder / shard_name(name, number)
            path.parent.mkdir(parents=True, exist_ok=True)
            n_blocks = min(BLOCKS_PER_SHARD, n_recordings - number * BLOCKS_PER_SHARD)
            with path.open("wb") as out:
                out.truncate(n_blocks * BLOCK_BYTES + 1024)
            shards[name].append(
                WrittenShard(name=shard_name(name, number), n_bytes=path.stat().st_size, sha256="0" * 64)
            )
        first += len(shards[name])
    blocks = pa.table(
        [pa.array(np.concatenate(columns[f.name])).cast(f.type) for f in BLOCK_SCHEMA], schema=BLOCK_SCHEMA
    )
    write_table(folder / BLOCKS, blocks)
    write_table(folder / ELECTRODES, electrodes_table(vocabulary, shards, blocks))
    write_table(folder / RECORDINGS, recordings_table(planned))
    write_table(folder / TRIALS, trials_table([], 0))
    write_manifests(folder / MANIFEST, [store.manifest])
    write_atomic(folder / LOCK, "format_version: 1\n")
    hashes = {s.name: s.sha256 for some in shards.values() for s in some}
    write_sums(folder, hashes | {name: sha256_file(folder / name) for name in INDEX_FILES})


def resident_mib() -> float:
    """Resident memory of this process without mapped files, in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return sum(int(x.split()[1]) for x in lines if x.startswith("RssAnon")) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("windows", type=int, nargs="?", default=37_500_000)
    parser.add_argument("folder", type=Path, nargs="?", help="where to write (a temporary folder by default)")
    parser.add_argument("--open", action="store_true", help="open what is in the folder, in this process")
    options = parser.parse_args()
    if not options.open:
        folder = options.folder or Path(tempfile.mkdtemp(prefix="eegpt-index-"))
        folder.mkdir(parents=True, exist_ok=True)
        try:
            write_index(options.windows, folder)
            command = [sys.executable, __file__, str(options.windows), str(folder), "--open"]
            subprocess.run(command, check=True)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return
    folder = options.folder
    gc.collect()
    before = resident_mib()
    started, started_cpu = time.perf_counter(), time.process_time()
    index = WindowIndex([open_shards(folder)], n_samples=1024, stride=1024)
    order = SampleOrder(len(index), 0)
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - started_cpu
    index.locate(order.indices(0, 12_345_678, 1024))
    gc.collect()
    print(
        json.dumps(
            {
                "windows": len(index),
                "index_open_s": seconds,
                "index_open_cpu_s": cpu_seconds,
                "index_mib": resident_mib() - before,
            }
        ),
        flush=True,
    )


if __name__ == "__main__":
    main()
