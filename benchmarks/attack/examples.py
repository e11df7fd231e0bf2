"""One whole example of every input: recordings of every format, a shard set, an encoder, a transfer run, archives."""

from __future__ import annotations

import importlib.util
import io
import json
import shutil
import sys
import tarfile
import warnings
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

TESTS = Path(__file__).resolve().parents[2] / "tests"
sys.path.insert(0, str(TESTS))

from support import synthetic  # noqa: E402


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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
