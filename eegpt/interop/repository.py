"""A model's repository on the Hugging Face hub: address, files, and downloading into the hub's cache.

Only the files in `FILES` are downloaded; pickles in the repository are never downloaded or opened.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from eegprep.errors import EEGPTError, InputError, RefusedError, UsageError, install

try:
    import huggingface_hub  # noqa: F401
except ModuleNotFoundError:
    raise UsageError("the hub needs an extra", todo=install("hub")) from None

#: The files of a repository, as the client's patterns.
FILES = (
    "config.json", "model.safetensors", "vocabulary.parquet", "lock.yaml", "seen.json", "results.json", "README.md",
    "fits/*.safetensors", "fits/*.json",
)  # fmt: skip
_ADDRESS = re.compile(r"hf:/{1,2}(?:models/)?([A-Za-z0-9][\w.\-]*/[A-Za-z0-9][\w.\-]*)(?:@([\w.\-/]+))?/?")
# Weights of our largest size are 4.4 GB; a repository must not fill the disk.
_MAX_BYTES = 16 << 30


def fetch(address: str, *, endpoint: str | None = None) -> Path:
    """The folder of a repository in the hub's cache; cached files are not downloaded again."""
    name, revision = parse_address(address)
    return snapshot(name, revision, endpoint=endpoint)


def parse_address(address: str) -> tuple[str, str | None]:
    """`owner/name` and the revision, if one is given, of an address; UsageError for anything else."""
    text = address if address.startswith("hf:") else f"hf://{address}"
    fit = _ADDRESS.fullmatch(text)
    if fit is None:
        raise UsageError("not a repository", found=address, expected="owner/name or hf://owner/name[@revision]")
    return fit[1], fit[2]


def snapshot(name: str, revision: str | None, **options: Any) -> Path:
    """The folder of a repository in the cache; InputError if it contains no model, RefusedError if it is too large."""
    from huggingface_hub import HfApi, snapshot_download

    endpoint = options.get("endpoint")
    with client_errors(name):
        if not options.get("local_files_only"):
            about = HfApi(endpoint=endpoint, token=options.get("token")).model_info(
                name, revision=revision, files_metadata=True
            )
            files = {s.rfilename: int(s.size or 0) for s in about.siblings or []}
            total = sum(files.values())
            if "config.json" not in files or "model.safetensors" not in files:
                pickles = sorted(f for f in files if f.endswith((".bin", ".pt", ".pth", ".pkl", ".ckpt")))
                raise InputError(
                    f"{name} does not contain a model of eegpt",
                    found=", ".join(pickles) + " (files that can contain code are never fetched)"
                    if pickles
                    else ", ".join(sorted(files)[:12]) or "nothing",
                    expected="config.json and model.safetensors",
                )
            if total > _MAX_BYTES:
                raise RefusedError(f"{name} is too large", found=f"{total:,} bytes", expected=f"at most {_MAX_BYTES:,}")
        return Path(snapshot_download(name, revision=revision, allow_patterns=list(FILES), **options))


@contextlib.contextmanager
def client_errors(name: str) -> Iterator[None]:
    """Convert errors of the hub's client to ours, without its traceback."""
    from huggingface_hub import errors

    try:
        yield
    except EEGPTError:
        raise
    except errors.HFValidationError as error:
        raise UsageError("not a repository", found=str(error)[:300], expected="owner/name") from None
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, errors.EntryNotFoundError):
        raise UsageError(
            "unknown or private repository",
            where=name,
            todo="check owner, name and revision; `hf auth login` for private ones",
        ) from None
    except Exception as error:
        ours = (errors.HfHubHTTPError, errors.LocalTokenNotFoundError, ConnectionError, TimeoutError)
        if not isinstance(error, ours) and not type(error).__module__.startswith(("httpx", "httpcore", "requests")):
            raise
        raise InputError(
            "the hub returned an error",
            where=name,
            found=f"{type(error).__name__}: {' '.join(str(error).split())[:300]}",
            todo="check the network, and `hf auth login` for writing; then run the same command again",
        ) from None
