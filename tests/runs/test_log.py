"""The log of a run: what a kill leaves is read, what is damaged is one error."""

from __future__ import annotations

from pathlib import Path

import pytest

from eegprep.errors import InputError
from eegpt.runs.log import LOG, read_log


def test_truncated_last_line_is_skipped(tmp_path: Path) -> None:
    assert read_log(tmp_path) == []
    (tmp_path / LOG).write_text('{"step": 1, "loss": 0.5}\n\n{"step": 2, "lo')
    assert read_log(tmp_path) == [{"step": 1, "loss": 0.5}]


@pytest.mark.parametrize(
    "line", [b"\xff\xfe", b"{", b"[1]", b"null", b"{}", b'{"step": "1"}', b'{"step": null}', b"[" * 100_000]
)
def test_damaged_line_is_one_error(line: bytes, tmp_path: Path) -> None:
    (tmp_path / LOG).write_bytes(b'{"step": 1}\n' + line + b"\n")
    with pytest.raises(InputError, match="the log is damaged") as caught:
        read_log(tmp_path)
    assert str(caught.value.where).endswith(f"{LOG}:2")
    assert "delete the file" in str(caught.value.todo)
