"""Reading speed, training speed and size of a set of EEG alone: this version against another one.

    git worktree add /tmp/other COMMIT
    python benchmarks/versions.py --other /tmp/other --json versions.json

Both versions write the same corpus (`corpus.py`) and read it in processes of their own, in alternating rounds; the
figures are medians of the ratios of each round, in processor time, so that other load on the machine does not count.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve()


def worker(folder: Path, seconds: float) -> None:
    """Write the corpus with the version on the path; then one round of figures for each line of the input."""
    import numpy as np
    import ours
    import torch
    from corpus import make_corpus, rate

    from eegprep.shards import build_shard_set
    from eegpt.data import WindowIndex
    from eegpt.model.config import ETEConfig
    from eegpt.model.ete import ETE

    try:
        from eegpt.pretraining.objective import Pretraining
    except ModuleNotFoundError:  # its name before 28 November 2026
        from eegpt.training.objective import Pretraining  # type: ignore[import-not-found,no-redef]

    torch.set_num_threads(1)
    build_shard_set([ours.CorpusStore(make_corpus(16384))], folder, sync=False)
    shards = [p.stat().st_size for p in folder.rglob("*.tar")]
    index = WindowIndex([folder], n_samples=1024, stride=1024)
    n_blocks = len(index.spans.sets[0].blocks)
    tables = sum(p.stat().st_size for p in folder.rglob("*.parquet"))
    print(json.dumps({"tar_bytes": sum(shards), "table_bytes": tables, "n_blocks": n_blocks}), flush=True)
    torch.manual_seed(0)
    config = ETEConfig(n_layers=2, width=64, n_heads=4, objective="new", token_stride=64)
    model = Pretraining(ETE(config), spectrum_weight=0.0)
    optimiser = torch.optim.AdamW(model.parameters())
    rng = np.random.default_rng(0)

    def steps() -> float:
        n, began = 0, time.process_time()
        while time.process_time() - began < seconds:
            batch = index.gather(rng.integers(0, len(index), 32))
            ids = batch.input_ids(config) if hasattr(batch, "input_ids") else batch.electrode
            inputs = (batch.signal_i16, batch.scale_uv, batch.sigma_uv, np.asarray(ids, np.int64))
            loss = model(*map(torch.as_tensor, inputs))["loss"]
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            n += 1
        return n / (time.process_time() - began)

    for seed, _ in enumerate(sys.stdin):
        windows = rate(lambda seed=seed: ours.batches_uv(ours.loader(folder, seed=seed)), seconds, "cpu")
        print(json.dumps({"windows_per_s": windows, "steps_per_s": steps()}), flush=True)


class Version:
    """A process that runs one version."""

    def __init__(self, root: Path, folder: Path, seconds: float) -> None:
        path = os.pathsep.join((str(root), str(root / "benchmarks")))
        command = [sys.executable, "-P", str(HERE), "--worker", str(folder), "--seconds", str(seconds)]
        self._process = subprocess.Popen(
            command, env={**os.environ, "PYTHONPATH": path}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.sizes: dict[str, Any] = self._answer()

    def round(self) -> dict[str, float]:
        """One round of figures."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        return dict(json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--other", type=Path, help="checkout of the other version")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker is not None:
        worker(args.worker, args.seconds)
        return
    import numpy as np

    with tempfile.TemporaryDirectory() as folder:
        ours = Version(HERE.parents[1], Path(folder) / "ours", args.seconds)
        other = Version(args.other.resolve(), Path(folder) / "other", args.seconds)
        ours.round(), other.round()  # warm up
        rounds = []
        for k in range(args.rounds):
            first, second = (ours, other) if k % 2 else (other, ours)
            found = {id(v): v.round() for v in (first, second)}
            rounds.append((found[id(ours)], found[id(other)]))
        ours.close(), other.close()
    out: dict[str, Any] = {"ours": ours.sizes, "other": other.sizes, "rounds": rounds}
    draw = np.random.default_rng(0)
    print("| | this / other, median | 95 % interval of the median | rounds, min to max |\n|---|---|---|---|")
    for name in ("windows_per_s", "steps_per_s"):
        ratios = [a[name] / b[name] for a, b in rounds]
        out[name] = float(np.median(ratios))
        low, high = np.quantile(np.median(draw.choice(ratios, (4000, len(ratios))), axis=1), (0.025, 0.975))
        print(f"| {name} | {out[name]:.3f} | {low:.3f} to {high:.3f} | {min(ratios):.3f} to {max(ratios):.3f} |")
    for name in ("tar_bytes", "table_bytes"):
        a, b = (v[name] / v["n_blocks"] for v in (ours.sizes, other.sizes))
        print(f"| {name} per block | {a / b:.5f} | | from {b:,.0f} to {a:,.0f} bytes |")
    whole = [(v["tar_bytes"] + v["table_bytes"]) / v["n_blocks"] for v in (ours.sizes, other.sizes)]
    print(f"| bytes per block | {whole[0] / whole[1]:.6f} | | from {whole[1]:,.0f} to {whole[0]:,.0f} bytes |")
    if args.json is not None:
        args.json.write_text(json.dumps(out, indent=1))


if __name__ == "__main__":
    main()
