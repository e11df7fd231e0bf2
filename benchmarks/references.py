"""Does an encoder that is told the reference predict better? Re-referenced copies of the same recordings.

    python benchmarks/references.py --data ../shared/data --subjects 12 --steps 300 --seeds 2

EEGMAT (against linked ears) is ingested once and sharded three times: as recorded, against Cz and against the average.
Two encoders that differ in `condition` alone learn from all three copies of the training subjects, from the same
windows in the same order, and predict the new samples of other subjects, in each copy. A second pair learns without the
copy against Cz, which is then a reference that the encoder has never been told of.
"""

from __future__ import annotations

import argparse
import dataclasses
import shutil
import tempfile
from pathlib import Path

import numpy as np
import torch

from eegprep.ingest import ingest
from eegprep.manifest import find_manifest
from eegprep.manifest.schema import SplitRule
from eegprep.shards import build_shard_set
from eegpt.data import WindowIndex
from eegpt.model.ete import ETE, ETEConfig
from eegpt.pretraining.objective import Pretraining

REFERENCES = (None, "Cz", "average")
N_SAMPLES, BATCH = 512, 96


def sets(folder: Path, data: Path, n_subjects: int) -> list[Path]:
    """The three copies; data sets of one name could not be read together."""
    raw = folder / "raw"
    raw.mkdir()
    for k in range(n_subjects):
        for run in (1, 2):
            shutil.copy(data / "eegmat" / f"Subject{k:02d}_{run}.edf", raw)
    shutil.copy(data / "eegmat" / "subject-info.csv", raw)
    manifest, out = find_manifest("eegmat"), []
    test = [f"{k:02d}" for k in range(n_subjects)][-max(2, n_subjects // 4) :]
    for reference in REFERENCES:
        name = f"eegmat_{(reference or 'recorded').lower()}"
        rule = SplitRule(by="subject", ratio=(1, 0, 0), test=test)
        own = manifest.model_copy(update={"name": name, "split": rule, "expect": type(manifest.expect)()})
        ingest(own, raw, folder / f"store_{name}", workers=1, partial=True)
        build_shard_set([folder / f"store_{name}"], folder / name, reference=reference, sync=False)
        out.append(folder / name)
    return out


def train(shards: list[Path], config: ETEConfig, steps: int, seed: int) -> ETE:
    """A small encoder; both conditions see the same windows from the same initial weights."""
    index = WindowIndex(shards, n_samples=N_SAMPLES, stride=256, splits=("train",))
    torch.manual_seed(seed)
    model = Pretraining(ETE(config), spectrum_weight=0.0)
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        batch = index.gather(rng.integers(0, len(index), BATCH)).tensors()
        loss = model(batch.signal_i16, batch.scale_uv, batch.sigma_uv, batch.input_ids(config).long())["loss"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return model.ete.eval()


@torch.inference_mode()
def error(ete: ETE, shards: Path) -> float:
    """Mean square error of the new samples of the test subjects, relative to their variance."""
    index = WindowIndex([shards], n_samples=N_SAMPLES, stride=512, splits=("test",))
    rows = np.linspace(0, len(index) - 1, min(len(index), 1500)).astype(np.int64)
    total = power = 0.0
    for part in np.array_split(rows, 6):
        batch = index.gather(part).tensors()
        x = ete.tokenise(batch.signal_i16, batch.scale_uv, batch.sigma_uv)
        h = ete(x[:, :-1], batch.input_ids(ete.config).long())[:, 1:]
        truth = x[:, 1:, -ete.config.token_stride :]
        total += float((ete.predict(h, x[:, :-1], new_only=True) - truth).square().sum())
        power += float(truth.square().sum())
    return total / power


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--subjects", type=int, default=12)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        copies = sets(Path(folder), args.data, args.subjects)
        n = len(WindowIndex(copies, n_samples=N_SAMPLES, stride=256).vocabulary)
        plain = ETEConfig(
            n_layers=2, width=64, n_heads=4, n_electrodes=n, token_samples=64, token_stride=32, objective="new",
            skip="last",
        )  # fmt: skip
        told = dataclasses.replace(plain, condition="electrode+reference")
        names = [c.name.removeprefix("eegmat_") for c in copies]
        print(f"| trained on | condition | {' | '.join(names)} |\n|---|---|{'---|' * len(names)}")
        for which, chosen in (("all three", copies), ("without cz", [c for c in copies if c.name != "eegmat_cz"])):
            for config in (plain, told):
                found = []
                for seed in range(args.seeds):
                    ete = train(chosen, config, args.steps, seed)
                    found.append([error(ete, c) for c in copies])
                mean, low, high = (f(found, axis=0) for f in (np.mean, np.min, np.max))
                cells = [f"{m:.4f} ({a:.4f}-{b:.4f})" for m, a, b in zip(mean, low, high, strict=True)]
                print(f"| {which} | {config.condition} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
