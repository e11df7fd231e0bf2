"""The short campaign of `benchmarks/attack`: every kind of attack, a few times, without a fault."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ATTACK = Path(__file__).parents[2] / "benchmarks" / "attack"


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_short_campaign_finds_no_fault(tmp_path):
    """Kills, two at once, small disks, few files, mutated inputs, canaries and copies."""
    done = subprocess.run(
        [sys.executable, ATTACK, "--short", "--workers", "2", "--json", tmp_path / "found.json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["faults"] == []
    assert len(found["counts"]) == 12
    assert sum(sum(counts.values()) for counts in found["counts"].values()) > 300


def test_faults_of_all_kinds_are_found(tmp_path):
    """The campaign itself: tracebacks, crashes, hangs and memory are faults with the number that repeats them."""
    program = (
        "import sys, os, time; sys.path.insert(0, sys.argv[1]); import pool\n"
        "pool.LIMIT_S, pool.MORE_BYTES = 2, 1 << 26\n"
        "class Bad:\n"
        "    def run(self, number):\n"
        "        if number == 1: raise ValueError('a bug')\n"
        "        if number == 2: os._exit(9)\n"
        "        if number == 3: time.sleep(30)\n"
        "        if number == 4: self.kept = b'x' * (1 << 27)\n"
        "        return 'refused' if number % 2 else 'equal'\n"
        "folder = pool.scratch(); table = pool.Table()\n"
        "pool.run(table, 'bad', lambda folder: Bad(), range(10), 2)\n"
        "pool.remove(folder); table.print(); print(*table.faults, sep='\\n'); print(dict(table.counts['bad']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, ATTACK], capture_output=True, text=True, check=False, timeout=200
    )
    assert "'fault': 4" in done.stdout, done.stdout + done.stderr
    for text in ("bad 1: ValueError: 'a bug'", "bad 2: ended its process: 9", "bad 3: no answer", "bad 4: took 128"):
        assert text in done.stdout
