"""Models to and from the Hugging Face hub, by its own client: `from_pretrained`, `save_pretrained`, `push_to_hub`.

A repository contains config.json, model.safetensors, the vocabulary, the lock, the list of seen recordings, results and
a model card. `eegpt.interop.repository` downloads them.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from eegprep.errors import UsageError
from eegprep.files import PART, alone, write_atomic
from eegpt.interop.card import model_card, refuse_passing_on
from eegpt.interop.model import Model, as_model, open_model
from eegpt.interop.repository import FILES, client_errors, fetch, parse_address, snapshot  # first: names the extra

# isort: split
from huggingface_hub import ModelHubMixin


class PretrainedModel(ModelHubMixin, library_name="eegpt", repo_url="https://arxiv.org/abs/2410.19779"):
    """A model with the hub's standard interface.

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
        """Upload; RefusedError if a licence of the data forbids it."""
        refuse_passing_on(self.model)
        return str(super().push_to_hub(repo_id, **options))

    def _save_pretrained(self, save_directory: Path) -> None:
        copy_run(self.model, Path(save_directory))

    def generate_model_card(self, *_: Any, **__: Any) -> Any:
        """The model card generated from the run's files."""
        from huggingface_hub import ModelCard

        return ModelCard(model_card(self.model))

    @classmethod
    def _from_pretrained(cls, *, model_id: str, revision: str | None = None, **options: Any) -> PretrainedModel:
        if Path(model_id).is_dir():
            return cls(open_model(Path(model_id)))
        allowed = ("cache_dir", "force_download", "local_files_only", "token")
        return cls(open_model(snapshot(model_id, revision, **{k: options[k] for k in allowed if k in options})))


def copy_run(model: Model, folder: Path) -> None:
    """Copy a run's files into a folder and add its model card."""
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
    """Upload a run as `owner/name`; returns the address of the commit.

    Raises
    ------
    RefusedError
        A licence of its data forbids sharing it.
    """
    model = as_model(run)
    refuse_passing_on(model)
    with tempfile.TemporaryDirectory() as folder:
        copy_run(model, Path(folder))
        message = f"eegpt {model.kind} {model.sha256[:12]}"
        return upload(Path(folder), repository, message=message, private=private, endpoint=endpoint)


def upload(folder: Path, repository: str, *, message: str, private: bool, endpoint: str | None) -> str:
    """Upload a folder as `owner/name`; returns the address of the commit."""
    from huggingface_hub import HfApi

    name, revision = parse_address(repository)
    with client_errors(repository):
        api = HfApi(endpoint=endpoint)
        api.create_repo(name, private=private, exist_ok=True)
        done = api.upload_folder(repo_id=name, folder_path=folder, revision=revision, commit_message=message)
    return str(done)


def pull(address: str, out: Path, *, endpoint: str | None = None) -> Model:
    """Download a repository into a new folder, which is renamed into place after validation.

    Raises
    ------
    UsageError
        The folder exists, or there is no such repository.
    InputError, RefusedError
        The repository does not contain a model of eegpt.
    """
    out = Path(out)
    with alone(out, file=True):
        return _pull(address, out, endpoint)


def _pull(address: str, out: Path, endpoint: str | None) -> Model:
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
