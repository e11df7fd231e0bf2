"""Damage shard sets, as by accident or on purpose, and reseal them so that all hashes agree."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from eegprep.shards.sums import SHARD_PATH

__all__ = ["copy_of", "reseal", "edit_table", "edit_sums"]


def copy_of(folder: Path, target: Path) -> Path:
    """A copy that a test may damage."""
    shutil.copytree(folder, target)
    return target


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _lines(folder: Path) -> dict[str, str]:
    lines = (folder / "SHA256SUMS").read_text().splitlines()
    return {line[66:]: line[:64] for line in lines}


def edit_sums(folder: Path, change) -> None:
    """Rewrite SHA256SUMS; `change` gets and may alter {path: hash}."""
    lines = _lines(folder)
    change(lines)
    (folder / "SHA256SUMS").write_text("".join(f"{lines[n]}  {n}\n" for n in sorted(lines)))


def edit_table(folder: Path, name: str, change, *, seal: bool = True, **options) -> None:
    """Rewrite a Parquet file; `change` gets {column: list} and may alter it."""
    table = pq.ParquetFile(folder / name).read()
    columns = table.to_pydict()
    change(columns)
    strings = [f.name for f in table.schema if pa.types.is_string(f.type)]
    pq.write_table(
        pa.table(columns, schema=table.schema),
        folder / name,
        **{"compression": "none", "use_dictionary": strings} | options,
    )
    if seal:
        reseal(folder)


def reseal(folder: Path) -> None:
    """Update all sizes and hashes of the index to match the folder, as an attacker would."""
    shards = {
        n: (folder / n).stat().st_size for n in _lines(folder) if SHARD_PATH.fullmatch(n) and (folder / n).exists()
    }

    def rows(columns: dict) -> None:
        columns["shards"] = [
            json.dumps(
                [[n, shards.get(n, b), _sha256(folder / n) if n in shards else h] for n, b, h in json.loads(text)]
            )
            for text in columns["shards"]
        ]

    edit_table(folder, "electrodes.parquet", rows, seal=False)
    edit_sums(folder, lambda lines: lines.update({n: _sha256(folder / n) for n in lines if (folder / n).exists()}))
