"""Determine what a FIF file contains from its block tags, without decoding any data.

Reports whether the file is a recording, else what it is, and the previous and next parts of a split file. MNE's
readers would have to be tried one by one, and they read complete matrices.
"""

from __future__ import annotations

import functools
import gzip
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

_BLOCK_START, _BLOCK_END = 104, 105
_RAW = frozenset({102, 112, 119})
_EPOCHS = 373
_REF = 118
_ROLE, _NUMBER, _NAME = 115, 117, 118
#: Order matters: an inverse operator contains a covariance, and all measured data contain projections.
_WORDS = {
    104: "an average",
    356: "an inverse operator",
    352: "a forward solution",
    374: "an ICA decomposition",
    355: "a covariance",
    351: "a source space",
    310: "a head model",
    3810: "annotations",
    361: "events",
    115: "events",
    313: "projections",
    107: "positions",
}
#: MNE's names for files that are not recordings.
_NAMES = {
    "ave": "an average", "evoked": "an average", "inv": "an inverse operator", "fwd": "a forward solution",
    "ica": "an ICA decomposition", "cov": "a covariance", "src": "a source space", "bem": "a head model",
    "sol": "a head model", "eve": "events", "annot": "annotations", "proj": "projections",
    "trans": "a transformation", "dig": "positions",
}  # fmt: skip
_NAMED = re.compile(rf"[-_]({'|'.join(_NAMES)})\.fif(\.gz)?$")
#: How much of a gzipped file is decompressed.
_MAX_UNPACKED = 256 << 20


class _LoopError(Exception):
    pass


@dataclass(frozen=True, kw_only=True)
class FifContents:
    """Contents of a file.

    `is_recording` is also true for a damaged file, whose reader reports the damage; else `words` say what the file is.
    `has_epochs` is true for epochs. `loops` is true if a tag names an earlier one as the next, so that MNE's readers
    would never end. `next_file` and `previous_file` are names of other parts, or empty.
    """

    is_recording: bool
    has_epochs: bool = False
    loops: bool = False
    words: str = ""
    next_file: str = ""
    previous_file: str = ""


def fif_contents(path: Path) -> FifContents:
    """The contents of a FIF file, cached until the file changes."""
    status = path.stat()
    return _contents(path, status.st_size, status.st_mtime_ns)


@functools.lru_cache(4096)
def _contents(path: Path, n_bytes: int, changed_ns: int) -> FifContents:
    blocks: set[int] = set()
    links: dict[int, str] = {}
    loops = False
    try:
        with path.open("rb") as plain:
            packed = plain.read(2) == b"\x1f\x8b"
            plain.seek(0)
            handle: Any = gzip.GzipFile(fileobj=plain) if packed else plain
            whole = _walk(handle, path.name, blocks, links, packed=packed)
    except _LoopError:
        whole, loops = False, True
    except (OSError, EOFError, struct.error):
        whole = False
    if loops or blocks & {*_RAW, _EPOCHS}:
        return FifContents(
            is_recording=True,
            has_epochs=_EPOCHS in blocks,
            loops=loops,
            next_file=links.get(2, ""),
            previous_file=links.get(1, ""),
        )
    # MNE's name takes precedence, since MNE writes annotations into an events block
    words = _NAMES[named[1]] if (named := _NAMED.search(path.name)) else ""
    if not words and whole:
        words = next((w for block, w in _WORDS.items() if block in blocks), "no raw data and no epochs")
    return FifContents(is_recording=not words, words=words)


def _walk(handle: IO[bytes], name: str, blocks: set[int], links: dict[int, str], *, packed: bool) -> bool:
    """Collect blocks, and parts by role; return whether the tags end properly. Raises _LoopError if they never end."""
    place, role, in_ref = 0, 0, False
    seen: set[int] = set()
    while not packed or place < _MAX_UNPACKED:
        handle.seek(place)
        head = handle.read(16)
        if len(head) < 16:
            return False
        kind, _, size, after = struct.unpack(">iIii", head)
        if size < 0:
            return False
        if kind in (_BLOCK_START, _BLOCK_END) and size == 4:
            (block,) = struct.unpack(">i", handle.read(4))
            in_ref = block == _REF and kind == _BLOCK_START
            if kind == _BLOCK_START:
                blocks.add(block)
                if packed and (block in _RAW or block == _EPOCHS):
                    return True  # the rest would have to be decompressed
        elif in_ref and size < 4096 and kind in (_ROLE, _NUMBER, _NAME):
            data = handle.read(size)
            if kind == _ROLE:
                (role,) = struct.unpack(">i", data)
            elif kind == _NAME:
                links[role] = Path(data.decode("latin-1").rstrip("\0")).name
            else:
                links.setdefault(role, _numbered(name, struct.unpack(">i", data)[0]))
        if after == -1:
            return True
        seen.add(place)
        place = after if after > 0 else place + 16 + size
        if place in seen:
            raise _LoopError
    return False


def _numbered(name: str, number: int) -> str:
    """MNE's name for a part that is given by number only: x.fif, x-1.fif, x-2.fif."""
    stem, _, ending = name.partition(".")
    stem = re.sub(r"-\d+$", "", stem)
    return f"{stem}-{number}.{ending}" if number > 0 else f"{stem}.{ending}"
