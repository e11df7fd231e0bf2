"""torch.export and ONNX say what the model says, for other batches and other numbers of electrodes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from support.transfer_runs import settings

from eegprep.errors import UsageError
from eegpt.interop import export, open_model
from eegpt.interop.exported.export import EncoderGraph, exportable
from eegpt.transfer.run import transfer

# float32 sums in another order; states are of size one.
TOLERANCE = 1e-4
WITHOUT_PAIRS = ("states", "dynamics", "spectrum", "course", "level")


@pytest.fixture(
    scope="module", params=["special", "special+states", "special+views", "views", "readouts", "readouts alone"]
)
def run(request, recorded, encoder, tmp_path_factory) -> Path:
    chosen = {"steps": 4, "precision": "float32", "teg_layers": 1, "align": "none", "edges": "none"}
    if request.param.startswith("readouts"):
        chosen |= {"graph": request.param == "readouts", "views": WITHOUT_PAIRS}
    else:
        chosen |= {"readout": request.param, "views": ()}
    out = tmp_path_factory.mktemp("run") / "model"
    transfer(settings(**chosen), shards=[recorded.shards], out=out, encoder=encoder)
    return out


@pytest.mark.parametrize("name", ["encoder.pt2", "encoder.onnx"])
def test_exported_encoders_equal_eager(encoder, tmp_path, name):
    if name.endswith("onnx"):
        pytest.importorskip("onnxscript", reason="ONNX export needs the extra [export]")
        pytest.importorskip("onnxruntime", reason="ONNX is held against eager by onnxruntime")
    done = export(encoder, tmp_path / name)
    assert done.largest_difference < TOLERANCE
    told = json.loads(done.description.read_text())
    assert told["electrodes"]["Cz"] == open_model(encoder).vocabulary.id_of("Cz")
    assert (told["window_samples"], told["recipe"]["name"]) == (256, "default")


@pytest.mark.slow
def test_exported_graph_sizes_are_free(run, tmp_path):
    """Any batch and any number of electrodes."""
    model = open_model(run)
    module, _ = exportable(model)
    done = export(run, tmp_path / "model.pt2")
    assert done.largest_difference < TOLERANCE
    program = torch.export.load(done.path).module()
    random = torch.Generator().manual_seed(1)
    for batch, electrodes in ((1, 1), (5, 2), (2, 19)):
        signal = 20 * torch.randn(batch, electrodes, 256, generator=random)
        electrode = torch.arange(batch * electrodes).view(batch, electrodes)
        inputs = (
            signal,
            torch.full((batch, electrodes), 20.0),
            electrode,
            torch.ones_like(electrode, dtype=torch.bool),
        )
        with torch.no_grad():
            torch.testing.assert_close(program(*inputs), module(*inputs), atol=TOLERANCE, rtol=TOLERANCE)


@pytest.mark.slow
def test_onnx_graph_equals_eager(run, tmp_path):
    """Masked values are ignored."""
    pytest.importorskip("onnxscript", reason="ONNX export needs the extra [export]")
    runtime = pytest.importorskip("onnxruntime", reason="ONNX is held against eager by onnxruntime")
    done = export(run, tmp_path / "model.onnx")
    assert done.largest_difference < TOLERANCE
    told = json.loads(done.description.read_text())
    assert told["classes"] == ["left", "right"]
    session = runtime.InferenceSession(str(done.path), providers=["CPUExecutionProvider"])
    signal = 20 * np.random.default_rng(0).standard_normal((4, 7, 256)).astype(np.float32)
    mask = np.ones((4, 7), bool)
    mask[:, 5:] = False
    inputs = {
        "signal_uv": signal, "sigma_uv": np.full((4, 7), 20, np.float32),
        "electrode": np.tile(np.arange(7), (4, 1)), "mask": mask,
    }  # fmt: skip
    one = session.run(None, inputs)[0]
    np.testing.assert_allclose(one.sum(axis=1), 1, atol=1e-5)
    other = session.run(None, {**inputs, "signal_uv": np.where(mask[..., None], signal, np.float32(1e4))})[0]
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_exported_graph_equals_embedding(run, recorded):
    """The module that is exported gives the probabilities that `eegpt.embed` gives."""
    import mne

    import eegpt
    from eegpt.interop.signals import prepare

    model = open_model(run)
    raw = mne.io.read_raw_fif(recorded.files / "s1.fif", verbose="ERROR")
    ds = eegpt.embed(raw, model=model)
    ready = prepare(raw, recipe=model.recipe(), vocabulary=model.vocabulary)
    module, _ = exportable(model)
    ids = torch.tensor([[model.vocabulary.id_of(e) for e in ready.electrodes]])
    with torch.no_grad():
        answer = module(
            torch.from_numpy(ready.signal_uv[None, :, 256:512]), torch.from_numpy(ready.sigma_uv[None]), ids,
            torch.ones_like(ids, dtype=torch.bool),
        )  # fmt: skip
    said = answer[0] if isinstance(answer, tuple) else answer
    assert ds.hand_class.values.tolist() == ["left", "right"]
    np.testing.assert_allclose(ds.probability_hand.values[1], said[0].numpy(), atol=1e-4)
    if model.transfer.graph:
        assert ds.graph.sizes == {"window": 30, "dimension": 16}


@pytest.mark.parametrize("compress", [False, True])
def test_aligned_views_take_two_passes(recorded, encoder, tmp_path, compress):
    """Standardised by subject: a first pass gives the views, their mean and SD go into the second."""
    import mne

    import eegpt
    from eegpt.interop.signals import prepare

    out = tmp_path / "model"
    chosen = settings(steps=4, precision="float32", teg_layers=1, edges="none", views=WITHOUT_PAIRS, compress=compress)
    transfer(chosen, shards=[recorded.shards], out=out, encoder=encoder)
    model = open_model(out)
    assert model.aligned_heads
    assert model.transfer.compress == compress
    done = export(out, tmp_path / "model.pt2")
    assert done.largest_difference < TOLERANCE
    told = json.loads(done.description.read_text())
    assert told["standardised_by_subject"]
    assert list(told["inputs"])[-2:] == ["view_mean", "view_sd"]

    raw = mne.io.read_raw_fif(recorded.files / "s1.fif", verbose="ERROR")
    ds = eegpt.embed(raw, model=model)
    ready = prepare(raw, recipe=model.recipe(), vocabulary=model.vocabulary)
    windows = torch.from_numpy(np.stack([ready.signal_uv[:, k * 256 : (k + 1) * 256] for k in range(30)]))
    ids = torch.tensor([[model.vocabulary.id_of(e) for e in ready.electrodes]]).expand(30, -1).contiguous()
    sigma = torch.from_numpy(ready.sigma_uv)[None].expand(30, -1).contiguous()
    program = torch.export.load(done.path).module()
    with torch.no_grad():
        shape = (30, len(ready.electrodes), model.transfer.electrode_heads.weight.shape[2])
        given = (windows, sigma, ids, torch.ones_like(ids, dtype=torch.bool))
        _, views = program(*given, torch.zeros(shape), torch.ones(shape))
        mean, sd = views.mean(dim=0, keepdim=True), views.std(dim=0, correction=0, keepdim=True)
        said, _ = program(*given, mean.expand(shape).contiguous(), sd.expand(shape).contiguous())
    np.testing.assert_allclose(ds.probability_hand.values, said.numpy(), atol=2e-3)


def test_impossible_exports_are_refused(run, encoder, tmp_path):
    with pytest.raises(UsageError, match="unknown format"):
        export(encoder, tmp_path / "model.bin")
    with pytest.raises(UsageError, match="no task 'hands'"):
        export(run, tmp_path / "model.onnx", task="hands")
    with pytest.raises(UsageError, match="shorter than a token"):
        export(encoder, tmp_path / "model.pt2", n_samples=10)
    assert isinstance(exportable(open_model(run), task="encoder")[0], EncoderGraph)
    assert list(tmp_path.iterdir()) == []


def test_models_on_pairs_are_refused(recorded, encoder, tmp_path):
    """Neither format can compute the logarithm of a matrix: the reason, and what to do instead."""
    transfer(settings(graph=False, views=("pairs",)), shards=[recorded.shards], out=tmp_path / "run", encoder=encoder)
    with pytest.raises(UsageError, match=r"pairs of electrodes[^$]*model\.edges=none"):
        export(tmp_path / "run", tmp_path / "model.pt2")
