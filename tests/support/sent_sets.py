"""A small shard set as `manifest push` sends it."""

from __future__ import annotations

import hashlib

from eegprep.electrodes import Vocabulary
from eegprep.manifest import dump_manifests, parse_manifest
from eegprep.manifest.lock import Lock, write_lock
from eegprep.shards.build.index import electrodes_table
from eegprep.shards.build.writer import WrittenShard
from eegprep.shards.format import BLOCK_SCHEMA, ELECTRODES
from eegprep.shards.tables import write_table

MANIFEST = """\
manifest: 1
name: lab
version: "1"
title: Some title
citation: "Somebody: A paper, 2026"
licence: {id: CC-BY-4.0, share_shards: yes}
source: {files: ["{subject}.edf"]}
"""


def shard_set(folder, *, licence: str = "CC-BY-4.0, share_shards: yes"):
    """Files and their hashes, as in a finished shard set."""
    (folder / "shards" / "Cz").mkdir(parents=True)
    manifest = parse_manifest(MANIFEST.replace("CC-BY-4.0, share_shards: yes", licence))
    contents = {
        "manifest.yaml": dump_manifests([manifest]).encode(),
        "recordings.parquet": b"r" * 3000,
        "shards/Cz/Cz-000000.tar": bytes(range(256)) * 40,
        "shards/Cz/Cz-000001.tar": bytes(range(255, -1, -1)) * 40,
    }
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    own = [
        WrittenShard(name=name, n_bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
        for name, data in contents.items()
        if name.endswith(".tar")
    ]
    write_table(folder / ELECTRODES, electrodes_table(Vocabulary.base(), {"Cz": own}, BLOCK_SCHEMA.empty_table()))
    contents[ELECTRODES] = (folder / ELECTRODES).read_bytes()
    write_lock(folder, Lock(lock=1, versions={"python": "3.11"}, stages=[]))
    contents["lock.yaml"] = (folder / "lock.yaml").read_bytes()
    lines = [f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(contents.items())]
    (folder / "SHA256SUMS").write_text("".join(lines))
    return folder


def same(one, two) -> bool:
    names = {line.split()[1] for line in (one / "SHA256SUMS").read_text().splitlines()} | {"SHA256SUMS"}
    return all((one / n).read_bytes() == (two / n).read_bytes() for n in names)
