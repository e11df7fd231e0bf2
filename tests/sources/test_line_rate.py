"""A rate that the mains contradict is noted; stimuli, screens and weak or single lines are not taken for mains."""

from __future__ import annotations

import numpy as np
import pytest

from eegprep.formats.decoded import whole
from eegprep.sources.line_rate import rate_notes
from eegprep.sources.units import sampled_density


def notes(made, lines, *, stated_hz: float, rate_hz: float, rows: int = 6) -> tuple[str, ...]:
    """EEG sampled at `rate_hz` with lines (Hz, µV) in the first `rows` channels, read as if sampled at `stated_hz`."""
    signal = made["eeg_uv"](6, int(60 * rate_hz), amplitude=8)
    times = np.arange(signal.shape[1]) / rate_hz
    for line_hz, amplitude in lines:
        signal[:rows] += amplitude * np.sin(2 * np.pi * line_hz * times)
    sampled = sampled_density(signal, whole(signal.shape[1]), stated_hz)
    return rate_notes(sampled, np.ones(6, dtype=bool), stated_hz)


@pytest.mark.parametrize(
    ("rate_hz", "stated_hz", "mains_hz", "shown_hz"),
    [(250, 256, 50, 51.2), (256, 250, 50, 48.8), (250, 256, 60, 61.4), (500, 512, 50, 51.2), (256, 220, 60, 51.6)],
)
def test_mains_at_a_wrong_place_are_noted(
    made, rate_hz: float, stated_hz: float, mains_hz: float, shown_hz: float
) -> None:
    """Mains where another usual sampling rate would put them are noted."""
    found = notes(made, [(mains_hz, 3.0), (2 * mains_hz, 1.0)], stated_hz=stated_hz, rate_hz=rate_hz)
    if shown_hz > 60:
        assert found == (), "too near to screens and stimuli to be told"
    else:
        (note,) = found
        assert f"{shown_hz:.1f} Hz" in note
        assert f"the sampling rate is {rate_hz:g} Hz, not {stated_hz:g} Hz" in note


@pytest.mark.parametrize(
    ("lines", "rows"),
    [
        ([], 6),
        ([(50, 3.0), (100, 1.0)], 6),
        ([(60, 3.0), (120, 1.0)], 6),
        ([(50.4, 3.0), (100.8, 1.0)], 6),
        ([(51.2, 3.0)], 6),
        ([(51.2, 3.0), (102.4, 1.0)], 3),
        ([(51.2, 3.0), (102.4, 1.0), (50, 1.0)], 6),
        ([(46.0, 3.0), (92.0, 1.0)], 6),
        ([(40.0, 3.0), (80.0, 1.0)], 6),
        ([(25.0, 3.0), (50.0, 1.0)], 6),
        ([(75.0, 3.0)], 6),
        ([(13.0, 9.0), (26.0, 5.0), (39.0, 3.0), (52.0, 2.0)], 6),
    ],
    ids=["none", "50", "60", "off", "no harmonic", "few channels", "both", "no rate", "40", "25", "screen", "stimulus"],
)
def test_a_correct_file_gets_no_note(made, lines, rows: int) -> None:
    assert notes(made, lines, stated_hz=256, rate_hz=256, rows=rows) == ()


def test_too_short_for_mains_is_not_judged(made) -> None:
    """What is too short or too slow for mains is not judged."""
    for rate_hz, seconds in ((64, 60), (256, 5)):
        signal = made["eeg_uv"](6, rate_hz * seconds)
        sampled = sampled_density(signal, whole(signal.shape[1]), rate_hz)
        assert rate_notes(sampled, np.ones(6, dtype=bool), rate_hz) == ()
