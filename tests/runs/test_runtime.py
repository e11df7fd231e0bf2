"""Where a run computes: which precision `auto` means."""

from __future__ import annotations

import pytest
import torch

from eegpt.runs.runtime import pick_precision


@pytest.mark.parametrize(
    ("unit", "expected"), [("amx_tile", "bfloat16"), ("avx512_bf16", "bfloat16"), ("none", "float32")]
)
def test_auto_precision_on_cpus(unit, expected, monkeypatch):
    """Auto is bfloat16 on every cpu that multiplies it in hardware."""
    for name in ("amx_tile", "avx512_bf16"):
        monkeypatch.setattr(torch.cpu, f"_is_{name}_supported", lambda name=name: name == unit, raising=False)
    assert pick_precision("auto", torch.device("cpu")) == expected
    assert pick_precision("float32", torch.device("cpu")) == "float32"
