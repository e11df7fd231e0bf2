"""The order of samples: one permutation per (seed, epoch), computable at any position without storing it.

A position is written as two digits (L, R) of mixed radix a x b, a*b just above n, and sent through a Feistel network,
which permutes 0 ... a*b-1. Numbers of n and above are sent through again until they fall below n (cycle walking).
Black & Rogaway, Ciphers with Arbitrary Finite Domains, CT-RSA 2002, sections 3 and 4.
"""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from eegprep.errors import UsageError

# Four rounds make a pseudo-random permutation of a random round function; six leave a margin for a plain hash.
_ROUNDS = 6


class Order(Protocol):
    """The interface that loaders expect of an order."""

    def __len__(self) -> int:
        """Number of samples per epoch."""

    def at(self, epoch: int, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """The samples at the given positions of an epoch."""

    def describe(self) -> dict[str, object]:
        """The order's parameters as plain data: stored in a loader's state and compared on resuming."""


def permute(positions: NDArray[np.int64], n: int, keys: NDArray[np.uint32]) -> NDArray[np.int64]:
    """Apply the permutation of 0 ... n-1 given by `keys` to some positions, (N,) int64."""
    a = max(1, math.isqrt(n - 1) + 1)
    b = -(-n // a)
    out = _network(positions.astype(np.uint64), a, b, keys)
    again = np.flatnonzero(out >= n)
    while len(again):
        out[again] = _network(out[again], a, b, keys)
        again = again[out[again] >= n]
    return out.astype(np.int64)


def _network(x: NDArray[np.uint64], a: int, b: int, keys: NDArray[np.uint32]) -> NDArray[np.uint64]:
    radix = np.uint64(b)
    quotient = x // radix
    left, right = quotient.astype(np.uint32), (x - quotient * radix).astype(np.uint32)
    for k, key in enumerate(keys):
        if k % 2 == 0:
            left = _add(left, right, a, key)
        else:
            right = _add(right, left, b, key)
    out = left.astype(np.uint64)
    out *= radix
    out += right
    return out


def _add(digit: NDArray[np.uint32], other: NDArray[np.uint32], modulus: int, key: np.uint32) -> NDArray[np.uint32]:
    """`digit` plus a hash of `other`, modulo `modulus` (both below it, and it at most 2^31)."""
    h = other ^ key  # MurmurHash3's finaliser
    h ^= h >> np.uint32(16)
    h *= np.uint32(0x85EBCA6B)
    h ^= h >> np.uint32(13)
    h *= np.uint32(0xC2B2AE35)
    h ^= h >> np.uint32(16)
    wide = h.astype(np.uint64)
    wide *= np.uint64(modulus)
    wide >>= np.uint64(32)
    total = wide.astype(np.uint32)
    total += digit
    # Below the modulus the difference wraps around to a larger number, so the lesser of the two is the remainder.
    np.subtract(total, np.uint32(modulus), out=h)
    return np.minimum(total, h, out=total)


def epoch_keys(seed: int, epoch: int, stream: int = 0) -> NDArray[np.uint32]:
    """The round keys of one epoch's permutation; `stream` distinguishes several permutations of one epoch."""
    return np.random.SeedSequence([seed, epoch, stream]).generate_state(_ROUNDS, np.uint32).astype(np.uint32)


class SampleOrder:
    """All samples once per epoch, in a new order each epoch; equal seeds give equal orders on any machine."""

    def __init__(self, n: int, seed: int) -> None:
        if n < 1 or seed < 0:
            raise UsageError("an order needs at least one sample and a seed of at least 0", found=f"n={n}, seed={seed}")
        self.n, self.seed = n, seed

    def __len__(self) -> int:
        return self.n

    def at(self, epoch: int, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """The samples at some positions, (N,) int64."""
        return permute(np.asarray(positions, dtype=np.int64), self.n, epoch_keys(self.seed, epoch))

    def indices(self, epoch: int, start: int, count: int) -> NDArray[np.int64]:
        """The samples at positions `start` to `start + count`, up to the end of the epoch."""
        return self.at(epoch, np.arange(start, min(start + count, self.n), dtype=np.int64))

    def describe(self) -> dict[str, object]:
        """Kind, number of samples, seed."""
        return {"kind": "permutation", "n": self.n, "seed": self.seed}


class FixedPart:
    """A fraction of the data: the first `n` samples of an order's epoch 0, reshuffled in every epoch."""

    def __init__(self, order: Order, n: int, seed: tuple[int, int]) -> None:
        self.order, self.n, self.seed = order, n, seed
        self._chosen = order.at(0, np.arange(n, dtype=np.int64))

    def __len__(self) -> int:
        return self.n

    def at(self, epoch: int, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """The samples at some positions, (N,) int64."""
        seed, part = self.seed
        return self._chosen[np.random.default_rng((seed, epoch, part)).permutation(self.n)[positions]]

    def describe(self) -> dict[str, object]:
        """Kind, number of samples, seed, and the underlying order."""
        return {"kind": "part", "n": self.n, "seed": list(self.seed), "of": self.order.describe()}
