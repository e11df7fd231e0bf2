"""Patterns for file names: `{subject}`, `{session}`, `{run}`, `*` within a folder, `**/` for any folders.

`{channel}` is for data sets with one file per electrode: files that differ only in it are one recording.

A pattern is matched against a relative path with `/` and gives the path's entities, or None. `{name}` matches one or
more characters other than `/`, as few as possible, `{name:2}` exactly two; a repeated name must match the same text.
Everything else is literal.

Manifests are untrusted, and a regular expression with many wildcards takes exponential time on a near match. Here no
state (position in the pattern, position in the path) is visited twice, so the work is at most the product of the two
lengths; only repeated names can cost more, and then the number of steps is limited.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from eegprep.errors import UsageError
from eegprep.manifest.fields import MAX_WILDCARDS

#: Maximum number of states per path; enough for 33 parts on the longest possible path (4096 bytes).
MAX_STEPS = 300_000

_ENTITIES = ("subject", "session", "run", "channel")
_PART = re.compile(r"\{[^{}]*\}|\*\*/|\*|\?|[^{*?]+|\{")


@dataclass(frozen=True, kw_only=True)
class _Part:
    """A piece of a pattern; `text` is a literal's text or an entity's name, `width` that of `{name:2}`, else 0."""

    kind: str
    text: str = ""
    width: int = 0


# Position in the pattern, position in the path, start of an open `*`, `**/` or `{name}` (-1 if none), and the texts of
# the names so far.
_State = tuple[int, int, int, tuple[tuple[str, str], ...]]


@dataclass(frozen=True, kw_only=True)
class PathPattern:
    """A compiled pattern. `repeated` are the names that occur more than once."""

    pattern: str
    parts: tuple[_Part, ...]
    repeated: frozenset[str]

    def entities(self, path: str) -> dict[str, str] | None:
        """Match a complete path; its entities, or None.

        Raises
        ------
        UsageError
            The pattern needs more than `MAX_STEPS` steps on this path.
        """
        if not self.parts:
            return None if path else {}
        # Most files of a folder are rejected here.
        last = self.parts[-1]
        if last.kind == "literal" and not path.endswith(last.text):
            return None
        stack: list[_State] = [(0, 0, -1, ())]
        seen: set[tuple[int, int, int, tuple[str, ...]]] = set()
        while stack:
            at, place, begin, named = stack.pop()
            if at == len(self.parts):
                if place == len(path):
                    return dict(named)
                continue
            # Texts that cannot matter again are not part of a state, which keeps the number of states linear.
            held = tuple(text for name, text in named if name in self.repeated) if self.repeated else ()
            matters = self.parts[at].text in self.repeated
            key = (at, place, begin if matters else min(begin, 0), held)
            if key in seen:
                continue
            seen.add(key)
            if len(seen) > MAX_STEPS:
                raise UsageError(
                    f"file pattern {self.pattern!r} takes too long to match",
                    where=path[:200],
                    expected=f"at most {MAX_STEPS} steps",
                    todo="use fewer repeated names or wildcards in `source: files:` of the manifest",
                )
            # The last one is tried first, with the same preference as in a regular expression.
            stack.extend(self._next(path, at, place, begin, named))
        return None

    def _next(self, path: str, at: int, place: int, begin: int, named: tuple[tuple[str, str], ...]) -> Sequence[_State]:
        """The successors of a state, the preferred one last."""
        part, char = self.parts[at], path[place : place + 1]
        inside = char not in ("", "/")
        if part.kind == "literal":
            return [(at + 1, place + len(part.text), -1, named)] if path.startswith(part.text, place) else []
        if part.kind == "one":
            return [(at + 1, place + 1, -1, named)] if inside else []
        if part.kind == "star":
            return [(at + 1, place, -1, named), *([(at, place + 1, -1, named)] if inside else [])]
        if part.kind == "folders":
            after = path.find("/", place)
            return [(at + 1, place, -1, named), *([(at, after + 1, -1, named)] if after > place else [])]
        before = dict(named).get(part.text)
        if before is not None:
            return [(at + 1, place + len(before), -1, named)] if path.startswith(before, place) else []
        if part.width:
            text = path[place : place + part.width]
            fits = len(text) == part.width and "/" not in text
            return [(at + 1, place + part.width, -1, (*named, (part.text, text)))] if fits else []
        out: list[_State] = [(at, place + 1, place if begin < 0 else begin, named)] if inside else []
        if begin >= 0:
            out.append((at + 1, place, -1, (*named, (part.text, path[begin:place]))))
        return out


def compile_pattern(pattern: str) -> PathPattern:
    """A pattern, ready to use. Raises UsageError on an unknown `{name}` or too many wildcards."""
    parts: list[_Part] = []
    for part in _PART.findall(pattern):
        if part == "**/":
            parts.append(_Part(kind="folders"))
        elif part == "*":
            parts.append(_Part(kind="star"))
        elif part == "?":
            parts.append(_Part(kind="one"))
        elif part.startswith("{"):
            name, _, width = part[1:-1].partition(":")
            if name not in _ENTITIES or not re.fullmatch(r"|[1-9][0-9]?", width):
                raise UsageError(
                    f"invalid placeholder {part!r} in file pattern {pattern!r}",
                    expected="{subject}, {session}, {run} or {channel}, or with a width as in {subject:2}",
                    todo="correct `source: files:` in the manifest",
                )
            parts.append(_Part(kind="entity", text=name, width=int(width or 0)))
        else:
            parts.append(_Part(kind="literal", text=part))
    wild = sum(part.kind in ("folders", "star", "entity") for part in parts)
    if wild > MAX_WILDCARDS:
        raise UsageError(
            f"file pattern {pattern[:200]!r} has {wild} wildcards",
            expected=f"at most {MAX_WILDCARDS} of `*`, `**/` and {{name}}",
            todo="shorten `source: files:` in the manifest, or write several patterns",
        )
    times = Counter(part.text for part in parts if part.kind == "entity")
    return PathPattern(
        pattern=pattern, parts=tuple(parts), repeated=frozenset(name for name, n in times.items() if n > 1)
    )


def match(patterns: Sequence[PathPattern], path: str) -> dict[str, str] | None:
    """The entities of the first pattern that matches the path, or None."""
    for pattern in patterns:
        if (found := pattern.entities(path)) is not None:
            return found
    return None
