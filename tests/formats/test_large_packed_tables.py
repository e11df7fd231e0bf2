"""Large .csv.gz files are read without their text in memory; bombs are refused before they are unpacked."""

from __future__ import annotations

import gzip
import subprocess
import sys

import numpy as np
import pytest

from eegprep.errors import InputError
from eegprep.formats.tables import text
from eegprep.formats.tables.text import read_table


@pytest.fixture
def small_blocks(monkeypatch):
    """Every packed file is streamed, in small blocks."""
    monkeypatch.setattr(text, "_STREAMED_BYTES", 0)
    monkeypatch.setattr(text, "_BLOCK_BYTES", 4096)


def packed(path, rows, *, separator=",", header=("time", "Cz", "mark")):
    lines = [separator.join(header), *(separator.join(map(str, row)) for row in rows)]
    path.write_bytes(gzip.compress(("\n".join(lines) + "\n").encode()))
    return path


def both(path, monkeypatch, **options):
    """The table read in parts and as a whole."""
    streamed = read_table(path, **options)
    with monkeypatch.context() as patched:
        patched.setattr(text, "_STREAMED_BYTES", 1 << 40)
        return streamed, read_table(path, **options)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_streamed_table_is_the_same(small_blocks, tmp_path, monkeypatch, separator):
    """Numbers, texts and empty fields."""
    rng = np.random.default_rng(0)
    rows = [
        (k, f"{x:.4f}" if k % 50 else "", "go" if k % 97 == 0 else "") for k, x in enumerate(rng.normal(0, 9, 3000))
    ]
    one, other = both(packed(tmp_path / "a.csv.gz", rows, separator=separator), monkeypatch)
    assert one.names == other.names
    for name in ("time", "Cz"):
        np.testing.assert_array_equal(one.numbers(name), other.numbers(name))
    assert one.texts("mark") == other.texts("mark")
    assert one.texts("time") == other.texts("time")


@pytest.mark.parametrize("late", ["0.5", "1e3", "NaN"])
def test_later_blocks_may_have_decimals(small_blocks, tmp_path, monkeypatch, late):
    """A column of whole numbers whose type the first block does not tell."""
    rows = [(k, k, late if k > 2900 else 1) for k in range(3000)]
    one, other = both(packed(tmp_path / "a.csv.gz", rows), monkeypatch)
    np.testing.assert_array_equal(one.numbers("mark"), other.numbers("mark"))
    assert one.texts("mark") == other.texts("mark")


def test_streamed_damage_is_refused(small_blocks, tmp_path):
    """A cut file, a broken checksum and a row of another length are errors of ours."""
    rng = np.random.default_rng(0)
    rows = [(k, f"{x:.4f}", 0) for k, x in enumerate(rng.normal(0, 9, 9000))]
    whole = packed(tmp_path / "a.csv.gz", rows).read_bytes()
    for damaged in (whole[:-3000], whole[:-8] + b"\0" * 8, whole[:5000] + b"\0" * 500 + whole[5500:]):
        (tmp_path / "b.csv.gz").write_bytes(damaged)
        with pytest.raises(InputError):
            read_table(tmp_path / "b.csv.gz")
    with pytest.raises(InputError, match="not a table of 3 columns"):
        read_table(packed(tmp_path / "c.csv.gz", [*rows, (1, 2)]))


def test_memory_of_a_streamed_table(tmp_path):
    """The text, eight times as large as its numbers, is never in memory."""
    rows = [(f"{k:060d}", f"{k * 7:060d}", f"{k % 3:060d}") for k in range(60_000)]  # 11 MB of text, 1.4 MB of numbers
    path = packed(tmp_path / "a.csv.gz", rows)
    # A process of its own, which never stops tracing: in CPython 3.11 stopping crashes if another thread allocates.
    program = (
        "import os, sys, tracemalloc; from pathlib import Path; from eegprep.formats.tables import text\n"
        "import pyarrow.csv\n"
        "text._STREAMED_BYTES, text._BLOCK_BYTES = 0, 4096\n"
        "tracemalloc.start()\n"
        "text.read_table(Path(sys.argv[1]))\n"
        "print(tracemalloc.get_traced_memory()[1], flush=True)\n"
        "os._exit(0)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=False)
    assert int(done.stdout) < 4 << 20, done.stderr


def test_bomb_is_refused_early(tmp_path):
    """A large file of zeros is refused without more memory than a small one."""
    path = tmp_path / "a.csv.gz"
    with gzip.open(path, "wb", 9) as handle:
        handle.write(b"time,Cz\n")
        for _ in range(90):
            handle.write(b"0,0\n" * (1 << 18))
    program = (
        "import resource, sys; from pathlib import Path; from eegprep.errors import InputError\n"
        "from eegprep.formats.tables import text; import pyarrow.csv\n"
        "text._STREAMED_BYTES = 0\n"
        "resource.setrlimit(resource.RLIMIT_DATA, (600 << 20, 600 << 20))\n"
        "try: text.read_table(Path(sys.argv[1]))\n"
        "except InputError as error: print(error.what)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=False)
    assert "decompresses to more than 64 MiB" in done.stdout, done.stderr
