"""Fingerprints find altered copies of a recording and take no other recording for one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import resample_poly

from eegprep.errors import RefusedError
from eegprep.splits import Seen, SeenRecording, find_leaks, refuse_leaks
from eegprep.splits.fingerprint import LEAST_PART, LEAST_SHARED, Copies, Fingerprint, Fingerprinter, similarity

NAMES = ["Fp1", "F4", "T8", "Cz", "P3", "O1", "O2"]
N = 120 * 256


def eeg(seed: int, n: int = N, n_rows: int = len(NAMES)) -> np.ndarray:
    """(n_rows, n) microvolt with a 1/f spectrum, a common part and an alpha rhythm."""
    rng = np.random.default_rng(seed)
    freqs = np.fft.rfftfreq(n, 1 / 256)
    white = np.fft.rfft(rng.normal(size=(n_rows + 1, n)), axis=1) / np.maximum(freqs, 0.5)
    noise = np.fft.irfft(white, n, axis=1)
    noise *= 10 / noise.std(axis=1, keepdims=True)
    alpha = 5 * np.sin(2 * np.pi * (10 * np.arange(n) / 256 + rng.uniform()))
    return noise[:-1] + 0.7 * noise[-1] + alpha


def made(x: np.ndarray, names: list[str] = NAMES, cuts: tuple[int, ...] = ()) -> Fingerprint:
    maker = Fingerprinter(names)
    for start, stop in itertools.pairwise((0, *cuts, x.shape[1])):
        maker.add(start, x[:, start:stop].astype(np.float32))
    return maker.finish()


def one_sample(x: np.ndarray) -> np.ndarray:
    out = x.copy()
    out[:, N // 2] += 80
    return out


ALTERED = {
    "one_electrode_less": lambda x: (x[[0, 1, 2, 4, 5, 6]], [n for n in NAMES if n != "Cz"]),
    "two_electrodes_less": lambda x: (x[[0, 1, 2, 4, 6]], [n for n in NAMES if n not in ("Cz", "O1")]),
    "gain": lambda x: (2 * x, NAMES),
    "inverted": lambda x: (-x, NAMES),
    "offset": lambda x: (x + 4000, NAMES),
    "cropped": lambda x: (x[:, 4321 : N // 2], NAMES),
    "lengthened": lambda x: (np.concatenate([eeg(99, N // 2), x], axis=1), NAMES),
    "resampled": lambda x: (resample_poly(resample_poly(x, 125, 256, axis=1), 256, 125, axis=1), NAMES),
    "average_reference": lambda x: (x - x.mean(axis=0), NAMES),
    "other_reference": lambda x: (x[:-1] - x[-1], NAMES[:-1]),
    "one_sample": lambda x: (one_sample(x), NAMES),
    "one_bit": lambda x: (x + np.random.default_rng(0).integers(0, 2, x.shape) * 0.01, NAMES),
    "reordered": lambda x: (x[::-1], NAMES[::-1]),
}


@pytest.mark.parametrize("alteration", ALTERED)
def test_altered_copy_is_found(alteration: str) -> None:
    """Each alteration leaves enough hashes for the copy to be found among other recordings."""
    x = eeg(1)
    copies = Copies([("original", str(made(x))), *((f"other{k}", str(made(eeg(k)))) for k in range(2, 6))])
    assert copies.of(str(made(*ALTERED[alteration](x)))) == "original"


def test_others_are_no_copies() -> None:
    """Recordings that share their spectrum, rhythm and cap, but not their signal, share next to no hash."""
    prints = [made(eeg(seed)) for seed in range(20)]
    assert max(similarity(a, b)[0] for a, b in itertools.combinations(prints, 2)) < LEAST_SHARED


def test_regular_rhythm_says_nothing() -> None:
    """Line noise and flicker are the same in every recording: they make no hash."""
    t = np.arange(N) / 256
    assert made(np.stack([50 * np.sin(2 * np.pi * 13 * t + k) for k in range(7)])).hashes.size == 0


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, N - 1), max_size=6, unique=True).map(sorted))
def test_chunks_make_no_difference(cuts: list[int]) -> None:
    """However the stream was cut, the fingerprint is the same."""
    x = eeg(3)
    assert str(made(x, cuts=tuple(cuts))) == str(made(x))


def test_no_run_crosses_a_gap() -> None:
    """Two stretches give the hashes of each, none of both together."""
    x = eeg(4)
    apart = Fingerprinter(NAMES)
    apart.add(0, x[:, : N // 2].astype(np.float32))
    apart.add(N, x[:, N // 2 :].astype(np.float32))
    both = {*made(x[:, : N // 2]).at(8).tolist(), *made(x[:, N // 2 :]).at(8).tolist()}
    assert set(apart.finish().at(8).tolist()) <= both


def test_text_comes_back() -> None:
    """A fingerprint survives JSON; anything else is refused."""
    one = made(eeg(5))
    again = Fingerprint.parse(str(one))
    assert again.level == one.level
    assert np.array_equal(again.hashes, one.hashes)
    for wrong in ("", "x:AAAA", "1:!!!!", "40:AAAA", "1:AAA=", "1:" + "AAAA" * 400):
        with pytest.raises(ValueError, match="fingerprint"):
            Fingerprint.parse(wrong)


@pytest.mark.parametrize(("n", "names"), [(0, ["Cz"]), (10, ["Cz"]), (300, ["Cz", "Pz"])])
def test_short_signals_have_few_hashes(n: int, names: list[str]) -> None:
    """Too short a signal is never taken for a copy of anything."""
    one = made(eeg(6, 1024, len(names))[:, :n], names)
    assert Copies([("a", str(one))]).of(str(one)) in ("", "a")
    assert similarity(one, made(eeg(7)))[1] < LEAST_PART


def test_guard_refuses_altered_copy() -> None:
    """A test on a copy of what was learned from is refused under another data set's name too."""
    x = eeg(8)
    seen = Seen.of([SeenRecording(id="a/1/-/-", signal_sha256="0", fingerprint=str(made(x)))])
    test = [SeenRecording(id="b/9/-/-", signal_sha256="1", fingerprint=str(made(-2 * x)))]
    assert [(k.how, k.seen_as) for k in find_leaks(seen, test)] == [("altered copy", "a/1/-/-")]
    with pytest.raises(RefusedError, match="1 test recording was seen in training"):
        refuse_leaks(seen, test)
    assert Seen.from_json(seen.to_json()) == seen
