"""Guess the file name patterns of a folder, with `{subject}`, `{session}` and `{run}`.

The patterns match all paths and give no two recordings the same identity. Which part of a name is the subject is only
a guess that the user must check.
"""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Collection, Sequence

from eegprep.manifest.patterns import compile_pattern, match

_ENTITIES = (("subject",), ("subject", "run"), ("subject", "session", "run"))
#: Words before a varying part of a name that show its meaning.
_WORDS = {
    "subject": "sub subj subject s p pat patient participant pp vp proband person id case",
    "session": "ses sess session day visit night week",
    "run": "run r block blk b trial task rec recording record part segment seg take epoch set",
}
_ENTITY_OF = {word: entity for entity, words in _WORDS.items() for word in words.split()}
#: What a subject does in a recording: such a part of a name is never the subject.
_DOES = (
    "rest resting task baseline base open closed eo ec eyesopen eyesclosed pre post before after left right easy hard "
    "low high oddball nback flanker stroop math arithmetic memory motor imagery control stim sham placebo sleep wake "
    "day night go nogo active passive music video"
)
_CONDITIONS = frozenset(_DOES.split())
#: Kinds of subjects: with a number behind it, such a part of a name is a subject, alone it is never one.
_KINDS = (
    "patient patients pat control controls ctrl con healthy health h hc nc cn normal normals abnormal disease diseased "
    "case cases pd ad ftd mci mdd scz sz adhd asd epilepsy epileptic young old elderly male female"
)
_GROUPS = frozenset(_KINDS.split())
#: Constant parts of names that are nobody's name.
_GENERIC = frozenset(("eeg", "data", "raw", "file", "files", "edf", "bdf", "signal", "signals", "export", "clean"))
_SEPARATORS = re.compile(r"([/_\-. ]+)")
_LETTERS_OR_DIGITS = re.compile(r"\d+|\D+")
_MAX_WILDCARDS = 6


def guess_patterns(paths: Sequence[str]) -> tuple[str, ...]:
    """Patterns for `source: files:`, one for each naming scheme; empty if none is found.

    Parameters
    ----------
    paths : sequence of str
        Relative, with '/'.
    """
    alike: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for path in sorted(set(paths)):
        stem, dot, ending = path.rpartition(".")
        alike[(*_SEPARATORS.split(stem)[1::2], dot + ending)].append(path)
    found_patterns = {_of_group(group) for group in alike.values()}
    # The first match counts, and {subject} could match paths that a later pattern would split.
    patterns = tuple(sorted(found_patterns, key=lambda p: (-p.count("{"), p)))
    if not patterns or not all(patterns):
        return ()
    compiled = [compile_pattern(p) for p in patterns]
    found = [match(compiled, path) for path in paths]
    identities = {tuple(sorted(entities.items())) for entities in found if entities}
    return patterns if None not in found and len(identities) == len(set(paths)) else ()


def _of_group(paths: Sequence[str]) -> str:
    """The pattern of files whose names have the same separators; empty if they differ in too many places."""
    ending = "." + paths[0].rpartition(".")[2]
    rows = [_pieces(path.removesuffix(ending)) for path in paths]
    if len({len(row) for row in rows}) > 1 or len({tuple(row[1::2]) for row in rows}) > 1:
        rows = [_SEPARATORS.split(path.removesuffix(ending)) for path in paths]
    columns = _joined(list(zip(*rows, strict=True)))
    if len(paths) == 1:
        return "/".join([*paths[0].split("/")[:-1], "{subject}" + ending])
    varying = [c for c in dict.fromkeys(columns) if len(set(c)) > 1]
    if not 1 <= len(varying) <= len(_ENTITIES):
        return ""
    name_of = _entities(varying, columns)
    pattern = "".join("{" + name_of[c] + "}" if c in name_of else c[0] for c in columns) + ending
    adjacent = any(a in name_of and b in name_of for a, b in itertools.pairwise(columns))
    return "" if adjacent or pattern.count("{") > _MAX_WILDCARDS or set("*?") & set(pattern) else pattern


def _joined(columns: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """The columns with a group and the number behind it as one: `h01` and `s01`, `HC_01` and `PD_01` are two subjects.

    Letters directly before a number are a group unless they are conditions; a word before a separator only if it says
    so.
    """
    for first in range(0, len(columns) - 2, 2):
        one = columns[first]
        second = next((i for i in range(first + 2, len(columns), 2) if len(set(columns[i])) > 1), None)
        if len(set(one)) == 1 or second is None:
            continue
        between = columns[first + 1 : second]
        numbers = all(text.isdecimal() for text in columns[second])
        letters = all(text.isalpha() for text in one) and not any(map(_is_condition, one))
        direct = second == first + 2 and not any(between[0]) and letters
        said = all(map(_is_group, one)) and not any("/" in c[0] for c in between)
        if numbers and (direct or said) and all(len(set(c)) == 1 for c in between):
            whole = tuple(map("".join, zip(*columns[first : second + 1], strict=True)))
            return [*columns[:first], whole, *columns[second + 1 :]]
    return columns


def _is_group(text: str) -> bool:
    return text.casefold() in _GROUPS


def _entities(varying: Sequence[tuple[str, ...]], columns: Sequence[tuple[str, ...]]) -> dict[tuple[str, ...], str]:
    """The entity of each varying part: from the word before it, else the subject comes first, and conditions are runs.

    If no varying part is the subject, the first constant part that may be a name is: all files are one subject's.
    """
    name_of: dict[tuple[str, ...], str] = {}
    for column in varying:
        before = "".join(c[0] if len(set(c)) == 1 else "/" for c in columns[: columns.index(column)])
        entity = _entity_before(before)
        if entity and entity not in name_of.values():
            name_of[column] = entity
    constant = [
        c
        for at, c in enumerate(columns)
        if at % 2 == 0 and len(set(c)) == 1 and _may_name(c[0]) and (len(c[0]) > 1 or _stands_alone(columns, at))
    ]
    conditions = [c for c in varying if c not in name_of and (all(map(_is_condition, c)) or all(map(_is_group, c)))]
    if constant or len(conditions) + len(name_of) < len(varying):
        free = [e for e in ("run", "session") if e not in name_of.values()]
        name_of |= dict(zip(conditions, free, strict=False))
    if constant and len(name_of) == len(varying) and "subject" not in name_of.values():
        return {constant[0]: "subject", **name_of}
    left = [e for e in (*_ENTITIES[len(varying) - 1], *_ENTITIES[-1]) if e not in name_of.values()]
    rest = [c for c in varying if c not in name_of]
    return name_of | dict(zip(rest, dict.fromkeys(left), strict=False))


def _is_condition(text: str) -> bool:
    return re.sub(r"[\d\W_]", "", text.casefold()) in _CONDITIONS


def _stands_alone(columns: Sequence[tuple[str, ...]], at: int) -> bool:
    """Whether a part is a whole field: the T of `B0101T` is not."""
    return not any(column[0] == "" for column in (*columns[max(at - 1, 0) : at], *columns[at + 1 : at + 2]))


def _may_name(text: str) -> bool:
    """Whether a constant part of a file name may be a subject's name."""
    word = text.casefold()
    return any(c.isalpha() for c in word) and word not in _ENTITY_OF and word not in _GENERIC | _CONDITIONS


def _entity_before(text: str) -> str:
    word = re.search(r"([A-Za-z]+)[_\-. ]*$", text)
    return _ENTITY_OF.get(word[1].lower(), "") if word is not None else ""


def are_groups(texts: Collection[str]) -> bool:
    """Whether parts of names are kinds of subjects, such as `patients` and `controls`."""
    return len(texts) > 1 and all(map(_is_group, texts))


def counts(text: str) -> bool:
    """Whether a part of a name is only a number, optionally after a letter or a word such as `run` or `ses-`."""
    found = re.fullmatch(r"([A-Za-z]*)[-_ ]?[0-9]{0,4}([A-Za-z]?)", text)
    return found is not None and (len(found[1]) + len(found[2]) <= 1 or found[1].lower() in _ENTITY_OF)


def names_subjects(pattern: str) -> bool:
    """Whether the word before `{subject}` means subject."""
    before, found, _ = pattern.partition("{subject}")
    return bool(found) and _entity_before(before) == "subject"


def _pieces(stem: str) -> list[str]:
    """A path's fields and the separators between them; letters and digits are split into separate fields."""
    out: list[str] = []
    for place, field in enumerate(_SEPARATORS.split(stem)):
        if place % 2:
            out.append(field)
            continue
        parts = _LETTERS_OR_DIGITS.findall(field) or [""]
        for number, part in enumerate(parts):
            out += ["", part] if number else [part]
    return out
