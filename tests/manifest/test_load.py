"""Manifests are checked key by key, told with their lines, and come back from YAML as they went."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eegprep.errors import UsageError
from eegprep.manifest import (
    Manifest,
    dump_manifest,
    dump_manifests,
    find_manifest,
    load_manifest,
    load_manifests,
    load_recipe,
    parse_manifest,
    recipe_of,
)

GOOD = """\
manifest: 1
name: lab
version: "1"
title: A title
citation: Somebody, somewhere
licence: {id: CC0-1.0, share_shards: yes}
country: NO
line_freq_hz: 50
source:
  subject: 010
  files: ["{subject}/{run}.edf"]
tasks:
  - name: arithmetic
    classes: [rest, count]
    trials: {by: run, labels: {"1": rest, "2": count}, length_s: 4}
split: {by: subject, train: [007, 010], test: ["08"]}
"""


def test_strings_stay_strings():
    """Strings stay strings, and numbers become numbers."""
    manifest = parse_manifest(GOOD)
    assert manifest.source.subject == "010"
    assert manifest.split.train == ["007", "010"]
    assert manifest.country == "NO"
    assert manifest.licence.share_shards is True
    assert manifest.line_freq_hz == 50
    assert manifest.tasks[0].trials.length_s == 4.0


def test_manifest_round_trips_through_yaml():
    """A manifest comes back from YAML unchanged."""
    manifest = parse_manifest(GOOD)
    text = dump_manifest(manifest)
    assert parse_manifest(text) == manifest
    assert dump_manifest(parse_manifest(text)) == text
    assert '"010"' in text or "'010'" in text


@settings(max_examples=150, deadline=None)
@given(
    title=st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc", "Co", "Cn"]), max_size=60),
    subject=st.from_regex(r"[0-9A-Za-z _:#{}\[\],&*!|>%@`'\"?\-]{1,20}", fullmatch=True),
)
def test_any_text_survives_the_round_trip(title, subject):
    manifest = parse_manifest(GOOD)
    source = manifest.source.model_copy(update={"subject": subject})
    manifest = manifest.model_copy(update={"title": title, "source": source})
    assert parse_manifest(dump_manifest(manifest)) == manifest


def mistakes(text: str) -> str:
    with pytest.raises(UsageError) as caught:
        parse_manifest(text, where="lab.yaml")
    assert caught.value.exit_code == 2
    return str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("licence:", "licnce:", "lab.yaml:6: unknown key 'licnce'; did you mean 'licence'?"),
        ("length_s: 4", "lenght_s: 4", "lab.yaml:15: unknown key 'lenght_s'; did you mean 'length_s'?"),
        ("by: run", "by: rum", "lab.yaml:15: tasks.0.trials.by: input should be 'event', 'run'"),
        ("manifest: 1", "manifest: 2", "lab.yaml:1: manifest: input should be 1, found '2'"),
        ("line_freq_hz: 50", "line_freq_hz: 55", "lab.yaml:8: line_freq_hz: input should be 50 or 60, found '55'"),
        ("title: A title\n", "", "the key 'title' is missing"),
        ("name: lab", "name: ../lab", "lab.yaml:2: name: string should match pattern"),
        ("name: lab", "name: ", "lab.yaml:2: name: input should be a valid string"),
        ("length_s: 4", "length_s: -4", "lab.yaml:15: tasks.0.trials.length_s: input should be greater than 0"),
        ("length_s: 4", "length_s: .inf", "lab.yaml:15"),
        ("length_s: 4", "length_s: four", "lab.yaml:15: tasks.0.trials.length_s: input should be a valid number"),
        ('"2": count', '"2": cuont', "labels ['cuont'] are not among `classes`"),
        ("classes: [rest, count]", "classes: [rest, rest]", "two or more different `classes`"),
        ('test: ["08"]', "test: [007]", "a name is in two splits"),
        ("{subject}/{run}.edf", "**/" * 17 + "a.edf", "has 17 wildcards; at most 16 of"),
        ("by: subject,", "by: run, seed: 1.5,", "lab.yaml:16: split.seed"),
    ],
)
def test_mistakes_are_listed_with_lines(old, new, expected):
    assert old in GOOD
    assert expected in mistakes(GOOD.replace(old, new))


def test_all_mistakes_are_listed_at_once():
    text = mistakes(GOOD.replace("title:", "titel:").replace("country: NO", "country: Norway"))
    assert "unknown key 'titel'; did you mean 'title'?" in text
    assert "the key 'title' is missing" in text
    assert "lab.yaml:7: country" in text
    assert text.startswith("the manifest has 3 mistakes")


HOSTILE_PATHS = [
    "/etc/passwd",
    "../../x",
    "a/../../x",
    "~/x",
    "C:\\x",
    "a\\..\\x",
    "\\\\server\\share\\x",
    "//server/share/x",
    "",
    "file:///etc/passwd",
]


@pytest.mark.parametrize("path", HOSTILE_PATHS[:-1])
@pytest.mark.parametrize(
    "place",
    [
        "files: [{}]",
        "get: [{{path: {}}}]",
        "wheel: {{distribution: d, version: '1', sha256: " + "0" * 64 + ", folder: {}}}",
    ],
)
def test_manifest_paths_stay_in_the_folder(path, place):
    """No path of a manifest leads out of its folder."""
    quoted = '"' + path.replace("\\", "\\\\") + '"'
    text = GOOD.replace('files: ["{subject}/{run}.edf"]', place.format(quoted))
    assert "must be a relative path inside" in mistakes(text)


@pytest.mark.parametrize(
    "url", ["http://x.org/a", "file:///etc/passwd", "ftp://x/y", "https://a b", "pipe:ls", "https://", "ssh://h"]
)
def test_only_https_s3_and_hf_are_taken(url):
    """Only https, s3 and hf addresses are accepted."""
    assert "must be an https://, s3:// or hf:// address" in mistakes(GOOD + f'url: "{url}"\n')


@pytest.mark.parametrize("code", ["BNCI2014_001; import os", "os.system", "__import__('os')", "a b", "-x"])
def test_a_library_code_is_one_plain_name(code):
    assert "source.code" in mistakes(GOOD.replace("  subject: 010\n", f'  code: "{code}"\n'))


def test_recipe_is_never_a_path():
    """A recipe is a name or steps, never a path."""
    for name in ("../x", "/etc/x", "a.yaml", "no_such_recipe"):
        with pytest.raises(UsageError):
            recipe_of(parse_manifest(GOOD + f"recipe: {name}\n"))
    inline = parse_manifest(GOOD + "recipe: {name: ours, steps: [{step: resample, sfreq_hz: 256}]}\n")
    assert recipe_of(inline).name == "ours"
    assert "lab.yaml:17: recipe" in mistakes(GOOD + "recipe: {name: ours, steps: [{step: resample, sfreq: 256}]}\n")


def test_manifest_list_errors_have_lines(tmp_path):
    """A list of manifests is read whole, and errors name the line."""
    one, two = parse_manifest(GOOD), parse_manifest(GOOD.replace("name: lab", "name: other"))
    path = tmp_path / "manifest.yaml"
    path.write_text(dump_manifests([two, one]), encoding="utf-8")
    assert load_manifests(path) == [one, two]
    path.write_text(dump_manifests([one, one]), encoding="utf-8")
    with pytest.raises(UsageError, match="duplicate data set"):
        load_manifests(path)
    text = dump_manifests([one, two]).replace("name: other", "name: other\n  nmae: x")
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        load_manifests(path)
    line = text[: text.index("nmae")].count("\n") + 1
    assert f"manifest.yaml:{line}: unknown key 'nmae'; did you mean 'name'?" in str(caught.value)


def test_manifest_must_be_a_mapping(tmp_path):
    """A document that is no mapping is no manifest."""
    for text in ("", "just text", "[]", "- a\n- b\n"):
        with pytest.raises(UsageError, match="not a valid manifest"):
            parse_manifest(text)


def test_data_sets_are_found_by_name_or_path(tmp_path):
    assert find_manifest("eegmat").name == "eegmat"
    with pytest.raises(UsageError, match="did you mean 'eegmat'"):
        find_manifest("eegmatt")
    path = tmp_path / "lab.yaml"
    path.write_text(GOOD, encoding="utf-8")
    assert find_manifest(path) == find_manifest(str(path)) == load_manifest(path)
    with pytest.raises(UsageError, match="file not found"):
        find_manifest(tmp_path / "absent.yaml")


def test_recipes_are_found_by_name():
    """Recipes are found by name, with a hint for a near miss."""
    assert load_recipe("slow_potentials").steps[0].step == "remove_offset"
    with pytest.raises(UsageError, match="did you mean 'default'"):
        load_recipe("defualt")


def test_manifest_in_code_is_refused_too():
    """An invalid manifest in code is refused in the same way."""
    with pytest.raises(ValueError, match="Extra inputs"):
        Manifest.model_validate({**parse_manifest(GOOD).model_dump(), "more": 1})
