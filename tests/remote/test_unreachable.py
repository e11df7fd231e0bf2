"""An address without a login or a network is one error for everything that is sent or fetched."""

from __future__ import annotations

from pathlib import Path

import pytest

from eegprep.errors import UsageError
from eegprep.remote.share import _Remote, pull


class _NoLogin:
    """A file system whose client has no credentials."""

    def info(self, path: str) -> dict[str, int]:
        raise RuntimeError("Unable to locate credentials")


@pytest.fixture
def without_login(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fsspec.core.url_to_fs", lambda address, **options: (_NoLogin(), "bucket/x"))


def test_missing_login_says_what_to_check(without_login, tmp_path: Path) -> None:
    for call in (lambda: _Remote("s3://bucket/x", None).size("SHA256SUMS"), lambda: pull("s3://bucket/x", tmp_path)):
        with pytest.raises(UsageError, match="cannot be reached") as caught:
            call()
        assert caught.value.where == "s3://bucket/x"
        assert "Unable to locate credentials" in str(caught.value.found)
        assert "login" in str(caught.value.todo)


def test_errors_of_a_local_folder_stay_what_they_are(without_login, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="credentials"):
        _Remote(str(tmp_path), None).size("SHA256SUMS")
