"""Load and dump manifests and recipes; errors name file and line, unknown keys get a suggestion.

A path or the name of a shipped data set or recipe gives the frozen models of `schema` and `recipe`. `dump_manifest` is
the inverse: equal manifests give equal text.
"""

from __future__ import annotations

import functools
import importlib.resources
import re
import typing
from collections.abc import Iterable, Sequence
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from eegprep.errors import UsageError, nearest
from eegprep.files import path_of
from eegprep.manifest import yaml_strict
from eegprep.manifest.recipe import Recipe
from eegprep.manifest.schema import Manifest

_SHIPPED = "_eegpt_manifests"
_MAX_LISTED = 20
Model = TypeVar("Model", bound=BaseModel)


def load_manifest(path: Path | str) -> Manifest:
    """One manifest from a file; UsageError lists every mistake with its line."""
    return validate_document(Manifest, yaml_strict.read(Path(path)), "manifest")


def parse_manifest(text: str, *, where: str = "text") -> Manifest:
    """One manifest from text."""
    return validate_document(Manifest, yaml_strict.parse(text, where=where), "manifest")


def load_manifests(path: Path | str) -> list[Manifest]:
    """Load a file with one manifest, or a list of manifests as in a shard set's `manifest.yaml`."""
    document = yaml_strict.read(Path(path))
    if not isinstance(document.value, list):
        return [validate_document(Manifest, document, "manifest")]
    found = [validate_document(Manifest, _part(document, i), "manifest") for i in range(len(document.value))]
    names = [m.name for m in found]
    if repeated := sorted({n for n in names if names.count(n) > 1}):
        raise UsageError(f"duplicate data set {repeated[0]!r}", where=document.where)
    return found


def find_manifest(name_or_path: str | Path) -> Manifest:
    """A manifest by path, or of the shipped catalogue by name; UsageError with a hint for an unknown name."""
    text = str(name_or_path)
    if isinstance(name_or_path, Path) or "/" in text or text.endswith((".yaml", ".yml")) or Path(text).is_file():
        return load_manifest(text)
    names = _shipped("datasets")
    if text not in names:
        raise UsageError(
            f"no data set {text!r} in the catalogue",
            expected="a name of `eegprep datasets`, or the path of a manifest (.yaml)",
            todo=nearest(text, names) or None,
        )
    return _shipped_manifest(text)


def catalogue() -> list[Manifest]:
    """The shipped manifests, sorted by name."""
    return [_shipped_manifest(name) for name in _shipped("datasets")]


def load_recipe(name_or_path: str | Path) -> Recipe:
    """A recipe by path, or a shipped one by name."""
    path_of(name_or_path, "the recipe")
    text = str(name_or_path)
    if isinstance(name_or_path, Path) or "/" in text or text.endswith((".yaml", ".yml")):
        return validate_document(Recipe, yaml_strict.read(Path(text)), "recipe")
    names = _shipped("recipes")
    if text not in names:
        raise UsageError(
            f"unknown recipe {text!r}",
            expected="one of " + ", ".join(names) + ", or the path of a recipe (.yaml)",
            todo=nearest(text, names) or None,
        )
    resource = _folder("recipes") / f"{text}.yaml"
    where = f"recipes/{text}.yaml"
    recipe = validate_document(Recipe, yaml_strict.parse(resource.read_text("utf-8"), where=where), "recipe")
    return _named_as(recipe, text, where)


def recipe_of(manifest: Manifest) -> Recipe:
    """The recipe that a manifest contains or names; a name is that of a shipped recipe, never a path."""
    if isinstance(manifest.recipe, Recipe):
        return manifest.recipe
    if not re.fullmatch(r"[a-z0-9][a-z0-9_\-]*", manifest.recipe):
        raise UsageError(f"manifest {manifest.name}: unknown `recipe`", found=manifest.recipe)
    return load_recipe(manifest.recipe)


def dump_model(model: BaseModel) -> str:
    """A model as YAML in the order of its schema, without defaults; equal models give equal text."""
    return dump_document(model.model_dump(mode="json", exclude_defaults=True))


def dump_manifest(manifest: Manifest) -> str:
    """One manifest as YAML that `parse_manifest` reads back to an equal one."""
    return dump_model(manifest)


def dump_manifests(manifests: Iterable[Manifest]) -> str:
    """Several manifests as one YAML list, sorted by name."""
    ordered = sorted(manifests, key=lambda m: m.name)
    return dump_document([m.model_dump(mode="json", exclude_defaults=True) for m in ordered])


def validate_document(model: type[Model], document: yaml_strict.Document, what: str) -> Model:
    """Check plain data against a model; UsageError names every mistake with its line, the first 20 at least."""
    if not isinstance(document.value, dict):
        raise UsageError(
            f"not a valid {what}",
            where=f"{document.where}:{document.line(())}",
            expected="keys with values (a YAML mapping)",
        )
    try:
        return model.model_validate(document.value)
    except ValidationError as error:
        raise _usage_error(model, document, what, error) from None


def _usage_error(
    model: type[BaseModel], document: yaml_strict.Document, what: str, error: ValidationError
) -> UsageError:
    # Sorted by line; messages are only formatted for those that are listed.
    errors = error.errors(include_url=False, include_context=False)
    errors.sort(key=lambda e: document.line([p for p in e["loc"] if isinstance(p, int | str)]))
    total = len(errors)
    mistakes = sorted({_mistake(model, document, e) for e in errors[: 2 * _MAX_LISTED]})
    lines = [f"{document.where}:{line}: {text}" for line, text in mistakes]
    count = len(mistakes) if total <= 2 * _MAX_LISTED else total
    if count > _MAX_LISTED:
        lines = [*lines[:_MAX_LISTED], f"and {count - _MAX_LISTED} more"]
    number = "one mistake" if count == 1 else f"{count} mistakes"
    return UsageError(f"the {what} has {number}:\n  " + "\n  ".join(lines), where=f"{document.where}:{mistakes[0][0]}")


def _mistake(model: type[BaseModel], document: yaml_strict.Document, error: Any) -> tuple[int, str]:
    path = [part for part in error["loc"] if isinstance(part, int | str)]
    line = document.line(path)
    key = ".".join(str(p) for p in path if not isinstance(p, str) or not p.startswith(("function-", "literal[")))
    if error["type"] == "extra_forbidden":
        name = str(path[-1])[:80]
        hint = nearest(name, _fields_at(model, path[:-1]))
        return line, f"unknown key {name!r}" + (f"; {hint}" if hint else "") + _within(path)
    if error["type"] == "missing":
        return line, f"the key {str(path[-1])!r} is missing" + _within(path)
    message = error["msg"].removeprefix("Value error, ")
    found = error.get("input")
    shown = "" if isinstance(found, dict | list) else f", found {str(found)[:80]!r}"
    return line, f"{key}: {message[:1].lower()}{message[1:]}{shown}" if key else f"{message}"


def _within(path: Sequence[str | int]) -> str:
    return f" (in {'.'.join(map(str, path[:-1]))})" if len(path) > 1 else ""


def _fields_at(model: type[BaseModel], path: Sequence[str | int]) -> list[str]:
    """The keys allowed at `path`; parts that are not fields (list indices, names, union tags) are skipped."""
    at = {model}
    for part in path:
        deeper = {
            m for one in at if part in one.model_fields for m in _models_in(one.model_fields[str(part)].annotation)
        }
        at = deeper or at
    return sorted({name for one in at for name in one.model_fields})


def _models_in(annotation: Any) -> set[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return {annotation}
    return {m for part in typing.get_args(annotation) for m in _models_in(part)}


def _part(document: yaml_strict.Document, index: int) -> yaml_strict.Document:
    lines = {path[1:]: line for path, line in document.lines.items() if path[:1] == (index,)}
    return yaml_strict.Document(value=document.value[index], where=document.where, lines=lines)


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    def ignore_aliases(self, data: Any) -> bool:
        return True


def dump_document(value: Any) -> str:
    """Plain data as YAML in the order given; equal values give equal bytes."""
    return str(
        yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110, default_flow_style=None)
    )


def _folder(kind: str) -> Traversable:
    return importlib.resources.files(_SHIPPED) / kind


@functools.cache
def _shipped(kind: str) -> tuple[str, ...]:
    return tuple(sorted(f.name.removesuffix(".yaml") for f in _folder(kind).iterdir() if f.name.endswith(".yaml")))


@functools.cache
def _shipped_manifest(name: str) -> Manifest:
    where = f"datasets/{name}.yaml"
    text = (_folder("datasets") / f"{name}.yaml").read_text("utf-8")
    return _named_as(parse_manifest(text, where=where), name, where)


Named = TypeVar("Named", Manifest, Recipe)


def _named_as(model: Named, name: str, where: str) -> Named:
    if model.name != name:
        raise UsageError(
            "the file name and `name` of a shipped file differ", where=where, found=model.name, expected=name
        )
    return model
