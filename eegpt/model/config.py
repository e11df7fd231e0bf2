"""Frozen dataclasses to plain data and back, strictly: an unknown key or a wrong type is an error with a hint.

What enters: mappings from JSON or YAML, or `key=value` texts of the command line. What leaves: an instance
whose every field has been checked against its annotation (bool, int, float, str, Literal, tuple, optional,
nested dataclass). No value is ever evaluated.
"""

from __future__ import annotations

import dataclasses
import json
import math
import types
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from eegprep.errors import UsageError, nearest

__all__ = ["to_mapping", "from_mapping", "with_settings"]

T = TypeVar("T")


def to_mapping(config: Any) -> dict[str, Any]:
    """A dataclass as plain data that JSON and YAML can hold; tuples become lists."""
    plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(config), allow_nan=False))
    return plain


def from_mapping(cls: type[T], mapping: Mapping[str, Any], *, where: str = "configuration") -> T:
    """An instance of the dataclass `cls` from plain data.

    Raises
    ------
    UsageError
        A key that `cls` does not have (with the nearest ones), a missing key, or a value of the wrong kind.
    """
    if not isinstance(mapping, Mapping):
        raise UsageError(f"{where} is no table of keys and values", found=type(mapping).__name__, expected="a mapping")
    fields = {f.name: f for f in dataclasses.fields(cls) if f.init}  # type: ignore[arg-type]
    hints = get_type_hints(cls)
    values: dict[str, Any] = {}
    for key, value in mapping.items():
        if key not in fields:
            raise UsageError(
                f"{where} has no setting {key!r}",
                expected=", ".join(fields),
                todo=nearest(str(key), fields) or "use one of the settings above",
            )
        values[key] = _checked(hints[key], value, f"{where}.{key}")
    for name, field in fields.items():
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required and name not in values:
            raise UsageError(f"{where} lacks the setting {name!r}", expected=", ".join(fields))
    return cls(**values)


def with_settings(config: T, settings: Sequence[str], *, where: str = "--set") -> T:
    """`config` with `key=value` texts applied in order; `a.b=value` reaches into a nested table.

    A value is read as JSON where it is JSON (numbers, true, false, null, lists) and as text otherwise.
    """
    plain = to_mapping(config)
    for text in settings:
        key, found, raw = text.partition("=")
        if not found:
            raise UsageError(f"{where} {text!r} has no '='", expected="key=value, e.g. steps=500")
        target = plain
        parts = key.strip().split(".")
        for part in parts[:-1]:
            inner = target.get(part)
            if not isinstance(inner, dict):
                raise UsageError(
                    f"{where} {text!r}: there is no table {part!r}",
                    expected=", ".join(k for k, v in target.items() if isinstance(v, dict)) or "no tables here",
                    todo=nearest(part, target) or None,
                )
            target = inner
        target[parts[-1]] = _literal(raw)
    return from_mapping(type(config), plain, where=where)


def _literal(raw: str) -> Any:
    try:
        return json.loads(raw)
    except json.JSONDecodeError:
        return raw.strip()


def _checked(hint: Any, value: Any, where: str) -> Any:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        options = get_args(hint)
        if value is None and type(None) in options:
            return None
        rest = [o for o in options if o is not type(None)]
        for option in rest[:-1]:
            try:
                return _checked(option, value, where)
            except UsageError:
                continue
        return _checked(rest[-1], value, where)
    if origin is Literal:
        if value not in get_args(hint) or isinstance(value, bool):
            choices = [str(a) for a in get_args(hint)]
            raise UsageError(
                f"{where} can't be {value!r}", expected=", ".join(choices), todo=nearest(str(value), choices) or None
            )
        return value
    if origin is tuple:
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise UsageError(f"{where} can't be {value!r}", expected="a list")
        arguments = get_args(hint)
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return tuple(_checked(arguments[0], v, f"{where}[{i}]") for i, v in enumerate(value))
        if len(value) != len(arguments):
            raise UsageError(f"{where} has {len(value)} values", expected=f"{len(arguments)} values")
        return tuple(_checked(a, v, f"{where}[{i}]") for i, (a, v) in enumerate(zip(arguments, value, strict=True)))
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return value if isinstance(value, hint) else from_mapping(hint, value, where=where)
    return _scalar(hint, value, where)


def _scalar(hint: Any, value: Any, where: str) -> Any:
    if hint in (int, float) and isinstance(value, str):
        value = _literal(value)  # YAML reads 1e-4 as text
    if hint is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        if not math.isfinite(value):
            raise UsageError(f"{where} is not finite", found=value, expected="a finite number")
        return float(value)
    if hint is int and isinstance(value, float) and value.is_integer():
        return int(value)
    exact = {bool: bool, int: int, str: str}.get(hint)
    if exact is not None and isinstance(value, exact) and (hint is bool or not isinstance(value, bool)):
        return value
    raise UsageError(f"{where} can't be {value!r}", expected=getattr(hint, "__name__", str(hint)))
