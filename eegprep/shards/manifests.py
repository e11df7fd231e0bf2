"""`manifest.yaml` of a shard set: a YAML list of the manifests of all its data sets, in the order of their names."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from eegprep.errors import RefusedError
from eegprep.files import write_atomic
from eegprep.manifest.schema import Manifest

__all__ = ["write_yaml", "read_yaml", "write_manifests", "read_manifests"]

_MAX_BYTES = 64 << 20


class _PlainLoader(yaml.SafeLoader):
    """Safe, without anchors (they can make a small file endless), and every key once."""

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
    """Plain data out of a YAML file that a stranger may have written; RefusedError where it is none."""
    if path.stat().st_size > _MAX_BYTES:
        raise RefusedError("a YAML file is too large", where=path, expected=f"at most {_MAX_BYTES} bytes")
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_PlainLoader)  # a SafeLoader, see above
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise RefusedError("a YAML file is damaged", where=path, found=str(error)[:500]) from error


def write_manifests(path: Path, manifests: Iterable[Manifest]) -> None:
    """Write the list; fields that hold their default are left out."""
    write_yaml(path, [m.model_dump(mode="json", exclude_defaults=True) for m in manifests])


def read_manifests(path: Path) -> tuple[Manifest, ...]:
    """Read the list; RefusedError names the first thing that is wrong."""
    items = read_yaml(path)
    if not isinstance(items, list):
        raise RefusedError("manifest.yaml of a shard set is a list", where=path, found=type(items).__name__)
    try:
        return tuple(Manifest.model_validate(item) for item in items)
    except ValidationError as error:
        raise RefusedError("a manifest is damaged", where=path, found=str(error)[:2000]) from error
