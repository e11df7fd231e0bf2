"""Encoded trials on disk, shared by all runs: an encoder reads each trial once.

An entry is one file under `states` in the cache folder (`EEGPT_CACHE`), named by the hash of everything that it depends
on: the weights, the trials, the electrodes, the precision, and the code that computes it. Each file begins with the
hash of its content, which is checked whenever it is read; a damaged file is deleted and computed again. Values are
float16, also where nothing is cached, so that results do not depend on the cache.

`EEGPT_STATES_BYTES` limits the folder (0 disables it); the entries that were not used for longest are deleted first.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

import eegpt.model
from eegprep.errors import UsageError
from eegprep.files import cache_folder
from eegpt.model.ete import ETE

MAX_BYTES = 8 << 30
_SUFFIX, _PART = ".states", ".part"
_ABANDONED_S = 3600.0
# The code that the values of an entry depend on.
_SOURCES = ("ete", "layers", "pairs", "tokens", "views", "whitening")


def folder() -> Path:
    """The folder of the entries."""
    return cache_folder() / "states"


def max_bytes() -> int:
    """The folder's limit; UsageError if `EEGPT_STATES_BYTES` is not a number of bytes."""
    text = os.environ.get("EEGPT_STATES_BYTES", str(MAX_BYTES))
    if not text.isdecimal():
        raise UsageError("EEGPT_STATES_BYTES is not a number of bytes", found=text, expected="such as 8000000000, or 0")
    return int(text)


def entries() -> list[Path]:
    """All entries, those that were not used for longest first."""
    found = []
    for path in folder().glob(f"*{_SUFFIX}"):
        with contextlib.suppress(FileNotFoundError):
            found.append((path.stat().st_mtime_ns, path))
    return [path for _, path in sorted(found)]


def clear() -> int:
    """Delete all entries; returns their number."""
    found = entries()
    for path in found:
        path.unlink(missing_ok=True)
    return len(found)


def encoder_key(ete: ETE) -> str:
    """Hash of an encoder's weights and configuration."""
    digest = hashlib.sha256(json.dumps(dataclasses.asdict(ete.config), sort_keys=True).encode())
    for name, tensor in sorted(ete.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def entry_key(*parts: object) -> str:
    """Name of an entry: the hash of its parts (text, numbers or bytes) and of the code."""
    digest = hashlib.sha256(_code())
    for part in parts:
        raw = part if isinstance(part, bytes) else repr(part).encode()
        digest.update(len(raw).to_bytes(8, "little") + raw)
    return digest.hexdigest()


def read(key: str) -> dict[str, Tensor] | None:
    """The tensors of an entry; None if there is none, or it is damaged."""
    if not max_bytes():
        return None
    path = folder() / f"{key}{_SUFFIX}"
    try:
        raw = path.read_bytes()
    except OSError:
        return None
    with contextlib.suppress(SafetensorError):
        if hashlib.sha256(key.encode() + raw[32:]).digest() == raw[:32]:
            with contextlib.suppress(OSError):
                os.utime(path)
            return load(raw[32:])
    path.unlink(missing_ok=True)
    return None


def write(key: str, tensors: Mapping[str, Tensor]) -> None:
    """Write an entry and delete the oldest ones beyond the limit; a full or read-only disk only means no cache."""
    limit = max_bytes()
    raw = save({name: t.detach().cpu().contiguous() for name, t in tensors.items()})
    if len(raw) > limit // 2:
        return
    with contextlib.suppress(OSError):
        folder().mkdir(parents=True, exist_ok=True)
        # Two processes may write the same entry: each writes its own file, and the last one renamed stays.
        descriptor, part = tempfile.mkstemp(suffix=_PART, dir=folder())
        try:
            with os.fdopen(descriptor, "wb") as handle:
                handle.write(hashlib.sha256(key.encode() + raw).digest())
                handle.write(raw)
            Path(part).replace(folder() / f"{key}{_SUFFIX}")
        except OSError:
            Path(part).unlink(missing_ok=True)
            raise
        _shrink(limit)


def _shrink(limit: int) -> None:
    """Delete the oldest entries beyond the limit, and what killed processes left."""
    for path in folder().glob(f"*{_PART}"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > _ABANDONED_S:
                path.unlink()
    sized = []
    for path in entries():
        with contextlib.suppress(FileNotFoundError):
            sized.append((path, path.stat().st_size))
    excess = sum(n for _, n in sized) - limit
    for path, n_bytes in sized:
        if excess <= 0:
            break
        path.unlink(missing_ok=True)
        excess -= n_bytes


@functools.cache
def _code() -> bytes:
    """Hash of the code that computes entries: an entry of another version is never read."""
    here = Path(eegpt.model.__file__).parent.parent
    digest = hashlib.sha256()
    of_transfer = (here / "transfer" / name for name in ("align.py", "rows.py", "signals.py"))
    for path in (*(here / "model" / f"{name}.py" for name in _SOURCES), *of_transfer):
        digest.update(path.read_bytes())
    return digest.digest()
