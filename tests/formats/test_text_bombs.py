"""Small texts of strangers that would take a machine's time or memory are refused at once."""

from __future__ import annotations

import time

import pytest

from eegprep.errors import RefusedError, UsageError
from eegprep.manifest import parse_manifest
from eegprep.shards.sums import read_sums

MANIFEST = """\
manifest: 1
name: lab
version: "1"
title: Some title
citation: "Somebody: A paper, 2026"
licence: {id: CC-BY-4.0, share_shards: yes}
source: {files: ["{subject}.csv"], sfreq_hz: 256, unit: uV, encoding: ENCODING}
"""


@pytest.mark.parametrize(
    "name", ["punycode", "idna", "unicode_escape", "raw_unicode_escape", "zlib", "hex", "rot13", "bz2", "utf-7", "x"]
)
def test_only_encodings_of_text_are_taken(name):
    with pytest.raises(UsageError, match="must be an encoding of text"):
        parse_manifest(MANIFEST.replace("ENCODING", name))


@pytest.mark.parametrize(
    "name", ["utf-8", "UTF8", "utf_8_sig", "utf-16", "utf-16-le", "ascii", "latin-1", "iso-8859-15", "cp1252",
             "windows-1251", "koi8-r", "gb18030", "shift_jis", "euc-kr", "mac_roman"],
)  # fmt: skip
def test_encodings_that_files_have_are_taken(name):
    "text".encode(name)
    assert parse_manifest(MANIFEST.replace("ENCODING", name)).source.encoding == name


def test_many_unknown_keys_are_told_quickly():
    """The first are listed with their lines, the others counted."""
    keys = "".join(f"unknown_key_{i}: 1\n" for i in range(50_000))
    began = time.process_time()
    with pytest.raises(UsageError, match="50000 mistakes") as refused:
        parse_manifest(MANIFEST.replace("ENCODING", "utf-8") + keys)
    assert time.process_time() - began < 10
    assert "unknown_key_0" in str(refused.value)
    assert len(str(refused.value)) < 10_000


def test_long_keys_are_cut_short():
    with pytest.raises(UsageError, match="unknown key") as refused:
        parse_manifest(MANIFEST.replace("ENCODING", "utf-8") + "? " + "x" * 100_000 + "\n: 1\n")
    assert len(str(refused.value)) < 2000


def test_a_large_list_of_hashes_is_not_read(tmp_path):
    with (tmp_path / "SHA256SUMS").open("wb") as handle:
        handle.truncate(150 << 20)
    with pytest.raises(RefusedError, match="too large"):
        read_sums(tmp_path)
