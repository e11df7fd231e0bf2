"""A .ts file whose dimensions are windows of one series is refused, or put together as the manifest says."""

from __future__ import annotations

import numpy as np
import pytest

from eegprep.errors import InputError
from eegprep.formats.ts import read_ts
from eegprep.formats.ts_series import evident_step, whole_channels
from eegprep.manifest.schema import Manifest


def manifest(step: int | None, channels: list[str]) -> Manifest:
    source = {"kind": "ts", "sfreq_hz": 100, "unit": "uV", "channels": channels, "dimensions_step": step}
    return Manifest.model_validate(
        {
            "manifest": 1,
            "name": "made",
            "version": "1",
            "title": "t",
            "citation": "c",
            "licence": {"id": "CC0-1.0"},
            "source": source,
        }
    )


def true_cases(n_cases: int, n_channels: int, n_samples: int) -> np.ndarray:
    return np.random.default_rng(3).normal(0, 10, (n_cases, n_channels, n_samples)).round(2)


def damaged(cases: np.ndarray) -> np.ndarray:
    """What a conversion writes that cuts every n_channels samples instead of every n_samples."""
    n_cases, n_channels, n_samples = cases.shape
    series = cases.reshape(n_cases, -1)
    return np.stack([series[:, c * n_channels : c * n_channels + n_samples] for c in range(n_channels)], axis=1)


def write(path, cases: np.ndarray) -> None:
    lines = [":".join(",".join(str(v) for v in row) for row in case) + ":a" for case in cases]
    path.write_text("@problemName made\n@data\n" + "\n".join(lines) + "\n", encoding="latin-1")


def test_whole_channels_come_back_exactly():
    cases = true_cases(1, 28, 50)
    case = damaged(cases)[0]
    assert evident_step(case) == 28
    np.testing.assert_array_equal(whole_channels(case, 28), cases[0, :16])


def test_constant_channels_prove_no_damage():
    """True channels and constant ones prove no damage."""
    assert evident_step(true_cases(1, 6, 100)[0]) is None
    assert evident_step(np.ones((6, 100))) is None


def test_damaged_file_says_what_to_state(tmp_path):
    """A damaged file is refused with what to state."""
    write(tmp_path / "x.ts", damaged(true_cases(3, 6, 100)))
    with pytest.raises(InputError) as caught:
        read_ts(tmp_path / "x.ts", manifest(None, [f"C{i}" for i in range(6)]))
    assert "dimensions_step: 6" in str(caught.value)


def test_stated_damage_is_undone(tmp_path):
    """Damage that is stated is undone, and lost channels are listed."""
    cases = true_cases(3, 28, 50)
    write(tmp_path / "x.ts", damaged(cases))
    names = [f"Q{i}" for i in range(28)]
    decoded = read_ts(tmp_path / "x.ts", manifest(28, names))
    assert [c.name for c in decoded.channels] == names[:16]
    np.testing.assert_array_equal(np.asarray(decoded.signal)[:, 50:100], cases[1, :16])
    assert [x.name for x in decoded.left_out] == names[16:]
    assert {x.code for x in decoded.left_out} == {"not_whole"}


def test_stated_damage_must_be_there(tmp_path):
    """Damage that is stated but not found is an error."""
    write(tmp_path / "x.ts", true_cases(3, 6, 100))
    with pytest.raises(InputError, match="not windows 6 samples apart"):
        read_ts(tmp_path / "x.ts", manifest(6, [f"C{i}" for i in range(6)]))
