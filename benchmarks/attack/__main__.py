from __future__ import annotations

import argparse
import functools
import sys
from pathlib import Path

import inputs
import pool


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--inputs", type=int, default=1000)
    parser.add_argument("--kind")
    parser.add_argument("--only", type=int)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    folder = pool.scratch()
    table = pool.Table()
    try:
        originals = Path(folder) / "originals"
        originals.mkdir()
        inputs.originals(originals)
        parts = sum(n for _, n in inputs.KINDS.values())
        for kind, (attack, part) in inputs.KINDS.items():
            if options.kind not in (None, kind):
                continue
            make = functools.partial(attack, originals=originals, seed=options.seed)
            if options.only is not None:
                own = Path(folder) / "own"
                own.mkdir()
                print(make(own).run(options.only))
                return 0
            n = options.inputs if options.kind else options.inputs * part // parts
            pool.run(table, kind, make, range(n), options.workers)
    finally:
        pool.remove(folder)
    table.print()
    return bool(table.faults)


if __name__ == "__main__":
    sys.exit(main())
