"""`eegpt.torch.EEGPT`: a module for any montage and rate, in every training loop that people use."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path

import mne
import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from eegprep.errors import InputError, RefusedError, UsageError
from eegpt.interop import EEGPTFeatures
from eegpt.interop.arrays import ArrayError
from eegpt.interop.torch_input import robust_sd
from eegpt.torch import EEGPT

NAMES = ("C3", "Cz", "C4")


def trials(toy, n: int = 40, *, sfreq_hz: float = 200.0, seconds: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Class 1 has a 10 Hz rhythm at the first channel. Microvolt."""
    n_samples = int(seconds * sfreq_hz)
    x = np.stack([toy.eeg(i, 3, n_samples, sfreq_hz) for i in range(n)])
    y = np.arange(n) % 2
    x[y == 1, 0] += 25 * np.sin(2 * np.pi * 10 * np.arange(n_samples) / sfreq_hz)
    return torch.tensor(x, dtype=torch.float32), torch.tensor(y)


def make(encoder, **options) -> EEGPT:
    options = {"chs_info": list(NAMES), "sfreq": 200.0, "teg_layers": 1, **options}
    return EEGPT(options.pop("n_outputs", 2), pretrained=encoder, **options)


@pytest.fixture
def data(toy):
    return trials(toy)


# ---- what comes out


def test_outputs_have_the_usual_shape(encoder, data):
    module = make(encoder).eval()
    assert module(data[0]).shape == (40, 2)
    found = module(data[0], return_features=True)
    assert found["features"].shape == (40, 3, 32)
    assert found["cls_token"].shape == (40, 16)


def test_features_equal_the_estimators(encoder, toy):
    """At 256 Hz, where nothing is resampled."""
    x, _ = trials(toy, 6, sfreq_hz=256.0)
    own = make(encoder, sfreq=256.0).eval()(x, return_features=True)["features"]
    other = EEGPTFeatures(encoder, ch_names=NAMES, sfreq_hz=256.0, sigma="trial").fit(x.numpy()).transform(x.numpy())
    np.testing.assert_allclose(own.flatten(1).numpy(), other, atol=2e-4)


@pytest.mark.parametrize("sfreq_hz", [100.0, 173.61, 250.0, 512.0, 1000.0])
def test_any_rate_is_resampled_inside(encoder, sfreq_hz):
    """A sum of rhythms sampled at any rate gives the features of the same sum at 256 Hz."""
    module = make(encoder, sfreq=sfreq_hz).eval()
    at = {hz: torch.arange(int(4 * hz)) / hz for hz in (sfreq_hz, 256.0)}
    x = {hz: 20 * torch.stack([torch.sin(2 * torch.pi * f * t) for f in (6, 10, 21)])[None] for hz, t in at.items()}
    resampled = module._resample(x[sfreq_hz])
    n = min(resampled.shape[2], 1024)
    assert n >= 1020
    assert float((resampled[..., :n] - x[256.0][..., :n])[..., 64:-64].abs().max()) < 0.4


def test_gradients_reach_the_input(encoder, data):
    x = data[0][:2].clone().requires_grad_()
    make(encoder).eval()(x).sum().backward()
    assert float(x.grad.abs().sum()) > 0


@pytest.mark.parametrize(("mode", "learns"), [("frozen", False), ("lora", True), ("full", True)])
def test_a_mode_trains_its_part(encoder, data, mode, learns):
    module = make(encoder, mode=mode)
    nn.functional.cross_entropy(module(data[0]), data[1]).backward()
    learned = [n for n, p in module.net.ete.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0]
    assert bool(learned) == learns
    assert module.net.heads.weight.grad is not None


def test_a_head_can_be_replaced(encoder, data):
    module = make(encoder)
    module.reset_head(5)
    assert module(data[0]).shape == (40, 5)


def test_wrong_inputs_have_our_errors(encoder, data):
    module = make(encoder)
    with pytest.raises(ArrayError, match="wrong shape"):
        module(data[0][:, :2])
    with pytest.raises(ArrayError, match="sampling rate is needed"):
        EEGPT(2, chs_info=["Cz"])
    with pytest.raises(ArrayError, match="names are needed"):
        EEGPT(2, n_chans=3, sfreq=200)
    with pytest.raises(UsageError, match="needs a pre-trained encoder"):
        EEGPT(2, chs_info=["Cz"], sfreq=200, mode="frozen")
    with pytest.raises(ArrayError, match="n_outputs"):
        EEGPT(0, chs_info=["Cz"], sfreq=200)


def test_volts_as_microvolts_are_refused(encoder, data):
    with pytest.raises(ArrayError, match="impossible for EEG in uV") as told:
        make(encoder)(data[0] * 1e-6)
    assert "pass unit='V'" in str(told.value)
    volts = make(encoder, unit="V").eval()(data[0] * 1e-6, return_features=True)["features"]
    torch.testing.assert_close(
        volts, make(encoder).eval()(data[0], return_features=True)["features"], atol=1e-4, rtol=0
    )


# ---- the table of channels in docs/how-to/use-in-pytorch.md, row by row


def features_of(module: EEGPT, x: torch.Tensor) -> torch.Tensor:
    return module.eval()(x, return_features=True)["features"]


def test_unknown_channels_are_left_out(encoder, data):
    """With a warning that names them; or refused, or mapped by position."""
    names = ["C3", "Foo9", "C4"]
    with pytest.warns(UserWarning, match="left out: Foo9"):
        module = make(encoder, chs_info=names)
    assert module.electrodes == ("C3", "C4")
    assert "Foo9" in module.left_out
    torch.testing.assert_close(features_of(module, data[0]), features_of(make(encoder), data[0])[:, [0, 2]])
    with pytest.raises(RefusedError, match="not electrodes that the model knows"):
        make(encoder, chs_info=names, unknown="refuse")
    where = mne.channels.make_standard_montage("standard_1020").get_positions()["ch_pos"]["Pz"]
    placed = [{"ch_name": "C3"}, {"ch_name": "Foo9", "loc": [*where, *[0.0] * 9]}, {"ch_name": "C4"}]
    mapped = make(encoder, chs_info=placed, unknown="nearest")
    assert len(mapped.electrodes) == 3


def test_missing_channels_need_nothing(encoder, data):
    """The graph takes any set of electrodes; those that are present have the features they always have."""
    few = make(encoder, chs_info=["C4"])
    torch.testing.assert_close(features_of(few, data[0][:, 2:]), features_of(make(encoder), data[0])[:, 2:])


def test_the_order_of_channels_is_free(encoder, data):
    turned = [2, 0, 1]
    module = make(encoder, chs_info=[NAMES[i] for i in turned])
    torch.manual_seed(0)
    module.net.load_state_dict((same := make(encoder)).net.state_dict())
    torch.testing.assert_close(module.eval()(data[0][:, turned]), same.eval()(data[0]), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("written", "electrode"), [("EEG C3-REF", "C3"), ("c3.", "C3"), ("T3", "T7"), ("EEG Fpz", "Fpz")]
)
def test_renamed_channels_are_recognised(encoder, written, electrode):
    assert make(encoder, chs_info=[written, "Oz"]).electrodes == (electrode, "Oz")


def test_bipolar_channels_are_the_first(encoder, data):
    """`F3-C3` is F3 against another reference."""
    assert make(encoder, chs_info=["F3-C3", "Cz", "P4-O2"]).electrodes == ("F3", "Cz", "P4")


def test_bad_channels_are_left_out(encoder, data):
    """Those marked as bad never; those that are NaN or flat in a trial, in that trial."""
    info = mne.create_info(list(NAMES), 200.0, "eeg")
    info["bads"] = ["Cz"]
    module = make(encoder, chs_info=info)
    assert (module.electrodes, module.left_out["Cz"]) == (("C3", "C4"), "marked as bad")
    whole, x = make(encoder), data[0].clone()
    x[0, 1], x[1, 2] = float("nan"), 3.0
    found, plain = features_of(whole, x), features_of(whole, data[0])
    assert (found[0, 1] == 0).all()
    assert (found[1, 2] == 0).all()
    torch.testing.assert_close(found[2:], plain[2:])
    torch.testing.assert_close(found[0, 0], plain[0, 0])
    assert torch.isfinite(whole(x)).all()
    x[3] = float("nan")
    with pytest.raises(ArrayError, match="no usable channel"):
        whole(x)


def test_channels_without_eeg_are_left_out(encoder):
    info = mne.create_info(["C3", "Cz", "EOG1"], 200.0, ["eeg", "eeg", "eog"])
    assert make(encoder, chs_info=info["chs"]).left_out == {"EOG1": "not an EEG channel"}
    with pytest.raises(ArrayError, match="no channel is an electrode"):
        make(encoder, chs_info=["a1x", "b2x"])


# ---- files


@pytest.mark.parametrize("mode", ["frozen", "lora", "full"])
def test_saved_modules_are_the_same(encoder, data, tmp_path: Path, mode):
    module = make(encoder, mode=mode)
    step = torch.optim.SGD([p for p in module.parameters() if p.requires_grad], 0.1)
    nn.functional.cross_entropy(module(data[0]), data[1]).backward()
    step.step()
    module.save_pretrained(tmp_path / "saved")
    again = EEGPT.from_pretrained(tmp_path / "saved")
    torch.testing.assert_close(again.eval()(data[0]), module.eval()(data[0]), atol=1e-5, rtol=1e-4)
    assert (tmp_path / "saved" / "seen.json").read_bytes() == (encoder / "seen.json").read_bytes()
    other = EEGPT.from_pretrained(tmp_path / "saved", n_outputs=4, chs_info=["Oz"], sfreq=128)
    assert other(data[0][:, :1]).shape == (40, 4)
    with pytest.raises(TypeError, match="windows"):
        EEGPT.from_pretrained(tmp_path / "saved", windows=3)


def test_the_scale_is_saved(encoder, data, tmp_path: Path):
    module = make(encoder)
    module.set_sigma(data[0])
    assert torch.allclose(module._sigma_uv, torch.full((3,), 20.0), rtol=0.5)
    module.save_pretrained(tmp_path / "saved")
    torch.testing.assert_close(EEGPT.from_pretrained(tmp_path / "saved")._sigma_uv, module._sigma_uv)


def test_damaged_modules_are_refused(encoder, tmp_path: Path):
    make(encoder).save_pretrained(tmp_path / "saved")
    other = make(encoder, teg_layers=2)
    other.save_pretrained(tmp_path / "other")
    (tmp_path / "other" / "model.safetensors").replace(tmp_path / "saved" / "model.safetensors")
    with pytest.raises(InputError, match="do not match the module"):
        EEGPT.from_pretrained(tmp_path / "saved")
    with pytest.raises(UsageError, match="not a run"):
        EEGPT.from_pretrained(tmp_path / "nothing", n_outputs=2, chs_info=["Cz"], sfreq=200)


def test_modules_pickle_and_copy(encoder, data):
    module = make(encoder).eval()
    again = pickle.loads(pickle.dumps(module))
    torch.testing.assert_close(again(data[0]), module(data[0]))


def test_robust_sd_equals_numpy(toy):
    from eegprep.standardise.measure import robust_sd as expected

    for n in (7, 8):
        x = np.random.default_rng(n).normal(size=(3, n))
        np.testing.assert_allclose(robust_sd(torch.tensor(x)), expected(x, 1))


# ---- training loops


def test_a_plain_loop_learns(encoder, data):
    module = make(encoder, mode="full")
    optimiser = torch.optim.AdamW(module.parameters(), 3e-3)
    torch.manual_seed(0)
    for _ in range(30):
        optimiser.zero_grad()
        loss = nn.functional.cross_entropy(module(data[0]), data[1])
        loss.backward()
        optimiser.step()
    assert float((module.eval()(data[0]).argmax(1) == data[1]).float().mean()) > 0.8


def test_skorch_trains_it(encoder, data):
    skorch = pytest.importorskip("skorch")
    options = {"module__pretrained": str(encoder), "module__chs_info": list(NAMES), "module__sfreq": 200.0}
    net = skorch.NeuralNetClassifier(
        EEGPT, module__n_outputs=2, module__teg_layers=1, criterion=nn.CrossEntropyLoss, optimizer=torch.optim.AdamW,
        lr=3e-3, max_epochs=2, batch_size=8, train_split=None, verbose=0, **options,
    )  # fmt: skip
    net.fit(data[0].numpy(), data[1].numpy())
    assert net.predict(data[0].numpy()).shape == (40,)


@pytest.mark.slow
def test_braindecode_trains_it(encoder, data):
    """braindecode's EEGClassifier sets the module's parameters from the Epochs, and passes microvolt."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own imports
        try:
            from braindecode import EEGClassifier
        except Exception as error:  # torchaudio beside a CPU build of torch
            pytest.skip(f"needs braindecode: {error}")
        info = mne.create_info(list(NAMES), 200.0, "eeg")
        events = np.stack([np.arange(40) * 300, np.zeros(40, int), data[1].numpy() + 1], axis=1)
        epochs = mne.EpochsArray(data[0].numpy() * 1e-6, info, events, verbose="ERROR")
        net = EEGClassifier(
            EEGPT, module__pretrained=str(encoder), module__teg_layers=1, optimizer=torch.optim.AdamW,
            lr=3e-3, max_epochs=2, batch_size=8, train_split=None, verbose=0,
        )  # fmt: skip
        net.fit(epochs, data[1].numpy())
        assert net.module_.electrodes == NAMES
        assert (net.module_.sfreq, net.module_.n_times) == (200.0, 200)
        assert net.predict(epochs).shape == (40,)


def test_lightning_trains_it(encoder, data, tmp_path: Path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        lightning = pytest.importorskip("lightning")

        class Task(lightning.LightningModule):
            def __init__(self):
                super().__init__()
                self.module = make(encoder)

            def training_step(self, batch, number):
                return nn.functional.cross_entropy(self.module(batch[0]), batch[1])

            def configure_optimizers(self):
                return torch.optim.AdamW((p for p in self.parameters() if p.requires_grad), 3e-3)

        task = Task()
        before = task.module.net.heads.weight.detach().clone()
        trainer = lightning.Trainer(
            max_epochs=1, accelerator="cpu", devices=1, logger=False, enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False, default_root_dir=tmp_path,
        )  # fmt: skip
        trainer.fit(task, DataLoader(TensorDataset(*data), 8))
    assert not torch.equal(before, task.module.net.heads.weight)


def test_accelerate_trains_it(encoder, data):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        accelerate = pytest.importorskip("accelerate")
        accelerator = accelerate.Accelerator(cpu=True)
        module = make(encoder)
        optimiser = torch.optim.AdamW((p for p in module.parameters() if p.requires_grad), 3e-3)
        loader = DataLoader(TensorDataset(*data), 8)
        module, optimiser, loader = accelerator.prepare(module, optimiser, loader)
        before = accelerator.unwrap_model(module).net.heads.weight.detach().clone()
        for x, y in loader:
            accelerator.backward(nn.functional.cross_entropy(module(x), y))
            optimiser.step()
            optimiser.zero_grad()
    assert not torch.equal(before, accelerator.unwrap_model(module).net.heads.weight)
