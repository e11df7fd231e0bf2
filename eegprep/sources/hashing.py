"""The same signal twice: a hash of decoded samples, whatever file, header or subject they stand under.

The bytes of a file are of no use for this: a copy with another subject's name in its header differs in them. The
hash is taken of the signal in microvolt, rounded to 0.001 µV so that the last bits of a conversion do not count,
channel by channel in the order of the channels' own hashes, so that neither names nor order count.
"""

from __future__ import annotations

import hashlib

import numpy as np

from eegprep.sources.base import SignalLike

__all__ = ["signal_hash"]

_CHUNK = 1 << 16
_STEP_UV = 1e-3


def signal_hash(signal: SignalLike, sfreq_hz: float) -> str:
    """Hex SHA-256 of a signal and its rate.

    Parameters
    ----------
    signal : array-like, (n_channels, n_samples)
        Microvolt; read in chunks. Give the EEG channels alone: a clock channel makes equal recordings differ.
    sfreq_hz : float
        Rate; the same numbers at another rate are another signal.
    """
    n_channels, n_samples = signal.shape
    digests = [hashlib.sha256() for _ in range(n_channels)]
    for start in range(0, n_samples, _CHUNK):
        block = np.asarray(signal[:, start : start + _CHUNK], dtype=np.float64)
        with np.errstate(invalid="ignore"):
            steps = np.clip(np.rint(block / _STEP_UV), -(2.0**62), 2.0**62)
        numbers = np.where(np.isfinite(steps), steps, 2.0**62).astype("<i8")
        for digest, row in zip(digests, numbers, strict=True):
            digest.update(row.tobytes())
    total = hashlib.sha256(f"{sfreq_hz:.6f} {n_samples}".encode())
    for one in sorted(d.digest() for d in digests):
        total.update(one)
    return total.hexdigest()
