"""`manifest.yaml` and `lock.yaml` of a shard set, read as what a stranger may have written.

Plain data, no anchors, every key once. In a shard set a damaged file is a matter of integrity, so it is refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from eegprep.errors import RefusedError, UsageError
from eegprep.files import write_atomic
from eegprep.manifest import dump_manifests, load_manifests
from eegprep.manifest.schema import Manifest

__all__ = ["write_yaml", "read_yaml", "write_manifests", "read_manifests"]

_MAX_BYTES = 64 << 20


class _PlainLoader(yaml.SafeLoader):
    """Safe, without anchors (they can make a small file endless), and every key once; numbers are numbers."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.events.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            raise yaml.constructor.ConstructorError(None, None, "an alias is not allowed here", event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        keys = [key.value for key, _ in node.value]
        if len(set(map(str, keys))) != len(keys):
            raise yaml.constructor.ConstructorError(None, None, "a key stands twice", node.start_mark)
        return super().construct_mapping(node, deep)


def write_yaml(path: Path, value: Any) -> None:
    """Plain data as YAML, atomically; the bytes depend on the value alone."""
    write_atomic(path, yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=110))


def read_yaml(path: Path) -> Any:
    """Plain data out of a YAML file; RefusedError where it is none."""
    if path.stat().st_size > _MAX_BYTES:
        raise RefusedError("a YAML file is too large", where=path, expected=f"at most {_MAX_BYTES} bytes")
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_PlainLoader)  # a SafeLoader, see above
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise RefusedError(f"{path.name} of a shard set is damaged", where=path, found=str(error)[:500]) from error


def write_manifests(path: Path, manifests: Iterable[Manifest]) -> None:
    """Write the manifests of all data sets as one list."""
    write_atomic(path, dump_manifests(manifests))


def read_manifests(path: Path) -> tuple[Manifest, ...]:
    """Read the list; RefusedError names what is wrong and its line."""
    try:
        return tuple(load_manifests(path))
    except UsageError as error:
        raise _refused(path, error) from error


def _refused(path: Path, error: UsageError) -> RefusedError:
    return RefusedError(
        f"{path.name} of a shard set is damaged: {error.what}",
        where=error.where or path,
        found=error.found,
        expected=error.expected,
        todo="fetch or write the shard set again",
    )
