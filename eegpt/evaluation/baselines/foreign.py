"""Networks of other groups, as braindecode builds them, trained from scratch on our trials (extra `[baselines]`).

Each name gives a `Network` for `networks.train_network`, with the rate, unit and patch length of its authors. LaBraM
(Jiang et al. 2024) and CBraMod (Wang et al. 2025) take 200 Hz, patches of a second and units of 0.1 mV; BIOT (Yang et
al. 2023) takes 200 Hz and divides every trial's channel by the 95th percentile of its absolute values; EEGConformer
(Song et al. 2023) takes 250 Hz; the EEGPT of Wang et al. (2024), unrelated to ours, takes 256 Hz and patches of 64. The
last two get signals in robust SDs, like our own networks. No weights are loaded. Trials shorter than a patch are
zero-padded; samples after the last complete patch are dropped. LaBraM uses only the electrodes that it knows by name.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from eegprep.errors import UsageError, install
from eegpt.evaluation.baselines.networks import Network, in_sigma
from eegpt.evaluation.baselines.trials import TaskData

#: Names here to classes of braindecode.models.
BRAINDECODE = {
    "eegconformer": "EEGConformer",
    "labram": "Labram",
    "biot": "BIOT",
    "cbramod": "CBraMod",
    "eegpt_wang": "EEGPT",
}
_RATE_HZ = {"eegconformer": 250, "labram": 200, "biot": 200, "cbramod": 200, "eegpt_wang": 256}
_PATCH = {"labram": 200, "cbramod": 200, "biot": 200, "eegpt_wang": 64}
_LR = {"eegconformer": 2e-4, "labram": 5e-4, "biot": 1e-3, "cbramod": 1e-4, "eegpt_wang": 4e-4}
_STEPS, _PATIENCE = 400, 100


def load_models() -> ModuleType:
    """`braindecode.models`; UsageError if it is not installed or does not load beside this torch."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the libraries that braindecode imports, about each other's versions
            return importlib.import_module("braindecode.models")
    except ModuleNotFoundError as error:
        raise UsageError(
            f"these baselines need braindecode, and {error.name} is not installed",
            todo=f"make baselines, or: {install('baselines')}",
        ) from None
    except (ImportError, OSError) as error:
        raise UsageError(
            "braindecode is installed but cannot be imported",
            found=(str(error) or type(error).__name__).splitlines()[0][:200],
            expected="a torchaudio that fits this torch",
            todo="run `make baselines`, which removes the compiled part of torchaudio",
        ) from None


class _ByName(nn.Module):
    """LaBraM with the names of its input electrodes."""

    def __init__(self, build: Callable[..., nn.Module], electrodes: tuple[str, ...], settings: dict[str, Any]) -> None:
        super().__init__()
        order = sys.modules[build.__module__].LABRAM_CHANNEL_ORDER
        known = {name.upper() for name in order}
        self.at = [i for i, name in enumerate(electrodes) if name.upper() in known]
        if not self.at:
            raise UsageError("LaBraM knows none of these electrodes", found=", ".join(electrodes))
        self.names = [electrodes[i] for i in self.at]
        self.body = build(**settings | {"n_chans": len(self.at)})

    def forward(self, x_NES: Tensor) -> Tensor:
        return self.body(x_NES[:, self.at], ch_names=self.names)


class _RectangularWindow(nn.Module):
    """BIOT, whose spectra have no window, as in its authors' code; torch warns of that."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x_NES: Tensor) -> Tensor:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="A window was not provided", category=UserWarning)
            return self.body(x_NES)


def braindecode_network(name: str) -> Network:
    """The network of one of `BRAINDECODE`'s names."""
    build = getattr(load_models(), BRAINDECODE[name])

    def make(electrodes: tuple[str, ...], n_samples: int, n_classes: int) -> nn.Module:
        settings: dict[str, Any] = {
            "n_outputs": n_classes,
            "n_chans": len(electrodes),
            "n_times": n_samples,
            "sfreq": _RATE_HZ[name],
        }
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about weights that are not loaded
            if name == "labram":
                return _ByName(build, electrodes, settings)
            return _RectangularWindow(build(**settings)) if name == "biot" else build(**settings)

    return Network(
        make=make,
        prepare=lambda data: prepared(name, data),
        lr=_LR[name],
        steps=_STEPS,
        patience=_PATIENCE,
        large=True,
    )


def prepared(name: str, data: TaskData) -> Tensor:
    """Trials (N, E, S') float32 at the network's rate and in its unit, cut to complete patches."""
    x = in_sigma(data) if name in ("eegconformer", "eegpt_wang") else torch.from_numpy(data.signal_uv / 100)
    n = round(x.shape[2] * _RATE_HZ[name] / data.sfreq_hz)
    if n != x.shape[2] and len(x):
        from scipy.signal import resample

        x = torch.from_numpy(np.ascontiguousarray(resample(x.numpy(), n, axis=2), dtype=np.float32))
    patch = _PATCH.get(name, 1)
    whole = max(patch, x.shape[2] // patch * patch)
    x = nn.functional.pad(x, (0, whole - x.shape[2])) if whole > x.shape[2] else x[:, :, :whole]
    if name == "biot" and len(x):
        x = x / x.abs().quantile(0.95, dim=2, keepdim=True).clamp_min(1e-6)
    return x.float()
