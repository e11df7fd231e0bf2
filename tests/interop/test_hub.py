"""Models travel through the hub's own client, with a card of their own files, and never as a pickle."""

from __future__ import annotations

import functools
import json
import os
import pickle
import shutil
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from support.hub_server import HubServer

from eegprep.errors import InputError, RefusedError, UsageError
from eegpt.interop import open_model
from eegpt.interop.card import model_card, refuse_passing_on
from eegpt.runs.folder import Lock
from eegpt.runs.results import PretrainingResults
from eegpt.torch import EEGPT
from eegpt.transfer.config import TransferConfig

hub_client = pytest.importorskip("huggingface_hub", reason="needs the extra [hub]")
from eegpt.interop import hub as ours  # noqa: E402  after the skip
from eegpt.interop import repository  # noqa: E402


@pytest.fixture
def hub(tmp_path, monkeypatch):
    monkeypatch.setattr(hub_client.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_TOKEN", "a-token")
    hub_client.utils.disable_progress_bars()
    with HubServer() as server:
        yield server


def test_a_pushed_model_is_unchanged(hub, encoder, tmp_path):
    ours.push(encoder, "lab/tiny", endpoint=hub.endpoint)
    stored = hub.files["models/lab/tiny"]
    assert set(stored) == {
        "README.md", "config.json", "lock.yaml", "model.safetensors", "seen.json", "vocabulary.parquet",
    }  # fmt: skip
    pulled = ours.pull("hf://lab/tiny", tmp_path / "got", endpoint=hub.endpoint)
    assert pulled.sha256 == open_model(encoder).sha256
    for name in set(stored) - {"README.md"}:
        assert (tmp_path / "got" / name).read_bytes() == (encoder / name).read_bytes()


def test_cached_files_are_not_fetched(hub, encoder, tmp_path):
    ours.push(encoder, "lab/tiny", endpoint=hub.endpoint)
    ours.fetch("lab/tiny", endpoint=hub.endpoint)
    hub.requests.clear()
    ours.fetch("lab/tiny", endpoint=hub.endpoint)
    assert not [r for r in hub.requests if r[0] == "GET" and "/resolve/" in r[1]]


def test_save_and_load_pretrained(encoder, tmp_path, toy):
    ours.PretrainedModel(encoder).save_pretrained(tmp_path / "saved")
    assert {"config.json", "model.safetensors", "README.md"} <= {p.name for p in (tmp_path / "saved").iterdir()}
    again = ours.PretrainedModel.from_pretrained(str(tmp_path / "saved"))
    assert again.model.sha256 == open_model(encoder).sha256
    assert again.embed(toy.raw(1)).sizes["electrode"] == 5


def test_a_pushed_module_is_restored(hub, encoder, tmp_path, monkeypatch):
    """`eegpt.torch.EEGPT` from the hub by its address: the same outputs, to the last bit."""
    module = EEGPT(2, pretrained=encoder, chs_info=["C3", "Cz", "C4"], sfreq=200.0, teg_layers=1).eval()
    address = module.push_to_hub("lab/module", private=True, endpoint=hub.endpoint)
    assert "lab/module" in address
    stored = hub.files["models/lab/module"]
    assert {"README.md", "config.json", "model.safetensors", "vocabulary.parquet"} <= set(stored)
    assert b"hf://OWNER/NAME" in stored["README.md"]
    monkeypatch.setattr(repository, "fetch", functools.partial(repository.fetch, endpoint=hub.endpoint))
    again = EEGPT.from_pretrained("hf://lab/module").eval()
    x = 20 * torch.randn(3, 3, 200, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(again(x), module(x), rtol=0, atol=0)


def test_a_module_of_closed_data_is_not_pushed(hub, tmp_path, toy):
    run = toy.encoder(tmp_path / "nd", data=[toy.origin(licence={"id": "DUA", "signed": True}, name="closed")])
    module = EEGPT(2, pretrained=run, chs_info=["C3", "Cz", "C4"], sfreq=200.0, teg_layers=1)
    with pytest.raises(RefusedError, match="trained on closed cannot be shared"):
        module.push_to_hub("lab/closed", endpoint=hub.endpoint)
    assert hub.requests == []


@pytest.mark.parametrize("licence", [{"id": "CC-BY-ND-4.0", "share_shards": False}, {"id": "DUA", "signed": True}])
def test_licences_can_forbid_a_push(hub, tmp_path, toy, licence):
    """Before a byte is sent."""
    run = toy.encoder(tmp_path / "nd", data=[toy.origin(), toy.origin(licence=licence, name="closed")])
    with pytest.raises(RefusedError, match="trained on closed cannot be shared") as caught:
        ours.push(run, "lab/closed", endpoint=hub.endpoint)
    assert caught.value.exit_code == 3
    with pytest.raises(RefusedError):
        ours.PretrainedModel(run).push_to_hub("lab/closed")
    assert hub.requests == []


def test_unknown_data_are_not_pushed(hub, tmp_path, toy):
    with pytest.raises(RefusedError, match="the training data of"):
        ours.push(toy.encoder(tmp_path / "old", data=[]), "lab/old", endpoint=hub.endpoint)


def test_unknown_encoder_data_not_pushed(encoder, toy):
    def graph(mode, encoder_data):
        lock = Lock(data=[toy.origin()], encoder=["ab"], encoder_data=encoder_data)
        run = SimpleNamespace(config=TransferConfig(mode=mode))
        return replace(open_model(encoder), kind="transfer", lock=lock, run=run)

    with pytest.raises(RefusedError, match="the training data of the run's encoder are unknown"):
        refuse_passing_on(graph("frozen", []))
    assert list(refuse_passing_on(graph("frozen", [toy.origin(name="other")]))) == ["other", "toy"]
    assert list(refuse_passing_on(graph("scratch", []))) == ["toy"]


def test_pickles_are_never_fetched(hub, tmp_path):
    bomb = pickle.dumps({"weights": 1})
    hub.put("models/evil/model", {"config.json": b"{}", "pytorch_model.bin": bomb})
    with pytest.raises(InputError, match="does not contain a model of eegpt") as caught:
        ours.fetch("evil/model", endpoint=hub.endpoint)
    assert "pytorch_model.bin" in str(caught.value)
    assert not [r for r in hub.requests if "/resolve/" in r[1]]


def test_extra_pickles_are_not_fetched(hub, encoder, tmp_path):
    ours.push(encoder, "lab/tiny", endpoint=hub.endpoint)
    hub.put("models/lab/tiny", {"extra.pkl": pickle.dumps(1), "code.py": b"print('run me')"})
    ours.pull("lab/tiny", tmp_path / "got", endpoint=hub.endpoint)
    assert not {"extra.pkl", "code.py"} & {p.name for p in (tmp_path / "got").iterdir()}


def test_damaged_models_are_not_pulled(hub, encoder, tmp_path):
    ours.push(encoder, "lab/tiny", endpoint=hub.endpoint)
    hub.put("models/lab/tiny", {"model.safetensors": b"no tensors"})
    with pytest.raises(RefusedError):
        ours.pull("lab/tiny", tmp_path / "got", endpoint=hub.endpoint)
    assert not [p for p in tmp_path.iterdir() if p.name.startswith("got")]


def test_missing_repositories_are_one_error(hub, tmp_path):
    with pytest.raises(UsageError, match="unknown or private repository"):
        ours.fetch("lab/nothing", endpoint=hub.endpoint)
    with pytest.raises(UsageError, match="not a repository"):
        ours.fetch("hf://no", endpoint=hub.endpoint)
    with pytest.raises(InputError, match="the hub returned an error"):
        ours.fetch("lab/tiny", endpoint="http://127.0.0.1:9")


def test_the_card_has_all_sections(encoder, tmp_path):
    """Data, licences, scores and limits."""
    run = tmp_path / "scored"
    shutil.copytree(encoder, run)
    errors = {"all": 1.0, "horizon": [], "band": {}, "electrode": {}}
    predictors = {k: {"new": new, **errors} for k, new in (("model", 0.4), ("linear", 0.5), ("persistence", 0.8))}
    held_out = {"n_windows": 12, "variance": 1.1, "predictors": predictors}
    counts = {"steps": 1, "windows_seen": 1, "windows_per_epoch": 1, "parameters": 1, "unit": "sigma"}
    results = PretrainingResults.model_validate({**counts, "splits": {"test": held_out}})
    results.write(run)
    card = model_card(open_model(run))
    assert card.startswith("---\nlicense: cc-by-4.0\nlibrary_name: eegpt\n")
    assert "| Toy | 1 | CC-BY-4.0 | 1.0 | Nobody: Nothing, 2026 |" in card
    assert "| test | 12 | 1.1000 | 0.4000 | 0.5000 | 0.8000 |  |" in card
    for heading in ("## Data", "## Preprocessing", "## Scores", "## Limits"):
        assert heading in card
    assert "This run has no results.json." in model_card(open_model(encoder))


@pytest.mark.slow
def test_the_commands_push_and_pull(encoder, tmp_path, toy):
    with HubServer() as server:
        environment = {
            **os.environ, "HF_ENDPOINT": server.endpoint, "HF_TOKEN": "a-token", "HF_HOME": str(tmp_path / "hf"),
        }  # fmt: skip

        def eegpt(*arguments: str) -> subprocess.CompletedProcess[str]:
            command = [sys.executable, "-m", "_eegpt_cli.model", *arguments]
            return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)

        sent = eegpt("push", str(encoder), "lab/tiny", "--json")
        assert sent.returncode == 0, sent.stderr
        assert json.loads(sent.stdout)["address"].startswith(server.endpoint)
        got = eegpt("pull", "lab/tiny", "--out", str(tmp_path / "got"), "--json")
        assert json.loads(got.stdout)["kind"] == "encoder"
        assert got.stderr == ""
        closed = toy.encoder(tmp_path / "nd", data=[toy.origin(licence={"id": "CC-BY-ND-4.0"})])
        refused = eegpt("push", str(closed), "lab/nd")
        assert refused.returncode == 3
        assert "Traceback" not in refused.stderr
