"""Mutated inputs: manifests, vocabularies, recordings of every format, shard sets, checkpoints, archives.

`originals` writes one whole example of each. An attack mutates a copy in its own folder; it passes if the program takes
it and stays consistent, or refuses it with one of our errors.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import io
import json
import os
import shutil
import struct
import sys
import tarfile
import warnings
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import mutate
import numpy as np
from pool import Fault

TESTS = Path(__file__).resolve().parents[2] / "tests"
sys.path.insert(0, str(TESTS))

from support import hostile, synthetic  # noqa: E402

from eegprep.errors import EEGPTError  # noqa: E402

MANIFESTS = TESTS.parent / "manifests"


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# ---- one whole example of each


def originals(folder: Path) -> None:
    """Write recordings, a shard set, an encoder, a transfer run and archives."""
    warnings.simplefilter("ignore")
    recordings(folder / "recordings")
    shard_set(folder / "set", n_subjects=2, n_samples=4200)
    checkpoints(folder)
    archives(folder / "archives")


def recordings(folder: Path) -> list[str]:
    """One recording of every format that a library or a test writes, each in its own folder; their names."""
    formats = _module(TESTS / "formats" / "test_every_format.py")
    from support import recordings as writers

    made = {name.removeprefix("write_"): getattr(writers, name) for name in dir(writers) if name.startswith("write_")}
    signal = writers.eeg_uv(6, 3200)
    for name, write in {**formats.WRITERS, "curry_7": formats.curry_7, **_more()}.items():
        (folder / name).mkdir(parents=True)
        try:
            write(folder / name, writers.NAMES, signal, made)
        except BaseException as error:  # a library that is not installed (pytest.skip is no Exception)
            if type(error).__name__ not in ("Skipped", "ImportError", "ModuleNotFoundError"):
                raise
            shutil.rmtree(folder / name)
    return sorted(p.name for p in folder.iterdir())


def _more() -> dict[str, Callable[..., object]]:
    """Formats with side-cars, packed, or of several files."""

    def edf_plus(folder: Path, names: Sequence[str], x: np.ndarray, made: Any) -> None:
        made["edf"](folder / "a.edf", x, kind="EDF+D", annotations=[(1.0, 2.0, "T1"), (4.0, None, "T2")],
                    record_starts=[k + 5.0 * (k > 7) for k in range(16)])  # fmt: skip

    def table(folder: Path, names: Sequence[str], x: np.ndarray, made: Any) -> None:
        rows = "\n".join(",".join(f"{v:.3f}" for v in (k / 200, *row)) for k, row in enumerate(x.T))
        (folder / "a.csv").write_text("time," + ",".join(names) + "\n" + rows + "\n")

    def packed_table(folder: Path, names: Sequence[str], x: np.ndarray, made: Any) -> None:
        import gzip

        table(folder, names, x, made)
        (folder / "a.csv.gz").write_bytes(gzip.compress((folder / "a.csv").read_bytes(), 1))
        (folder / "a.csv").unlink()

    def bids(folder: Path, names: Sequence[str], x: np.ndarray, made: Any) -> None:
        own = folder / "sub-01" / "eeg"
        own.mkdir(parents=True)
        (folder / "dataset_description.json").write_text('{"Name": "made", "BIDSVersion": "1.8.0"}')
        (folder / "participants.tsv").write_text("participant_id\tage\tgroup\nsub-01\t33\tcontrol\n")
        stem = own / "sub-01_task-rest"
        made["edf"](Path(f"{stem}_eeg.edf"), x)
        facts = {"SamplingFrequency": 200, "PowerLineFrequency": 50, "EEGReference": "Cz", "TaskName": "rest"}
        Path(f"{stem}_eeg.json").write_text(json.dumps(facts))
        lines = "".join(f"{n}\tEEG\tuV\tgood\n" for n in names)
        Path(f"{stem}_channels.tsv").write_text("name\ttype\tunits\tstatus\n" + lines)
        Path(f"{stem}_events.tsv").write_text("onset\tduration\ttrial_type\n1.0\t0.5\tleft\n3.0\t0.5\tright\n")
        places = "".join(f"{n}\t{i}\t{-i}\t90\n" for i, n in enumerate(names))
        Path(f"{own}/sub-01_electrodes.tsv").write_text("name\tx\ty\tz\n" + places)
        Path(f"{own}/sub-01_coordsystem.json").write_text(
            '{"EEGCoordinateSystem": "CapTrak", "EEGCoordinateUnits": "mm"}'
        )

    def fif_epochs(folder: Path, names: Sequence[str], x: np.ndarray, made: Any) -> None:
        import mne

        info = mne.create_info(list(names), 200.0, "eeg")
        epochs = mne.EpochsArray(x.reshape(6, 8, 400).swapaxes(0, 1) * 1e-6, info, verbose="ERROR")
        epochs.save(folder / "a-epo.fif", verbose="ERROR")

    def brainvision_markers(folder: Path, names: Sequence[str], x: np.ndarray, made: Any) -> None:
        made["brainvision"](folder, "a", x, names, header="MarkerFile=a.vmrk")
        marks = "Mk1=New Segment,,1,1,0,20200101120000000000\nMk2=Stimulus,S  1,400,1,0\n"
        (folder / "a.vmrk").write_text(
            "Brain Vision Data Exchange Marker File, Version 1.0\n[Common Infos]\nDataFile=a.eeg\n[Marker Infos]\n"
            + marks
        )

    return {
        "edf_plus": edf_plus, "table": table, "packed_table": packed_table, "bids": bids, "fif_epochs": fif_epochs,
        "brainvision_markers": brainvision_markers,
    }  # fmt: skip


def shard_set(folder: Path, **options: Any) -> Path:
    """A small shard set of the tests' synthetic store."""
    from eegprep.electrodes import Vocabulary
    from eegprep.shards import build_shard_set

    store = synthetic.small_store(**options)
    names = {name for info in store.infos() for name in info.electrodes}
    vocabulary = Vocabulary([row for row in Vocabulary.base() if row.name in names])
    build_shard_set([store], folder, vocabulary=vocabulary, block_samples=512, max_shard_bytes=8_000, sync=False)
    return folder


def checkpoints(folder: Path) -> None:
    """An encoder pre-trained for a few steps, and a transfer run with it."""
    from support import transfer_runs

    from eegpt.evaluation.evaluate import evaluate, write_results
    from eegpt.transfer.run import transfer

    train(transfer_runs.build(folder / "others", "beta", ("C3", "C4"), length=256, n=5), folder / "encoder")
    shards = transfer_runs.build(folder / "trials", "alpha", ("Fp1", "Cz", "O2"))
    options = transfer_runs.settings(steps=4, batch_size=8, evaluate_every=2, dropout=0.0)
    transfer(options, shards=[shards], out=folder / "transfer", encoder=folder / "encoder")
    predictions, results = evaluate(folder / "transfer", [shards])
    write_results(folder / "transfer", predictions, results)


def train(shards: Path, out: Path) -> None:
    """Pre-train a tiny encoder."""
    from eegpt.pretraining.config import PretrainConfig
    from eegpt.pretraining.loop import pretrain
    from eegpt.runs.settings import changed

    pretrain(changed(PretrainConfig(), TRAINING), shards=[shards], out=out, show_progress=False)


TRAINING: dict[str, Any] = {
    "encoder.n_layers": 1, "encoder.width": 16, "encoder.n_heads": 2, "schedule.steps": 12, "schedule.batch_size": 16,
    "schedule.warmup_steps": 2, "run.checkpoint_every": 4, "run.log_every": 4, "run.tensorboard": False,
    "held_out.every": 0, "held_out.final_windows": 64,
}  # fmt: skip


def archives(folder: Path) -> None:
    """A zip, a wheel, and tars of every compression."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    files = {f"a/{k}.bin": rng.integers(0, 4, 3000, dtype=np.uint8).tobytes() for k in range(4)} | {
        "b/x.txt": b"text" * 99
    }
    for name, method in (("stored.zip", 0), ("deflated.zip", 8), ("bzip2.zip", 12), ("lzma.zip", 14), ("w-1.whl", 8)):
        with zipfile.ZipFile(folder / name, "w", method) as out:
            for inside, data in files.items():
                out.writestr(inside, data)
    for mode in ("", "gz", "bz2", "xz"):
        with tarfile.open(folder / f"x.tar{mode and '.' + mode}", f"w:{mode}") as tar:  # type: ignore[call-overload]
            for inside, data in files.items():
                info = tarfile.TarInfo(inside)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))


# ---- attacks


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
