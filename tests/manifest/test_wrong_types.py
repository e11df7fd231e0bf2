"""Every value of every shipped manifest and recipe, replaced by a value of another type: one error, no traceback."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import yaml

from eegprep.errors import EEGPTError
from eegprep.manifest.load import load_manifests, load_recipe

SHIPPED = Path(__file__).parents[2] / "manifests"
WRONG = ({"a": ["b"]}, [["a"], {}], None, "-1e999")


def _paths(node, path=()):
    """All places in a document, as keys and positions from its root."""
    yield path
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in children:
        yield from _paths(child, (*path, key))


def _different(folder):
    """One place of each kind (positions in lists do not count) of all documents of a folder."""
    seen = set()
    for file in sorted((SHIPPED / folder).glob("*.yaml")):
        document = yaml.load(file.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
        for path in _paths(document):
            shape = tuple("*" if isinstance(key, int) else key for key in path)
            if shape not in seen:
                seen.add(shape)
                yield document, path


def _replaced(document, path, value):
    if not path:
        return value
    document = copy.deepcopy(document)
    node = document
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    return document


@pytest.mark.parametrize(("folder", "load"), [("recipes", load_recipe), ("datasets", load_manifests)])
def test_wrong_types_are_refused(folder, load, tmp_path):
    """A value that is legal there is taken; everything else is an error of ours that names the file."""
    refused = []
    file = tmp_path / "mutated.yaml"
    for document, path in _different(folder):
        for value in WRONG:
            file.write_text(json.dumps(_replaced(document, path, value)), encoding="utf-8")
            try:
                load(file)
            except EEGPTError as error:
                refused.append((path, value, str(error)))
            except Exception as error:
                raise AssertionError(f"{path} = {value!r}") from error
    assert len(refused) > 50
    assert [r for r in refused if "mutated.yaml" not in r[2]] == []
