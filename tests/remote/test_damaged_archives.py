"""Archives with damage anywhere are unpacked whole or refused: never a traceback."""

from __future__ import annotations

import io
import random
import tarfile
import zipfile

import pytest

from eegprep.errors import EEGPTError
from eegprep.remote.unpack import unpack

CONTENTS = {"a/one.txt": b"text " * 300, "a/two.bin": bytes(range(256)) * 8, "three": b"3"}


def packed(kind: str) -> bytes:
    out = io.BytesIO()
    if kind.startswith("zip"):
        how = {"zip": zipfile.ZIP_DEFLATED, "zip-bz2": zipfile.ZIP_BZIP2, "zip-lzma": zipfile.ZIP_LZMA}[kind]
        with zipfile.ZipFile(out, "w", how) as archive:
            for name, data in CONTENTS.items():
                archive.writestr(name, data)
    else:
        with tarfile.open(fileobj=out, mode=f"w:{kind[4:]}") as archive:
            for name, data in CONTENTS.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


@pytest.mark.parametrize("kind", ["zip", "zip-bz2", "zip-lzma", "tar-", "tar-gz", "tar-bz2", "tar-xz"])
def test_damage_is_one_error(kind, tmp_path):
    """Single bytes, cuts, and stretches of noise at places of a fixed seed."""
    whole, rng = packed(kind), random.Random(kind)
    for number in range(80):
        data = bytearray(whole)
        at = rng.randrange(len(data))
        if number % 3 == 0:
            data[at] = rng.randrange(256)
        elif number % 3 == 1:
            del data[at:]
        else:
            data[at : at + 30] = rng.randbytes(30)
        path = tmp_path / f"{number}.archive"
        path.write_bytes(data)
        try:
            unpack(path, tmp_path / f"out{number}")
        except EEGPTError:
            continue


def test_a_file_in_a_folders_place(tmp_path):
    """And names that no file system takes."""
    for number, names in enumerate([("a", "a/b"), ("x" * 300,), ("a/b", "a")]):
        path = tmp_path / f"{number}.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                archive.writestr(name, b"1")
        with pytest.raises(EEGPTError):
            unpack(path, tmp_path / f"out{number}")


def test_an_encrypted_member_is_refused(tmp_path):
    data = bytearray(packed("zip"))
    at = data.find(b"PK\x01\x02")
    data[at + 8] |= 1
    data[6] |= 1
    (tmp_path / "locked.zip").write_bytes(data)
    with pytest.raises(EEGPTError):
        unpack(tmp_path / "locked.zip", tmp_path / "out")
