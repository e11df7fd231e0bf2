"""Match the names of subjects, sessions or runs written in manifests, subject tables and subsets.

The exact name has precedence; else `sub-01` is `01` and `1` is `01`, if only one subject matches. Nothing else is
guessed, since a subject in the wrong split would be an unnoticed leak.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from eegprep.errors import UsageError, nearest
from eegprep.manifest.schema import Manifest, SplitRule
from eegprep.privacy import pseudonym

SPLITS = ("train", "validation", "test")
_SHOWN = 10


class Names:
    """Look up subjects, sessions or runs by any of their names.

    Parameters
    ----------
    known : mapping of str to iterable of str
        Stored name of each to its names in the files.
    kind : str
        `subject`, `session` or `run`, for messages.
    hide : callable, optional
        Converts an unknown name to its stored form; by default unchanged.
    """

    def __init__(
        self, known: Mapping[str, Iterable[str]], kind: str = "subject", hide: Callable[[str], str] = str
    ) -> None:
        self.kind, self.hide = kind, hide
        self.known = {stored: tuple(dict.fromkeys(own)) or (stored,) for stored, own in known.items()}
        self._exact: dict[str, set[str]] = {}
        self._alike: dict[str, set[str]] = {}
        self._loose: dict[str, set[str]] = {}
        for stored, own in self.known.items():
            for name in (stored, *own):
                self._exact.setdefault(name, set()).add(stored)
                self._alike.setdefault(plain(name), set()).add(stored)
                self._loose.setdefault(loosely(name), set()).add(stored)

    def find(self, written: str, *, where: str = "") -> str | None:
        """The stored name that `written` refers to; None if there is none.

        Raises
        ------
        UsageError
            The name is ambiguous.
        """
        for index, name in ((self._exact, written), (self._alike, plain(written))):
            if found := index.get(name):
                if len(found) > 1:
                    raise UsageError(
                        f"{self.kind} {written!r} is ambiguous",
                        where=where or None,
                        found=", ".join(sorted(map(self.shown, found))[:_SHOWN]),
                        expected=f"the name of one {self.kind}",
                        todo="write the name exactly as in the files",
                    )
                return next(iter(found))
        return None

    def shown(self, stored: str) -> str:
        """The name as the owner of the files knows it."""
        return self.known[stored][0]

    def resembles(self, written: str) -> bool:
        """Whether a name differs from `written` only in case, spaces, punctuation or leading zeros."""
        return loosely(written) in self._loose

    def unknown(self, written: Sequence[str], where: str) -> UsageError:
        """The error for unknown names."""
        names = sorted(self.shown(s) for s in self.known)
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        return UsageError(
            f"unknown {self.kind} {_listed(written)}",
            where=where,
            found=f"{self.kind}s: {', '.join(map(repr, names[:_SHOWN]))}{more}",
            expected="names as in the files",
            todo=nearest(written[0], names, 1)
            or "correct the names, or pass --partial if the folder contains only part of the data set",
        )


def resolve_split(
    manifest: Manifest, known: Mapping[str, Names], *, partial: bool = False
) -> tuple[Manifest, tuple[str, ...]]:
    """Replace the subjects, sessions or runs in a manifest's split and subset by their stored names.

    Parameters
    ----------
    known : mapping of str to Names
        Names in the source: `subject`, `session` and `run`.
    partial : bool
        Allow unknown names, which may be in the missing part of the data set, unless they resemble a known one.

    Returns
    -------
    manifest : Manifest
        Without personal names: safe to store.
    absent : tuple of str
        Unknown names in the split (`partial` only).

    Raises
    ------
    UsageError
        A name is unknown or ambiguous, or a subject is in two splits or in none.
    """
    rule, names = manifest.split, known[manifest.split.by]
    where = f"`split:` of {manifest.name}"
    # a subset's manifest still names the subjects that it leaves out
    lenient = partial or bool(manifest.source.only_subjects)
    out: dict[str, list[str]] = {split: [] for split in SPLITS}
    owner: dict[str, tuple[str, str]] = {}
    absent: list[str] = []
    for split, written in ((s, n) for s in SPLITS for n in getattr(rule, s)):
        stored = names.find(written, where=where)
        if stored is None:
            absent.append(written)
            stored = names.hide(written)
        before = owner.setdefault(stored, (split, written))
        if before[0] != split:
            raise UsageError(
                f"{names.kind} {written!r} is listed in two splits",
                where=where,
                found=f"{before[1]!r} under `{before[0]}` and {written!r} under `{split}`",
                expected=f"each {names.kind} in one split",
                todo="remove one of the two",
            )
        if stored not in out[split]:
            out[split].append(stored)
    if wrong := [n for n in absent if not lenient or names.resembles(n)]:
        raise names.unknown(wrong, where)
    _all_placed(rule, names, set(owner), where)
    chosen = known["subject"]
    where = f"`source: only_subjects:` of {manifest.name}"
    missing = [n for n in manifest.source.only_subjects if chosen.find(n, where=where) is None]
    if missing and not partial:
        raise chosen.unknown(missing, where)
    only = dict.fromkeys(chosen.find(n) or chosen.hide(n) for n in manifest.source.only_subjects)
    return (
        manifest.model_copy(
            update={
                "split": rule.model_copy(update=out),
                "source": manifest.source.model_copy(update={"only_subjects": list(only)}),
            }
        ),
        tuple(absent),
    )


def _all_placed(rule: SplitRule, names: Names, placed: set[str], where: str) -> None:
    """Check that no name is left over if every split has a list."""
    left_over = sorted(names.shown(s) for s in names.known if s not in placed)
    divided = rule.by == "subject" and any(
        share > 0 and not getattr(rule, split) for split, share in zip(SPLITS, rule.ratio, strict=True)
    )
    if left_over and not divided:
        raise UsageError(
            f"{len(left_over)} {names.kind}s are in no split",
            where=where,
            found=", ".join(map(repr, left_over[:_SHOWN])),
            expected=f"every {names.kind} under `train`, `validation` or `test`"
            + (", or one of the three without names" if rule.by == "subject" else ""),
            todo="list them in the manifest",
        )


def plain(name: str) -> str:
    """A name without its BIDS prefix, and without leading zeros if it is a number."""
    name = re.sub(r"^(sub|ses|run)-(?=.)", "", unicodedata.normalize("NFC", name))
    number = re.fullmatch(r"0*([0-9]+)(?:\.0*)?", name)
    return name if number is None else number[1]


def loosely(name: str) -> str:
    """The letters and digits of a name, for comparison."""
    letters = re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", plain(name)).casefold())
    return re.sub(r"(?<![0-9])0+(?=[0-9])", "", letters)


def _listed(names: Sequence[str]) -> str:
    return " or ".join(map(repr, names[:_SHOWN])) + (
        f" (and {len(names) - _SHOWN} more)" if len(names) > _SHOWN else ""
    )


def chosen_subjects(manifest: Manifest, subjects: Iterable[str], *, implicit: bool = False) -> set[str]:
    """The subject names in the files that the manifest's `only_subjects` selects; all if it is empty.

    Raises
    ------
    UsageError
        A name matches several subjects, or no name matches any.
    """
    names = Names({s: (*spellings(s, implicit=implicit), pseudonym(manifest.name, s)) for s in subjects})
    wanted = manifest.source.only_subjects
    if not wanted or not names.known:
        return set(names.known)
    where = f"`source: only_subjects:` of {manifest.name}"
    chosen = {found for n in wanted if (found := names.find(n, where=where)) is not None}
    if not chosen:
        raise names.unknown(wanted, where)
    return chosen


def spellings(subject: str, *, implicit: bool) -> tuple[str, ...]:
    """Accepted names of a subject: if it is a file, with and without the extension."""
    return (subject, Path(subject).stem) if implicit and "." in subject else (subject,)
