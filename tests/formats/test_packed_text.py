"""Packed text is unpacked as far as numbers pack, and no further."""

from __future__ import annotations

import gzip
import resource

import numpy as np
import pytest

from eegprep.errors import InputError
from eegprep.formats.tables.text import open_text, read_table


def test_a_text_bomb_is_refused_early(tmp_path):
    """A few packed megabytes that unfold to gigabytes."""
    path = tmp_path / "bomb.csv.gz"
    row = b"0," * 511 + b"0\n"
    with gzip.open(path, "wb", compresslevel=9) as handle:
        for _ in range(600):
            handle.write(row * 1024)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match="decompresses to more than"):
        open_text(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400 << 10


def test_numbers_and_silence_are_read(tmp_path):
    """Noise of any length, and a short silent file however well it packs."""
    values = np.random.default_rng(0).normal(size=(5000, 4)).round(3)
    text = "a,b,c,d\n" + "\n".join(",".join(map(str, row)) for row in values)
    (tmp_path / "noise.csv.gz").write_bytes(gzip.compress(text.encode()))
    np.testing.assert_allclose(read_table(tmp_path / "noise.csv.gz").numbers("b"), values[:, 1])
    (tmp_path / "silent.csv.gz").write_bytes(gzip.compress(b"a,b\n" + b"0,0\n" * 1_000_000))
    assert len(read_table(tmp_path / "silent.csv.gz").numbers("a")) == 1_000_000
