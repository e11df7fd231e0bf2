"""Settings from YAML, `key.path=value` strings or config.json, validated with pydantic; errors name the key.

Settings of runs are nested models derived from `Settings`, one per owner (`encoder`, `data`, `optimiser`, ...). Frozen
dataclasses (the model's own configurations, records) are read and written by the same functions.
"""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from eegprep.errors import UsageError
from eegprep.files import write_atomic
from eegprep.manifest import yaml_strict

T = TypeVar("T")

# Kinds of numbers that settings have.
Positive = Annotated[int, Field(gt=0, lt=1 << 31)]
Count = Annotated[int, Field(ge=0, lt=1 << 31)]
Share = Annotated[float, Field(ge=0, lt=1)]
Weight = Annotated[float, Field(ge=0)]
#: Generators take no negative seeds, and steps are added to multiples of the seed.
Seed = Annotated[int, Field(ge=0, lt=1 << 32)]

_EXPONENT = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")  # a number that neither YAML 1.1 nor int() parses


class Settings(BaseModel):
    """Base of all settings: frozen, no unknown keys, no number that is not finite.

    `renamed` maps former names of settings to their present paths, for the hint in the error.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    renamed: ClassVar[Mapping[str, str]] = {}
    run_kind: ClassVar[str] = ""  # of the runs whose config.json has these settings


def to_mapping(config: Any) -> dict[str, Any]:
    """Settings or a dataclass as plain data for JSON and YAML; tuples become lists."""
    if isinstance(config, BaseModel):
        return config.model_dump(mode="json")
    plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(config), allow_nan=False))
    return plain


def from_mapping(cls: type[T], mapping: Any, *, where: str = "settings") -> T:
    """An instance of `cls`, a `Settings` model or a dataclass, from plain data.

    Raises
    ------
    UsageError
        An unknown key (with the nearest ones), a missing key, or a value of the wrong kind.
    """
    if not isinstance(mapping, Mapping):
        raise UsageError(f"{where} must be a table of keys and values", found=type(mapping).__name__)
    plain, names = _plain(mapping, where), _names(cls)
    if unknown := [key for key in plain if key not in names]:
        raise _unknown(cls, (unknown[0],), where)
    try:
        return TypeAdapter(cls).validate_python(plain)
    except ValidationError as error:
        first = min(error.errors(include_url=False), key=lambda e: e["type"] != "extra_forbidden")
        loc, last = first["loc"], str(first["loc"][-1])
        inner = ".".join((where, *map(str, loc[:-1])))
        if first["type"] == "extra_forbidden":
            raise _unknown(cls, loc, where) from None
        if first["type"] == "missing" and not isinstance(loc[-1], str):
            raise UsageError(f"{inner} has too few values", found=first["input"]) from None
        if first["type"] == "missing":
            raise UsageError(f"{inner} lacks the setting {last!r}", expected=", ".join(_names(cls, loc[:-1]))) from None
        choices = re.findall(r"'([^']*)'", first["msg"]) if first["type"] == "literal_error" else []
        expected = first["msg"].removeprefix("Input should be ").partition(", unable")[0]
        if first["type"] in ("model_type", "model_attributes_type", "dataclass_type"):
            expected = "a table with " + ", ".join(_names(cls, loc))
        raise UsageError(
            f"{inner}.{last} cannot be {first['input']!r}",
            expected=", ".join(choices) or expected.replace("valid tuple", "list"),
            todo=_hint(str(first["input"]), {c: repr(c) for c in choices}) or _moved(cls, last),
        ) from None


def problem_of(error: Exception) -> str:
    """What is wrong with data, in one line: the first problem of pydantic's error and where it is, or the error."""
    if not isinstance(error, ValidationError):
        return str(error)[:300]
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return ": ".join(filter(None, (".".join(map(str, first["loc"])), first["msg"])))[:300]


def changed(config: T, values: Mapping[str, Any], *, where: str = "settings") -> T:
    """`config` with some values replaced; nested settings are named like `optimiser.weight_decay`."""
    plain = to_mapping(config)
    for path, value in values.items():
        table, (*outer, name) = plain, path.split(".")
        for part in outer:
            table = table.setdefault(part, {})
            if not isinstance(table, dict):
                raise UsageError(f"{where} {path!r}: {part!r} is a setting, not a table of settings")
        table[name] = value
    return from_mapping(type(config), plain, where=where)


def with_settings(config: T, settings: Sequence[str], *, where: str = "--set") -> T:
    """`config` with `key.path=value` strings applied in order; values are parsed as YAML."""
    values: dict[str, Any] = {}
    for text in settings:
        key, found, raw = text.partition("=")
        if not found:
            raise UsageError(f"{where} {text!r} has no '='", expected="key=value, e.g. schedule.steps=500")
        if not raw.strip():
            raise UsageError(f"{where} {text!r} has no value", expected="key=value", todo="null stands for no value")
        values[key.strip()] = yaml_strict.parse(raw, where=f"{where} {key.strip()}").value
    return changed(config, values, where=where)


def read_settings(
    cls: type[T], path: Path | None = None, settings: Sequence[str] = (), options: Mapping[str, Any] | None = None
) -> T:
    """Settings from a YAML file, overridden by command line options (None: not given), then by `--set` in order.

    The file may be a run's config.json (or its folder), which contains the settings of that run.
    """
    plain: Any = {}
    if path is not None:
        path = path / "config.json" if path.is_dir() else path
        plain = yaml_strict.read(path).value or {}
        if path.name == "config.json" and isinstance(plain, dict) and {"format", "kind"} <= plain.keys():
            wanted = getattr(cls, "run_kind", "")
            if wanted and plain["kind"] != wanted:
                raise UsageError("settings of a run of another kind", where=path, found=plain["kind"], expected=wanted)
            plain = plain.get("settings")
    config = from_mapping(cls, plain, where=str(path or "settings"))
    given = {key: value for key, value in (options or {}).items() if value is not None}
    return with_settings(changed(config, given), settings)


def write_settings(config: Any, path: Path) -> None:
    """Write settings as YAML, all of them, as `read_settings` reads them."""
    write_atomic(path, yaml.safe_dump(to_mapping(config), sort_keys=False, allow_unicode=True))


def differences(begun: Mapping[str, Any], asked: Mapping[str, Any], prefix: str = "") -> dict[str, tuple[Any, Any]]:
    """Settings that differ between two plain tables, as (existing, requested) by path."""
    found: dict[str, tuple[Any, Any]] = {}
    for key in {**asked, **begun}:
        old, new = begun.get(key), asked.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found |= differences(old, new, f"{prefix}{key}.")
        elif old != new:
            found[f"{prefix}{key}"] = old, new
    return found


@dataclasses.dataclass(frozen=True, kw_only=True)
class Setting:
    """One setting: its path, its default as JSON, and its meaning in one line."""

    path: str
    default: str
    meaning: str


def described(cls: type[BaseModel], prefix: str = "") -> list[Setting]:
    """Every setting of a model, in order; the meaning is the comment behind the field in the code."""
    comments = _comments(cls)
    found = []
    for name, field in cls.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            found += described(field.annotation, f"{prefix}{name}.")
        else:
            default = json.dumps(field.get_default(call_default_factory=True))
            found.append(Setting(path=prefix + name, default=default, meaning=comments.get(name, "")))
    return found


def _comments(cls: type[BaseModel]) -> dict[str, str]:
    """The comments behind a class's fields, or above them (`#:`); empty where the source code is not available."""
    try:
        source = inspect.getsource(cls)
    except OSError:
        return {}
    found, above = {}, ""
    for line in source.splitlines():
        if match := re.match(r"    #: ?(.+)", line):
            above += f" {match[1]}"
        elif match := re.match(r"    (\w+): (?:.*?  #:? ?(.+))?", line):
            found[match[1]] = (match[2] or above).strip()
            above = ""
    return found


def _plain(value: Any, where: str) -> Any:
    """Convert numbers with an exponent that YAML parses as strings; UsageError for non-finite ones."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner, f"{where}.{key}") for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner, where) for inner in value]
    if isinstance(value, str) and _EXPONENT.fullmatch(value):
        value = float(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise UsageError(f"{where} is not finite", found=value, expected="a finite number")
        return int(value) if value.is_integer() else value
    return value


def _names(cls: Any, path: Sequence[int | str] = ()) -> dict[str, Any]:
    """Names and annotations of a model's or dataclass's fields, or of the table at `path` inside a model."""
    for part in path:
        cls = cls.model_fields[part].annotation if part in getattr(cls, "model_fields", {}) else None
    if isinstance(cls, type) and issubclass(cls, BaseModel):
        return {name: field.annotation for name, field in cls.model_fields.items()}
    return {f.name: f.type for f in dataclasses.fields(cls) if f.init} if dataclasses.is_dataclass(cls) else {}


def _paths(cls: Any, prefix: str = "") -> dict[str, str]:
    """The paths of every setting and table, by name."""
    found: dict[str, str] = {}
    for name, inner in _names(cls).items():
        found[name] = prefix + name
        for own, path in _paths(inner, f"{prefix}{name}.").items():
            found.setdefault(own, path)
    return found


def _hint(name: str, known: Mapping[str, str]) -> str | None:
    close = difflib.get_close_matches(name.casefold(), known, n=3, cutoff=0.6)
    return "did you mean " + " or ".join(known[c] for c in close) + "?" if close else None


def _moved(cls: Any, name: str) -> str | None:
    path = getattr(cls, "renamed", {}).get(name)
    return f"{name} is now {path}" if path else None


def _unknown(cls: Any, loc: Sequence[int | str], where: str) -> UsageError:
    name, paths = str(loc[-1]), _paths(cls)
    elsewhere = f"{name} is now {paths[name]}" if name in paths else None
    return UsageError(
        f"{'.'.join((where, *map(str, loc[:-1])))} has no setting {name!r}",
        expected=", ".join(_names(cls, loc[:-1])),
        todo=_moved(cls, name) or elsewhere or _hint(name, {own: repr(path) for own, path in paths.items()}),
    )
