"""A campaign against our own commands: kills, hostile inputs, full disks, canaries, altered copies.

    python benchmarks/attack                              # the long campaign, hours on a slow machine
    python benchmarks/attack --short                      # less than 50 s of processor time, as in the tests
    python benchmarks/attack --seed 7 --only "shard sets" 4711    # one attack again, errors and all

Prints a table: tried; equal (the bytes of an undisturbed run, or an input that is taken and consistent); refused (one
of our errors with its exit code); faults (a traceback, a hang, more than 1 GiB of memory, a silent difference, a leak).
Each fault is printed with the number that repeats it. Exit code 1 if there is one.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import commands
import examples
import inputs
import leaks
import pool

#: Attacks of the long and the short campaign by kind.
LONG = {
    "kills": 200, "two at once": 24, "small disk": 24, "few open files": 24, "manifests": 5000, "vocabularies": 2000,
    "recordings": 5000, "shard sets": 3000, "checkpoints": 400, "archives": 5000, "canaries": 46, "altered copies": 170,
}  # fmt: skip
SHORT = {
    "kills": 8, "two at once": 4, "small disk": 4, "few open files": 4, "manifests": 60, "vocabularies": 40,
    "recordings": 31, "shard sets": 40, "checkpoints": 10, "archives": 100, "canaries": 23, "altered copies": 17,
}  # fmt: skip
ATTACKS: dict[str, Any] = {**commands.KINDS, **inputs.KINDS, **leaks.KINDS}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--kinds", help="only these, separated by commas, each perhaps with =NUMBER of attacks")
    parser.add_argument("--only", nargs=2, metavar=("KIND", "NUMBER"), help="one attack, in this process")
    parser.add_argument("--workers", type=int, default=min(8, os.cpu_count() or 1))
    parser.add_argument("--minutes", type=float, help="end earlier after this time")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    numbers = dict(SHORT if options.short else LONG)
    if options.kinds:
        chosen = dict(one.partition("=")[::2] for one in options.kinds.split(","))
        numbers = {kind: int(n or numbers[kind]) for kind, n in chosen.items()}
    began, folder, table = time.time(), Path(pool.scratch()), pool.Table()
    end = began + 60 * options.minutes if options.minutes else float("inf")
    try:
        originals = folder / "originals"
        originals.mkdir()
        examples.originals(originals)
        if options.only or not numbers.keys().isdisjoint(commands.KINDS):
            commands.originals(originals)
        if options.only:
            kind, number = options.only
            (folder / "own").mkdir()
            print(ATTACKS[kind](folder / "own", originals, options.seed).run(int(number)))
            return 0
        for kind, n in numbers.items():
            make = functools.partial(ATTACKS[kind], originals=originals, seed=options.seed)
            pool.run(table, kind, make, range(n), options.workers, end)
            if options.json:
                counts = {k: dict(c) for k, c in table.counts.items()}
                found = {"seed": options.seed, "counts": counts, "faults": table.faults}
                options.json.write_text(json.dumps(found, indent=1) + "\n")
    finally:
        pool.remove(str(folder))
    table.print()
    print(f"seed {options.seed}, {options.workers} processes, {(time.time() - began) / 60:.1f} minutes")
    return bool(table.faults)


if __name__ == "__main__":
    sys.exit(main())
