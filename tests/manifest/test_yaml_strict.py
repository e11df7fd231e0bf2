"""YAML from strangers: what can do harm or surprise is refused with file and line; scalars stay text."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eegprep.errors import UsageError
from eegprep.manifest import yaml_strict


def test_scalars_stay_the_written_text():
    """Scalars stay the text that was written."""
    text = "a: 010\nb: no\nc: 1e3\nd: 2020-01-01\ne: 0x1F\nf: 12:30:45\ng: 'null'\nh: .inf\n"
    assert yaml_strict.parse(text).value == {
        "a": "010", "b": "no", "c": "1e3", "d": "2020-01-01", "e": "0x1F", "f": "12:30:45", "g": "null", "h": ".inf",
    }  # fmt: skip


def test_null_tilde_and_nothing_are_none():
    """Only null, a tilde and nothing are None."""
    assert yaml_strict.parse("a: null\nb: ~\nc:\nd: ''\ne: None\n").value == {
        "a": None, "b": None, "c": None, "d": "", "e": "None",
    }  # fmt: skip
    assert yaml_strict.parse("").value is None


def test_every_value_knows_its_line():
    document = yaml_strict.parse("a: 1\nb:\n  - x: 1\n  - x: 2\n    y: {z: 3}\n")
    assert document.line(("a",)) == 1
    assert document.line(("b", 1, "y", "z")) == 5
    assert document.line(("b", 1, "union tag that is no key", "y")) == 5
    assert document.line(("nowhere",)) == 1


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "duplicate key 'a'"),
        ("x:\n  a: 1\n  a: 1\n", 3, "duplicate key"),
        ("a: &here 1\nb: *here\n", 1, "anchors and aliases"),
        ("a:\n  b: *nowhere\n", 2, "anchors and aliases"),
        ("a: !!python/object/apply:os.system ['true']\n", 1, "tags are not allowed"),
        ("a: !!str 1\n", 1, "tags are not allowed"),
        ("a: !lab {x: 1}\n", 1, "tags are not allowed"),
        ("a: 1\n---\nb: 1\n", 2, "more than one YAML document"),
        ("a: 1\n  b: 2\n", 2, "not valid YAML"),
        ("a: [1, 2\n", 2, "not valid YAML"),
        ("? [a, b]\n: 1\n", 1, "a key must be a single scalar"),
        ("a: \x07\n", None, "not valid YAML"),
        ("a: x\x00y\n", None, "not valid YAML"),
    ],
)
def test_yaml_outside_the_subset_is_refused(text, line, message):
    """What is outside the subset of YAML is refused with its line."""
    with pytest.raises(UsageError) as caught:
        yaml_strict.parse(text, where="lab.yaml")
    assert message in str(caught.value)
    assert caught.value.where.startswith("lab.yaml")
    if line is not None:
        assert caught.value.where == f"lab.yaml:{line}"


def test_a_billion_laughs_is_refused_at_once():
    text = "a: &a [x, x, x, x, x, x, x, x, x]\n"
    for old, new in zip("abcdefgh", "bcdefghi", strict=True):
        text += f"{new}: &{new} [{', '.join(['*' + old] * 9)}]\n"
    start = time.monotonic()
    with pytest.raises(UsageError, match="anchors"):
        yaml_strict.parse(text)
    assert time.monotonic() - start < 1


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "{a: " * 5000, "- " * 5000 + "x", "a:\n" + "".join(" " * i + "b:\n" for i in range(1, 99))]
)
def test_depth_is_bounded_without_recursion(text):
    start = time.monotonic()
    with pytest.raises(UsageError):
        yaml_strict.parse(text)
    assert time.monotonic() - start < 5


def test_size_is_bounded(tmp_path):
    path = tmp_path / "big.yaml"
    path.write_text("a: " + "x" * 1000)
    with pytest.raises(UsageError, match="too large"):
        yaml_strict.read(path, max_bytes=500)
    with pytest.raises(UsageError, match="too long"):
        yaml_strict.parse("x" * 1000, max_bytes=500)


def test_file_that_is_no_text_is_one_error(tmp_path):
    """A file that is no text is one clear error."""
    (tmp_path / "x.yaml").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(UsageError, match="not UTF-8"):
        yaml_strict.read(tmp_path / "x.yaml")
    with pytest.raises(UsageError, match="file not found"):
        yaml_strict.read(tmp_path / "absent.yaml")
    with pytest.raises(UsageError, match="file not found"):
        yaml_strict.read(tmp_path)


@settings(max_examples=300)
@given(st.text(max_size=200) | st.text(alphabet="ab:-?[]{},&*!|>%@`#'\"\n ~", max_size=60))
def test_any_text_is_plain_data_or_refused(text):
    """Any text is parsed to plain data or refused."""

    def plain(value):
        if isinstance(value, dict):
            return all(isinstance(k, str) and plain(v) for k, v in value.items())
        return all(plain(v) for v in value) if isinstance(value, list) else value is None or isinstance(value, str)

    value, where = None, "text"
    try:
        value = yaml_strict.parse(text).value
    except UsageError as error:
        where = error.where
    assert plain(value)
    assert where.startswith("text")


@settings(max_examples=100)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("bytes") / "x.yaml"
    path.write_bytes(data)
    where = str(path)
    try:
        yaml_strict.read(path)
    except UsageError as error:
        where = error.where
    assert where.startswith(str(path))


def test_both_parsers_agree(monkeypatch):
    import yaml

    text = "a: 010\nb: [~, null, '', \"x\"]\nc:\n  - {d: no}\n  -\n"
    with_c = yaml_strict.parse(text)
    monkeypatch.setattr(yaml_strict, "_LOADER", yaml.SafeLoader)
    assert yaml_strict.parse(text) == with_c
    assert with_c.value == {"a": "010", "b": [None, None, "", "x"], "c": [{"d": "no"}, None]}
