"""Error handling of both command lines: one clear message on stderr, an exit code, no traceback for user errors."""

from __future__ import annotations

import errno
import io
import os
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TextIO

OTHER_EEGPREP = """\
another distribution called 'eegprep' (version {version}) is installed in this environment
  found:    it has the same import name as eegpt's package, so one hides the other
  expected: an environment with only 'eegpt'
  to do:    create a new virtual environment for eegpt, or:
            python -m pip uninstall eegprep; then, in a clone of eegpt:
            python -m pip install --force-reinstall --no-deps ."""

# 128 + SIGINT, as in shells.
INTERRUPTED = 130

# Errors of the operating system that a user can fix; any other OSError is a bug and shows its traceback.
TO_DO = {
    errno.ENOSPC: "free some disk space and run the same command again; finished work is kept",
    errno.EDQUOT: "free some of your quota and run the same command again; finished work is kept",
    errno.EFBIG: "raise the limit of a file's size (ulimit -f), or choose a folder on another file system",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENFILE: "close other programs, or raise the system's limit of open files",
    errno.EACCES: "check the permissions, or choose another folder",
    errno.EPERM: "check the permissions, or choose another folder",
    errno.EROFS: "choose a folder on a writable file system",
}


# Errors of the operating system in which a path is not what its option needs: wrong usage.
_WRONG_PATH = {
    errno.ENAMETOOLONG: "check the path: a name in it is too long",
    errno.EISDIR: "name a file: this is a folder",
    errno.ENOTDIR: "check the path: a part of it is a file",
    errno.EEXIST: "choose another path: there is a file of that name",
}

# What a terminal obeys instead of showing it; JSON reads the escapes that stand for it.
_OBEYED = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


class Escaping:
    """A text stream in which names of files and titles can't move the cursor, colour, or reorder what is shown."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream  # for consoles, which draw; see `tables.console`

    def write(self, text: str) -> int:
        """Write text, with control characters as escapes."""
        return self.stream.write(_OBEYED.sub(lambda m: f"\\u{ord(m[0]):04x}", text))

    def writelines(self, lines: Iterable[str]) -> None:
        """Write each of them."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def other_eegprep() -> str | None:
    """Version of the unrelated PyPI distribution `eegprep`, or None if it is not installed.

    Importing importlib.metadata takes a quarter of a command's start-up time, so file names are checked first.
    """
    if not any(name.startswith("eegprep-") for folder in sys.path for name in _names(folder)):
        return None
    import importlib.metadata

    try:
        return importlib.metadata.version("eegprep")
    except importlib.metadata.PackageNotFoundError:
        return None


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder or ".")  # noqa: PTH208 - a Path for each of thousands of names costs more
    except OSError:  # missing, or an archive
        return []


def run(app: Callable[[], object]) -> None:
    """Run a typer app; print user errors without a traceback and exit with their code."""
    # `doctor` reports the other distribution instead of stopping.
    if (version := other_eegprep()) is not None and sys.argv[1:2] != ["doctor"]:
        print("error: " + OTHER_EEGPREP.format(version=version), file=sys.stderr)
        raise SystemExit(2)

    if (empty := _empty_argument(sys.argv[1:])) is not None:
        print(
            f"error: an empty argument\n  found:    {empty}\n  to do:    give it a value, or leave it out; is a "
            "variable of the shell unset?",
            file=sys.stderr,
        )
        raise SystemExit(2)

    if isinstance(sys.stdout, io.TextIOWrapper):
        # file names may contain bytes that are not UTF-8
        sys.stdout.reconfigure(errors="backslashreplace")
    own = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (Escaping(stream) for stream in own)  # type: ignore[assignment]
    try:
        _run(app)
    finally:
        sys.stdout, sys.stderr = own


def _empty_argument(words: Sequence[str]) -> str | None:
    """An argument that is empty or blank, as of an unset variable: as a path it would be the working folder."""
    for before, word in zip(["", *words], words, strict=False):
        name, equals, value = word.partition("=")
        if not word.strip():
            return f"{word!r} after {before}" if before else repr(word)
        if name.startswith("--") and equals and not value.strip():
            return f"{word!r}"
    return None


def _run(app: Callable[[], object]) -> None:
    from eegprep.errors import EEGPTError

    try:
        app()
    except EEGPTError as error:
        if "--json" in sys.argv:
            import json

            print(json.dumps({"exit_code": error.exit_code, **error.as_dict()}, ensure_ascii=False))
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
    except (KeyboardInterrupt, SystemExit) as ended:
        # typer turns Ctrl-C into a silent exit
        if isinstance(ended, SystemExit) and ended.code != INTERRUPTED:
            raise
        print("interrupted; run the same command again to resume", file=sys.stderr)
        raise SystemExit(INTERRUPTED) from None
    except BrokenPipeError:
        raise SystemExit(0) from None
    except ModuleNotFoundError as error:
        from eegprep.lazy import missing_extra

        if (missing := missing_extra(error, "this command")) is None:
            raise
        print(f"error: {missing}", file=sys.stderr)
        raise SystemExit(2) from None
    except OSError as error:
        if (todo := (TO_DO | _WRONG_PATH).get(error.errno or 0)) is None:
            raise
        print(
            f"error: {error.strerror}\n  where:    {error.filename or 'the disk'}\n  to do:    {todo}", file=sys.stderr
        )
        raise SystemExit(2 if error.errno in _WRONG_PATH else 1) from None
