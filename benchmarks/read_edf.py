"""How long does it take to read an EDF file through our reader, through the whole source, and through MNE?

One recording of 64 channels at 512 Hz is made, read in parts of 128 s by each in turn, three rounds, in one run. All
three give microvolt (MNE: volts) as float64. The whole source also proves the unit, hashes the file, and hands the
samples over from a worker process. Prints seconds per recording-hour; `--json FILE` keeps them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

N_CHANNELS, SFREQ_HZ, PART = 64, 512, 65536


def write(path: Path, minutes: int) -> None:
    """A plain EDF file of one-second records that repeats the same minute."""
    n = N_CHANNELS

    def field(values: list[object], size: int) -> bytes:
        return b"".join(str(v).encode("ascii").ljust(size) for v in values)

    head = field([0], 8) + field([""] * 2, 80) + b"01.01.85" + b"00.00.00" + field([256 * (n + 1)], 8)
    head += field([""], 44) + field([60 * minutes], 8) + field([1], 8) + field([n], 4)
    head += field([f"E{i}" for i in range(n)], 16) + field([""] * n, 80) + field(["uV"] * n, 8)
    for limit in (-3276.7, 3276.7, -32767, 32767):
        head += field([limit] * n, 8)
    head += field([""] * n, 80) + field([SFREQ_HZ] * n, 8) + field([""] * n, 32)
    walk = np.cumsum(np.random.default_rng(0).standard_normal((60, n, SFREQ_HZ)), axis=2) * 20
    minute = walk.astype("<i2").tobytes()
    with path.open("wb") as handle:
        handle.write(head)
        for _ in range(minutes):
            handle.write(minute)


def seconds(read: Callable[[], None]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    read()
    return time.perf_counter() - start


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()

    import mne

    from eegprep.formats.edf.read import read_edf
    from eegprep.processes import isolated_reader
    from eegprep.sources import manifest_for_path, open_source

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.edf"
        write(path, options.minutes)
        n_samples = 60 * options.minutes * SFREQ_HZ
        manifest = manifest_for_path(path)
        (planned,) = open_source(manifest, path).plan()

        def own() -> None:
            signal = read_edf(path).signal
            for start in range(0, n_samples, PART):
                signal[:, start : start + PART]

        def theirs() -> None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                raw = mne.io.read_raw_edf(path, verbose="ERROR")
                for start in range(0, n_samples, PART):
                    raw[:, start : start + PART]

        with isolated_reader(manifest, path) as reader:

            def worker() -> None:
                signal = reader.read(planned).signal
                for start in range(0, n_samples, PART):
                    signal[:, start : start + PART]

            ways = {"own reader": own, "whole source, in a worker": worker, "MNE": theirs}
            worker()  # the worker process is started once per run
            times: dict[str, list[float]] = {name: [] for name in ways}
            for _ in range(options.rounds):
                for name, read in ways.items():
                    times[name].append(seconds(read))
    per_hour = {name: 60 / options.minutes * statistics.median(t) for name, t in times.items()}
    print(f"{N_CHANNELS} channels, {SFREQ_HZ} Hz, {options.minutes} min, median of {options.rounds} rounds")
    for name, value in per_hour.items():
        print(f"{name:<28}{value:8.2f} s per recording-hour")
    if options.json:
        options.json.write_text(json.dumps({"seconds_per_hour": per_hour}, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
