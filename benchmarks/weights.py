"""Train the encoders that are part of the package from raw recordings, and put them into `eegpt/weights`.

    OMP_NUM_THREADS=1 python benchmarks/weights.py --data DIR [--out DIR] [--only NAME] [--set KEY=VALUE ...] [--pack]

Runs `eegprep ingest` and `eegprep shard` on all data sets and `eegpt train` on all of their subjects; what is finished
is not done again. The same files, settings and kind of machine give the same weights, whose SHA-256 is printed. With
`--pack` they replace those of the package, with a model card that ends with `benchmarks/weights-NAME.md`.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from eegprep.splits import SEEN_FILE
from eegpt.interop.card import model_card
from eegpt.interop.model import open_model
from eegpt.runs.folder import CONFIG, LOCK, RESULTS, VOCABULARY, WEIGHTS

SETS = ("eegmat", "eegmmidb", "guinea_bissau", "ssvep_exo", "uci_alcohol", "adhd_nasrabadi")
PACKED = Path(__file__).resolve().parent.parent / "eegpt" / "weights"
SETTINGS = (
    'data.splits=["train","validation","test"]',
    "held_out.splits=[]",
    "data.window_samples=[1024,256]",
    "schedule.batch_size=128",
    "schedule.micro_batch=128",
    "optimiser.learning_rate=0.002",
    "run.tensorboard=false",
)
MODELS = {
    "base": ("schedule.steps=1200",),
    "small": ("encoder.n_layers=2", "encoder.width=64", "encoder.n_heads=2", "schedule.steps=4000"),
}


def run(command: str, *arguments: str | Path) -> None:
    """Run `eegprep` or `eegpt` of this environment; a failure ends the script."""
    program = Path(sys.executable).parent / command
    if code := subprocess.run([program, *arguments], check=False).returncode:
        raise SystemExit(code)


def pack(trained: Path, model: str) -> None:
    """Replace the weights of the package by those of a finished run."""
    packed = PACKED / model
    packed.mkdir(parents=True, exist_ok=True)
    for name in (CONFIG, WEIGHTS, VOCABULARY, LOCK, SEEN_FILE, RESULTS):
        shutil.copyfile(trained / name, packed / name)
    card = model_card(open_model(packed)).replace("hf://OWNER/NAME", model)
    use = Path(__file__).with_name(f"weights-{model}.md").read_text(encoding="utf-8")
    (packed / "README.md").write_text(f"{card}\n{use}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("EEGPT_DATA", "../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("weights"))
    parser.add_argument("--only", choices=MODELS, help="one of the encoders; all by default")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of `eegpt train`")
    parser.add_argument("--pack", action="store_true", help="put the weights into the package")
    options = parser.parse_args()
    for name in SETS:
        run("eegprep", "ingest", name, "--partial", "--source", options.data / name, "--out", options.out / name)
    run("eegprep", "shard", *(options.out / name for name in SETS), "--out", options.out / "shards")
    for model in [options.only] if options.only else MODELS:
        trained = options.out / model
        settings = [x for setting in (*SETTINGS, *MODELS[model], *options.set) for x in ("--set", setting)]
        run("eegpt", "train", "--shards", options.out / "shards", "--out", trained, *settings)
        print(model, "sha256", hashlib.sha256((trained / WEIGHTS).read_bytes()).hexdigest())
        if options.pack:
            pack(trained, model)


if __name__ == "__main__":
    main()
