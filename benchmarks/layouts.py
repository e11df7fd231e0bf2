"""The same windows in the layouts of other libraries, each with its own writer and shuffling reader.

Every class has `write(corpus, folder)` and `batches(folder, seed)`; the latter yields shuffled (BATCH, WINDOW) float32
microvolt tensors, read as documented by that project. `needs` names the packages.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import io
import json
import pickle
import sys
import tarfile
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from corpus import BATCH, ELECTRODES, SCALE_UV, WINDOW, Corpus


def to_uv(samples: np.ndarray) -> torch.Tensor:
    """Convert int16 windows to a float32 tensor in microvolt."""
    return torch.from_numpy(samples).to(torch.float32).mul_(SCALE_UV)


def stacked(samples: Iterator[np.ndarray]) -> Iterator[torch.Tensor]:
    """Stack single windows into batches."""
    pending: list[np.ndarray] = []
    for sample in samples:
        pending.append(sample)
        if len(pending) == BATCH:
            yield to_uv(np.stack(pending))
            pending = []


class NaiveWebDataset:
    """One `.npy` and one `.json` per window, shards of 10,000; `WebDataset(...).shuffle().decode()`."""

    name, needs = "webdataset, naive", ("webdataset",)

    def write(self, corpus: Corpus, folder: Path) -> None:
        """One electrode after another, as a per-electrode export would."""
        per_electrode = corpus.signal_i16.transpose(1, 0, 2).reshape(-1, WINDOW)
        facts = json.dumps({"electrode": ELECTRODES[0], "scale_uv": SCALE_UV}).encode()
        for shard, first in enumerate(range(0, len(per_electrode), 10_000)):
            with tarfile.open(folder / f"{shard:06d}.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
                for k in range(first, min(first + 10_000, len(per_electrode))):
                    buffer = io.BytesIO()
                    np.save(buffer, per_electrode[k])
                    for suffix, data in ((".npy", buffer.getvalue()), (".json", facts)):
                        member = tarfile.TarInfo(f"{k:09d}{suffix}")
                        member.size = len(data)
                        tar.addfile(member, io.BytesIO(data))

    def batches(self, folder: Path, seed: int) -> Iterator[torch.Tensor]:
        """The library's own pipeline."""
        import webdataset as wds

        urls = [str(p) for p in sorted(folder.glob("*.tar"))]
        chain = wds.WebDataset(urls, shardshuffle=100, seed=seed).shuffle(1000).decode()
        yield from stacked(sample["npy"] for sample in chain)


class BlockedWebDataset:
    """Our own shards through the webdataset library: blocks decoded, cut, shuffled in a buffer of 10,000 windows."""

    name, needs = "webdataset, our blocks", ("webdataset",)

    def write(self, corpus: Corpus, folder: Path) -> None:
        """No-op: reads the files of our writer."""

    def batches(self, folder: Path, seed: int) -> Iterator[torch.Tensor]:
        """`folder` is our shard set."""
        import webdataset as wds

        urls = [str(p) for p in sorted(folder.glob("shards/*/*.tar"))]

        def cut(samples: Any) -> Any:
            for sample in samples:
                for k, window in enumerate(sample["npy"].reshape(-1, WINDOW)):
                    yield {"__key__": f"{sample['__key__']}{k}", "npy": window}

        chain = wds.WebDataset(urls, shardshuffle=100, seed=seed).decode().compose(cut).shuffle(10_000)
        yield from stacked(sample["npy"] for sample in chain)


class MosaicStreaming:
    """mosaicml-streaming: MDS shards, `StreamingDataset(shuffle=True)` in a DataLoader without workers."""

    name, needs = "mosaicml-streaming", ("streaming",)

    def write(self, corpus: Corpus, folder: Path) -> None:
        """One record per window."""
        from streaming import MDSWriter

        with MDSWriter(out=str(folder), columns={"x": f"ndarray:int16:{WINDOW}"}) as writer:
            for window in corpus.windows:
                writer.write({"x": window})

    def batches(self, folder: Path, seed: int) -> Iterator[torch.Tensor]:
        """As its documentation shows."""
        from streaming import StreamingDataset
        from streaming.base.util import clean_stale_shared_memory

        clean_stale_shared_memory()
        dataset = StreamingDataset(local=str(folder), shuffle=True, shuffle_seed=seed, batch_size=BATCH)
        yield from stacked(np.array(sample["x"]) for sample in dataset)


class LitData:
    """litdata: `optimize`, `StreamingDataset(shuffle=True)` and its own loader without workers."""

    name, needs = "litdata", ("litdata",)

    def write(self, corpus: Corpus, folder: Path) -> None:
        """Chunks of 64 MB through its writer, the inner part of `optimize`."""
        from litdata.streaming.writer import BinaryWriter

        writer = BinaryWriter(cache_dir=str(folder), chunk_bytes=64 << 20)
        for k, window in enumerate(corpus.windows):
            writer[k] = torch.from_numpy(window)
        writer.done()
        writer.merge(1)

    def batches(self, folder: Path, seed: int) -> Iterator[torch.Tensor]:
        """As its documentation shows."""
        from litdata import StreamingDataLoader, StreamingDataset

        dataset = StreamingDataset(str(folder), shuffle=True, seed=seed)
        for batch in StreamingDataLoader(dataset, batch_size=BATCH, num_workers=0):
            yield batch.to(torch.float32).mul_(SCALE_UV)


class RawLMDB:
    """LMDB with the int16 bytes of a window as value."""

    name, needs = "LMDB, raw bytes", ("lmdb",)

    def encode(self, window: np.ndarray) -> bytes:
        """A value."""
        return window.tobytes()

    def decode(self, value: Any) -> np.ndarray:
        """A window from a value."""
        return np.frombuffer(value, np.int16)

    def write(self, corpus: Corpus, folder: Path) -> None:
        """Keys in order, 10,000 per transaction."""
        import lmdb

        env = lmdb.open(str(folder), map_size=8 * corpus.n_bytes + (1 << 28), sync=False, writemap=False)
        for first in range(0, corpus.n_windows, 10_000):
            with env.begin(write=True) as transaction:
                for k in range(first, min(first + 10_000, corpus.n_windows)):
                    transaction.put(k.to_bytes(8, "big"), self.encode(corpus.windows[k]), append=True)
        env.close()

    def batches(self, folder: Path, seed: int) -> Iterator[torch.Tensor]:
        """Random keys, values copied into a batch."""
        import lmdb

        env = lmdb.open(str(folder), readonly=True, lock=False, readahead=False)
        n = env.stat()["entries"]
        order = np.random.default_rng(seed).permutation(n)
        with env.begin(buffers=True) as transaction:
            for first in range(0, n - BATCH + 1, BATCH):
                out = np.empty((BATCH, WINDOW), np.int16)
                for row, k in enumerate(order[first : first + BATCH].tolist()):
                    out[row] = self.decode(transaction.get(k.to_bytes(8, "big")))
                yield to_uv(out)
        env.close()


class PickledLMDB(RawLMDB):
    """LMDB with a pickled dict per window, as EEG pre-training codebases store it."""

    name = "LMDB, pickled"

    def encode(self, window: np.ndarray) -> bytes:
        """A value."""
        return pickle.dumps({"x": window, "electrode": ELECTRODES[0]})

    def decode(self, value: Any) -> np.ndarray:
        """A window from a value that we have written."""
        return pickle.loads(value)["x"]


class HDF5:
    """One contiguous HDF5 dataset (n_windows, WINDOW); windows of a batch read one by one in the file's order."""

    name, needs = "HDF5", ("h5py",)

    def write(self, corpus: Corpus, folder: Path) -> None:
        """One call."""
        import h5py

        with h5py.File(folder / "x.h5", "w") as file:
            file.create_dataset("x", data=corpus.windows)

    def batches(self, folder: Path, seed: int) -> Iterator[torch.Tensor]:
        """`read_direct` per window."""
        import h5py

        with h5py.File(folder / "x.h5", "r") as file:
            data = file["x"]
            order = np.random.default_rng(seed).permutation(len(data))
            for first in range(0, len(data) - BATCH + 1, BATCH):
                out = np.empty((BATCH, WINDOW), np.int16)
                for row, k in enumerate(np.sort(order[first : first + BATCH]).tolist()):
                    data.read_direct(out, np.s_[k], np.s_[row])
                yield to_uv(out)


class Zarr:
    """Zarr 3, uncompressed chunks of 64 windows; a batch by orthogonal indexing."""

    name, needs = "Zarr", ("zarr",)

    def write(self, corpus: Corpus, folder: Path) -> None:
        """One call."""
        import zarr

        array = zarr.create_array(
            store=str(folder / "x.zarr"),
            shape=corpus.windows.shape,
            chunks=(64, WINDOW),
            dtype="int16",
            compressors=None,
        )
        array[:] = corpus.windows

    def batches(self, folder: Path, seed: int) -> Iterator[torch.Tensor]:
        """`oindex` with sorted rows."""
        import zarr

        array = zarr.open_array(str(folder / "x.zarr"), mode="r")
        order = np.random.default_rng(seed).permutation(array.shape[0])
        for first in range(0, array.shape[0] - BATCH + 1, BATCH):
            yield to_uv(np.asarray(array.oindex[np.sort(order[first : first + BATCH])]))


PEERS = (
    NaiveWebDataset,
    BlockedWebDataset,
    MosaicStreaming,
    LitData,
    RawLMDB,
    PickledLMDB,
    HDF5,
    Zarr,
)


def _stand_in_for_torchvision() -> None:
    """Stub the image modules that mosaicml-streaming imports, which are unused here, if they are missing.

    PyPI's torchvision does not load beside a CPU build of torch.
    """
    try:
        importlib.import_module("torchvision")
    except Exception:  # missing, or built for another torch
        for name, attribute in (
            ("torchvision", "__path__"),
            ("torchvision.datasets", "VisionDataset"),
            ("torchvision.transforms", "__path__"),
            ("torchvision.transforms.functional", "to_tensor"),
        ):
            module = types.ModuleType(name)
            module.__spec__ = importlib.machinery.ModuleSpec(name, None)
            setattr(module, attribute, [] if attribute == "__path__" else object)
            sys.modules[name] = module


def missing(peer: Any) -> str:
    """Reason why a peer cannot run here, or an empty string."""
    if "streaming" in peer.needs:
        _stand_in_for_torchvision()
    for package in peer.needs:
        try:
            importlib.import_module(package)
        except Exception as error:  # a peer's import may fail in any way; the table reports it
            return f"{package}: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    return ""
