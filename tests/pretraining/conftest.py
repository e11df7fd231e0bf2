"""Windows in memory that stand for a shard set."""

from __future__ import annotations

import pytest
from support import memory_windows

from eegpt.pretraining.data import PretrainData


@pytest.fixture
def data() -> PretrainData:
    return memory_windows.memory_data()


@pytest.fixture
def make_data():
    return memory_windows.memory_data


@pytest.fixture
def small():
    return memory_windows.small
