"""How long a live token takes, and what the causal filters change: in one run, for several numbers of electrodes.

    python benchmarks/live.py [ENCODER] [--size base] [--seconds 20] [--recording FILE]

Without ENCODER one of `--size` with random weights is timed: time does not depend on what the weights are. Latency of a
token is the time that `LiveModel.push` takes for the chunk that completes it (filters, resampling, normalising, encoder
with cached keys and values); beside it the same token without a cache: the whole window anew. With --recording (any
file of MNE) the features of the live signal are held against the offline ones of the same instants.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from eegprep.electrodes import Vocabulary
from eegprep.recording import STANDARD_SFREQ_HZ
from eegpt.interop import LiveModel, open_model
from eegpt.interop.model import Model
from eegpt.model.ete import ETE
from eegpt.model.sizes import ete_config
from eegpt.runs import checkpoint as ck
from eegpt.runs.folder import write_config

COUNTS = (1, 8, 19, 64)


def random_encoder(size: str, folder: Path) -> Path:
    torch.manual_seed(0)
    config = ete_config(size, n_electrodes=len(Vocabulary.base()), objective="new")
    Vocabulary.base().to_parquet(folder / "vocabulary.parquet")
    write_config(folder, "encoder", encoder=config)
    ck.save_tensors(folder / "model.safetensors", ETE(config).state_dict())
    return folder


def timed(model: Model, n_electrodes: int, seconds: float, sfreq_hz: float) -> dict[str, float]:
    """Milliseconds per token, with the cache and without."""
    names = model.vocabulary.names[:n_electrodes]
    live = LiveModel(model, names, sfreq_hz, unit="uV", recipe="default", line_freq_hz=50)
    random = np.random.default_rng(0)
    c = model.ete.config
    n = round(c.token_stride / STANDARD_SFREQ_HZ * sfreq_hz)
    took = []
    for _ in range(int(seconds * sfreq_hz / n)):
        chunk = random.normal(0, 20, (n_electrodes, n))
        began = time.perf_counter()
        if live.push(chunk):
            took.append(1e3 * (time.perf_counter() - began))
    tokens = torch.randn(n_electrodes, live.window_tokens, c.token_samples)
    ids = torch.arange(n_electrodes)
    anew = []
    with torch.inference_mode():
        for _ in range(10):
            began = time.perf_counter()
            model.ete(tokens, ids)
            anew.append(1e3 * (time.perf_counter() - began))
    took = took[live.window_tokens :]
    return {
        "electrodes": n_electrodes,
        "median_ms": float(np.median(took)),
        "p99_ms": float(np.percentile(took, 99)),
        "whole_window_encoder_ms": float(np.median(anew)),
        "cache_mib": live.cache_bytes / 2**20,
        "delay_of_filters_ms": 1e3 * live.latency_s,
    }


def compared(model: Model, path: Path) -> list[dict[str, float | str]]:
    """Correlation of the last state between live and offline, by electrode and time."""
    import mne

    from eegpt.interop.signals import prepare
    from eegpt.model.tokens import normalised, unfold_tokens

    raw = mne.io.read_raw(path, verbose="ERROR").crop(0, 60, verbose="ERROR")
    recipe = model.recipe(None if model.recipes() else "default")
    ready = prepare(raw, recipe=recipe, vocabulary=model.vocabulary, line_freq_hz=50)
    ids = torch.tensor([model.vocabulary.id_of(e) for e in ready.electrodes])
    c = model.ete.config
    picked = raw.copy().pick(list(ready.channels))
    rows = []
    for phase in ("minimum", "linear"):
        live = LiveModel(
            model, picked.ch_names, raw.info["sfreq"], recipe=recipe, line_freq_hz=50, phase=phase,
            sigma_uv=ready.sigma_uv,
        )  # fmt: skip
        found = [o for start in range(0, picked.n_times, 64) for o in live.push(picked[:, start : start + 64][0])]
        D, W = c.width, live.window_tokens
        pairs = []
        for one in found[::8]:  # once a second
            stop = round(one.time_s * STANDARD_SFREQ_HZ)
            start = stop - c.token_samples - (W - 1) * c.token_stride
            if start < 15 * STANDARD_SFREQ_HZ or stop > 50 * STANDARD_SFREQ_HZ:
                continue
            x = normalised(
                torch.from_numpy(np.ascontiguousarray(ready.signal_uv[:, start:stop])), torch.ones(len(ids)),
                torch.from_numpy(ready.sigma_uv), normalise=c.normalise, fixed_uv=c.fixed_uv, clip=c.clip,
            )  # fmt: skip
            tokens = unfold_tokens(x, token_samples=c.token_samples, token_stride=c.token_stride)
            with torch.inference_mode():
                pairs.append((one.features[:, D:], model.ete(tokens, ids)[:, -1].numpy()))
        a, b = (np.stack(p).reshape(-1, D) for p in zip(*pairs, strict=True))
        a, b = a - a.mean(axis=0), b - b.mean(axis=0)
        r = (a * b).sum() / np.sqrt((a**2).sum() * (b**2).sum())
        rows.append({"phase": phase, "delay_ms": 1e3 * live.latency_s, "correlation of states": float(r)})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("encoder", type=Path, nargs="?")
    parser.add_argument("--size", default="base")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--sfreq", type=float, default=500.0)
    parser.add_argument("--recording", type=Path)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = open_model(arguments.encoder or random_encoder(arguments.size, Path(folder)))
        for n in COUNTS:
            show(timed(model, n, arguments.seconds, arguments.sfreq), arguments.json)
        if arguments.recording is not None:
            for row in compared(model, arguments.recording):
                show(row, arguments.json)


def show(row: dict[str, float] | dict[str, float | str], as_json: bool) -> None:
    """A line."""
    text = "  ".join(f"{k}: {v:.3g}" if isinstance(v, float) else f"{k}: {v}" for k, v in row.items())
    print(json.dumps(row) if as_json else text, flush=True)


if __name__ == "__main__":
    main()
