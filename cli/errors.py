"""How both command lines end: one clear error on stderr, its exit code, and no traceback for a user's mistake."""

from __future__ import annotations

import importlib.metadata
import json
import sys
from collections.abc import Callable

OTHER_EEGPREP = """\
another distribution called 'eegprep' (version {version}) is installed in this environment
  found:    its import package has the same name as ours, so one hides the other
  expected: an environment with 'eegpt' alone
  to do:    python -m pip uninstall eegprep && python -m pip install --force-reinstall --no-deps eegpt, or make a new virtual environment"""


def other_eegprep() -> str | None:
    """Version of the unrelated PyPI distribution `eegprep`, or None where it is not installed."""
    try:
        return importlib.metadata.version("eegprep")
    except importlib.metadata.PackageNotFoundError:
        return None


def run(app: Callable[[], object]) -> None:
    """Run a typer app; print what a user can put right without a traceback and exit with its code."""
    if (version := other_eegprep()) is not None:
        print("error: " + OTHER_EEGPREP.format(version=version), file=sys.stderr)
        raise SystemExit(2)

    from eegprep.errors import EEGPTError

    try:
        app()
    except EEGPTError as error:
        if "--json" in sys.argv:
            print(json.dumps({"exit_code": error.exit_code, **error.as_dict()}, ensure_ascii=False))
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
    except KeyboardInterrupt:
        print("interrupted; the same command goes on where this one stopped", file=sys.stderr)
        raise SystemExit(130) from None
    except BrokenPipeError:
        raise SystemExit(0) from None
    except OSError as error:
        if error.errno is None or error.filename is None and error.errno != 28:
            raise
        print(f"error: {error.strerror}\n  where:    {error.filename or 'the disk'}", file=sys.stderr)
        raise SystemExit(1) from None
