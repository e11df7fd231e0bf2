"""Caps that number their inputs: what a number means is a table of the maker, never a likeness of names.

On a BioSemi cap of 128, `C3` is the third input of the third ribbon, far from the 10-20 system's C3. So these tables
apply only where the manifest states the system; `numbered_like_biosemi` tells a file whose names can't be trusted.
"""

from __future__ import annotations

import functools
import importlib.resources
import re
from collections.abc import Mapping, Sequence

from eegprep.errors import UsageError, nearest

__all__ = [
    "SYSTEMS",
    "table",
    "evident",
    "is_numbered",
    "looks_numbered",
    "is_biosemi_label",
    "numbered_like_biosemi",
    "only_eyes",
]

# The tables in caps/, whose README says where each is from.
SYSTEMS = ("bbci", "biosemi128", "biosemi160", "biosemi256", "biosemi32", "biosemi64", "egi128", "egi256")

_BIOSEMI = re.compile(r"[A-H]([1-9]|[12][0-9]|3[0-2])", re.IGNORECASE)
_EGI = re.compile(r"E([1-9]|[1-9][0-9]|1[0-9][0-9]|2[0-4][0-9]|25[0-8])", re.IGNORECASE)


@functools.cache
def table(system: str) -> Mapping[str, tuple[str, str]]:
    """(electrode, how that is known) by a channel's name in lower case; UsageError for an unknown system."""
    if (folded := system.casefold()) not in SYSTEMS:
        raise UsageError(
            f"unknown electrode system {system!r}", expected=", ".join(SYSTEMS), todo=nearest(system, SYSTEMS) or None
        )
    text = (importlib.resources.files("eegprep.electrodes") / "caps" / f"{folded}.tsv").read_text("utf-8")
    rows = [line.split("\t") for line in text.splitlines()[1:]]
    return {channel.casefold(): (electrode, evidence) for channel, electrode, evidence in rows}


def evident(names: Sequence[str]) -> str | None:
    """`bbci` where names that only the Berlin group uses (CFC3, PCP5, FAF1) show its naming, else None."""
    return "bbci" if any(re.fullmatch(r"(CFC|PCP|FAF)[1-8]", n, re.IGNORECASE) for n in names) else None


def is_numbered(name: str, system: str) -> bool:
    """Whether a name is an input's number in this system."""
    if system.casefold().startswith("biosemi"):
        return _BIOSEMI.fullmatch(name) is not None
    return system.casefold().startswith("egi") and _EGI.fullmatch(name) is not None


def is_biosemi_label(name: str) -> bool:
    """Whether a name could be an input of a BioSemi box: A1 to H32."""
    return _BIOSEMI.fullmatch(name) is not None


def looks_numbered(name: str) -> bool:
    """Whether a name is of the form of BioSemi's or EGI's numbers."""
    return is_biosemi_label(name) or _EGI.fullmatch(name) is not None


def only_eyes(names: Sequence[str]) -> bool:
    """Whether E1 and E2 are a sleep laboratory's eyes and no EGI inputs: these come with E3 and more."""
    inputs = {n.upper() for n in names if _EGI.fullmatch(n)}
    return bool(inputs) and inputs <= {"E1", "E2"}


def numbered_like_biosemi(names: Sequence[str]) -> bool:
    """Whether a file's names run A1, A2, ...: more A's than the two ear lobes, or a B, which no 10-20 name has."""
    labels = {n.upper() for n in names if is_biosemi_label(n)}
    ribbon_a = {n for n in labels if n.startswith("A")}
    ribbon_b = {n for n in labels if n.startswith("B")}
    return len(ribbon_a) > 4 or len(ribbon_b) > 4
