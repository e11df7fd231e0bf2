"""How fast is a pre-training step? Ours against torch.nn.TransformerEncoderLayer and Hugging Face's GPT-2.

All three have the same width, layers, heads and number of parameters, see the same int16 windows, the same tokens
and the same loss (new samples), and take a whole step: tokens, forward, backward, clipping, AdamW. They take turns
in one run, ours also under torch.compile; each peer counts in the faster of float32 and bfloat16. Beside it: tokens/s
and peak memory per size, the loader's share of a step of a real run over a shard set, and on a GPU the share of its
measured matrix peak.

    python benchmarks/train.py --json train.json
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import resource
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from eegpt.model.ete import ETE
from eegpt.model.sizes import SIZES, ete_config
from eegpt.model.tokens import n_tokens
from eegpt.pretraining.objective import Pretraining
from eegpt.runs.runtime import measured_peak_flops, pick_precision

WINDOW, TOKEN, STRIDE, ELECTRODES = 1024, 256, 32, 138
COMPILED = "ours, compiled"
TOKENS = n_tokens(WINDOW, token_samples=TOKEN, token_stride=STRIDE)


class Peer(nn.Module):
    """The same task with another library's layers: electrode vector, linear in, learned positions, linear out."""

    def __init__(self, width: int, layers: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.electrode = nn.Embedding(ELECTRODES, width)
        self.token_in = nn.Linear(TOKEN, width, bias=False)
        self.position = nn.Embedding(TOKENS, width)
        self.layers = layers
        self.token_out = nn.Linear(width, STRIDE, bias=False)

    def forward(self, x_BTC: Tensor, electrode_B: Tensor) -> Tensor:
        h = torch.cat((self.electrode(electrode_B).unsqueeze(1), self.token_in(x_BTC[:, :-1])), dim=1)
        h = self.layers(h + self.position.weight[: h.shape[1]])
        return (self.token_out(h[:, 1:]).float() - x_BTC[:, 1:, -STRIDE:]).square().mean()


class TorchLayers(nn.Module):
    """torch.nn.TransformerEncoderLayer, pre-norm, causal; inner width chosen for our number of parameters."""

    def __init__(self, width: int, n_heads: int, n_layers: int) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(
            width, n_heads, round(5.25 * width), dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, n_layers, nn.LayerNorm(width), enable_nested_tensor=False)
        self.mask: Tensor
        self.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(TOKENS))

    def forward(self, h: Tensor) -> Tensor:
        return self.encoder(h, mask=self.mask, is_causal=True)


class GPT2Layers(nn.Module):
    """Hugging Face's GPT-2 with its fused attention."""

    def __init__(self, width: int, n_heads: int, n_layers: int) -> None:
        super().__init__()
        from transformers import GPT2Config, GPT2Model

        dropouts = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0)
        config = GPT2Config(
            n_embd=width,
            n_layer=n_layers,
            n_head=n_heads,
            n_inner=round(5.25 * width),
            n_positions=TOKENS,
            vocab_size=1,
            bos_token_id=None,
            eos_token_id=None,
            use_cache=False,
            attn_implementation="sdpa",
            **dropouts,
        )
        self.gpt2 = GPT2Model(config)
        self.gpt2.wpe.requires_grad_(False)

    def forward(self, h: Tensor) -> Tensor:
        return self.gpt2(inputs_embeds=h, use_cache=False).last_hidden_state


def batch(n: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Windows of noise in stored form."""
    rng = np.random.default_rng(0)
    signal = torch.from_numpy(rng.integers(-2000, 2000, (n, WINDOW)).astype(np.int16)).to(device)
    electrode = torch.from_numpy(rng.integers(0, ELECTRODES, n)).to(device)
    return signal, torch.full((n,), 0.05, device=device), torch.full((n,), 50.0, device=device), electrode


def stepper(loss: Callable[[], Tensor], module: nn.Module, device: torch.device, precision: str) -> Callable[[], float]:
    """A function that runs one complete step and returns its seconds."""
    parameters = [p for p in module.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(parameters, lr=1e-4, fused=True)

    def step() -> float:
        wait(device)
        start = time.perf_counter()
        autocast = torch.autocast(device.type, torch.bfloat16) if precision == "bfloat16" else contextlib.nullcontext()
        with autocast:
            value = loss()
        value.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        wait(device)
        return time.perf_counter() - start

    return step


def wait(device: torch.device) -> None:
    """Synchronise the device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def against_peers(n: int, rounds: int, device: torch.device) -> dict[str, Any]:
    """Median seconds of a Base step of each contender, interleaved."""
    size = SIZES["base"]
    shape = (size.width, size.n_heads, size.ete_layers)
    rows = batch(n, device)
    contenders: dict[str, Callable[[], float]] = {}
    precision = pick_precision("auto", device)
    parameters: dict[str, int] = {}

    torch.manual_seed(0)
    ours = Pretraining(ETE(ete_config("base", objective="new")), spectrum_weight=0.0).to(device)
    contenders[f"ours, {precision}"] = stepper(lambda: ours(*rows)["loss"], ours, device, precision)
    if shutil.which("g++") is not None:
        compiled = torch.compile(ours)
        contenders[COMPILED] = stepper(lambda: compiled(*rows)["loss"], ours, device, precision)
    else:
        print("g++ is not installed: our compiled step is left out", file=sys.stderr)
    parameters["ours"] = sum(p.numel() for p in ours.parameters())
    builders: dict[str, Callable[[], nn.Module]] = {"torch layer": lambda: TorchLayers(*shape)}
    if importlib.util.find_spec("transformers") is not None:
        builders["gpt2"] = lambda: GPT2Layers(*shape)
    else:
        print("transformers is not installed: GPT-2 is left out", file=sys.stderr)
    for name, build in builders.items():
        for kind in ("float32", "bfloat16"):
            peer = Peer(size.width, build()).to(device)
            parameters[name] = sum(p.numel() for p in peer.parameters() if p.requires_grad)

            def loss(peer: Peer = peer) -> Tensor:
                return peer(ours.ete.tokenise(*rows[:3]), rows[3])

            contenders[f"{name}, {kind}"] = stepper(loss, peer, device, kind)
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(rounds + 2):
        for name, step in contenders.items():
            taken = step()
            if turn >= 2:
                seconds[name].append(taken)
    own = next(iter(seconds.values()))
    ratios = {
        name: statistics.median(theirs / mine for theirs, mine in zip(taken, own, strict=True))
        for name, taken in seconds.items()
    }
    for name, taken in seconds.items():
        best, middle = min(taken), statistics.median(taken)
        print(
            f"{name:<24} median {middle * 1e3:8.1f} ms  best {best * 1e3:8.1f} ms"
            f"  {n * TOKENS / middle:10,.0f} tokens/s  {ratios[name]:.2f} times ours"
        )
    print("trainable parameters: " + ", ".join(f"{k} {v:,}" for k, v in parameters.items()))

    def fastest(prefix: str) -> float | None:
        found = [r for name, r in ratios.items() if name.startswith(prefix)]
        return min(found) if found else None

    return {
        "step_vs_torch_layer": fastest("torch layer"),
        "step_vs_gpt2": fastest("gpt2"),
        "compiled_vs_eager": fastest(COMPILED),
    }


def per_size(names: list[str], n: int, device: torch.device) -> dict[str, Any]:
    """Tokens/s and peak memory of a step of each size, and on a GPU the share of the measured matrix peak."""
    precision = pick_precision("auto", device)
    peak = measured_peak_flops(device, precision)
    found: dict[str, Any] = {}
    for name in names:
        torch.manual_seed(0)
        module = Pretraining(ETE(ete_config(name)), spectrum_weight=0.25).to(device).train()
        module.ete.recompute = name in ("huge", "giant")
        rows = batch(n, device)

        def loss(module: Pretraining = module, rows: tuple[Tensor, ...] = rows) -> Tensor:
            return module(*rows)["loss"]

        step = stepper(loss, module, device, precision)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        seconds = statistics.median([step() for _ in range(5)][1:])
        if device.type == "cuda":
            memory = torch.cuda.max_memory_allocated(device)
        else:
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        tokens = n * TOKENS / seconds
        share = module.ete.flops_per_token() * tokens / peak
        found[name] = {"tokens_per_s": tokens, "peak_bytes": memory, "share_of_measured_peak": share}
        print(
            f"{name:<8} {tokens:12,.0f} tokens/s  peak {memory / 2**30:.2f} GiB"
            f"  {share:.1%} of {peak / 1e12:.2f} TFLOP/s"
        )
    return found


def loader_share(steps: int, micro: int) -> float:
    """Median share of a step that a Base run waits for its next batch, over a shard set on disk."""
    from eegprep.shards import build_shard_set
    from eegpt.pretraining.config import PretrainConfig
    from eegpt.pretraining.loop import pretrain
    from eegpt.runs.log import read_log
    from eegpt.runs.settings import changed

    path = Path(__file__).parents[1] / "tests" / "support" / "synthetic.py"
    spec = importlib.util.spec_from_file_location("synthetic_store", path)
    assert spec is not None and spec.loader is not None  # noqa: PT018
    synthetic = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = synthetic
    spec.loader.exec_module(synthetic)
    with tempfile.TemporaryDirectory() as folder:
        shards = Path(folder) / "shards"
        build_shard_set([synthetic.small_store(n_subjects=12, n_samples=200_000)], shards)
        config = changed(PretrainConfig(), {
            "schedule.batch_size": micro, "schedule.micro_batch": micro, "schedule.steps": steps,
            "run.log_every": 1, "held_out.every": 0, "run.checkpoint_every": 0,
            "held_out.windows": 64, "held_out.final_windows": 64, "held_out.linear_windows": 100,
            "run.tensorboard": False,
        })  # fmt: skip
        pretrain(config, shards=[shards], out=Path(folder) / "run", show_progress=False)
        shares = [r["loader_share"] for r in read_log(Path(folder) / "run") if "loader_share" in r]
    return statistics.median(shares[2:])


def giant_bytes(n: int) -> int:
    """Bytes that a step of Giant needs on one GPU, computed: weights, gradients, two moments, kept activations."""
    config = ete_config("giant")
    with torch.device("meta"):
        weights = sum(p.numel() for p in ETE(config).parameters())
    kept = config.n_layers * n * TOKENS * config.width * 2  # each layer's input, bfloat16
    inside = n * TOKENS * config.width * (3 + 2 + 3 * 3.5 + 8) * 4  # activations of one layer, while it is recomputed
    return int(16 * weights + 2 * weights + kept + inside)


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--windows", type=int, default=256, help="windows per step")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--sizes", default="", help="sizes with commas; default: base,large, on a GPU all")
    arguments = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    print(f"{name}, torch {torch.__version__}, {arguments.windows} windows of {TOKENS} tokens a step")
    result: dict[str, Any] = {"device": name}
    result |= against_peers(arguments.windows, arguments.rounds, device)
    result["loader_share"] = loader_share(12, arguments.windows)
    print(f"loader: {result['loader_share']:.2%} of a step")
    default = "base,large,huge,giant" if device.type == "cuda" else "base,large"
    sizes = (arguments.sizes or default).split(",")
    result["sizes"] = per_size(sizes, arguments.windows if device.type == "cuda" else 64, device)
    measured = [result["sizes"][s]["share_of_measured_peak"] for s in ("huge",) if s in result["sizes"]]
    result["mfu"] = measured[0] if device.type == "cuda" and measured else None
    result["giant_computed_bytes"] = giant_bytes(arguments.windows)
    print(f"Giant, {arguments.windows} windows, computed: {result['giant_computed_bytes'] / 2**30:.1f} GiB")
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
