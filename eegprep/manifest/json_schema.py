"""JSON Schema files of manifests, recipes and locks, for editors: `python -m eegprep.manifest.json_schema`.

The files are generated and checked in; a test keeps them equal to the models. They describe YAML as editors parse it,
with `1` as a number; our reader keeps every scalar as text and converts it by the models.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel

from eegprep.files import canonical_json, write_atomic
from eegprep.manifest.lock import Lock
from eegprep.manifest.recipe import Recipe
from eegprep.manifest.schema import Manifest

SCHEMAS: dict[str, type[BaseModel]] = {"manifest-1.json": Manifest, "recipe-1.json": Recipe, "lock-1.json": Lock}


def schema_text(model: type[BaseModel]) -> str:
    """One model's JSON Schema (draft 2020-12) as canonical JSON."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **model.model_json_schema()}
    return canonical_json(schema)


if __name__ == "__main__":
    folder = Path(__file__).parents[2] / "manifests" / "schema"
    for name, model in SCHEMAS.items():
        write_atomic(folder / name, schema_text(model))
