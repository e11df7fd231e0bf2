"""What is personal stays behind: pseudonyms, dates in names, free text of readers.

Subjects of a data set whose ids its manifest calls anonymous keep them. All others get a pseudonym: the
first 10 hexadecimal digits of a keyed hash of the data set's name and the id, so the same person gets the same
pseudonym on every machine and in every run. Without a key a short list of names can be tried against the
hash; a lab that fears this sets `EEGPREP_PSEUDONYM_KEY` to a secret of its own and keeps it.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re

__all__ = ["KEY_VARIABLE", "pseudonym", "clean_entity", "has_date", "clean_message"]

KEY_VARIABLE = "EEGPREP_PSEUDONYM_KEY"

# 2012.07.06, 2012-07-06, 20120706, 06.07.2012, with sensible months and days, and times of day after them.
_DATE = re.compile(
    r"(?<!\d)(?:(?:19|20)\d\d[-._/]?(?:0[1-9]|1[0-2])[-._/]?(?:0[1-9]|[12]\d|3[01])"
    r"|(?:0[1-9]|[12]\d|3[01])[-._/](?:0[1-9]|1[0-2])[-._/](?:19|20)?\d\d)(?!\d)"
)


def pseudonym(dataset: str, text: str, prefix: str = "s") -> str:
    """A stable name for `text` that does not tell it: `prefix` and 10 hexadecimal digits."""
    key = os.environ.get(KEY_VARIABLE, "")
    digest = hmac.new(key.encode(), f"{dataset}\0{text}".encode(), hashlib.sha256).hexdigest()
    return prefix + digest[:10]


def has_date(text: str) -> bool:
    """Whether `text` holds something that reads as a calendar date."""
    return _DATE.search(text) is not None


def clean_entity(dataset: str, text: str, prefix: str) -> str:
    """A session's or run's name as it may be stored: itself, or a pseudonym where it holds a date."""
    return pseudonym(dataset, text, prefix) if has_date(text) else text


def clean_message(error: BaseException) -> str:
    """The text of a reader's exception without what it may quote from a header.

    Quoted parts, dates and everything after the first line go; the class and the sentence stay.
    """
    text = str(error).strip().split("\n", 1)[0]
    text = re.sub(r"'[^']*'|\"[^\"]*\"|b'[^']*'|<[^>]*>|\[[^\]]*\]|\([^)]*\)", "…", text)
    text = re.sub(r"(/[^\s/]+)+/?", "…", text)
    text = _DATE.sub("…", text)
    return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__
