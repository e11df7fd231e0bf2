"""`eegpt demo`: the whole pipeline on real EEG, run as the commands that a user would type.

Each stage is one `eegprep` or `eegpt` command, printed and run in its own process, so the demo exercises what a lab's
own data would go through. Downloads are kept; everything else in the output folder is replaced.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

MARKER = "made-by-eegpt-demo.txt"


@dataclass(frozen=True, kw_only=True)
class Demo:
    """Data sets, with pre-training and transfer options that take a few minutes on two cores."""

    title: str
    datasets: tuple[str, ...]
    train: tuple[str, ...]
    transfer: tuple[str, ...] = ()
    local_folders: dict[str, str] = field(default_factory=dict)


# A few hundred steps of small batches, at a higher rate than the paper's three epochs of batches of 4096.
_FEW_STEPS = (
    "schedule.batch_size=128",
    "schedule.micro_batch=128",
    "optimiser.learning_rate=1e-3",
    "schedule.warmup_steps=40",
    "held_out.every=100",
)

DEMOS = {
    # Tokens of 64 samples with stride 32 (a quarter and an eighth of a second): the finger trials last half a second.
    # The shards do not depend on the tokens. The trials differ in length, and so do the windows.
    "aeon": Demo(
        title="EEGPT demo: four open data sets, within subject",
        datasets=("selfregulationscp1", "selfregulationscp2", "fingermovements", "eyesopenshut"),
        train=(
            *_FEW_STEPS,
            "encoder.token_samples=64",
            "encoder.token_stride=32",
            "data.window_samples=[896,256,128]",
            "schedule.steps=400",
        ),
        transfer=("seeds=[0,1,2]",),
    ),
    # The paper's tokens: one second, eight of them a second, in windows of four seconds.
    "eegmat": Demo(
        title="EEGPT demo: mental arithmetic (PhysioNet EEGMAT), split by subject",
        datasets=("eegmat",),
        train=(*_FEW_STEPS, "schedule.steps=400"),
        transfer=("seeds=[0,1,2]",),
        local_folders={"eegmat": "eegmat"},
    ),
}


def register(app: typer.Typer) -> None:
    """Add `demo` to the app."""

    @app.command()
    def demo(
        data: Annotated[str, typer.Option(help="`aeon` (four small open sets from PyPI) or `eegmat`.")] = "aeon",
        out: Annotated[Path | None, typer.Option(help="Output folder; default: demo/DATA.")] = None,
    ) -> None:
        """Run the whole pipeline on real EEG: ingest, shard, verify, pre-train, transfer, evaluate.

        Example: `eegpt demo --data eegmat`
        """
        from eegprep.errors import UsageError, nearest

        if data not in DEMOS:
            raise UsageError(
                f"unknown demo data {data!r}",
                expected=" or ".join(sorted(DEMOS)),
                todo=nearest(data, DEMOS) or "choose one with --data (make demo DATA=...)",
            )
        run_demo(DEMOS[data], out or Path("demo") / data)


def run_demo(demo: Demo, out: Path) -> None:
    """Run every stage of `demo` below the folder `out`."""
    started = time.monotonic()
    start_afresh(out)
    stores, shards, encoder, model = out / "stores", out / "shards", out / "encoder", out / "model"
    for name in demo.datasets:
        step(
            "prep",
            "ingest",
            name,
            "--out",
            stores / name,
            *source_options(demo, name),
            "--workers",
            os.cpu_count() or 1,
        )
    step("prep", "shard", *(stores / name for name in demo.datasets), "--out", shards)
    step("prep", "verify", shards)
    step("model", "train", "--shards", shards, "--out", encoder, "--size", "base", *settings(demo.train))
    step("model", "transfer", "--encoder", encoder, "--shards", shards, "--out", model, *settings(demo.transfer))
    page = out / "index.html"
    step("model", "evaluate", model, "--shards", shards, "--page", page, "--title", demo.title)
    print(f"\ndone in {time.monotonic() - started:.0f} s; the page of this run: {page}", file=sys.stderr)


def settings(chosen: tuple[str, ...]) -> list[str]:
    """`key=value` pairs as the options of a command."""
    return [word for pair in chosen for word in ("--set", pair)]


def start_afresh(out: Path) -> None:
    """Create `out`, or clear it if an earlier demo made it; refuse any other folder."""
    from eegprep.errors import UsageError

    if out.exists() and any(out.iterdir()) and not (out / MARKER).is_file():
        raise UsageError(
            "the output folder contains other files",
            where=out,
            expected="a new folder, or one made by an earlier demo",
            todo="choose another --out (make demo OUT=...)",
        )
    out.mkdir(parents=True, exist_ok=True)
    (out / MARKER).write_text("`eegpt demo` made this folder; each run replaces its contents.\n", encoding="utf-8")
    for name in ("stores", "shards", "encoder", "model"):
        if (out / name).exists():
            shutil.rmtree(out / name)


def source_options(demo: Demo, name: str) -> tuple[object, ...]:
    """`--source` if some recordings are on this machine; otherwise ingest downloads them."""
    folder = demo.local_folders.get(name)
    if folder is None:
        return ()
    roots = [os.environ["EEGPT_DATA"]] if os.environ.get("EEGPT_DATA") else ["../shared/data"]
    found = [Path(root) / folder for root in roots if (Path(root) / folder).is_dir()]
    return ("--source", found[0], "--partial") if found else ()


def step(command: str, *arguments: object) -> None:
    """Print and run a command; if it fails, exit with its exit code."""
    words = [str(a) for a in arguments]
    shown = {"prep": "eegprep", "model": "eegpt"}[command]
    print(f"\n$ {shown} {shlex.join(words)}", file=sys.stderr, flush=True)
    finished = subprocess.run([sys.executable, "-m", f"_eegpt_cli.{command}", *words], check=False)
    if finished.returncode != 0:
        print(f"error: the demo stopped at `{shown} {words[0]}` (exit code {finished.returncode})", file=sys.stderr)
        raise typer.Exit(finished.returncode)
