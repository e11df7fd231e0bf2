"""The synthetic store, shard sets of it, and what damages them, as fixtures."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from support import hostile as hostile_sets
from support import synthetic as synthetic_store

from eegprep.shards import ShardSet, build_shard_set

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def load(path: Path) -> ModuleType:
    """A file outside `tests/support` as a module."""
    name = f"loaded_{path.stem}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


@pytest.fixture(scope="session")
def load_file() -> Callable[[Path], ModuleType]:
    return load


@pytest.fixture(scope="session")
def synthetic() -> ModuleType:
    return synthetic_store


@pytest.fixture(scope="session")
def hostile() -> ModuleType:
    return hostile_sets


@pytest.fixture(scope="session")
def fuzz() -> ModuleType:
    return load(BENCHMARKS / "fuzz_coverage.py")


@pytest.fixture(scope="session")
def store(synthetic: ModuleType) -> object:
    """Ten subjects with gaps, rejected parts and trials."""
    return synthetic.small_store()


@pytest.fixture(scope="session")
def shard_folder(store: object, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shard set with many small blocks and shards; read only."""
    folder = tmp_path_factory.mktemp("shards") / "set"
    build_shard_set([store], folder, block_samples=512, max_shard_bytes=20_000, sync=False)
    return folder


@pytest.fixture(scope="session")
def shard_set(shard_folder: Path) -> ShardSet:
    return ShardSet.open(shard_folder)
