"""Caps with numbered inputs, resolved by the manufacturer's table.

On a 128-channel BioSemi cap, `C3` is the third input of the third ribbon, far from the 10-20 system's C3. So these
tables apply only if the manifest states the system; `letters_of_inputs` recognises files with ambiguous names.
"""

from __future__ import annotations

import functools
import importlib.resources
import re
import string
from collections import Counter
from collections.abc import Mapping, Sequence

from eegprep.electrodes.naming import is_ten_five
from eegprep.errors import UsageError, nearest

# The tables in caps/; see its README for their sources.
SYSTEMS = ("bbci", "biosemi128", "biosemi160", "biosemi256", "biosemi32", "biosemi64", "egi128", "egi256")

_BIOSEMI = re.compile(r"[A-H]([1-9]|[12][0-9]|3[0-2])", re.IGNORECASE)
_LABEL = re.compile(r"([A-Z])([1-9][0-9]{0,2})", re.IGNORECASE)
#: Letters that clinical and EGI files use in addition to or instead of 10-20 names.
_OTHERS = frozenset("EX")
#: Ear lobes, mastoids and old 10-20 names.
_NO_INPUTS = frozenset({("A", 1), ("A", 2), ("M", 1), ("M", 2), *(("T", n) for n in range(1, 7))})
_EGI = re.compile(r"E([1-9]|[1-9][0-9]|1[0-9][0-9]|2[0-4][0-9]|25[0-8])", re.IGNORECASE)


@functools.cache
def table(system: str) -> Mapping[str, tuple[str, str]]:
    """(electrode, evidence) by a channel's lower-case name; UsageError for an unknown system."""
    if (folded := system.casefold()) not in SYSTEMS:
        raise UsageError(
            f"unknown electrode system {system!r}", expected=", ".join(SYSTEMS), todo=nearest(system, SYSTEMS) or None
        )
    text = (importlib.resources.files("eegprep.electrodes") / "caps" / f"{folded}.tsv").read_text("utf-8")
    rows = [line.split("\t") for line in text.splitlines()[1:]]
    return {channel.casefold(): (electrode, evidence) for channel, electrode, evidence in rows}


def evident(names: Sequence[str]) -> str | None:
    """`bbci` if there are names used only by the Berlin group (CFC3, PCP5, FAF1), else None."""
    return "bbci" if any(re.fullmatch(r"(CFC|PCP|FAF)[1-8]", n, re.IGNORECASE) for n in names) else None


def is_numbered(name: str, system: str) -> bool:
    """Whether a name is an input number in this system."""
    if system.casefold().startswith("biosemi"):
        return _BIOSEMI.fullmatch(name) is not None
    return system.casefold().startswith("egi") and _EGI.fullmatch(name) is not None


def looks_numbered(name: str) -> bool:
    """Whether a name has the form of BioSemi's or EGI's numbers."""
    return _BIOSEMI.fullmatch(name) is not None or _EGI.fullmatch(name) is not None


def only_eyes(names: Sequence[str]) -> bool:
    """Whether E1 and E2 are EOG channels of a sleep laboratory; EGI caps also have E3 and more."""
    inputs = {n.upper() for n in names if _EGI.fullmatch(n)}
    return bool(inputs) and inputs <= {"E1", "E2"}


def letters_of_inputs(names: Sequence[str]) -> str:
    """The letters that number inputs in this file (A1, A2, ..., B1, ...); empty for most files.

    BioSemi's ribbons are A to H; contacts of grids and depth electrodes can have any letter. They are recognised by
    more A's than the two ear lobes, five B's, five names outside the 10-05 system (B3, C9, I5), or A1, B1 and D1. Then
    no letter with a number is a position, except M1 and M2 if the letters end before L.
    """
    labels = {(m[1].upper(), int(m[2])) for n in names if (m := _LABEL.fullmatch(n)) is not None}
    count = Counter(letter for letter, _ in labels)
    foreign = [a for a, n in labels - _NO_INPUTS if a not in _OTHERS and not is_ten_five(f"{a}{n}")]
    first = {("A", 1), ("B", 1), ("D", 1)} <= labels
    if not (count["A"] > 4 or count["B"] > 4 or len(foreign) > 4 or first):
        return ""
    return "".join(a for a in string.ascii_uppercase if a != "M" or count["M"] > 2 or "L" in count)


def is_input_label(name: str, letters: str) -> bool:
    """Whether a name is one of these letters and a number."""
    found = _LABEL.fullmatch(name)
    return found is not None and found[1].upper() in letters
