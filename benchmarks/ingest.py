"""How fast and how exact is our preparation against MNE's own chain, and how much memory does a day of EEG take?

Both sides get the same float64 microvolt array and do the same: band-pass 0.1-75 Hz, notch at 50 Hz, 512 to 256 Hz,
average reference. MNE: `filter_data`, `notch_filter`, `resample`, each with its defaults. Ours: offsets removed, then
one pass of float32 blocks. They take turns within each round and the medians over the rounds are compared; with two
cores MNE gets `n_jobs=2` or 1, whichever is faster in that round, and we get two threads. Differences are over all
samples and channels, ends included, also in steps of the int16 that shards store (a power of two, nothing clips).

A day (24 h x 64 channels x 512 Hz) is ingested into a store in a process of its own, from a signal that is made as it
is read; its peak resident memory is what the system counted.

    OMP_NUM_THREADS=1 python benchmarks/ingest.py --json ingest.json
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eegprep.manifest.recipe import Recipe
from eegprep.recording import Stretch
from eegprep.shards.build.quantise import quantise, scale_for
from eegprep.standardise import lay_out, plan_chain, standardise

SFREQ_HZ = 512.0
# What `--json` writes, and `peak_mib_24h`.
KEYS = ("ratio_one_core", "ratio_two_cores", "max_abs_difference_uv", "max_difference_steps")
STEPS: list[dict[str, Any]] = [
    {"step": "remove_offset"},
    {"step": "band_pass", "low_hz": 0.1, "high_hz": 75.0},
    {"step": "notch"},
    {"step": "resample"},
    {"step": "reference", "to": "average"},
]
RECIPE = Recipe.model_validate({"name": "benchmark", "steps": STEPS})


def eeg(n_channels: int, n_samples: int, *, seed: int = 0) -> NDArray[np.float64]:
    """(n_channels, n_samples) microvolt: 1/f noise, alpha, line noise, slow drift, an offset of up to 20 mV."""
    rng = np.random.default_rng(seed)
    signal = np.cumsum(rng.normal(0, 1, (n_channels, n_samples)), axis=1)
    signal = 30 * (signal - signal.mean(axis=1, keepdims=True)) / signal.std(axis=1, keepdims=True)
    t = np.arange(n_samples) / SFREQ_HZ
    signal += rng.normal(0, 3, signal.shape) + 10 * np.sin(2 * np.pi * 10 * t) + 8 * np.sin(2 * np.pi * 50 * t + 1)
    return signal + 20000 * rng.uniform(-1, 1, (n_channels, 1))


def by_mne(signal: NDArray[np.float64], n_jobs: int) -> NDArray[np.float64]:
    """MNE's chain, with its defaults."""
    import mne

    out = mne.filter.filter_data(signal, SFREQ_HZ, 0.1, 75.0, n_jobs=n_jobs, verbose="ERROR")
    out = mne.filter.notch_filter(out, SFREQ_HZ, 50.0, n_jobs=n_jobs, copy=False, verbose="ERROR")
    out = mne.filter.resample(out, 256.0, SFREQ_HZ, n_jobs=n_jobs, verbose="ERROR")
    out -= out.mean(axis=0)
    return out


def by_us(signal: NDArray[np.float64], pool: ThreadPoolExecutor | None) -> NDArray[np.float32]:
    """Our fused pass."""
    n = signal.shape[1]
    chain = plan_chain(RECIPE, sfreq_hz=SFREQ_HZ, line_freq_hz=50.0)
    timeline = lay_out([Stretch(start_sample=0, n_samples=n)], n, chain.ratio)
    out = np.empty((len(signal), timeline.n_samples), np.float32)
    for start, chunk in standardise(signal, timeline, chain, rows=range(len(signal)), pool=pool):
        out[:, start : start + chunk.shape[1]] = chunk
    return out


def timed(run: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds, and the result."""
    begin = time.perf_counter()
    out = run()
    return time.perf_counter() - begin, out


def compare(minutes: float, rounds: int) -> dict[str, Any]:
    """Times of both sides on one and two cores, and their differences."""
    signal = eeg(64, int(minutes * 60 * SFREQ_HZ))
    hours = minutes / 60
    times: dict[str, list[float]] = {"mne_1": [], "ours_1": [], "mne_2": [], "ours_2": []}
    ours = theirs = None
    by_us(signal[:, : int(60 * SFREQ_HZ)], None)
    by_mne(signal[:4, : int(60 * SFREQ_HZ)], 1)
    with ThreadPoolExecutor(2) as pool:
        for _ in range(rounds):
            seconds, ours = timed(lambda: by_us(signal, None))
            times["ours_1"].append(seconds / hours)
            seconds, theirs = timed(lambda: by_mne(signal, 1))
            times["mne_1"].append(seconds / hours)
            seconds, _ = timed(lambda: by_us(signal, pool))
            times["ours_2"].append(seconds / hours)
            seconds, _ = timed(lambda: by_mne(signal, 2))
            # The signal has to be sent to its processes, which can cost more than it gains.
            times["mne_2"].append(min(seconds / hours, times["mne_1"][-1]))
    result: dict[str, Any] = {f"{k}_s_per_hour": statistics.median(v) for k, v in times.items()}
    result["ratio_one_core"] = statistics.median(m / o for m, o in zip(times["mne_1"], times["ours_1"], strict=True))
    result["ratio_two_cores"] = statistics.median(m / o for m, o in zip(times["mne_2"], times["ours_2"], strict=True))
    return {**result, **differences(ours, theirs)}


def differences(ours: NDArray[np.float32], theirs: NDArray[np.float64]) -> dict[str, Any]:
    """Differences over all samples, in microvolt and in int16 steps."""
    gap = np.abs(ours - theirs)
    steps, equal = 0, 0
    for a, b in zip(ours, theirs.astype(np.float32), strict=True):
        scale = scale_for(float(max(np.abs(a).max(), np.abs(b).max())))
        apart = np.abs(quantise(a, scale).astype(int) - quantise(b, scale).astype(int))
        steps, equal = max(steps, int(apart.max())), equal + int((apart == 0).sum())
    return {
        "max_abs_difference_uv": float(gap.max()),
        "rms_difference_uv": float(np.sqrt(np.mean(gap**2))),
        "max_difference_steps": steps,
        "equal_int16": equal / ours.size,
    }


DAY = """
import json, resource, sys, time
from pathlib import Path
import numpy as np
from eegprep.electrodes import Vocabulary
from eegprep.ingest.process import process
from eegprep.manifest import load_recipe
from eegprep.manifest.schema import Manifest
from eegprep.recording import Stretch
from eegprep.formats.decoded import LazySignal, SourceChannel
from eegprep.sources.base import SourceRecording
from eegprep.store import Store

hours, out = float(sys.argv[1]), Path(sys.argv[2])
names = Vocabulary.base().names[:64]
n = int(hours * 3600 * 512)
piece = np.random.default_rng(0).normal(0, 1, (64, 1 << 15))
spectrum = np.fft.rfft(piece, axis=1)
piece = np.fft.irfft(spectrum / np.maximum(np.arange(spectrum.shape[1]) / 64, 0.5), 1 << 15, axis=1)
piece = 300 + 20 * piece / piece.std(axis=1, keepdims=True)

def read(start, stop):
    period, parts = piece.shape[1], []
    while start < stop:
        end = min(stop, start - start % period + period)
        parts.append(piece[:, start % period : start % period + end - start])
        start = end
    return np.concatenate(parts, axis=1) if len(parts) != 1 else parts[0].copy()

manifest = Manifest.model_validate({
    "manifest": 1, "name": "day", "version": "1", "title": "A day", "citation": "none",
    "licence": {"id": "none"}, "source": {"kind": "files"}, "line_freq_hz": 50})
recording = SourceRecording(
    subject="1", session="", run="", sfreq_hz=512.0, signal=LazySignal(64, n, read), format="made", files=(),
    channels=tuple(SourceChannel(name=e, kind="eeg", unit="uV") for e in names),
    stretches=(Stretch(start_sample=0, n_samples=n),))
(out / "recordings").mkdir(parents=True)
begin = time.perf_counter()
info = process(recording, manifest=manifest, recipe=load_recipe("default_average"), vocabulary=Vocabulary.base(),
               store=Store(out))
seconds = time.perf_counter() - begin
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)
print(json.dumps({"peak_mib": peak, "seconds": seconds, "n_samples": info.n_samples}))
"""


def day(hours: float) -> dict[str, float]:
    """Ingest one long recording in a separate process."""
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, "-c", DAY, str(hours), str(Path(scratch) / "store")]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    return {f"peak_mib_{hours:g}h": found["peak_mib"], f"seconds_{hours:g}h": found["seconds"]}


def main() -> None:
    """Print the figures and write them as JSON if requested."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="length of the compared recording")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--hours", type=float, default=24.0, help="length of the long recording; 0 leaves it out")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    result = compare(options.minutes, options.rounds)
    print(f"64 channels, {SFREQ_HZ:g} to 256 Hz, {options.minutes:g} min; seconds per recording-hour, medians")
    for cores in (1, 2):
        print(
            f"  {cores} core{'s' if cores > 1 else ' '}: MNE {result[f'mne_{cores}_s_per_hour']:.2f}, "
            f"ours {result[f'ours_{cores}_s_per_hour']:.2f}, "
            f"ratio {result['ratio_one_core' if cores == 1 else 'ratio_two_cores']:.1f}"
        )
    print(
        f"  difference: at most {result['max_abs_difference_uv']:.5f} µV, rms {result['rms_difference_uv']:.6f} µV, "
        f"at most {result['max_difference_steps']} step of int16, {100 * result['equal_int16']:.2f} % equal"
    )
    if options.hours:
        result.update(day(options.hours))
        print(
            f"{options.hours:g} h x 64 channels x 512 Hz into a store: {result[f'seconds_{options.hours:g}h']:.0f} s, "
            f"peak {result[f'peak_mib_{options.hours:g}h']:.0f} MiB"
        )
    if options.json:
        kept = {k: v for k, v in result.items() if k in KEYS or k.startswith("peak_mib_")}
        options.json.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
