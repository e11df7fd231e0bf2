"""The source kind `uci`: the text trials of the UCI EEG Database, one gzipped file per trial.

The trials of a subject become one recording, each a one-second stretch labelled with its stimulus (`S1 obj`, `S2
match`, `S2 nomatch`). The fourth letter of a subject's id says whether the subject was alcoholic (`a`) or a control
(`c`): it becomes the attribute `group`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from eegprep.errors import InputError
from eegprep.formats.decoded import Decoded, SourceChannel, check_rate
from eegprep.formats.tables.text import open_text
from eegprep.recording import Stretch

_GROUPS = {"a": "alcoholic", "c": "control"}
_RATE = re.compile(r"#\s*(\d+(?:\.\d*)?)\s*msecs\s*uV")
_CONDITION = re.compile(r"#\s*(S[12] [a-z]+(?: err)?)\s*,\s*trial")
_CHANNEL = re.compile(r"#\s*(\S+)\s+chan\s+\d+")


def group_of(subject: str) -> dict[str, str]:
    """The attribute encoded in a subject's id."""
    letter = subject[3:4]
    return {"group": _GROUPS[letter]} if subject.startswith("co2") and letter in _GROUPS else {}


def _bad(path: Path, what: str, found: object, expected: object) -> InputError:
    return InputError(f"{path.name}: {what}", where=path, found=found, expected=expected, todo="get the file again")


def _trial(path: Path) -> tuple[float, str, dict[str, np.ndarray]]:
    text = open_text(path).decode("latin-1")
    rate, condition = _RATE.search(text), _CONDITION.search(text)
    if rate is None or condition is None:
        raise _bad(path, "not a trial of the UCI EEG Database", "no such header", "`# ... msecs uV`, `# S1 obj`")
    channels: dict[str, np.ndarray] = {}
    parts = _CHANNEL.split(text)[1:]
    for name, body in zip(parts[::2], parts[1::2], strict=True):
        rows = [line.split() for line in body.splitlines() if line.strip() and not line.startswith("#")]
        if any(len(r) != 4 or r[1] != name for r in rows):
            raise _bad(path, f"channel {name} has a damaged line", "not four fields", "trial, channel, sample, value")
        try:
            at, values = [int(r[2]) for r in rows], [float(r[3]) for r in rows]
        except ValueError:
            raise _bad(path, f"channel {name} has a damaged line", "not a number", "a sample and its value") from None
        if at != list(range(len(rows))):
            raise _bad(path, f"channel {name} lacks samples", f"{len(rows)} samples out of order", "0, 1, 2, ...")
        channels[name] = np.array(values)
    lengths = {v.size for v in channels.values()}
    if len(lengths) != 1 or 0 in lengths:
        raise _bad(path, "the channels differ in length", sorted(lengths), "the same number of samples per channel")
    return check_rate(1000.0 / max(float(rate[1]), 1e-9), path), condition[1], channels


def read_uci(paths: Sequence[Path]) -> Decoded:
    """All trials of one subject, in the order of their file names."""
    trials = [_trial(p) for p in paths]
    rate, _, first = trials[0]
    names = list(first)
    stretches: list[Stretch] = []
    blocks: list[np.ndarray] = []
    start = 0
    for path, (own_rate, _, channels) in zip(paths, trials, strict=True):
        if list(channels) != names or abs(own_rate - rate) > 1e-6:
            raise _bad(path, "its channels or rate differ from those of the first trial", list(channels)[:4], names[:4])
        block = np.stack([channels[n] for n in names])
        blocks.append(block)
        stretches.append(Stretch(start_sample=start, n_samples=block.shape[1]))
        start += block.shape[1]
    return Decoded(
        format="uci",
        # 3.906 ms is 256 Hz written with four digits
        sfreq_hz=float(round(rate)) if abs(rate - round(rate)) < 0.02 else rate,
        channels=tuple(SourceChannel(name=n, unit="uV", unit_evidence="the header says uV") for n in names),
        signal=np.concatenate(blocks, axis=1),
        stretches=tuple(stretches),
        trial_labels=tuple((s, condition) for s, (_, condition, _) in zip(stretches, trials, strict=True)),
    )
