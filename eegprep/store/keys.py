"""Convert recording ids to file names and back.

An id such as `eegmat/Subject00/-/1` becomes `eegmat+Subject00+-+1`: letters, digits, `-` and `_` are kept, `/` becomes
`+`, and every other byte of the id's UTF-8 becomes `%XX`. The result is a valid file name on every system (no dot,
slash or colon), and the conversion is exactly reversible.
"""

from __future__ import annotations

import re

from eegprep.errors import InputError

# File systems allow names of 255 bytes; `.arrow.0123abcd.part` needs 20 of them.
MAX_KEY_BYTES = 230

_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
_KEY = re.compile(r"(?:[A-Za-z0-9_\-+]|%[0-9A-F]{2})+")


def key_of_id(recording_id: str) -> str:
    """File name (without suffix) of a recording.

    Raises
    ------
    InputError
        If the id is empty or its key is too long for a file name.
    """
    parts = []
    for byte in recording_id.encode("utf-8"):
        if byte in _PLAIN:
            parts.append(chr(byte))
        elif byte == ord("/"):
            parts.append("+")
        else:
            parts.append(f"%{byte:02X}")
    key = "".join(parts)
    if not 0 < len(key) <= MAX_KEY_BYTES:
        raise InputError(
            f"recording id {recording_id[:80]!r} cannot be a file name",
            found=f"{len(key)} bytes after escaping",
            expected=f"1 to {MAX_KEY_BYTES} bytes",
            todo="give the subject, session or run a shorter name",
        )
    return key


def id_of_key(key: str) -> str:
    """The id of a key, the inverse of `key_of_id`.

    Raises
    ------
    InputError
        If no id has this key.
    """
    if _KEY.fullmatch(key):
        raw = re.sub(rb"%([0-9A-F]{2})", lambda m: bytes([int(m[1], 16)]), key.replace("+", "/").encode("ascii"))
        try:
            recording_id = raw.decode("utf-8")
        except UnicodeDecodeError:
            recording_id = ""
        if recording_id and key_of_id(recording_id) == key:
            return recording_id
    raise InputError(
        f"{key!r} is not the file name of a recording",
        expected="letters, digits, '-', '_', '+' for '/', and %XX for every other byte",
    )
