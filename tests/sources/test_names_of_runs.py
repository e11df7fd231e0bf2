"""Sessions and runs out of file names: numbers stay, whatever may be a name gets a pseudonym as the subject does."""

from __future__ import annotations

import pytest

from eegprep.manifest import parse_manifest
from eegprep.sources.entities import identity

MANIFEST = """\
manifest: 1
name: lab
version: "1"
title: Some title
citation: "Somebody: A paper, 2026"
licence: {id: CC-BY-4.0, share_shards: yes}
source: {files: ["{subject}_{session}_{run}.edf"]}
"""


@pytest.mark.parametrize("text", ["1", "007", "2a", "R01", "run1", "ses-02", "session 3", "b", "Visit2", "run"])
def test_what_only_counts_is_kept(text):
    manifest = parse_manifest(MANIFEST)
    assert identity(manifest, {"subject": "x", "session": text, "run": text})[1:] == (text, text)


@pytest.mark.parametrize("text", ["Mueller", "JohnDoe", "jd", "Anna_1", "12345", "mueller2", "1 Smith", "run_Smith"])
def test_what_may_be_a_name_is_not(text):
    _, session, run = identity(parse_manifest(MANIFEST), {"subject": "x", "session": text, "run": text})
    assert text not in (session, run)
    assert (session[0], run[0]) == ("d", "r")
    assert identity(parse_manifest(MANIFEST), {"subject": "x", "session": text, "run": text})[1:] == (session, run)


def test_an_anonymous_data_set_keeps_its_own():
    manifest = parse_manifest(MANIFEST + "anonymous_subjects: true\n")
    assert identity(manifest, {"subject": "x", "session": "rest", "run": "eyes"}) == ("x", "rest", "eyes")
