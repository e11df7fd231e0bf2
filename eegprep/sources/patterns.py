"""Patterns on file names: `{subject}`, `{session}`, `{run}`, `*` within a folder, `**/` any folders.

`{channel}` is for data sets with one file per electrode: files that differ in it alone are one recording.

What enters: patterns and relative paths with `/`. What leaves: the entities that a path names, or None.
`{name}` stands for one or more characters other than `/`, as few as fit, `{name:2}` for exactly two; a name that
stands twice must be the same text both times. Everything else stands for itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from eegprep.errors import UsageError

__all__ = ["FOLDER_FORMATS", "compile_pattern", "match", "walk"]

#: Folders that are one recording.
FOLDER_FORMATS = frozenset({".mff", ".mefd"})

_ENTITIES = ("subject", "session", "run", "channel")
_PART = re.compile(r"\{[^{}]*\}|\*\*/|\*|\?|[^{*?]+|\{")


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """The regular expression of a pattern. Raises UsageError on an unknown `{name}`."""
    out: list[str] = []
    seen: set[str] = set()
    for part in _PART.findall(pattern):
        if part == "**/":
            out.append(r"(?:[^/]+/)*")
        elif part == "*":
            out.append(r"[^/]*")
        elif part == "?":
            out.append(r"[^/]")
        elif part.startswith("{"):
            name, _, width = part[1:-1].partition(":")
            if name not in _ENTITIES or not re.fullmatch(r"|[1-9][0-9]?", width):
                raise UsageError(
                    f"file pattern {pattern!r} names {part!r}",
                    expected="{subject}, {session}, {run} or {channel}, or with a width as in {subject:2}",
                    todo="correct `source: files:` in the manifest",
                )
            times = "{" + width + "}" if width else "+?"
            out.append(f"(?P={name})" if name in seen else f"(?P<{name}>[^/]{times})")
            seen.add(name)
        else:
            out.append(re.escape(part))
    return re.compile("".join(out))


def match(patterns: list[re.Pattern[str]], path: str) -> dict[str, str] | None:
    """The entities of the first pattern that fits the whole path, or None where none fits."""
    for pattern in patterns:
        if (found := pattern.fullmatch(path)) is not None:
            return {name: text for name, text in found.groupdict().items() if text is not None}
    return None


def walk(folder: Path) -> Iterator[str]:
    """Relative paths of all files under `folder`, sorted, hidden ones left out.

    A folder whose name ends in `.mff` is one recording of its own and comes as one path. Linked folders are
    not entered and links that lead out of `folder` are not followed, so no tree can lead elsewhere or in circles.
    """
    root = folder.resolve()

    def below(part: Path, prefix: str) -> Iterator[str]:
        for path in sorted(part.iterdir()):
            if path.name.startswith(".") or (path.is_symlink() and not path.resolve().is_relative_to(root)):
                continue
            if path.is_file() or path.suffix.lower() in FOLDER_FORMATS:
                yield prefix + path.name
            elif path.is_dir() and not path.is_symlink():
                yield from below(path, f"{prefix}{path.name}/")

    yield from below(folder, "")
