"""Models to and from the Hugging Face hub, by its own client: `from_pretrained`, `save_pretrained`, `push_to_hub`.

A repository contains config.json, model.safetensors, the vocabulary, the lock, the list of seen recordings, results,
and a card. Of a repository these files alone are fetched; a pickle beside them is never downloaded, let alone opened.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from eegprep.errors import EEGPTError, InputError, RefusedError, UsageError
from eegprep.files import PART, write_atomic
from eegpt.interop.card import model_card, refuse_passing_on
from eegpt.interop.model import Model, as_model, open_model

try:
    from huggingface_hub import ModelHubMixin
except ModuleNotFoundError:
    raise UsageError("the hub needs an extra", todo='python -m pip install "eegpt[hub]"') from None

#: The files of a repository, as the client's patterns.
FILES = (
    "config.json", "model.safetensors", "vocabulary.parquet", "lock.yaml", "seen.json", "results.json", "README.md",
    "fits/*.safetensors", "fits/*.json",
)  # fmt: skip
_ADDRESS = re.compile(r"hf:/{1,2}(?:models/)?([A-Za-z0-9][\w.\-]*/[A-Za-z0-9][\w.\-]*)(?:@([\w.\-/]+))?/?")
# Weights of our largest size are 4.4 GB; a repository may not fill the disk.
_MAX_BYTES = 16 << 30


class PretrainedModel(ModelHubMixin, library_name="eegpt", repo_url="https://arxiv.org/abs/2410.19779"):
    """A model under the hub's conventions.

    Parameters
    ----------
    model : Model, str or Path
        An open model, or a run's folder.

    Examples
    --------
    >>> PretrainedModel("encoder").push_to_hub("lab/eegpt-base")  # doctest: +SKIP
    >>> encoder = PretrainedModel.from_pretrained("lab/eegpt-base").model.ete  # doctest: +SKIP
    """

    def __init__(self, model: Model | str | Path) -> None:
        self.model = as_model(model)

    def embed(self, signal: Any, **options: Any) -> Any:
        """See `eegpt.embed`."""
        from eegpt.interop.embedding import embed

        return embed(signal, model=self.model, **options)

    def push_to_hub(self, repo_id: str, **options: Any) -> str:
        """Upload; RefusedError where a licence of the data forbids it."""
        refuse_passing_on(self.model)
        return str(super().push_to_hub(repo_id, **options))

    def _save_pretrained(self, save_directory: Path) -> None:
        copy_run(self.model, Path(save_directory))

    def generate_model_card(self, *_: Any, **__: Any) -> Any:
        """The card that the run's files make."""
        from huggingface_hub import ModelCard

        return ModelCard(model_card(self.model))

    @classmethod
    def _from_pretrained(cls, *, model_id: str, revision: str | None = None, **options: Any) -> PretrainedModel:
        if Path(model_id).is_dir():
            return cls(open_model(Path(model_id)))
        allowed = ("cache_dir", "force_download", "local_files_only", "token")
        return cls(open_model(_snapshot(model_id, revision, **{k: options[k] for k in allowed if k in options})))


def copy_run(model: Model, folder: Path) -> None:
    """A run's own files into a folder, and its card."""
    _copy(model.folder, folder)
    write_atomic(folder / "README.md", model_card(model))


def _copy(source: Path, target: Path) -> None:
    for pattern in FILES:
        for file in sorted(source.glob(pattern)):
            if file.is_file():
                copy = target / file.relative_to(source)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, copy)


def push(run: Path | str | Model, repository: str, *, private: bool = False, endpoint: str | None = None) -> str:
    """Upload a run as `owner/name`; the address of the commit.

    Raises
    ------
    RefusedError
        A licence of its data forbids sharing it.
    """
    from huggingface_hub import HfApi

    name, revision = _repository(repository)
    model = as_model(run)
    refuse_passing_on(model)
    with tempfile.TemporaryDirectory() as folder, _client_errors(repository):
        copy_run(model, Path(folder))
        api = HfApi(endpoint=endpoint)
        api.create_repo(name, private=private, exist_ok=True)
        done = api.upload_folder(
            repo_id=name,
            folder_path=folder,
            revision=revision,
            commit_message=f"eegpt {model.kind} {model.sha256[:12]}",
        )
    return str(done)


def fetch(address: str, *, endpoint: str | None = None) -> Path:
    """The folder of a repository in the hub's own cache; cached files are not fetched again."""
    name, revision = _repository(address)
    return _snapshot(name, revision, endpoint=endpoint)


def pull(address: str, out: Path, *, endpoint: str | None = None) -> Model:
    """A repository into a new folder: opened and checked first, then renamed into place.

    Raises
    ------
    UsageError
        The folder exists, or there is no such repository.
    InputError, RefusedError
        The repository does not contain a model of eegpt.
    """
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError("the folder already exists", where=out, todo="choose another --out")
    source = fetch(address, endpoint=endpoint)
    part = out.with_name(out.name + PART)
    shutil.rmtree(part, ignore_errors=True)
    try:
        _copy(source, part)
        open_model(part)
        if out.is_dir():
            out.rmdir()
        part.rename(out)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return open_model(out)


def _repository(address: str) -> tuple[str, str | None]:
    text = address if address.startswith("hf:") else f"hf://{address}"
    fit = _ADDRESS.fullmatch(text)
    if fit is None:
        raise UsageError("not a repository", found=address, expected="owner/name or hf://owner/name[@revision]")
    return fit[1], fit[2]


def _snapshot(name: str, revision: str | None, **options: Any) -> Path:
    from huggingface_hub import HfApi, snapshot_download

    endpoint = options.get("endpoint")
    with _client_errors(name):
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
def _client_errors(name: str) -> Iterator[None]:
    """Errors of the hub's client as ours, without its traceback."""
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
