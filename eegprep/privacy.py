"""Removal of personal data: pseudonyms, dates in names, free text from readers.

Subjects keep their ids if the manifest calls these anonymous. Otherwise the pseudonym is the first 10 hexadecimal
digits of a keyed hash of the data set's name and the id, so a subject gets the same pseudonym on every machine and in
every run. Without a key, a short list of names could be tested against the hash; to prevent this, set
`EEGPREP_PSEUDONYM_KEY` to a secret and keep it.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re

KEY_VARIABLE = "EEGPREP_PSEUDONYM_KEY"

# 2012.07.06, 2012-07-06, 20120706, 06.07.2012, with sensible months and days, and times of day after them.
_DATE = re.compile(
    r"(?<!\d)(?:(?:19|20)\d\d[-._/]?(?:0[1-9]|1[0-2])[-._/]?(?:0[1-9]|[12]\d|3[01])"
    r"|(?:0[1-9]|[12]\d|3[01])[-._/](?:0[1-9]|1[0-2])[-._/](?:19|20)?\d\d)(?!\d)"
)


#: Capitalised words that readers' messages need, and ordinary words that such messages begin with.
_TECHNICAL = frozenset({
    "A", "ANT", "ASCII", "BDF", "BIDS", "BrainVision", "CNT", "CSV", "Curry", "EDF", "EEG", "EEGLAB", "EGI",
    "EOF", "FIF", "FieldTrip", "GDF", "HDF5", "HTTP", "HTTPSConnectionPool", "I", "IEEE_FLOAT_32",
    "IEEE_FLOAT_64", "INT_16", "INT_32", "JSON", "MATLAB", "MFF", "MNE", "MULTIPLEXED", "NaN", "NumPy",
    "Python", "UINT_16", "UTF", "VECTORIZED", "XDF", "XML",
})  # fmt: skip
_OPENINGS = frozenset({
    "An", "Array", "Bad", "Can", "Cannot", "Can't", "Channel", "Channels", "Could", "Data", "Datatype", "Error",
    "Expected", "Failed", "File", "Files", "Found", "Header", "Incorrect", "Index", "Invalid", "It", "Max",
    "Missing", "No", "Not", "Object", "Only", "Size", "Split", "The", "There", "This", "Unable", "Unexpected",
    "Unknown", "Unsupported", "Wrong",
})  # fmt: skip


def clean_channel(dataset: str, name: str) -> str:
    """A channel's name that is safe to store: printable, of limited length, a pseudonym if it contains a date."""
    plain = "".join(c if c.isprintable() else "\ufffd" for c in name)[:80]
    return clean_entity(dataset, plain, "c")


def pseudonym(dataset: str, text: str, prefix: str = "s") -> str:
    """A stable name for `text` that does not reveal it: `prefix` and 10 hexadecimal digits."""
    key = os.environ.get(KEY_VARIABLE, "")
    digest = hmac.new(key.encode(), f"{dataset}\0{text}".encode(errors="surrogateescape"), hashlib.sha256).hexdigest()
    return prefix + digest[:10]


def has_date(text: str) -> bool:
    """Whether `text` contains something that looks like a calendar date."""
    return _DATE.search(text) is not None


def clean_entity(dataset: str, text: str, prefix: str) -> str:
    """A name that is safe to store: itself, or a pseudonym if it contains a date or unprintable characters."""
    return pseudonym(dataset, text, prefix) if has_date(text) or not text.isprintable() else text


def clean_message(error: BaseException) -> str:
    """The message of a reader's exception without text that it may quote from a header.

    Quoted parts, dates, long numbers, capitalised words unknown to formats, and everything after the first line are
    removed; the class and the sentence stay.
    """
    text = str(error).strip().split("\n", 1)[0]
    text = re.sub(r"'[^']*'|\"[^\"]*\"|b'[^']*'|<[^>]*>|\[[^\]]*\]|\([^)]*\)", "…", text)
    text = re.sub(r"(/[^\s/]+)+/?", "…", text)
    text = _DATE.sub("…", text)
    text = re.sub(r"\d{6,}", "…", text)
    text = re.sub(r"[\w']*[A-Z][\w']*", lambda m: m[0] if m[0] in _TECHNICAL | _OPENINGS else "…", text)
    if isinstance(error, AssertionError) and not text:
        return "parts of the header contradict each other"  # the meaning of a reader's bare assert
    return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__
