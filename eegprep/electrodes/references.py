"""What a channel was measured against, and the algebra of derivations.

A reference is an electrode of the vocabulary, one of `SCHEMES`, or `unknown`. `combine` expresses wanted derivations as
sums of recorded ones: A-B and B-C give A-C, and electrodes that are connected by derivations give their average
reference. What cannot be derived is reported, never guessed: in particular, two channels with an unknown reference are
not assumed to have the same one.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from eegprep.electrodes.vocabulary import Vocabulary
from eegprep.errors import UsageError, nearest

UNKNOWN, AVERAGE = "unknown", "average"
#: References that are not electrodes of the vocabulary, in a fixed order: a model numbers them.
SCHEMES = (
    UNKNOWN, AVERAGE, "linked ears", "linked mastoids", "CMS/DRL", "REST", "A1", "A2", "nose", "nasion", "Laplacian",
    "non-cephalic", "T1", "T2", "Sp1", "Sp2", "bipolar", "contralateral",
)  # fmt: skip
#: References that differ from channel to channel, so that they do not cancel.
_NOT_COMMON = frozenset({UNKNOWN, "Laplacian", "bipolar", "contralateral"})

#: Short forms of references after the dash of a derivation, and the reference that they name.
_REFERENCE_OF_FORM = {
    "REF": UNKNOWN, "LE": "linked ears", "A1A2": "linked ears", "CLE": "linked ears", "M1M2": "linked mastoids",
    "AVG": AVERAGE, "nasion": "nasion", "0V": "non-cephalic", "BN": "non-cephalic", "T1": "T1", "T2": "T2",
    "Sp1": "Sp1", "Sp2": "Sp2", "A1": "A1", "A2": "A2", "nose": "nose", "CMS": "CMS/DRL", "REST": "REST",
    "Laplacian": "Laplacian",
}  # fmt: skip
_FORM_OF_WORD = {
    "ref": "REF", "ref1": "REF", "ref2": "REF", "reference": "REF", "vref": "REF", "org": "REF",
    "lm": "REF", "rm": "REF",  # linked mastoids, or the left and the right one
    "le": "LE", "linked": "LE", "linkedears": "LE", "linkedear": "LE", "ears": "LE",
    "a1a2": "A1A2", "a2a1": "A1A2", "a12": "A1A2", "aa": "A1A2",
    "m1m2": "M1M2", "m2m1": "M1M2", "mastoids": "M1M2", "linkedmastoids": "M1M2",
    "avg": "AVG", "ave": "AVG", "av": "AVG", "ar": "AVG", "car": "AVG", "average": "AVG", "avgref": "AVG",
    "averagereference": "AVG", "commonaverage": "AVG", "commonavg": "AVG", "mean": "AVG", "nasion": "nasion",
    "nz": "nasion", "0v": "0V", "bn": "BN", "t1": "T1", "t2": "T2", "sp1": "Sp1", "sp2": "Sp2", "a1": "A1", "a2": "A2",
    "nose": "nose", "cms": "CMS", "lap": "Laplacian", "cle": "CLE", "rest": "REST",
}  # fmt: skip
# Words of manifests and sidecars.
_STATED = {
    "cmsdrl": "CMS/DRL", "leftear": "A1", "leftearlobe": "A1", "rightear": "A2", "rightearlobe": "A2",
    "leftmastoid": "M1", "rightmastoid": "M2", "linkedearlobes": "linked ears", "averagedears": "linked ears",
    "averagedmastoids": "linked mastoids", "averagemastoids": "linked mastoids", "laplacian": "Laplacian",
    "commonaveragereference": AVERAGE, "nosetip": "nose", "tipofnose": "nose", "noncephalic": "non-cephalic",
    "bipolar": "bipolar", "contralateralmastoid": "contralateral", "contralateralmastoids": "contralateral",
    "contralateralear": "contralateral", "contralateralearlobe": "contralateral",
}  # fmt: skip


def _plain(word: str) -> str:
    return re.sub(r"[ ()+/_&.]", "", word.casefold())


def reference_word(word: str) -> str | None:
    """The short form of a reference that is not an electrode (`REF`, `LE`, `A1A2`), or None if it is unknown."""
    return _FORM_OF_WORD.get(_plain(word))


def canonical_reference(vocabulary: Vocabulary, text: str) -> str:
    """A stated reference as an electrode, one of `SCHEMES`, or `unknown`."""
    name = text.strip()
    if name in vocabulary:
        return vocabulary.canonical(name)
    if name in SCHEMES:
        return name
    found = _REFERENCE_OF_FORM.get(reference_word(name) or "") or _STATED.get(_plain(name), UNKNOWN)
    # Mastoids are electrodes, but not of every vocabulary.
    return found if found in SCHEMES or found in vocabulary else UNKNOWN


def stated_reference(vocabulary: Vocabulary, text: str | None, *, allow_unknown: bool = True) -> str:
    """A reference that a user states: as `canonical_reference`, but a word that is not known is refused; None: unknown.

    Raises
    ------
    UsageError
        The word is neither an electrode of the vocabulary nor a scheme.
    """
    if text is not None and not isinstance(text, str):
        raise UsageError("a reference must be a name", found=repr(text)[:200], expected="an electrode, average, ...")
    found = UNKNOWN if text is None else canonical_reference(vocabulary, text)
    says_unknown = allow_unknown and text is not None and (_plain(text) == UNKNOWN or reference_word(text) == "REF")
    if text is not None and found == UNKNOWN and not says_unknown:
        raise UsageError(
            f"unknown reference {text!r}",
            expected="an electrode, average, linked ears, linked mastoids, ...",
            todo=nearest(text, (*vocabulary.names, *SCHEMES)) or None,
        )
    return found


@dataclass(frozen=True, kw_only=True)
class Combination:
    """A derivation as a sum of rows: `sum(coefficient * signal[row] for row, coefficient in terms)`."""

    electrode: str
    reference: str
    terms: tuple[tuple[int, float], ...]


@dataclass(frozen=True, kw_only=True)
class Derived:
    """The derivations of a view, and the electrodes that cannot be derived, with reasons."""

    combinations: tuple[Combination, ...]
    missing: tuple[tuple[str, str], ...] = ()


class Derivations:
    """The recorded derivations of some channels as a graph: nodes are electrodes and references.

    Parameters
    ----------
    electrodes, references : sequence of str
        Of each row. Rows with an unknown reference are only available as they are.
    """

    def __init__(self, electrodes: Sequence[str], references: Sequence[str]) -> None:
        self.electrodes, self.references = tuple(electrodes), tuple(references)
        self._edges: dict[str, list[tuple[str, int, float]]] = {}
        for row, (a, b) in enumerate(zip(electrodes, references, strict=True)):
            if b not in _NOT_COMMON and a != b:
                self._edges.setdefault(a, []).append((b, row, 1.0))
                self._edges.setdefault(b, []).append((a, row, -1.0))

    def path(self, electrode: str, reference: str) -> tuple[tuple[int, float], ...] | None:
        """The rows whose signed sum is electrode - reference, with the fewest rows; None if there is no such sum."""
        for row, pair in enumerate(zip(self.electrodes, self.references, strict=True)):
            if pair == (electrode, reference):
                return ((row, 1.0),)
        found = self._paths(electrode)
        return found.get(reference) if electrode != reference else None

    def to(self, reference: str) -> Derived:
        """Every electrode that was recorded against one reference: an electrode, a scheme, or `average`.

        Electrodes that were only a reference (O1 of P3-O1) are not among them.
        """
        names = tuple(dict.fromkeys(self.electrodes))
        recorded = reference in self.references
        if reference == AVERAGE and not recorded:
            return self._average(names)
        if reference in _NOT_COMMON:
            raise UsageError(
                f"signals cannot be re-referenced to {reference!r}",
                expected="an electrode, a common reference that was recorded, or average",
            )
        combinations, missing = [], []
        for name in names:
            if name == reference:
                continue
            terms = self.path(name, reference)
            if terms is None:
                missing.append((name, self._why_not(name, reference)))
            else:
                combinations.append(Combination(electrode=name, reference=reference, terms=terms))
        return Derived(combinations=tuple(combinations), missing=tuple(missing))

    def cycles(self) -> list[tuple[tuple[int, float], ...]]:
        """Signed sums of rows that are zero if the derivations are consistent: one for each row that closes a cycle."""
        paths: dict[str, dict[str, tuple[tuple[int, float], ...]]] = {}
        root: dict[str, str] = {}
        for start in self._edges:
            if start not in root:
                paths[start] = self._paths(start)
                root.update(dict.fromkeys((start, *paths[start]), start))
        out = []
        for row, (a, b) in enumerate(zip(self.electrodes, self.references, strict=True)):
            if b in _NOT_COMMON or a == b:
                continue
            tree = paths[root[a]]
            # start - b, minus start - a, minus a - b
            terms = _sum((tree.get(b, ()), 1.0), (tree.get(a, ()), -1.0), (((row, 1.0),), -1.0))
            if terms:
                out.append(terms)
        return out

    def _average(self, names: Sequence[str]) -> Derived:
        if len(names) < 2:
            return Derived(
                combinations=(), missing=tuple((n, "an average needs two electrodes or more") for n in names)
            )
        paths = self._paths(names[0])
        lost = [n for n in names[1:] if n not in paths]
        if lost:
            reason = f"{names[0]} and {lost[0]} are not connected by derivations, so there is no common reference"
            return Derived(combinations=(), missing=tuple((n, reason) for n in names))
        # n - first is minus the path from the first; the mean over all electrodes is subtracted from each.
        own = {n: _sum((paths.get(n, ()), -1.0)) for n in names}
        mean = _sum(*((own[n], 1.0 / len(names)) for n in names))
        return Derived(
            combinations=tuple(
                Combination(electrode=n, reference=AVERAGE, terms=_sum((own[n], 1.0), (mean, -1.0))) for n in names
            )
        )

    def _paths(self, start: str) -> dict[str, tuple[tuple[int, float], ...]]:
        """For every node connected to `start`: the rows whose signed sum is start - node, with the fewest rows."""
        out: dict[str, tuple[tuple[int, float], ...]] = {}
        waiting = deque([start])
        while waiting:
            node = waiting.popleft()
            for other, row, sign in self._edges.get(node, ()):
                if other != start and other not in out:
                    out[other] = (*out.get(node, ()), (row, sign))
                    waiting.append(other)
        return out

    def _why_not(self, electrode: str, reference: str) -> str:
        own = sorted({r for e, r in zip(self.electrodes, self.references, strict=True) if e == electrode})
        if set(own) <= _NOT_COMMON:
            return f"{electrode} was measured against {' and '.join(own)}"
        return f"no derivations connect {electrode} (measured against {' and '.join(own)}) with {reference}"


def _sum(*parts: tuple[Sequence[tuple[int, float]], float]) -> tuple[tuple[int, float], ...]:
    total: dict[int, float] = {}
    for terms, factor in parts:
        for row, coefficient in terms:
            total[row] = total.get(row, 0.0) + factor * coefficient
    return tuple((row, value) for row, value in sorted(total.items()) if abs(value) > 1e-12)


def common_reference(references: Sequence[str]) -> str | None:
    """The one reference of all channels, or None if they have several, or one that differs between them.

    Channels of a recording that states no reference (`unknown`) have that of their amplifier in common.
    """
    found = set(references)
    return None if len(found) != 1 or found & (_NOT_COMMON - {UNKNOWN}) else found.pop()


def numbered_references(vocabulary: Vocabulary) -> tuple[str, ...]:
    """The references that `reference_numbers` numbers, in order."""
    return (UNKNOWN, *vocabulary.names, *SCHEMES[1:])


def reference_numbers(vocabulary: Vocabulary, references: Sequence[str]) -> list[int]:
    """Numbers of references for a model: 0 unknown, then the vocabulary's electrodes, then the named schemes."""
    numbers = []
    for text in references:
        name = canonical_reference(vocabulary, text)
        if name in vocabulary:
            numbers.append(1 + vocabulary.id_of(name))
        else:
            at = SCHEMES.index(name)
            numbers.append(len(vocabulary) + at if at else 0)
    return numbers
