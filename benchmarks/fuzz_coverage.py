"""Each reader of a shard set's index by itself, fed by a fuzzer that follows the code's branches (atheris).

    pip install atheris
    python benchmarks/fuzz_coverage.py --seconds 120   # every target, one after another
    python benchmarks/fuzz_coverage.py --target footer --seconds 600

A target takes any bytes and must either return or raise one of our errors; each starts from a valid file.
`benchmarks/attack` mutates complete sets instead, without coverage. tests/shards/test_fuzz.py runs the same targets
with hypothesis, and briefly with atheris if it is installed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import runpy
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from eegprep.electrodes import Vocabulary
from eegprep.errors import EEGPTError
from eegprep.remote import open_shards
from eegprep.shards import build_shard_set
from eegprep.shards.check import shard_files
from eegprep.shards.footer import check_parquet
from eegprep.shards.format import BLOCK_SCHEMA, RECORDING_SCHEMA, TRIAL_SCHEMA
from eegprep.shards.lock import read_set_lock
from eegprep.shards.manifests import read_manifests
from eegprep.shards.sums import parse_sums
from eegprep.shards.tables import numbers, read_electrodes, read_table
from eegprep.shards.verify.shard_set import verify_shard_set

FILES = (
    "blocks.parquet", "recordings.parquet", "trials.parquet", "electrodes.parquet", "manifest.yaml", "lock.yaml",
    "SHA256SUMS", "shard",
)  # fmt: skip
_LIMITS = ("-rss_limit_mb=2048", "-malloc_limit_mb=1024", "-timeout=20")
# A fuzzer ends its process, so each target has its own, in which our code and YAML's are instrumented.
_PROGRAM = """
import atheris, pathlib, sys
sys.path.insert(0, sys.argv[1])
with atheris.instrument_imports(include=["eegprep", "yaml"]):
    import fuzz_coverage
fuzz_coverage.run_one(sys.argv[2], int(sys.argv[3]), pathlib.Path(sys.argv[4]))
"""


class Target:
    """A small shard set whose files are replaced one at a time and then restored."""

    def __init__(self, folder: Path, store: Any) -> None:
        self.folder = folder / "set"
        # Few rows: small files make hits more likely and checks faster.
        names = sorted({name for info in store.infos() for name in info.electrodes})
        vocabulary = Vocabulary([row for row in Vocabulary.base() if row.name in names])
        build_shard_set(
            [store], self.folder, vocabulary=vocabulary, block_samples=512, max_shard_bytes=8_000, sync=False
        )
        opened = open_shards(self.folder)
        self.shard = opened.shards[0].name
        self._originals = {name: (self.folder / self._path(name)).read_bytes() for name in FILES}
        self._sums = self._originals["SHA256SUMS"].decode()

    def _path(self, name: str) -> str:
        return self.shard if name == "shard" else name

    def original(self, name: str) -> bytes:
        """The original bytes of one of `FILES`."""
        return self._originals[name]

    def listing(self) -> list[str]:
        """Every path at and beside the set."""
        return sorted(str(p) for p in self.folder.parent.rglob("*"))

    def try_bytes(self, name: str, data: bytes) -> str:
        """Write mutated bytes, reseal the set, open and verify it; returns `refused` or `whole`.

        Raises any error but EEGPTError, and an error for a damaged shard that passes.
        """
        path = self.folder / self._path(name)
        try:
            path.write_bytes(data)
            if name == "shard":
                self._seal_shard(data)
            elif name != "SHA256SUMS":
                self._seal(name, data)
            try:
                verify_shard_set(self.folder, deep=True, workers=1)
            except EEGPTError as error:
                str(error)
                return "refused"
            if name == "shard" and data != self._originals[name]:
                raise AssertionError("a damaged shard passed the deep check")
            return "whole"
        finally:
            path.write_bytes(self._originals[name])
            (self.folder / "electrodes.parquet").write_bytes(self._originals["electrodes.parquet"])
            (self.folder / "SHA256SUMS").write_text(self._sums)

    def _seal(self, name: str, data: bytes) -> None:
        lines = [x for x in self._sums.splitlines() if not x.endswith("  " + name)]
        lines.append(f"{hashlib.sha256(data).hexdigest()}  {name}")
        (self.folder / "SHA256SUMS").write_text("\n".join(sorted(lines, key=lambda x: x[66:])) + "\n")

    def _seal_shard(self, data: bytes) -> None:
        digest = hashlib.sha256(data).hexdigest()
        table = pq.ParquetFile(pa.BufferReader(self._originals["electrodes.parquet"])).read()
        texts = []
        for text in table["shards"].to_pylist():
            rows = json.loads(text)
            texts.append(json.dumps([[n, len(data), digest] if n == self.shard else [n, b, h] for n, b, h in rows]))
        column = table.schema.get_field_index("shards")
        table = table.set_column(column, table.schema.field(column), pa.array(texts, pa.string()))
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="none")
        electrodes = sink.getvalue().to_pybytes()
        (self.folder / "electrodes.parquet").write_bytes(electrodes)
        self._seal("electrodes.parquet", electrodes)
        text = (self.folder / "SHA256SUMS").read_text().splitlines()
        text = [f"{digest}  {self.shard}" if x.endswith("  " + self.shard) else x for x in text]
        (self.folder / "SHA256SUMS").write_text("\n".join(text) + "\n")


def synthetic_store() -> Any:
    """The synthetic store of the tests, identical on every machine."""
    path = Path(__file__).resolve().parent.parent / "tests" / "support" / "synthetic.py"
    return runpy.run_path(str(path))["small_store"](n_subjects=2, n_samples=4200)


def targets(folder: Path) -> dict[str, tuple[bytes, Callable[[bytes], object]]]:
    """Map names to a valid file and its reader. `folder` is for readers that need a path."""
    whole = Target(folder, synthetic_store())
    path = folder / "input"

    def from_file(read: Callable[[Path], object]) -> Callable[[bytes], object]:
        def target(data: bytes) -> object:
            path.write_bytes(data)
            return read(path)

        return target

    def table(schema: object) -> Callable[[bytes], object]:
        def read(where: Path) -> object:
            found = read_table(where, schema)
            return [numbers(found[f.name]) for f in found.schema if not str(f.type).startswith("dictionary")]

        return from_file(read)

    def electrodes(where: Path) -> object:
        found = read_electrodes(where)
        return shard_files(found, Vocabulary.from_table(found), parse_sums(sums, where="x"), where)

    def footer(data: bytes) -> object:
        try:
            return check_parquet(data, bytes_per_row=8)
        except ValueError:
            return None

    sums = whole.original("SHA256SUMS")
    return {
        "sums": (sums, lambda data: parse_sums(data, where="x")),
        "footer": (whole.original("trials.parquet"), footer),
        "blocks": (whole.original("blocks.parquet"), table(BLOCK_SCHEMA)),
        "recordings": (whole.original("recordings.parquet"), table(RECORDING_SCHEMA)),
        "trials": (whole.original("trials.parquet"), table(TRIAL_SCHEMA)),
        "electrodes": (whole.original("electrodes.parquet"), from_file(electrodes)),
        "manifest": (whole.original("manifest.yaml"), from_file(read_manifests)),
        "lock": (whole.original("lock.yaml"), from_file(read_set_lock)),
        # Tar frame, NumPy header and JSON of every block, which are compared but never parsed.
        "shard": (whole.original("shard"), lambda data: whole.try_bytes("shard", data)),
    }


NAMES = ("sums", "footer", "blocks", "recordings", "trials", "electrodes", "manifest", "lock", "shard")


def run_one(name: str, seconds: int, folder: Path) -> None:
    """Fuzz one target in this process, which then exits."""
    import atheris

    honest, target = targets(folder)[name]
    corpus = folder / "corpus"
    corpus.mkdir()
    (corpus / "honest").write_bytes(honest)

    def one_input(data: bytes) -> None:
        try:
            target(data)
        except EEGPTError as error:
            str(error)

    atheris.Setup(
        [name, str(corpus), f"-max_total_time={seconds}", "-max_len=65536", *_LIMITS,
         f"-artifact_prefix={folder}/", "-print_final_stats=1"],
        one_input,
    )  # fmt: skip
    atheris.Fuzz()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--target", choices=NAMES, action="append", help="all by default")
    parser.add_argument("--seconds", type=int, default=20, help="for each target")
    parser.add_argument("--json", type=Path, help="also write the counts here")
    options = parser.parse_args()
    import importlib.util

    if importlib.util.find_spec("atheris") is None:
        print("nothing was tried: atheris is not installed here (python -m pip install atheris)", file=sys.stderr)
        return 2 if options.target else 0
    counts, failed = {}, []
    print("| target | inputs | branches reached | peak memory, MB | findings |\n|---|---|---|---|---|")
    for name in options.target or NAMES:
        folder = Path(tempfile.mkdtemp(prefix="eegpt-atheris-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
        program = [sys.executable, "-c", _PROGRAM, str(Path(__file__).parent), name, str(options.seconds), str(folder)]
        done = subprocess.run(program, capture_output=True, text=True, errors="replace", check=False)
        text = done.stdout + done.stderr
        found = {
            key: int(m[-1]) if (m := re.findall(pattern, text)) else 0
            for key, pattern in (
                ("inputs", r"stat::number_of_executed_units:\s*(\d+)"),
                ("branches", r"cov: (\d+)"),
                ("peak_mb", r"stat::peak_rss_mb:\s*(\d+)"),
            )
        }
        bad = done.returncode != 0 or not found["inputs"]
        counts[name] = found | {"ended_with": done.returncode}
        print(
            f"| {name} | {found['inputs']:,} | {found['branches']} | {found['peak_mb']} | "
            f"{'see below' if bad else 'none'} |",
            flush=True,
        )
        if bad:
            failed.append(name)
            print(text[-3000:], file=sys.stderr)
            print(f"the inputs are kept in {folder}", file=sys.stderr)
        else:
            shutil.rmtree(folder)
    if options.json:
        options.json.write_text(json.dumps(counts, indent=1) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
