"""What all tests share: the real recordings, and settings that make every run the same."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("MNE_LOGGING_LEVEL", "ERROR")
os.environ.setdefault("MNE_DONTWRITE_HOME", "true")
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Shared machines are slow at times: no deadline, and the same examples in every run.
settings.register_profile("eegpt", deadline=None, derandomize=True)
settings.load_profile("eegpt")

# Fixtures of several folders.
pytest_plugins = ["support.recordings", "support.reports", "support.shard_sets"]

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def repository() -> Path:
    """The repository's root folder."""
    return ROOT


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of real recordings: `EEGPT_DATA`, else `../shared/data`; tests skip where there is none."""
    named = os.environ.get("EEGPT_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"needs real recordings: set EEGPT_DATA to their folder (looked in {folder})")
    return folder


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder of the tests' own, so that they neither read nor fill the user's."""
    folder = tmp_path_factory.mktemp("cache")
    os.environ["EEGPT_CACHE"] = str(folder)
    return folder
