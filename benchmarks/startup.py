"""How long the commands take to answer `--help`: whole processes, beside an interpreter that does nothing.

    python benchmarks/startup.py [--rounds 9] [--json FILE]

The commands take turns in every round; the first round fills the page cache and is not counted. Beside the seconds that
pass stand those of the processor, which other work on the machine hardly changes.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

COMMANDS = {
    "python -c pass": ("-c", "pass"),
    "eegpt --help": ("-m", "_eegpt_cli.model", "--help"),
    "eegpt train --help": ("-m", "_eegpt_cli.model", "train", "--help"),
    "eegprep --help": ("-m", "_eegpt_cli.prep", "--help"),
    "eegprep manifest --help": ("-m", "_eegpt_cli.prep", "manifest", "--help"),
}


def processor_s() -> float:
    """CPU time of the child processes that have ended so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    took: dict[str, list[float]] = {name: [] for name in COMMANDS}
    worked: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for number in range(arguments.rounds + 1):
        for name, words in COMMANDS.items():
            began, before = time.perf_counter(), processor_s()
            subprocess.run([sys.executable, *words], stdout=subprocess.DEVNULL, check=True)
            if number:
                took[name].append(time.perf_counter() - began)
                worked[name].append(processor_s() - before)
    print(f"{'':26}{'median, s':>10}{'least':>8}{'most':>8}{'processor, s':>14}")
    for name, seconds in took.items():
        figures = f"{statistics.median(seconds):10.3f}{min(seconds):8.3f}{max(seconds):8.3f}"
        print(f"{name:26}{figures}{statistics.median(worked[name]):14.3f}")
    if arguments.json:
        arguments.json.write_text(json.dumps({"seconds": took, "processor_s": worked}, indent=1))


if __name__ == "__main__":
    main()
