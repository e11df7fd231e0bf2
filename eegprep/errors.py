"""Errors that a user can fix; the class carries the exit code of the command line.

The message states the problem, its location, the actual and expected values and what to do. Exit codes: 1 an input
failed, 2 wrong usage, 3 refused (licence, leakage, integrity). Any other exception is a bug and shows its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path


class EEGPTError(Exception):
    """An error that the user can fix.

    Parameters
    ----------
    what : str
        What went wrong, with the id or file.
    where : str or Path, optional
        File, and line or member if known.
    found, expected : object, optional
        The actual and the expected value.
    todo : str, optional
        What to do, as an instruction.
    """

    exit_code = 1

    def __init__(
        self,
        what: str,
        *,
        where: str | Path | None = None,
        found: object = None,
        expected: object = None,
        todo: str | None = None,
    ) -> None:
        self.what = what
        self.where = None if where is None else str(where)
        self.found = None if found is None else str(found)
        self.expected = None if expected is None else str(expected)
        self.todo = todo or None  # `nearest` found nothing
        super().__init__(what)

    def __str__(self) -> str:
        lines = [printable(self.what, keep="\n")]
        if self.where is not None:
            lines.append(f"  {'where:':<10}{printable(self.where)}")
        for name, text in (("found", self.found), ("expected", self.expected), ("to do", self.todo)):
            if text is not None:
                lines.append(f"  {name + ':':<10}{printable(text, keep=chr(10))}")
        return "\n".join(lines)

    def as_dict(self) -> dict[str, str | None]:
        """The error as plain data, for `--json` output and quarantine records."""
        return {
            "error": type(self).__name__,
            "what": self.what,
            "where": self.where,
            "found": self.found,
            "expected": self.expected,
            "todo": self.todo,
        }

    def __reduce__(self) -> tuple[object, ...]:
        # Errors are passed between processes (ingest workers), so all five parts must survive pickling.
        return (_rebuild, (type(self), self.what, self.where, self.found, self.expected, self.todo))


def _rebuild(cls: type[EEGPTError], what: str, *rest: str | None) -> EEGPTError:
    where, found, expected, todo = rest
    return cls(what, where=where, found=found, expected=expected, todo=todo)


class InputError(EEGPTError):
    """One input (file, recording, block) cannot be used; other inputs can."""

    exit_code = 1


class UsageError(EEGPTError):
    """The command or the manifest is invalid; nothing was started."""

    exit_code = 2


class RefusedError(EEGPTError):
    """Refused on purpose: licence, leakage, or integrity of a shard set."""

    exit_code = 3


class MissingExtraError(UsageError, ImportError):
    """An optional library is not installed; also an ImportError."""


def printable(text: str, *, keep: str = "") -> str:
    """`text` for a terminal: control characters and bytes that are not UTF-8 (as in file names) are escaped."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else _escaped(c) for c in text)


def _escaped(char: str) -> str:
    code = ord(char)
    # Python's representation of a byte that is not UTF-8
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else char.encode("unicode_escape").decode()


def nearest(name: object, known: Iterable[str], n: int = 3) -> str:
    """A hint such as `did you mean 'eegmat'?` for an unknown name, or an empty string."""
    if not isinstance(name, str):
        return ""
    names = [str(one) for one in known]  # of an enumeration, the value
    folded = {n.casefold(): n for n in names}
    close = difflib.get_close_matches(name.casefold(), list(folded), n=n, cutoff=0.6)
    if not close:
        return ""
    return "did you mean " + " or ".join(repr(folded[c]) for c in close) + "?"


def install(*extras: str) -> str:
    """The command that installs eegpt with these extras: the package is on no index yet."""
    named = f"[{','.join(extras)}]" if extras else ""
    return f'python -m pip install ".{named}" in a clone of eegpt'
