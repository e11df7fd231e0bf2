"""A run's folder: created once, resumed only with the same settings, and read as untrusted input.

```
RUN/
  config.json          format and kind (encoder, transfer), settings, and what the model is
  vocabulary.parquet   the electrodes that its ids mean
  lock.yaml            hashes of the inputs, the data sets with licences and preprocessing, software versions
  seen.json            every recording that was learned from, for the guard against leakage
  model.safetensors    the weights
  log.jsonl            one line per logged step
  results.json         errors or scores
  checkpoints/         what resuming a pre-training run needs, see `checkpoint.py`
  fits/                the fits of a transfer run
```

Every file is written atomically, and nothing is ever unpickled. config.json is written last: without it the run has not
started.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import platform
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from eegprep.electrodes import Vocabulary
from eegprep.errors import InputError, RefusedError, UsageError
from eegprep.files import PART, WRITING, address_in, write_atomic, write_json
from eegprep.manifest import yaml_strict
from eegprep.manifest.schema import Licence
from eegprep.shards import ShardSet
from eegprep.splits import SEEN_FILE, Seen
from eegpt.runs.settings import Settings, differences, from_mapping, problem_of, to_mapping
from eegpt.version import __version__

FORMAT = 2
CONFIG, WEIGHTS, VOCABULARY, LOCK, RESULTS = (
    "config.json", "model.safetensors", "vocabulary.parquet", "lock.yaml", "results.json",
)  # fmt: skip
_MAX_BYTES = 16 << 20


class _Locked(BaseModel):
    """Parts of a lock; unknown keys are ignored, so that later versions may add some."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


class Preprocessing(_Locked):
    """The steps of a recipe, as `Recipe.steps_json` writes them, and the electrode-hours made with them."""

    steps: list[Any]
    hours: float


class DataSet(_Locked):
    """A data set that was learned from: its identity, its licence, and how its signal was made."""

    name: str
    version: str = ""
    title: str = ""
    citation: str = ""
    url: str | None = None
    doi: str | None = None
    licence: Licence
    tasks: list[str] = []
    steps: list[Preprocessing] = []


class Lock(_Locked):
    """What a run rests on.

    SHA-256 of each shard set by its folder's name, and of every encoder that a transfer run began with; the data sets
    that the run (`data`) and its encoders have learned from; versions of the software.
    """

    shard_sets: dict[str, str] = {}
    encoder: list[str] = []
    data: list[DataSet] = []
    encoder_data: list[DataSet] = []
    software: dict[str, str] = {}

    def all_data(self) -> list[DataSet]:
        """All data sets by name, including those of the encoders."""
        named = {d.name: d for d in (*self.encoder_data, *self.data)}
        return [named[name] for name in sorted(named)]


def open_folder(
    out: Path,
    *,
    kind: str,
    settings: Settings,
    lock: Lock,
    vocabulary: Vocabulary,
    seen: Seen | None = None,
    write: bool = True,
    **tables: Any,
) -> None:
    """Create a run's folder, or check that its settings and inputs (`shard_sets`, `encoder`) are those of this run.

    Parameters
    ----------
    kind : {"encoder", "transfer"}
    seen : Seen, optional
        What the run learns from, if known in advance.
    write : bool
        False only checks, for the other processes of a distributed run.
    **tables
        Further parts of config.json: dataclasses, or plain data.

    Raises
    ------
    UsageError
        The folder contains other files, or a run with other settings.
    RefusedError
        The folder contains a run on other inputs.
    """
    out = Path(out)
    if (out / CONFIG).is_file():
        _check_same(out, kind, settings, lock)
        return
    # A run that was killed right at the start has written these, but no config.json yet.
    begun = {VOCABULARY, LOCK, SEEN_FILE, WRITING}
    if others := sorted(p for p in out.glob("*") if p.name.removesuffix(PART) not in begun):
        raise UsageError("the output folder contains other files", where=others[0], todo="choose another --out")
    if write:
        out.mkdir(parents=True, exist_ok=True)
        vocabulary.to_parquet(out / VOCABULARY)
        write_atomic(out / LOCK, yaml.safe_dump(lock.model_dump(mode="json"), sort_keys=True))
        if seen is not None:
            seen.write(out)
        write_config(out, kind, settings=settings, **tables)


def _check_same(out: Path, kind: str, settings: Settings, lock: Lock) -> None:
    plain = read_config(out, kind=kind)["settings"]
    with contextlib.suppress(UsageError):  # a setting that is newer than the run has its default
        plain = to_mapping(from_mapping(type(settings), plain))
    differing = differences(plain, to_mapping(settings))
    if differing:
        raise UsageError(
            "the output folder contains a run with other settings",
            where=out,
            found=", ".join(f"{path}={old}" for path, (old, _) in differing.items()),
            expected=", ".join(f"{path}={new}" for path, (_, new) in differing.items()),
            todo="choose another --out, or use the original settings (`eegpt train --resume`)",
        )
    begun = read_lock(out)
    for name, old, new in (
        ("shard sets", begun.shard_sets, lock.shard_sets),
        ("encoders", dict(enumerate(begun.encoder)), dict(enumerate(lock.encoder))),
    ):
        if sorted(old.values()) != sorted(new.values()):
            raise RefusedError(
                f"the run was started with other {name}",
                where=out / LOCK,
                found=", ".join(map(str, new if name == "shard sets" else new.values())),
                expected=", ".join(map(str, old if name == "shard sets" else old.values()))
                or f"none: {LOCK} is missing or names none",
                todo=f"pass the same {name}, or choose another --out",
            )


def software() -> dict[str, str]:
    """Software versions recorded in a lock."""
    return {
        "eegpt": __version__,
        "torch": importlib.metadata.version("torch"),
        "python": platform.python_version(),
    }


def write_config(run: Path, kind: str, **tables: Any) -> None:
    """Write config.json: settings and dataclasses as plain data, under their names."""
    plain = {
        name: to_mapping(t) if isinstance(t, BaseModel) or hasattr(t, "__dataclass_fields__") else t
        for name, t in tables.items()
    }
    write_json(run / CONFIG, {"format": FORMAT, "kind": kind, **plain})


def read_config(run: Path, *, kind: str) -> dict[str, Any]:
    """Read config.json of a run of the given kind (`encoder`, `transfer`)."""
    path = Path(run) / CONFIG
    if not path.is_file():
        if address := address_in(run):
            todo = "download it: eegpt pull OWNER/NAME --out RUN, then pass RUN"
            raise UsageError("a run at an address cannot be used here", where=address, todo=todo)
        raise UsageError(
            f"{run} is not a run of `eegpt`",
            where=path,
            found="no config.json",
            todo="pass a folder written by `eegpt train` or `eegpt transfer`",
        )
    config = read_json(path)
    if config.get("format") != FORMAT:
        raise InputError(
            "made by a pre-release version",
            where=path,
            found=f"format {config.get('format')}",
            expected=f"format {FORMAT}",
            todo="train it again from the shard sets",
        )
    if config.get("kind") != kind:
        by = {"encoder": ", made by `eegpt train`", "transfer": ", made by `eegpt transfer`"}.get(kind, "")
        raise UsageError("a run of another kind", where=path, found=config.get("kind"), expected=f"{kind}{by}")
    return config


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file that contains an object; InputError otherwise."""
    if path.stat().st_size > _MAX_BYTES:
        raise RefusedError(f"{path.name} is too large", where=path, found=f"{path.stat().st_size} bytes")
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path.name} cannot be read", where=path, found=str(error)[:300]) from None
    if not isinstance(plain, dict):
        raise InputError(f"{path.name} cannot be read", where=path, found=type(plain).__name__, expected="a table")
    return plain


def read_lock(run: Path) -> Lock:
    """The lock of a run; an empty one if there is none."""
    path = Path(run) / LOCK
    if not path.is_file():
        return Lock()
    try:
        return Lock.model_validate(yaml_strict.read(path, max_bytes=_MAX_BYTES).value)
    except (ValidationError, UsageError) as error:
        raise InputError("the lock cannot be read", where=path, found=problem_of(error)) from None


def read_seen(run: Path) -> Seen | None:
    """Recordings that a run has seen; None if its list is missing or empty."""
    path = Path(run) / SEEN_FILE
    seen = Seen.from_json(read_json(path), where=path) if path.is_file() else Seen()
    return seen if seen.recordings else None


def shard_set_hashes(sets: Sequence[ShardSet]) -> dict[str, str]:
    """SHA-256 of each set by folder name; equal names are numbered."""
    found: dict[str, str] = {}
    for one in sets:
        own = one.path.resolve().name
        name, i = own, 1
        while name in found:
            i += 1
            name = f"{own}-{i}"
        found[name] = one.sha256
    return found


def data_sets_of(sets: Sequence[ShardSet], recordings: Collection[str] | None = None) -> list[DataSet]:
    """The data sets of some shard sets (of these recordings only), with their preprocessing steps."""
    chains: dict[str, dict[str, float]] = {}
    manifests = {}
    for one in sets:
        samples = np.bincount(one.blocks.recording, one.blocks.n_samples, minlength=len(one.recordings))
        hours = samples / (3600.0 * one.recordings.sfreq_hz)
        steps_of = one.recordings.table["steps"].to_pylist()
        for row, (name, steps) in enumerate(zip(one.recordings.dataset, steps_of, strict=True)):
            if recordings is not None and one.recordings.id[row] not in recordings:
                continue
            chain = chains.setdefault(name, {})
            if steps not in chain:
                one.recordings.steps(row)  # refuses steps that are damaged
            chain[steps] = chain.get(steps, 0.0) + float(hours[row])
        manifests.update({m.name: m for m in one.manifests})
    return [
        DataSet(
            **{key: getattr(manifests[name], key) for key in ("name", "version", "title", "citation", "url", "doi")},
            licence=manifests[name].licence,
            tasks=[t.name for t in manifests[name].tasks],
            steps=[
                Preprocessing(steps=json.loads(steps), hours=round(hours_of, 6))
                for steps, hours_of in sorted(chain.items(), key=lambda item: (-item[1], item[0]))
            ],
        )
        for name, chain in sorted(chains.items())
        if name in manifests
    ]
