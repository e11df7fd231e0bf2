"""`eegpt doctor`: check the installation, report what is missing and how to fix it.

Nothing heavy is imported before the command runs, and no optional package is required.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from . import errors

State = Literal["ok", "note", "problem"]

# Distribution names as in importlib.metadata; BASE is part of every install.
BASE = ("numpy", "scipy", "pyarrow", "xarray", "mne", "pydantic", "fsspec", "typer", "rich")
# By extra: distribution names, and what they are imported as.
EXTRAS = {
    "model": {
        "torch": "torch", "safetensors": "safetensors", "scikit-learn": "sklearn", "tensorboard": "tensorboard",
        "webdataset": "webdataset", "pyriemann": "pyriemann",
    },
    "mef": {"pymef": "pymef"},
    "moabb": {"moabb": "moabb"},
    "cloud": {"s3fs": "s3fs", "aiohttp": "aiohttp", "requests": "requests"},
    "cluster": {"dask": "dask", "distributed": "distributed", "dask-jobqueue": "dask_jobqueue"},
    "hub": {"huggingface_hub": "huggingface_hub", "mlcroissant": "mlcroissant"},
    "export": {"onnx": "onnx", "onnxscript": "onnxscript", "onnxruntime": "onnxruntime"},
    "stream": {"pylsl": "pylsl"},
    "baselines": {"braindecode": "braindecode"},
}  # fmt: skip
VARIABLES = ("EEGPT_DATA", "EEGPT_CACHE", "EEGPT_CACHE_BYTES", "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES")
# With less free disk space a shard of the default size does not fit.
LEAST_FREE_BYTES = 2 << 30


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of the report: group, name, value, state, and what to do about a problem."""

    group: str
    name: str
    value: str
    state: State = "ok"
    todo: str = ""


def register(app: typer.Typer) -> None:
    """Add `doctor` to the app."""
    app.command()(doctor)


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False) -> None:
    """Report the installed packages, devices, disk space and available data sets.

    Exit code 1 if there is a problem. Example: `eegpt doctor --json`
    """
    findings = list(examine())
    if as_json:
        print(json.dumps([asdict(f) for f in findings], indent=1, ensure_ascii=False))
    else:
        show(findings)
    if any(f.state == "problem" for f in findings):
        raise typer.Exit(1)


def examine() -> Iterator[Finding]:
    """Every finding, in the order in which they are printed."""
    yield from _installation()
    yield from _machine()
    yield from _disk()
    yield from _data()


def show(findings: list[Finding]) -> None:
    """Print the findings as one table per group, then what to do."""
    from rich.text import Text

    from .tables import console, plain_table

    out = console()
    for group in dict.fromkeys(f.group for f in findings):
        table = plain_table(group)
        for column in ("", "", ""):
            table.add_column(column, overflow="fold")
        table.show_header = False
        for f in findings:
            if f.group == group:
                colour = {"ok": "green", "note": "yellow", "problem": "bold red"}[f.state]
                table.add_row(Text(f.state, style=colour), Text(f.name), Text(f.value))
        out.print(table)
        out.print()
    for f in findings:
        if f.todo:
            out.print(f"{f.state}: {f.name}\n  to do:    {f.todo}", soft_wrap=True, markup=False)


# -- what is installed ----------------------------------------------------------------------------------------


def _installation() -> Iterator[Finding]:
    import platform

    from eegprep.errors import install

    group = "installation"
    yield Finding(group=group, name="python", value=f"{platform.python_version()}, {sys.executable}")
    yield Finding(group=group, name="eegpt", value=_version("eegpt") or "from a checkout, not installed")
    if (other := errors.other_eegprep()) is None:
        yield Finding(group=group, name="the other eegprep", value="not installed (good)")
    else:
        todo = errors.OTHER_EEGPREP.format(version=other).partition("to do:")[2]
        yield Finding(group=group, name="the other eegprep", value=other, state="problem", todo=" ".join(todo.split()))
    for name in BASE:
        version = _version(name)
        if version is None:
            todo = "python -m pip install --force-reinstall . in a clone of eegpt"
            yield Finding(group=group, name=name, value="missing", state="problem", todo=todo)
        else:
            yield Finding(group=group, name=name, value=version)
    for extra, names in EXTRAS.items():
        versions = {name: _version(name) for name in names}
        value = ", ".join(f"{name} {version or 'missing'}" for name, version in versions.items())
        if None in versions.values():
            todo = f"{install(extra)}, if you need it"
            yield Finding(group=group, name=f"extra [{extra}]", value=value, state="note", todo=todo)
        else:
            yield Finding(group=group, name=f"extra [{extra}]", value=value)


def _version(name: str) -> str | None:
    import importlib.metadata

    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


# -- what it runs on ----------------------------------------------------------------------------------------


def _machine() -> Iterator[Finding]:
    import platform

    group = "machine"
    yield Finding(group=group, name="system", value=platform.platform())
    yield Finding(
        group=group, name="processors", value=f"{_n_processors()} for this process, {os.cpu_count()} in total"
    )
    yield Finding(group=group, name="memory", value=_memory())
    for name in VARIABLES:
        if (value := os.environ.get(name)) is not None:
            yield Finding(group=group, name=name, value=value)
    if importlib.util.find_spec("torch") is None:
        yield Finding(group=group, name="devices", value="unknown without torch", state="note")
        return
    yield from _devices(group)


def _devices(group: str) -> Iterator[Finding]:
    """The devices that torch can use, and the training precision on each."""
    try:
        import torch

        from eegpt.runs.runtime import pick_precision
    except (ImportError, OSError) as error:
        todo = "reinstall torch for this machine, see https://pytorch.org/get-started/locally"
        yield Finding(group=group, name="torch", value=f"cannot be loaded: {error}", state="problem", todo=todo)
        return
    cpu = pick_precision("auto", torch.device("cpu"))
    yield Finding(group=group, name="cpu", value=f"{torch.get_num_threads()} torch threads, trains in {cpu}")
    n_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not n_gpus:
        yield Finding(group=group, name="gpu", value="none that torch can use; everything runs on the CPU")
    for i in range(n_gpus):
        about = torch.cuda.get_device_properties(i)
        precision = pick_precision("auto", torch.device("cuda", i))
        value = f"{about.name}, {about.total_memory / 2**30:.0f} GiB, trains in {precision}"
        yield Finding(group=group, name=f"gpu {i}", value=value)


def _n_processors() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _memory() -> str:
    """Installed and free memory."""
    from eegprep.platform import memory_bytes, unused_memory_bytes

    return f"{memory_bytes() / 2**30:.1f} GiB, {unused_memory_bytes() / 2**30:.1f} GiB unused"


def _disk() -> Iterator[Finding]:
    import tempfile

    from eegprep.files import cache_folder

    places = {"this folder": Path.cwd(), "cache": cache_folder(), "temporary": Path(tempfile.gettempdir())}
    for name, folder in places.items():
        free = shutil.disk_usage(_existing(folder)).free
        finding = Finding(group="free disk", name=name, value=f"{free / 2**30:.1f} GiB at {folder}")
        if free < LEAST_FREE_BYTES:
            todo = "free some disk space, or choose another folder (--out, EEGPT_CACHE, TMPDIR)"
            finding = Finding(**{**asdict(finding), "state": "problem", "todo": todo})
        yield finding


def _existing(folder: Path) -> Path:
    """The nearest existing parent folder; the cache is created on first use."""
    return next(p for p in (folder, *folder.parents) if p.exists())


# -- which data are available -----------------------------------------------------------------------------------


def _data() -> Iterator[Finding]:
    """The data sets of the catalogue that `eegprep ingest NAME` would find on this machine."""
    from eegprep.errors import EEGPTError
    from eegprep.manifest import catalogue
    from eegprep.sources.locate import DATA_VARIABLE, data_folder

    group = "available data"
    stated = os.environ.get(DATA_VARIABLE)
    if stated and not Path(stated).is_dir():
        todo = f"set {DATA_VARIABLE} to a folder with one folder per data set"
        yield Finding(group=group, name=DATA_VARIABLE, value=f"{stated} is not a folder", state="problem", todo=todo)
    n_found = 0
    for manifest in catalogue():
        try:
            folder = data_folder(manifest)
        except EEGPTError:
            continue
        if folder.is_dir():
            n_found += 1
            yield Finding(group=group, name=manifest.name, value=str(folder))
    if not n_found:
        yield Finding(
            group=group,
            name="data sets",
            value="none of the catalogue",
            state="note",
            todo=f"`eegprep datasets` lists them; `eegprep fetch NAME`, or set {DATA_VARIABLE} to their folder",
        )
