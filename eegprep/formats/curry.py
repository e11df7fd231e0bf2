"""Curry: epochs with their labels; what each event is called, and how long it lasts.

MNE gives all events of a code the remark of the first one, so different comments, which share a code, had one text. Of
epochs whose label stands for several types it keeps one type only.
"""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from eegprep.errors import InputError
from eegprep.formats.decoded import Decoded, SourceEvent
from eegprep.recording import Stretch

#: Columns of `NUMBER_LIST`: sample, (not used), code, (not used), first and last sample, and five more.
_N_COLUMNS = 11
_SAMPLE, _CODE, _FIRST, _LAST = 0, 2, 4, 5
#: Columns of `EPOCH_INFORMATION`: averages, epochs, type, accepted, and three about responses.
_N_ABOUT_EPOCH, _AVERAGES, _ACCEPTED = 7, 0, 3


def with_epochs_or_remarks(decoded: Decoded, path: Path) -> Decoded:
    """`decoded` as the epochs that the header lists, else with the events of the event file.

    Each epoch is a stretch, also if it has no label.

    Raises
    ------
    InputError
        The file contains averages.
    """
    header = _header(path)
    text = "" if header is None else header.read_text(encoding="latin-1")
    stated = {
        name: int(found[1])
        for name in ("NumSamples", "NumTrials")
        if (found := re.search(rf"^\s*{name}\s*=\s*(\d+)", text, re.M)) is not None
    }
    labels = [line.strip() for line in _listed(text, "EPOCH_LABELS").split("\n") if line.strip()]
    numbers = [int(v) for v in _listed(text, "EPOCH_INFORMATION").split() if re.fullmatch(r"-?\d+", v)]
    rows = [numbers[i : i + _N_ABOUT_EPOCH] for i in range(0, len(numbers) - _N_ABOUT_EPOCH + 1, _N_ABOUT_EPOCH)]
    if averaged := sum(row[_AVERAGES] > 1 for row in rows):
        raise InputError(
            f"{path.name} contains averages, not a recording",
            where=path,
            found=f"{averaged} of {len(rows)} are averages of several epochs",
            expected="continuous data or single epochs",
            todo="export the data before the average, or leave the file out",
        )
    n_samples, n_epochs = stated.get("NumSamples", 0), stated.get("NumTrials", 1)
    if n_samples < 1 or (n_epochs == 1 and not labels):
        return with_remarks(decoded, path)
    n_epochs = min(n_epochs, decoded.signal.shape[1] // n_samples)
    stretches = tuple(Stretch(start_sample=i * n_samples, n_samples=n_samples) for i in range(n_epochs))
    decoded = dataclasses.replace(decoded, stretches=stretches)
    notes = [f"{n_epochs} epochs of {n_samples / decoded.sfreq_hz:g} s"]
    if refused := sum(row[_ACCEPTED] == 0 for row in rows):
        notes.append(f"{refused} epochs are marked as not accepted; they are kept")
    if len(labels) != n_epochs:
        notes.append("the header has no label for each epoch" if labels else "the epochs have no labels")
        decoded = with_remarks(decoded, path)
        return dataclasses.replace(decoded, notes=(*decoded.notes, *notes))
    return dataclasses.replace(
        decoded,
        format="curry_epochs",
        events=(),
        trial_labels=tuple(zip(stretches, labels, strict=True)),
        notes=(*decoded.notes, *notes),
    )


def _header(path: Path) -> Path | None:
    """The header beside the samples, of Curry 8 or 7."""
    beside = [path.with_suffix(ending) for ending in (".cdt.dpa", ".cdt.dpo", ".dap")]
    return next((file for file in beside if file.is_file()), None)


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
