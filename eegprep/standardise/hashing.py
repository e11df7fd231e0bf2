"""A hash of decoded samples, to find duplicate signals in different files or under different subjects.

Hashing the bytes of files is not enough: a copy with another subject's name in its header differs. The hash is
computed from the signal in microvolt, in steps of 0.001 µV to ignore rounding, channel by channel in the order of the
channels' own hashes, so that names and order do not matter.
"""

from __future__ import annotations

import hashlib

import numpy as np

from eegprep.formats.decoded import SignalLike

_CHUNK = 1 << 16
_STEPS_PER_UV = 1e3
#: Amplifiers step by binary fractions of a microvolt (1/32, 25/512), so many samples are exactly between two steps and
#: the last bit of a conversion would decide how they are rounded.
_OFF_THE_TIES = 1 / 128
#: Replaces all values that do not fit 32 bits (2.1 V) or are not finite.
_BEYOND = 2**31 - 1


def signal_hash(signal: SignalLike, sfreq_hz: float) -> str:
    """Hex SHA-256 of a signal and its rate.

    Parameters
    ----------
    signal : array-like, (n_channels, n_samples)
        Microvolt; read in chunks. Give the EEG channels alone: a clock channel makes equal recordings differ.
    sfreq_hz : float
        Rate; the same samples at another rate are a different signal.
    """
    n_channels, n_samples = signal.shape
    digests = [hashlib.sha256() for _ in range(n_channels)]
    for start in range(0, n_samples, _CHUNK):
        block = np.asarray(signal[:, start : start + _CHUNK], dtype=np.float64)
        for digest, row in zip(digests, block, strict=True):
            digest.update(_steps(row).tobytes())
    total = hashlib.sha256(f"{sfreq_hz:.6f} {n_samples}".encode())
    for one in sorted(d.digest() for d in digests):
        total.update(one)
    return total.hexdigest()


def _steps(row: np.ndarray) -> np.ndarray:
    """Whole steps as little-endian int32; a row at a time stays in the processor's cache."""
    steps = row * _STEPS_PER_UV + _OFF_THE_TIES
    np.rint(steps, out=steps)
    # NaN makes both comparisons false, so it takes the slow path too
    if not (steps.min() > -_BEYOND and steps.max() < _BEYOND):
        with np.errstate(invalid="ignore"):
            steps = np.where(np.abs(steps) < _BEYOND, steps, float(_BEYOND))
    return steps.astype("<i4")
