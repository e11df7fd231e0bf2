"""A card repeats strangers' words: they are text there, never markup."""

from __future__ import annotations

import re

import pytest

from eegprep.manifest import parse_manifest
from eegprep.manifest.croissant import card, markdown_text

TEXT = """\
manifest: 1
name: lab
version: "1"
title: {words}
citation: {words}
licence: {{id: CC-BY-4.0, share_shards: yes, note: {words}}}
source: {{files: ["{{subject}}.edf"]}}
"""


@pytest.mark.parametrize(
    "words",
    [
        "<script>alert(1)</script>",
        "<iframe src=https://evil.example></iframe>",
        "[click](javascript:alert(1))",
        "![x](https://evil.example/pixel.png)",
        r"\\[click](javascript:alert(1))",
        "<javascript:alert(1)>",
        "a | b",
        "`code`",
    ],
)
def test_words_are_never_markup(words):
    text = card([parse_manifest(TEXT.format(words=f"'{words}'"))])
    body = text.split("---", 2)[2]
    assert not re.search(r"<\w", body)
    assert not re.search(r"(?<!\\)(?:\\\\)*\[", body)
    rows = [line for line in body.splitlines() if line.startswith("| ")]
    assert len({len(re.findall(r"(?<!\\)(?:\\\\)*\|", row)) for row in rows}) == 1


def test_plain_words_stay_as_they_are():
    words = "Müller, A. & Bò, C. (2020): EEG of 1–40 Hz, https://doi.org/10.1/x_y-z"
    assert markdown_text(words) == words
    assert markdown_text("two\nlines") == "two lines"
