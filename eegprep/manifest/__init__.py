"""Manifests (the description of a data set as data), locks (the results), and comparing and sharing both."""

from eegprep.manifest.load import (
    catalogue,
    dump_manifest,
    dump_manifests,
    find_manifest,
    load_manifest,
    load_manifests,
    load_recipe,
    parse_manifest,
    recipe_of,
)
from eegprep.manifest.recipe import Recipe
from eegprep.manifest.schema import Manifest

__all__ = [
    "Manifest",
    "Recipe",
    "catalogue",
    "dump_manifest",
    "dump_manifests",
    "find_manifest",
    "load_manifest",
    "load_manifests",
    "load_recipe",
    "parse_manifest",
    "recipe_of",
]
