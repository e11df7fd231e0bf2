"""The label text of a trial: its values, binned by levels, joined, and translated by the task's labels."""

from __future__ import annotations

import bisect
from collections.abc import Mapping

from eegprep.manifest.labels import code_text, look_up
from eegprep.manifest.tasks import Level, TrialRule


def word_of_trial(rule: TrialRule, values: Mapping[str, Mapping[str, str]], text: str) -> str:
    """The label of one trial, spelled as in the task's classes; empty if a value is unknown.

    Parameters
    ----------
    values : mapping
        By trial number.
    text : str
        The trial's number if the rule uses `values`, else its label in the file.
    """
    if not rule.values:
        return look_up(rule.labels, text) or text
    row = values.get(code_text(text), {})
    words = [_word(row.get(name, ""), rule.levels.get(name)) for name in rule.values]
    word = " ".join(words) if all(words) else ""
    return look_up(rule.labels, word) or look_up(rule.labels, " ".join(map(code_text, words))) or word


def _word(value: str, level: Level | None) -> str:
    if level is None:
        return value
    try:
        number = float(value)
    except ValueError:
        return ""
    return level.words[bisect.bisect_right(level.at, number)] if number == number else ""
