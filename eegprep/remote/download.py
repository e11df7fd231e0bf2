"""Download one file over https: resumable, bounded in size, verified, complete or absent.

An interrupted download leaves `<name>.part`, from which the next call resumes. Redirects to anything but https are
refused.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from eegprep.errors import InputError, RefusedError
from eegprep.files import PART, sha256_file
from eegprep.platform import replace, sync_folder

#: Called with the file's name, the bytes received, and the total bytes if known.
Progress = Callable[[str, int, int | None], None]

_CHUNK = 1 << 18
_TIMEOUT_S = 10.0
# Disk space that stays free, whatever an untrusted manifest claims.
_KEEP_FREE_BYTES = 1 << 30


class Opener(Protocol):
    """Opens an address at a byte offset; the response is read like a file."""

    def __call__(self, url: str, offset: int) -> http.client.HTTPResponse: ...


class _HttpsOnly(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req, fp, code, msg, headers, newurl):  # type: ignore[no-untyped-def]
        if not newurl.startswith("https://"):
            raise urllib.error.URLError(f"redirected to {newurl[:100]}, which is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def open_https(url: str, offset: int) -> http.client.HTTPResponse:
    """Open an https address at `offset`; a plain OSError if that fails or takes too long."""
    if not url.startswith("https://"):
        raise urllib.error.URLError("only https:// is supported")
    request = urllib.request.Request(url, headers={"User-Agent": "eegpt", "Accept-Encoding": "identity"})
    if offset:
        request.add_header("Range", f"bytes={offset}-")
    opener = urllib.request.build_opener(_HttpsOnly, urllib.request.HTTPSHandler(context=ssl.create_default_context()))
    answer: http.client.HTTPResponse = opener.open(request, timeout=_TIMEOUT_S)
    return answer


def download(
    url: str,
    target: Path,
    *,
    sha256: str | None = None,
    n_bytes: int | None = None,
    progress: Progress | None = None,
    opener: Opener = open_https,
) -> None:
    """Fetch `url` to `target`, resuming an earlier call.

    Raises
    ------
    InputError
        The address is unreachable or the connection broke; the message says what to fetch manually, and where to.
    RefusedError
        The bytes do not match the manifest, or the disk would be filled.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + PART)
    try:
        _transfer(url, part, n_bytes, progress, opener)
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise InputError(
            f"{target.name} could not be downloaded",
            where=url,
            found=f"{type(error).__name__}: {reason}",
            todo=f"run the same command again to resume, or download it manually to {target}",
        ) from error
    if sha256 is not None and (found := sha256_file(part)) != sha256:
        part.unlink()
        raise RefusedError(
            f"the hash of {target.name} does not match the manifest",
            where=url,
            found=f"sha256 {found}",
            expected=f"sha256 {sha256}",
            todo="the file at this address has changed or was tampered with: ask the author of the manifest",
        )
    with part.open("rb+") as handle:
        os.fsync(handle.fileno())
    replace(part, target)
    sync_folder(target.parent)


def _transfer(url: str, part: Path, n_bytes: int | None, progress: Progress | None, opener: Opener) -> None:
    have = part.stat().st_size if part.exists() else 0
    if n_bytes is not None and have >= n_bytes:
        have = 0 if have > n_bytes else have
        if have == n_bytes:
            return
    try:
        answer = opener(url, have)
    except urllib.error.HTTPError as error:
        error.close()
        # 416: no bytes after ours, so the file is complete (its hash is checked).
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and have:
            return
        raise
    with contextlib.closing(answer):
        if have and answer.status != http.HTTPStatus.PARTIAL_CONTENT:
            have = 0  # the server sends the complete file again
        length = answer.headers.get("Content-Length")
        total = have + int(length) if length is not None and length.isdecimal() else n_bytes
        limit = _limit(part, have, n_bytes, total, url)
        with part.open("ab" if have else "wb") as handle:
            while chunk := answer.read(_CHUNK):
                have += len(chunk)
                if have > limit:
                    raise RefusedError(
                        f"{part.name.removesuffix(PART)} is too large",
                        where=url,
                        expected=f"{limit} bytes at most",
                    )
                handle.write(chunk)
                if progress is not None:
                    progress(part.name.removesuffix(PART), have, total)
    if total is not None and have < total:
        raise http.client.IncompleteRead(b"", total - have)


def _limit(part: Path, have: int, n_bytes: int | None, total: int | None, url: str) -> int:
    """Maximum bytes of the file: as stated, or what fits on the disk."""
    room = shutil.disk_usage(part.parent).free + have - _KEEP_FREE_BYTES
    if n_bytes is not None and total is not None and total != n_bytes:
        raise RefusedError(
            f"{part.name.removesuffix(PART)} does not have the size in the manifest",
            where=url,
            found=f"{total} bytes",
            expected=f"{n_bytes} bytes",
        )
    if total is not None and total > room:
        raise RefusedError(
            f"{part.name.removesuffix(PART)} would fill the disk",
            where=part.parent,
            found=f"{total} bytes, {room} available",
            todo="free some disk space, or choose another folder",
        )
    return room if n_bytes is None else min(room, n_bytes)
