"""File patterns come from strangers: none may cost more than its length times the path's."""

from __future__ import annotations

import pytest

from eegprep.errors import UsageError
from eegprep.manifest import patterns
from eegprep.manifest.fields import MAX_WILDCARDS
from eegprep.manifest.patterns import MAX_STEPS, compile_pattern


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("*a" * 15 + "b", "a" * 250 + "/b"),
        ("**/*b" * 8 + "/x.edf", "a/" * 2000 + "c/x.edf"),
        ("**/" * 16 + "b.edf", "a/" * 2000 + "a/ab.edf"),
        ("{subject}{run}{session}{channel}" + "*a" * 11 + "b", "a" * 250 + "/b"),
        ("*" * 16 + "b", "a" * 4000 + "/b"),
    ],
)
def test_near_fit_costs_at_most_the_product(monkeypatch: pytest.MonkeyPatch, pattern: str, path: str) -> None:
    """A name that almost fits costs at most the product of the lengths."""
    compiled = compile_pattern(pattern)
    # entities have a state before and one inside
    monkeypatch.setattr(patterns, "MAX_STEPS", 2 * (len(compiled.parts) + 1) * (len(path) + 1))
    assert compiled.entities(path) is None


def test_repeated_names_stop_at_the_bound() -> None:
    """Names that stand twice stop at the bound."""
    pattern = "{subject}{run}{session}{channel}{subject}{run}{session}{channel}"
    with pytest.raises(UsageError, match="takes too long") as caught:
        compile_pattern(pattern + "*b").entities("a" * 60 + "c" + "a" * 60 + "d/b")
    assert str(MAX_STEPS) in str(caught.value)


def test_too_many_wildcards_are_wrong_usage() -> None:
    """Too many wildcards are wrong usage, and as many as are allowed fit."""
    with pytest.raises(UsageError, match="17 wildcards"):
        compile_pattern("*" * (MAX_WILDCARDS + 1))
    assert compile_pattern("*" * MAX_WILDCARDS).entities("abc") == {}


@pytest.mark.parametrize(
    ("pattern", "path", "entities"),
    [
        # of several ways to fit, names are as short and `*` as long as possible, the first part first
        ("{subject}_{run}.edf", "a_b_c.edf", {"subject": "a", "run": "b_c"}),
        ("*{run}.edf", "run12.edf", {"run": "2"}),
        ("**/{subject}/*.edf", "x/y/z/1.edf", {"subject": "z"}),
        ("{subject}{run}", "a", None),
        ("{subject}?{subject}", "ab-ab", {"subject": "ab"}),
        ("", "", {}),
        ("", "a", None),
    ],
)
def test_first_way_to_fit_counts(pattern: str, path: str, entities: dict | None) -> None:
    """Of several ways to fit the first in order counts."""
    assert compile_pattern(pattern).entities(path) == entities
