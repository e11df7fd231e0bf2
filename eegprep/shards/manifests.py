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

# A node takes some 350 bytes of memory, however short it is: at most 700 MiB for a file of a stranger.
_MAX_BYTES, _MAX_NODES, _MAX_DEPTH = 32 << 20, 2_000_000, 50
# libyaml where PyYAML has it: six times faster.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _PlainLoader(_LOADER):  # type: ignore[misc, valid-type]
    """Safe, and every key once; numbers are numbers."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        keys = [key.value for key, _ in node.value]
        if len(set(map(str, keys))) != len(keys):
            raise yaml.constructor.ConstructorError(None, None, "a key stands twice", node.start_mark)
        return super().construct_mapping(node, deep)


def _check_events(text: str) -> None:
    """Refuse aliases (they can make a small file endless), too many nodes and too many levels, before any is kept."""
    n_nodes = depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.events.AliasEvent):
            raise yaml.YAMLError(f"an alias is not allowed here\n{event.start_mark}")
        n_nodes += isinstance(event, yaml.events.NodeEvent)
        depth += isinstance(event, yaml.events.CollectionStartEvent)
        depth -= isinstance(event, yaml.events.CollectionEndEvent)
        if n_nodes > _MAX_NODES or depth > _MAX_DEPTH:
            what = f"more than {_MAX_NODES} values" if n_nodes > _MAX_NODES else f"more than {_MAX_DEPTH} levels"
            raise yaml.YAMLError(f"{what} are not allowed here\n{event.start_mark}")


def write_yaml(path: Path, value: Any) -> None:
    """Plain data as YAML, atomically; the bytes depend on the value alone."""
    write_atomic(path, yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=110))


def read_yaml(path: Path) -> Any:
    """Plain data out of a YAML file; RefusedError where it is none."""
    if path.stat().st_size > _MAX_BYTES:
        raise RefusedError("a YAML file is too large", where=path, expected=f"at most {_MAX_BYTES} bytes")
    try:
        text = path.read_text(encoding="utf-8")
        _check_events(text)
        return yaml.load(text, Loader=_PlainLoader)  # a SafeLoader, see above
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
