"""Mutated inputs: manifests, vocabularies, recordings of every format, shard sets, checkpoints, archives.

An attack mutates a copy of an example in its own folder; it passes if the program takes it and stays consistent, or
refuses it with one of our errors.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mutate
import numpy as np
from examples import TESTS, train
from pool import Fault
from support import hostile

from eegprep.errors import EEGPTError

MANIFESTS = TESTS.parent / "manifests"


def rng_of(seed: int, number: int) -> np.random.Generator:
    """The random numbers of one attack."""
    return np.random.default_rng([seed, number])


class Manifests:
    """Manifests and recipes: read, written again, planned."""

    def __init__(self, folder: Path, originals: Path, seed: int) -> None:
        self.seed, self.folder = seed, folder
        files = sorted(MANIFESTS.glob("datasets/*.yaml")) + sorted(MANIFESTS.glob("recipes/*.yaml"))
        self.texts = [(p.parent.name, p.read_text(encoding="utf-8")) for p in files if p.stat().st_size < 60_000]
        (folder / "s1.edf").touch()

    def run(self, number: int) -> str:
        from eegprep.manifest import dump_manifest, load_recipe, parse_manifest
        from eegprep.manifest.load import load_manifest
        from eegprep.sources import open_source

        rng = rng_of(self.seed, number)
        kind, text = self.texts[int(rng.integers(len(self.texts)))]
        path = self.folder / "m.yaml"
        path.write_bytes(mutate.of_yaml(rng, text))
        try:
            if kind == "recipes":
                load_recipe(path)
                return "equal"
            manifest = load_manifest(path)
            if parse_manifest(dump_manifest(manifest)) != manifest:
                raise Fault("a manifest is another one when it is written and read")
            if manifest.source.kind in ("files", "bids"):  # others need the network
                open_source(manifest, self.folder).plan()
        except EEGPTError as error:
            return refused(error)
        return "equal"


class Vocabularies:
    """Tables of electrodes, as text and as Parquet."""

    def __init__(self, folder: Path, originals: Path, seed: int) -> None:
        self.seed, self.folder, self.set = seed, folder, originals / "set"
        self.text = "name,aliases,x_mm,y_mm,z_mm\nXX1,A1x;B1,10,20,30\nXX2,,0,80,20\nXX3,Q7,-10,-20,90\n"

    def run(self, number: int) -> str:
        from eegprep.electrodes import Vocabulary, load_vocabulary

        rng = rng_of(self.seed, number)
        try:
            if number % 2:
                path = self.folder / ("v.csv" if number % 4 == 1 else "v.tsv")
                text = self.text if number % 4 == 1 else self.text.replace(",", "\t")
                path.write_bytes(mutate.of_bytes(rng, text.encode()))
                load_vocabulary(path)
                return "equal"
            path = self.folder / "v.parquet"
            Vocabulary.base().to_parquet(path)
            if rng.random() < 0.5:
                path.write_bytes(mutate.of_bytes(rng, path.read_bytes()))
            else:
                mutate.of_table(rng, path)
            Vocabulary.from_parquet(path)
        except EEGPTError as error:
            return refused(error)
        return "equal"


class Recordings:
    """Recordings of every format: planned here, read and standardised in the worker process of `ingest`."""

    def __init__(self, folder: Path, originals: Path, seed: int) -> None:
        from eegprep.electrodes import Vocabulary, dump_vocabulary
        from eegprep.manifest import load_recipe

        self.seed, self.folder = seed, folder
        self.recipe = load_recipe("default")
        self.words = dump_vocabulary(Vocabulary.base())
        self.originals = originals / "recordings"
        self.names = sorted(p.name for p in self.originals.iterdir())
        self.worker: Any = None
        os.environ["EEGPREP_READER_MEMORY"] = str(2 << 30)

    def run(self, number: int) -> str:
        from eegprep.ingest.job import Setting
        from eegprep.ingest.outcome import Job
        from eegprep.ingest.run import planned_recordings
        from eegprep.ingest.workers import run_in, start
        from eegprep.sources import manifest_for_path

        rng = rng_of(self.seed, number)
        name = self.names[number % len(self.names)]
        folder = self.folder / "in"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.originals / name, folder)
        files = sorted(p for p in folder.rglob("*") if p.is_file())
        # The file of samples is hit as often as each of the others.
        path = files[int(rng.integers(len(files)))]
        path.write_bytes(mutate.of_bytes(rng, path.read_bytes(), head=3000))
        try:
            manifest = manifest_for_path(folder)
            _, planned, _ = planned_recordings(manifest, folder, self.recipe)
        except EEGPTError as error:
            return refused(error)
        setting = Setting(
            manifest_json=manifest.model_dump_json(), recipe_json=self.recipe.model_dump_json(),
            vocabulary_json=self.words, folder=str(folder), out=str(self.folder / "out"), dry=True,
        )  # fmt: skip
        results = set()
        for one in planned:
            if self.worker is None:
                self.worker = start(setting)
            else:
                self.worker.send({"setting": dataclasses.asdict(setting)})
            job = Job(key=one.key, recording_id=f"made/{one.key}", made_from="", n_bytes=1)
            outcome, usable = run_in(self.worker, (job, one))
            if not usable:
                self.worker = None
                if "no answer" in str(outcome.error):
                    raise Fault(f"{name}, {path.name}: the reader hung")
            if outcome.error is None:
                results.add("equal")
                continue
            if outcome.error["what"] == "the reader failed unexpectedly":
                raise Fault(f"{name}, {path.name}: {outcome.error['found']}")
            results.add("refused")
        return "equal" if "equal" in results else "refused"


class ShardSets:
    """Shard sets, resealed: verified, reported, read as windows and trials, and held against a seen-list."""

    FILES = (
        "blocks.parquet", "recordings.parquet", "trials.parquet", "electrodes.parquet", "manifest.yaml", "lock.yaml",
        "recordings.parquet", "trials.parquet", "croissant.json", "SHA256SUMS", "shard",
    )  # fmt: skip

    def __init__(self, folder: Path, originals: Path, seed: int) -> None:
        self.seed, self.original, self.folder = seed, originals / "set", folder / "set"

    def run(self, number: int) -> str:
        rng = rng_of(self.seed, number)
        shutil.rmtree(self.folder, ignore_errors=True)
        hostile.copy_of(self.original, self.folder)
        name = self.FILES[int(rng.integers(len(self.FILES)))]
        if name == "shard":
            shards = sorted(self.folder.rglob("*.tar"))
            path = shards[int(rng.integers(len(shards)))]
        else:
            path = self.folder / name
        if path.suffix == ".parquet" and rng.random() < 0.8:
            mutate.of_table(rng, path)
        elif path.suffix == ".yaml":
            path.write_bytes(mutate.of_yaml(rng, path.read_text(encoding="utf-8")))
        elif path.suffix == ".json":
            path.write_text(mutate.of_json(rng, path.read_text(encoding="utf-8")), encoding="utf-8", errors="replace")
        else:
            path.write_bytes(mutate.of_bytes(rng, path.read_bytes()))
        if name not in ("SHA256SUMS", "electrodes.parquet"):
            hostile.reseal(self.folder)
        elif name == "electrodes.parquet":
            hostile.edit_sums(self.folder, lambda lines: lines.update({name: sha256(path)}))
        return read_shard_set(self.folder)


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read_shard_set(folder: Path) -> str:
    """`verify --deep`, then everything else that reads a set: what verify calls whole, all must read."""
    from eegprep.report.page import write_report
    from eegprep.shards import ShardSet
    from eegprep.shards.verify.shard_set import verify_shard_set
    from eegprep.splits import Seen, find_leaks
    from eegpt.data import TrialIndex, WindowIndex

    def windows() -> None:
        index = WindowIndex([folder], n_samples=256, stride=256)
        if not np.isfinite(index.gather(np.arange(len(index))).signal_uv()).all():
            raise Fault("windows are not finite")

    def trials() -> None:
        index = TrialIndex([folder])
        if not np.isfinite(index.gather(np.arange(min(len(index), 40))).signal_uv()).all():
            raise Fault("trials are not finite")

    def leakage() -> None:
        opened = ShardSet.open(folder)
        find_leaks(Seen.of(opened.recordings.seen()), opened.recordings.seen())

    def loads() -> None:
        from eegpt.runs.folder import data_sets_of

        opened = ShardSet.open(folder)
        data_sets_of([opened])
        for row in range(len(opened.recordings)):
            opened.recordings.attributes(row)
            opened.recordings.steps(row)
        for name in opened:
            opened[name].load()

    whole = True
    try:
        verify_shard_set(folder, deep=True, workers=1)
    except EEGPTError as error:
        refused(error)
        whole = False
    page = folder.with_name("page.html")
    for read in (lambda: write_report(folder, page), windows, trials, leakage, loads):
        try:
            read()
        except EEGPTError as error:
            refused(error)
            empty = error.exit_code == 2  # nothing to train on is no damage
            if whole and not empty:
                raise Fault(f"verify --deep calls it whole, but: {error}") from error
    if page.exists():
        text = page.read_text(encoding="utf-8")
        if "<script" in text.replace("&lt;", "").lower():
            raise Fault("the report has a script")
    return "equal" if whole else "refused"


class Checkpoints:
    """Encoders and transfer runs: opened, applied, continued and shown."""

    def __init__(self, folder: Path, originals: Path, seed: int) -> None:
        import mne
        import torch
        from support.small_models import raw_of

        torch.set_num_threads(1)
        mne.set_log_level("ERROR")
        self.seed, self.folder, self.originals = seed, folder, originals
        self.raw = raw_of(1, seconds=12)

    def run(self, number: int) -> str:
        rng = rng_of(self.seed, number)
        kind = ("encoder", "transfer")[number % 2]
        folder = self.folder / "run"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.originals / kind, folder)
        files = sorted(p for p in folder.rglob("*") if p.is_file() and p.suffix not in (".jsonl", ".html"))
        path = files[int(rng.integers(len(files)))]
        self.damage(rng, path)
        results = set()
        for use in (self.apply, self.go_on if kind == "encoder" else self.evaluate):
            try:
                use(folder)
                results.add("equal")
            except EEGPTError as error:
                results.add(refused(error))
        return "refused" if "refused" in results else "equal"

    @staticmethod
    def damage(rng: np.random.Generator, path: Path) -> None:
        data = path.read_bytes()
        if path.suffix == ".json":
            path.write_text(mutate.of_json(rng, data.decode()), encoding="utf-8", errors="replace")
        elif path.suffix == ".yaml":
            path.write_bytes(mutate.of_yaml(rng, data.decode()))
        elif path.suffix == ".parquet" and rng.random() < 0.7:
            mutate.of_table(rng, path)
        elif path.suffix == ".safetensors" and rng.random() < 0.7:
            n = struct.unpack("<Q", data[:8])[0]
            if rng.random() < 0.5:
                text = mutate.of_json(rng, data[8 : 8 + n].decode()).encode("utf-8", "replace")
                path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + n :])
            else:
                out = bytearray(data)
                for _ in range(int(rng.integers(1, 50))):
                    at = 8 + n + 4 * int(rng.integers((len(data) - 8 - n) // 4))
                    value = rng.choice([1e38, -1e38, np.nan, np.inf, 0.0, 1e-40, 1e10])
                    out[at : at + 4] = struct.pack("<f", value)
                path.write_bytes(out)
        else:
            path.write_bytes(mutate.of_bytes(rng, data, head=2000))

    def apply(self, folder: Path) -> None:
        from eegpt.interop.embedding import embed
        from eegpt.interop.model import open_model

        found = embed(self.raw, model=open_model(folder), recipe="default", window_s=1.0)
        values = found["features"].values
        if np.isnan(values).all() or np.isinf(values).any():
            raise Fault("features are not finite")

    def go_on(self, folder: Path) -> None:
        train(self.originals / "others", folder)

    def evaluate(self, folder: Path) -> None:
        from eegpt.evaluation.evaluate import evaluate
        from eegpt.pages.run import write_run_page

        evaluate(folder, [self.originals / "trials"], baselines=())
        write_run_page(folder.with_name("page.html"), run=folder, shards=[self.originals / "trials"])


class Archives:
    """Archives: unpacked inside their folder or refused."""

    def __init__(self, folder: Path, originals: Path, seed: int) -> None:
        self.seed, self.folder = seed, folder
        self.files = sorted((originals / "archives").iterdir())
        self.data = [p.read_bytes() for p in self.files]

    def run(self, number: int) -> str:
        from eegprep.remote.unpack import unpack

        rng = rng_of(self.seed, number)
        k = number % len(self.files)
        path, out = self.folder / self.files[k].name, self.folder / "out"
        shutil.rmtree(out, ignore_errors=True)
        path.write_bytes(mutate.of_bytes(rng, self.data[k], head=600))
        try:
            written = unpack(path, out)
        except EEGPTError as error:
            result = refused(error)
        else:
            result = (
                "equal" if sorted(written) == sorted(os.path.relpath(p, out) for p in files_below(out)) else "fault"
            )
        if result == "fault" or list(self.folder.rglob("*.part")):
            raise Fault("files that unpack does not name")
        path.unlink()
        if {p.name for p in self.folder.iterdir()} - {"out"}:
            raise Fault("files outside the folder")
        return result


def files_below(folder: Path) -> list[str]:
    """Paths of all files, whatever bytes their names have."""
    return [os.path.join(a, f) for a, _, names in os.walk(folder) for f in names]  # noqa: PTH118


def refused(error: EEGPTError) -> str:
    """One of our errors, which has words and an exit code."""
    if not error.what or not str(error) or error.exit_code not in (1, 2, 3):
        raise Fault(f"an error without words: {error!r}")
    if any(ord(c) < 32 and c != "\n" for c in str(error)):
        raise Fault(f"an error with control characters: {str(error)!r}")
    json.dumps(error.as_dict())
    return "refused"


KINDS: dict[str, Callable[..., Any]] = {
    "manifests": Manifests, "vocabularies": Vocabularies, "recordings": Recordings, "shard sets": ShardSets,
    "checkpoints": Checkpoints, "archives": Archives,
}  # fmt: skip
