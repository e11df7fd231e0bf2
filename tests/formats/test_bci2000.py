"""BCI2000: parameters as the program writes them, states as events."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from eegprep.errors import InputError
from eegprep.formats.decode import decode_file
from eegprep.sources import manifest_for_path

STATES = (
    "Running 1 0 0 0\r\nStimulusCode 8 0 0 4\r\nTargetCode 4 0 1 4\r\nSourceTime 16 0 2 0\r\nCursorPosX 16 0 4 0\r\n"
)


def read(path: Path):
    return decode_file(path, manifest_for_path(path))


def write(
    path: Path,
    signal: np.ndarray,
    *,
    kind: str = "int16",
    old: bool = False,
    parameters: tuple[str, ...] = (),
    states: dict[str, list[tuple[int, int, int]]] | None = None,
) -> Path:
    """`signal` as numbers of the file; `states` are set over ranges of samples."""
    n, n_samples = signal.shape
    body = f"[ State Vector Definition ] \r\n{STATES}[ Parameter Definition ] \r\n"
    body += "".join(f"{line}\r\n" for line in ("Source int SamplingRate= 256 256Hz 1 % // rate", *parameters)) + "\r\n"
    first = (
        "HeaderLen= {:6d} SourceCh= {} StatevectorLen= 6"
        if old
        else ("BCI2000V= 1.1 HeaderLen= {:6d} SourceCh= {} StatevectorLen= 6 DataFormat= " + kind)
    )
    first += " \r\n"
    size = len(first.format(0, n)) + len(body)
    frames = np.zeros(
        n_samples, dtype=[("x", {"int16": "<i2", "int32": "<i4", "float32": "<f4"}[kind], (n,)), ("s", "u1", (6,))]
    )
    frames["x"] = signal.T
    bits = np.zeros((n_samples, 48), dtype=np.uint8)
    bits[:, 0] = 1
    rows = np.arange(n_samples)
    for at, width, values in ((16, 16, rows // 8 * 31 % 65536), (32, 16, rows % 999)):
        bits[:, at : at + width] = values[:, None] >> np.arange(width) & 1
    for name, spans in (states or {}).items():
        at, width = {"StimulusCode": (4, 8), "TargetCode": (12, 4)}[name]
        for start, stop, value in spans:
            bits[start:stop, at : at + width] = value >> np.arange(width) & 1
    frames["s"] = np.packbits(bits, axis=1, bitorder="little")
    path.write_bytes((first.format(size, n) + body).encode() + frames.tobytes())
    return path


def lists(names: str = "Fp1 C%20z", gains: str = "0.1muV 1e-4mV", offsets: str = "0 10") -> tuple[str, ...]:
    return (
        f"Source list ChannelNames= 2 {names} // names",
        f"Source:Signal%20Properties floatlist SourceChGain= 2 {gains} 1 % % // gains",
        f"Source floatlist SourceChOffset= 2 {offsets} 0 % % // offsets",
        "Storage string SubjectName= CANARYJohnDoe // name",
    )


@pytest.mark.parametrize("kind", ["int16", "int32", "float32"])
def test_names_gains_and_offsets_hold(tmp_path: Path, kind: str) -> None:
    numbers = np.random.default_rng(0).integers(-900, 900, (2, 1024)).astype(float)
    decoded = read(write(tmp_path / "a.dat", numbers, kind=kind, parameters=lists()))
    assert [c.name for c in decoded.channels] == ["Fp1", "C z"]
    assert {c.unit for c in decoded.channels} == {"uV"}
    assert decoded.sfreq_hz == 256.0
    np.testing.assert_allclose(np.asarray(decoded.signal), (numbers - [[0], [10]]) * 0.1)
    np.testing.assert_allclose(decoded.signal[:, 1000:1020], (numbers[:, 1000:1020] - [[0], [10]]) * 0.1)
    assert "CANARY" not in repr(decoded)


def test_the_first_version_is_16_bit(tmp_path: Path) -> None:
    numbers = np.arange(2048.0).reshape(2, 1024)
    decoded = read(write(tmp_path / "a.dat", numbers, old=True, parameters=lists(offsets="0 0")))
    np.testing.assert_allclose(np.asarray(decoded.signal), numbers * 0.1)


def test_entries_may_be_named_in_braces(tmp_path: Path) -> None:
    lines = ("Source list ChannelNames= { a b } Fp1 Cz // n", "Source list SourceChGain= { a b } 2 0.5 // g")
    decoded = read(write(tmp_path / "a.dat", np.ones((2, 1024)), parameters=lines))
    assert [c.name for c in decoded.channels] == ["Fp1", "Cz"]
    assert np.asarray(decoded.signal)[:, 0].tolist() == [2.0, 0.5]


@pytest.mark.parametrize("gains", ["", "Source list SourceChGain= 2 x y // g", "Source list SourceChGain= 1 0.1 // g"])
def test_without_gains_no_unit_is_claimed(tmp_path: Path, gains: str) -> None:
    decoded = read(write(tmp_path / "a.dat", np.ones((2, 1024)), parameters=(gains,)))
    assert {c.unit for c in decoded.channels} == {""}
    assert any("no gain" in note for note in decoded.notes)


def test_states_become_events(tmp_path: Path) -> None:
    """Across a byte's border, from one value to another, at the first sample; clocks and positions do not."""
    states = {
        "StimulusCode": [(0, 50, 200), (300, 340, 3), (340, 380, 17)],
        "TargetCode": [(300, 600, 2)],
    }
    decoded = read(write(tmp_path / "a.dat", np.ones((2, 1024)), parameters=lists(), states=states))
    assert [(e.start_sample, e.text) for e in decoded.events] == [
        (0, "StimulusCode/200"), (300, "StimulusCode/3"), (300, "TargetCode/2"), (340, "StimulusCode/17"),
    ]  # fmt: skip


def test_a_rest_of_a_frame_is_noted(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dat", np.ones((2, 1024)), parameters=lists())
    path.write_bytes(path.read_bytes()[:-3])
    decoded = read(path)
    assert decoded.signal.shape == (2, 1023)
    assert any("7 bytes at the end" in note for note in decoded.notes)


@pytest.mark.parametrize(("old", "new"), [(b"SamplingRate= 256 ", b"SamplingRatf= 256 "), (b"int16", b"int64")])
def test_a_header_that_lacks_its_facts(tmp_path: Path, old: bytes, new: bytes) -> None:
    path = write(tmp_path / "a.dat", np.ones((2, 1024)), parameters=lists())
    path.write_bytes(path.read_bytes().replace(old, new))
    with pytest.raises(InputError, match="header is damaged"):
        read(path)


@pytest.mark.parametrize(("lasts", "step"), [(26, 45), (13, 16), (16, 16)])
def test_a_spellers_flashes_are_events(tmp_path: Path, lasts: int, step: int) -> None:
    """100 ms on and 75 ms off, 16 flashes a second, and flashes without a pause between them."""
    codes = np.random.default_rng(0).permutation(np.tile(np.arange(1, 13), 16))
    starts = 64 + step * np.arange(codes.size)
    spans = [(int(s), int(s) + lasts, int(c)) for s, c in zip(starts, codes, strict=True)]
    n_samples = spans[-1][1] + 64
    numbers = np.random.default_rng(0).integers(-900, 900, (2, n_samples)).astype(float)
    decoded = read(write(tmp_path / "a.dat", numbers, parameters=lists(), states={"StimulusCode": spans}))
    shown = [True, *(codes[1:] != codes[:-1])] if step == lasts else [True] * codes.size
    expected = [(int(s), f"StimulusCode/{c}") for s, c, new in zip(starts, codes, shown, strict=True) if new]
    assert [(e.start_sample, e.text) for e in decoded.events] == expected
