"""Does an encoder that is told the reference predict better? Re-referenced copies of the same recordings.

    python benchmarks/references.py --data ../shared/data --subjects 10 --steps 300 --seeds 2

EEGMAT (against linked ears) is sharded three times: as recorded, against Cz and against the average. Two encoders that
differ in `condition` alone learn from all three copies of half of the subjects, from the same windows in order,
and predict the new samples of the other subjects in each copy; then the halves change places. A second pair learns
without the copy against Cz, which is then a reference that the encoder has never been told. The difference between the
two encoders is paired by subject, over all seeds.
"""

from __future__ import annotations

import argparse
import dataclasses
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import permutation_test, t

from eegprep.ingest import ingest
from eegprep.manifest import find_manifest
from eegprep.shards import build_shard_set
from eegpt.data import WindowIndex
from eegpt.model.config import ETEConfig
from eegpt.model.ete import ETE
from eegpt.pretraining.objective import Pretraining

REFERENCES = (None, "Cz", "average")
N_SAMPLES, BATCH, PER_SUBJECT = 512, 96, 300


def copies_of(folder: Path, data: Path, n_subjects: int) -> list[Path]:
    """The recordings in three shard sets that differ in the reference alone."""
    raw = folder / "raw"
    raw.mkdir()
    for k in range(n_subjects):
        for run in (1, 2):
            shutil.copy(data / "eegmat" / f"Subject{k:02d}_{run}.edf", raw)
    shutil.copy(data / "eegmat" / "subject-info.csv", raw)
    manifest = find_manifest("eegmat")
    own = manifest.model_copy(update={"expect": type(manifest.expect)()})
    ingest(own, raw, folder / "store", workers=1, partial=True)
    out = []
    for reference in REFERENCES:
        out.append(folder / (reference or "recorded"))
        build_shard_set([folder / "store"], out[-1], reference=reference, sync=False)
    return out


def index_of(copy: Path, fold: int | None, subject: str | None = None, stride: int = 256) -> WindowIndex:
    """The windows of one copy: of the training half of a fold, or of one subject."""
    recordings = WindowIndex([copy], n_samples=N_SAMPLES, stride=stride, splits=None).spans.sets[0].recordings
    names = sorted(set(recordings.subject))
    chosen = [subject] if subject is not None else [s for k, s in enumerate(names) if k % 2 != fold]
    parts = {
        i: {"train": [(0, int(n))] if s in chosen else []}
        for i, s, n in zip(recordings.id, recordings.subject, recordings.n_samples, strict=True)
    }
    return WindowIndex([copy], n_samples=N_SAMPLES, stride=stride, splits=("train",), parts=parts)


def train(copies: Sequence[WindowIndex], config: ETEConfig, steps: int, seed: int) -> ETE:
    """A small encoder; both conditions see the same windows from the same initial weights."""
    torch.manual_seed(seed)
    model = Pretraining(ETE(config), spectrum_weight=0.0)
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        batches = [c.gather(rng.integers(0, len(c), BATCH // len(copies))).tensors() for c in copies]
        signal, scale, sigma = (
            torch.cat([getattr(b, name) for b in batches]) for name in ("signal_i16", "scale_uv", "sigma_uv")
        )
        ids = torch.cat([b.input_ids(config).long() for b in batches])
        loss = model(signal, scale, sigma, ids)["loss"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return model.ete.eval()


@torch.inference_mode()
def error(ete: ETE, index: WindowIndex) -> float:
    """Mean square error of the new samples of one subject, relative to their variance."""
    rows = np.linspace(0, len(index) - 1, min(len(index), PER_SUBJECT)).astype(np.int64)
    batch = index.gather(rows).tensors()
    x = ete.tokenise(batch.signal_i16, batch.scale_uv, batch.sigma_uv)
    h = ete(x[:, :-1], batch.input_ids(ete.config).long())[:, 1:]
    truth = x[:, 1:, -ete.config.token_stride :]
    return float((ete.predict(h, x[:, :-1], new_only=True) - truth).square().sum() / truth.square().sum())


def compared(plain: NDArray[np.floating], told: NDArray[np.floating]) -> str:
    """Mean of told - plain over subjects in per cent of plain, its 95 % interval (t), and p of a sign-flip test."""
    difference = 100 * (told - plain) / plain.mean()
    n = len(difference)
    half = float(t.ppf(0.975, n - 1)) * float(difference.std(ddof=1)) / n**0.5
    test = permutation_test((difference,), np.mean, permutation_type="samples", n_resamples=10_000, rng=0)
    mean = float(difference.mean())
    return f"{mean:+.2f} % ({mean - half:+.2f} to {mean + half:+.2f}), p = {float(test.pvalue):.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--subjects", type=int, default=10)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        copies = copies_of(Path(folder), args.data, args.subjects)
        names = [c.name.lower() for c in copies]
        whole = index_of(copies[0], fold=None)
        subjects = sorted(set(whole.spans.sets[0].recordings.subject))
        plain = ETEConfig(
            n_layers=2, width=64, n_heads=4, n_electrodes=len(whole.vocabulary), token_samples=64, token_stride=32,
            objective="new", skip="last",
        )  # fmt: skip
        told = dataclasses.replace(plain, condition="electrode+reference")
        tests = [[index_of(c, None, subject, stride=512) for c in copies] for subject in subjects]
        print(f"{len(subjects)} subjects, {args.seeds} seeds, {args.steps} steps")
        print(f"| trained on | condition | {' | '.join(names)} |\n|---|---|{'---|' * len(names)}", flush=True)
        for which, left_out in (("all three", ""), ("all but Cz", "cz")):
            found = []
            for config in (plain, told):
                errors = np.zeros((args.seeds, len(subjects), len(copies)))
                for fold in (0, 1):
                    train_on = [index_of(c, fold) for c, name in zip(copies, names, strict=True) if name != left_out]
                    for seed in range(args.seeds):
                        ete = train(train_on, config, args.steps, seed)
                        for k in range(fold, len(subjects), 2):
                            errors[seed, k] = [error(ete, index) for index in tests[k]]
                found.append(errors.mean(axis=0))
                cells = [f"{m:.4f} ± {s:.4f}" for m, s in zip(found[-1].mean(0), found[-1].std(0), strict=True)]
                print(f"| {which} | {config.condition} | {' | '.join(cells)} |", flush=True)
            cells = [compared(found[0][:, c], found[1][:, c]) for c in range(len(copies))]
            print(f"| {which} | told - not told | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
