"""Files at an address through fsspec: s3://, https://, hf:// (and http:// on this machine), with retries.

fsspec and its back ends do the transport. This module opens them with patience that suits large files, streams a file
in pieces from any offset, and turns their many errors into ours.
"""

from __future__ import annotations

import errno
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from eegprep.errors import EEGPTError, InputError, RefusedError, UsageError

CHUNK = 4 << 20
ATTEMPTS = 5
FIRST_WAIT_S = 0.2
# A server that is silent for this long is treated as gone. The time for a complete file is not limited (fsspec's own
# limit, five minutes, aborts every slow fetch of a large shard).
SILENCE_S = 60.0
CONNECT_S = 10.0
#: Errors of the disk, not of the network.
DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}
ENDPOINT_VARIABLE = "EEGPT_S3_ENDPOINT"
_ADDRESS = re.compile(r"(s3|https|hf|http)://[^\s?#]+")
_THIS_MACHINE = re.compile(r"http://(127\.0\.0\.1|localhost|\[::1\])(:\d+)?(/.*)?")
_EXTRA = {"hf": "hub"}
# By name, since the packages that define them are optional.
_NO_CONNECTION = frozenset({
    "ClientConnectorError", "ClientConnectorDNSError", "ConnectTimeoutError", "ConnectTimeout", "ConnectError",
    "ConnectionTimeoutError", "EndpointConnectionError", "LocalEntryNotFoundError", "OfflineModeIsEnabled", "gaierror",
    "ConnectionRefusedError",
})  # fmt: skip
T = TypeVar("T")


class ChangedError(RefusedError):
    """A file at the address is no longer the one that was listed."""


class NoConnectionError(UsageError):
    """The server cannot be reached, so no other file can be fetched either."""


def check_address(address: str, what: str) -> str:
    """An address without its final slash. Raises UsageError if it is not one that we read."""
    if not _ADDRESS.fullmatch(address) or (address.startswith("http://") and not _THIS_MACHINE.fullmatch(address)):
        raise UsageError(
            f"invalid address of {what}", found=address, expected="s3://bucket/..., https://... or hf://..."
        )
    if "@" in address.split("/")[2]:
        raise UsageError(
            f"the address of {what} contains a password",
            expected="an address without user and password",
            todo="set them in the environment (AWS_ACCESS_KEY_ID, HF_TOKEN)",
        )
    return address.rstrip("/")


def options_of(scheme: str) -> dict[str, Any]:
    """Options of the file system from the environment: `EEGPT_S3_ENDPOINT` is an S3 server other than Amazon's."""
    endpoint = os.environ.get(ENDPOINT_VARIABLE)
    return {"endpoint_url": endpoint} if scheme == "s3" and endpoint else {}


def file_system(scheme: str, options: Mapping[str, Any]) -> Any:
    """fsspec's file system of a scheme, without caches of its own. Raises UsageError if a package is missing."""
    import fsspec

    try:
        return fsspec.filesystem(scheme, skip_instance_cache=True, **_patience(scheme), **options)
    except ImportError as error:
        raise UsageError(
            f"{scheme}:// needs another package",
            found=error,
            todo=f'python -m pip install "eegpt[{_EXTRA.get(scheme, "cloud")}]"',
        ) from error


def _patience(scheme: str) -> dict[str, Any]:
    """Timeouts of the web file system; the others have their own."""
    if scheme not in ("http", "https"):
        return {}
    import aiohttp

    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=SILENCE_S)
    return {"client_kwargs": {"timeout": timeout}}


def pieces(
    system: Any,
    address: str,
    *,
    offset: int = 0,
    version: str = "",
    check: Callable[[Mapping[str, Any]], None] | None = None,
) -> Iterator[bytes]:
    """The bytes of a file from `offset` on; a server without ranges sends all, of which the beginning is dropped.

    Parameters
    ----------
    check : callable, optional
        Called with what the server says about the file (`size`, `ETag`), before the first piece.
    """
    more: dict[str, Any]
    if address.startswith("http"):
        # Given a size, fsspec requests the file directly; its size request reports any error as "not found".
        headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={offset}-"} if offset else {})}
        more = {"block_size": 0, "size": 1, "headers": headers}
    elif address.startswith("hf"):
        more = {} if offset else {"block_size": 0}
    else:
        more = {"block_size": CHUNK, "cache_type": "readahead", **({"version_id": version} if version else {})}
    with system.open(address, "rb", **more) as file:
        skip = offset
        if address.startswith("http"):
            answer = file.r
            skip = 0 if answer.status == 206 else offset
            if check is not None:
                check(_told(answer.headers, 0 if answer.status != 206 else offset))
        else:
            if check is not None:
                check(file.details)
            if offset:
                file.seek(offset)
                skip = 0
        while piece := file.read(CHUNK):
            if skip >= len(piece):
                skip -= len(piece)
                continue
            yield piece[skip:]
            skip = 0


def _told(headers: Mapping[str, str], offset: int) -> dict[str, Any]:
    length = headers.get("Content-Length", "")
    told: dict[str, Any] = {"ETag": headers.get("ETag", ""), "Last-Modified": headers.get("Last-Modified", "")}
    if length.isdecimal() and headers.get("Content-Encoding", "identity") in ("", "identity"):
        told["size"] = offset + int(length)
    return told


def again(
    attempt: Callable[[], T],
    name: str,
    address: str,
    *,
    folder: object = None,
    attempts: int = 0,
    failure: type[EEGPTError] = InputError,
) -> T:
    """Retry a request; errors that the user can fix are raised immediately.

    Parameters
    ----------
    name, address : str
        The file and the address, for errors.
    folder : Path, optional
        Where files are written, for errors of the disk.
    attempts : int
        Default: `ATTEMPTS`.
    failure : type
        The class of the error if the server or the connection fails for this file.

    Raises
    ------
    RefusedError
        The file is missing.
    UsageError
        No permission, no connection, or a full disk.
    """
    wait_s = FIRST_WAIT_S
    for left in reversed(range(attempts or ATTEMPTS)):
        try:
            return attempt()
        except EEGPTError:
            raise
        except Exception as error:
            status = status_of(error)
            if type(error).__name__ == "FileExpired":  # s3fs: another object than when it was opened
                raise ChangedError(
                    f"{name} has changed at the address while it was read",
                    where=address,
                    todo="run the same command again",
                ) from error
            if isinstance(error, FileNotFoundError) or status in (404, 410):
                raise RefusedError(f"{name} is missing at the address", where=address) from error
            if isinstance(error, PermissionError) or status in (401, 403):
                raise UsageError(f"no permission to read {name}", where=address, found=error) from error
            if isinstance(error, OSError) and error.errno in DISK:
                raise UsageError(
                    f"{name} cannot be written to the cache", where=str(folder), found=error.strerror,
                    todo="free some disk space, or set EEGPT_CACHE to another folder",
                ) from error  # fmt: skip
            if left == 0:
                raise _failed(error, name, address, failure) from error
            time.sleep(wait_s)
            wait_s *= 2
    raise AssertionError("unreachable")


def _failed(error: Exception, name: str, address: str, failure: type[EEGPTError]) -> EEGPTError:
    found = f"{type(error).__name__}: {error}"
    if is_no_connection(error):
        return NoConnectionError(
            f"{name} cannot be downloaded: no connection", where=address, found=found,
            todo="check the network, then run the same command again to resume",
        )  # fmt: skip
    return failure(
        f"{name} cannot be downloaded", where=address, found=found, todo="run the same command again to resume"
    )


def is_no_connection(error: BaseException | None) -> bool:
    """Whether an error, or its cause, means that the server cannot be reached."""
    seen = 0
    while error is not None and seen < 10:
        if any(kind.__name__ in _NO_CONNECTION for kind in type(error).__mro__):
            return True
        error, seen = error.__cause__ or error.__context__, seen + 1
    return False


def status_of(error: Exception) -> int | None:
    """The HTTP status in an error of aiohttp or the hub's client, which store it differently."""
    status = getattr(error, "status", None) or getattr(getattr(error, "response", None), "status_code", None)
    return status if isinstance(status, int) else None
