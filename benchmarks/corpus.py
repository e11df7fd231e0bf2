"""The samples that all layouts store, and timing that survives a busy machine.

Noise in int16 steps of 2^-5 µV, (n_recordings, n_electrodes, n_samples): copying does not depend on the contents, and
it can be generated anywhere. Figures are compared within a round, and medians of ratios reported, because other load on
the machine affects all of them together.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

WINDOW = 1024
BATCH = 1024
SCALE_UV = 2.0**-5
ELECTRODES = (
    "Fp1", "Fp2", "F7", "F3", "Fz", "F4", "F8", "T7", "C3", "Cz", "C4", "T8", "P7", "P3", "Pz", "P4", "P8", "O1", "Oz",
    "O2", "FC1", "FC2", "FC5", "FC6", "CP1", "CP2", "CP5", "CP6", "AF3", "AF4", "PO3", "PO4",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """(n_recordings, n_electrodes, n_samples) int16; a sample of the benchmark is one window of one electrode."""

    signal_i16: NDArray[np.int16]

    @property
    def n_windows(self) -> int:
        """Windows of WINDOW samples, all electrodes and recordings."""
        return self.signal_i16.size // WINDOW

    @property
    def windows(self) -> NDArray[np.int16]:
        """(n_windows, WINDOW), a view."""
        return self.signal_i16.reshape(-1, WINDOW)

    @property
    def n_bytes(self) -> int:
        """Raw int16 bytes."""
        return self.signal_i16.nbytes


def make_corpus(n_windows: int, seed: int = 0) -> Corpus:
    """About `n_windows` windows of 32 electrodes in recordings of 256 windows."""
    per_recording = 256 * len(ELECTRODES)
    n_recordings = max(1, round(n_windows / per_recording))
    rng = np.random.default_rng(seed)
    shape = (n_recordings, len(ELECTRODES), 256 * WINDOW)
    return Corpus(signal_i16=rng.integers(-2000, 2000, size=shape, dtype=np.int16))


# `wall` is what a stopwatch shows. `cpu` counts the seconds in which this process computed: on a machine that others
# keep busy it still compares one thread's work fairly, since nothing here waits for a disk.
CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}


def rate(batches: Callable[[], object], seconds: float, clock: str = "wall") -> float:
    """Windows per second of an iterator's batches, measured for `seconds` after two warm-up batches."""
    now = CLOCKS[clock]
    gc.collect()
    iterator = iter(batches())  # type: ignore[call-overload]
    for _ in range(2):
        next(iterator)
    n, started = 0, now()
    for batch in iterator:
        n += len(batch)
        if now() - started > seconds:
            break
    elapsed = now() - started
    close = getattr(iterator, "close", None)
    if close is not None:
        close()
    return n / elapsed


def median_ratio(ours: list[float], other: list[float]) -> float:
    """Median of the ratios of each round."""
    return float(np.median(np.array(ours) / np.array(other)))
