"""A strict YAML reader for untrusted files: plain dicts, lists, strings and None, with the line of every value.

A safe subset of YAML: one document, no tags (so no Python objects), no anchors and aliases (so no expansion to
gigabytes), no duplicate keys, bounded size and depth. Scalars stay strings as written (subject `010` is not 8, country
`NO` is not false); only `null`, `~` and empty values are None. The schema converts types.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from eegprep.errors import UsageError
from eegprep.files import not_found

MAX_BYTES = 16 << 20
MAX_DEPTH = 24
# A value with its line takes about 500 bytes of memory, however short it is.
MAX_NODES = 2_000_000
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, kw_only=True)
class Document:
    """Plain data with line numbers: `lines` maps a path such as ("tasks", 0, "name") to a line, from 1."""

    value: Any
    where: str
    lines: dict[tuple[str | int, ...], int] = field(default_factory=dict)

    def line(self, path: Sequence[str | int]) -> int:
        """The line of the deepest part of `path` that exists in the document; missing parts are skipped."""
        at: tuple[str | int, ...] = ()
        for part in path:
            if (*at, part) in self.lines:
                at = (*at, part)
        return self.lines.get(at, 1)


def read(path: Path, *, max_bytes: int = MAX_BYTES, max_nodes: int = MAX_NODES) -> Document:
    """Read a file; UsageError if it is missing, too large, not UTF-8, or not in the subset."""
    path = Path(path)
    if not path.is_file():
        raise not_found("file", path, "a YAML or JSON file")
    size = path.stat().st_size
    if size > max_bytes:
        raise UsageError("the file is too large", where=path, found=f"{size} bytes", expected=f"{max_bytes} at most")
    try:
        text = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError("the file is not UTF-8 text", where=path, found=error) from error
    return parse(text, where=str(path), max_bytes=max_bytes, max_nodes=max_nodes)


def parse(text: str, *, where: str = "text", max_bytes: int = MAX_BYTES, max_nodes: int = MAX_NODES) -> Document:
    """Parse text; see the module. An empty document's value is None."""
    if len(text) > max_bytes:
        raise UsageError("the text is too long", where=where, expected=f"{max_bytes} characters at most")
    builder = _Builder(where, max_nodes)
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f"{where}:{mark.line + 1}" if mark is not None else where
        raise UsageError("not valid YAML", where=line, found=error.problem or error.context) from error
    except (yaml.YAMLError, RecursionError) as error:
        raise UsageError("not valid YAML", where=where, found=error) from error
    return Document(value=builder.value, where=where, lines=builder.lines)


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark is not None else 1


class _Builder:
    """Builds values from the parser's events without recursion."""

    def __init__(self, where: str, max_nodes: int) -> None:
        self.where, self.max_nodes = where, max_nodes
        self.value: Any = None
        self.lines: dict[tuple[str | int, ...], int] = {}
        self._documents = self._nodes = 0
        # One entry per open collection: (container, its path, the key that still needs a value).
        self._open: list[tuple[dict[str, Any] | list[Any], tuple[str | int, ...], str | None]] = []

    def _fail(self, event: yaml.Event, what: str, **more: Any) -> UsageError:
        return UsageError(what, where=f"{self.where}:{_line(event)}", **more)

    def take(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                raise self._fail(event, "more than one YAML document in the file", expected="one")
            return
        self._nodes += isinstance(event, yaml.NodeEvent)
        if self._nodes > self.max_nodes:
            raise self._fail(event, "too many values in the file", expected=f"{self.max_nodes} at most")
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise self._fail(
                event, "anchors and aliases (& and *) are not allowed", todo="write out the value, or quote it"
            )
        if isinstance(event, yaml.CollectionStartEvent | yaml.ScalarEvent) and event.tag is not None:
            raise self._fail(event, f"tags are not allowed: {event.tag!r}", todo="write a plain or quoted value")
        if isinstance(event, yaml.ScalarEvent):
            plain = not event.style
            if self._awaits_key():
                self._key(event, event.value)
            else:
                self._put(event, None if plain and event.value in _NULLS else event.value)
        elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            if self._awaits_key():
                raise self._fail(event, "a key must be a single scalar")
            if len(self._open) >= MAX_DEPTH:
                raise self._fail(event, "nested too deeply", expected=f"{MAX_DEPTH} levels at most")
            container: dict[str, Any] | list[Any] = {} if isinstance(event, yaml.MappingStartEvent) else []
            path = self._put(event, container)
            self._open.append((container, path, None))
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            self._open.pop()

    def _awaits_key(self) -> bool:
        return bool(self._open) and isinstance(self._open[-1][0], dict) and self._open[-1][2] is None

    def _key(self, event: yaml.Event, key: str) -> None:
        container, path, _ = self._open[-1]
        if key in container:
            first = self.lines[(*path, key)]
            raise self._fail(event, f"duplicate key {key!r}", found=f"first in line {first}")
        self.lines[(*path, key)] = _line(event)
        self._open[-1] = (container, path, key)

    def _put(self, event: yaml.Event, value: Any) -> tuple[str | int, ...]:
        if not self._open:
            self.value = value
            self.lines[()] = _line(event)
            return ()
        container, path, key = self._open[-1]
        if isinstance(container, list):
            at: tuple[str | int, ...] = (*path, len(container))
            self.lines[at] = _line(event)
            container.append(value)
        else:
            # `_awaits_key` ensures that there is a key.
            at = (*path, str(key))
            container[str(key)] = value
            self._open[-1] = (container, path, None)
        return at
