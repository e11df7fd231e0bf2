"""Curry: what each event is called, and how long it lasts.

MNE gives all events of a code the remark of the first one, so different comments, which share a code, had one text.
"""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from eegprep.formats.decoded import Decoded, SourceEvent

#: Columns of `NUMBER_LIST`: sample, (not used), code, (not used), first and last sample, and five more.
_N_COLUMNS = 11
_SAMPLE, _CODE, _FIRST, _LAST = 0, 2, 4, 5


def with_remarks(decoded: Decoded, path: Path) -> Decoded:
    """`decoded` with the events of the event file: its remark names an event, or its code where it has none.

    Where the events of a code have different remarks, each is called by its code as well.
    """
    names = [path.with_suffix(".cef"), path.with_suffix(".ceo")]
    if path.suffix.lower() == ".cdt":
        names = [path.with_name(path.name + ending) for ending in (".cef", ".ceo")]
    file = next((f for f in names if f.is_file()), None)
    if file is None:
        return decoded
    text = file.read_text(encoding="latin-1")
    numbers = [int(v) for v in _listed(text, "NUMBER_LIST").split() if re.fullmatch(r"-?\d+", v)]
    rows = [numbers[i : i + _N_COLUMNS] for i in range(0, len(numbers) - _N_COLUMNS + 1, _N_COLUMNS)]
    remarks = [line.strip() for line in _listed(text, "REMARK_LIST").split("\n")[: len(rows)]]
    remarks += [""] * (len(rows) - len(remarks))
    if len(rows) * _N_COLUMNS != len(numbers) or not rows:
        return decoded
    called: dict[int, set[str]] = {}
    for row, remark in zip(rows, remarks, strict=True):
        called.setdefault(row[_CODE], set()).add(remark)
    events: list[SourceEvent] = []
    for row, remark in zip(rows, remarks, strict=True):
        code = str(row[_CODE])
        lasts = max(0, row[_LAST] - row[_FIRST]) if row[_FIRST] == row[_SAMPLE] else 0
        texts = {remark or code, code} if len(called[row[_CODE]]) > 1 else {remark or code}
        events += [
            SourceEvent(start_sample=row[_SAMPLE], n_samples=lasts, text=t, witness="annotations")
            for t in sorted(texts)
            if 0 <= row[_SAMPLE] < decoded.signal.shape[1]
        ]
    others = [e for e in decoded.events if e.witness != "annotations"]
    return dataclasses.replace(decoded, events=tuple(sorted((*others, *events))))


def _listed(text: str, name: str) -> str:
    """The lines of a list of the event file."""
    found = re.search(rf"^{name} START_LIST[^\n]*\n(.*?)^{name} END_LIST", text.replace("\r\n", "\n"), re.M | re.S)
    return "" if found is None else found[1]
