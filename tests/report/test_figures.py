"""The drawings: what they show is right, what strangers name stays text, equal inputs give equal bytes."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from eegprep.electrodes.vocabulary import Vocabulary
from eegprep.report.figures import Bar, Line, Mark, bar_chart, confusion_matrix, head, histogram, line_chart
from eegprep.report.figures.head import project
from eegprep.report.figures.numbers import format_bytes, format_duration, format_number, format_percent
from eegprep.report.figures.scales import Scale, round_ticks

HOSTILE = '<script>alert("x")</script>&'


def positions(names: list[str] | None = None) -> dict[str, tuple[float, ...]]:
    vocabulary = Vocabulary.base()
    found = {n: vocabulary.position_m(n) for n in (names or vocabulary.names)}
    return {n: tuple(p) for n, p in found.items() if p is not None}


def texts(svg: str) -> list[str]:
    """All text of a well-formed SVG; fails where it is not well-formed."""
    return [e.text or "" for e in ET.fromstring(svg).iter() if e.tag in ("text", "title")]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (1234567, "1\u202f234\u202f567"),
        (0.012345, "0.0123"),
        (12.345, "12.3"),
        (-0.5, "−0.500"),
        (1.5e-7, "1.50e−7"),
        (None, "–"),
        (math.nan, "–"),
        (math.inf, "–"),
        (np.float32(2.5), "2.50"),
    ],
)
def test_numbers_have_three_digits(value: float | None, shown: str) -> None:
    """Numbers have three digits, and nothing is a dash."""
    assert format_number(value) == shown


def test_small_share_is_never_shown_as_zero() -> None:
    """A small share is never shown as zero."""
    assert format_percent(0.00001) == "< 0.1\u202f%"
    assert format_percent(0.0) == "0.0\u202f%"
    assert format_percent(0.5) == "50.0\u202f%"
    assert format_percent(None) == "–"


def test_durations_and_bytes_have_fit_units() -> None:
    """Durations and bytes take the unit that fits."""
    assert format_duration(0.25) == "250\u202fms"
    assert format_duration(90) == "1.50\u202fmin"
    assert format_duration(7200) == "2\u202fh"
    assert format_bytes(1536) == "1.50\u202fKiB"


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-3.7, 12.9), (1e-6, 4e-6), (1000, 1001)])
def test_ticks_are_inside_and_equally_spaced(low: float, high: float) -> None:
    """Ticks are inside the range and equally spaced."""
    ticks = round_ticks(low, high)
    assert 3 <= len(ticks) <= 11
    assert low - 1e-9 <= ticks[0] <= ticks[-1] <= high + 1e-9
    assert np.allclose(np.diff(ticks), ticks[1] - ticks[0])


def test_log_scale_has_equal_decades() -> None:
    """A log scale maps decades to equal lengths and has no place for zero."""
    scale = Scale.over([0.0, 1.0, 100.0], 0, 200, log=True)
    assert scale(10.0) == pytest.approx(100.0)
    assert not scale.shows(0.0)


def test_scale_of_a_constant_holds_it() -> None:
    """A scale of a constant puts it inside."""
    for log in (False, True):
        scale = Scale.over([5.0, 5.0], 0, 100, log=log)
        assert 0 < scale(5.0) < 100


def test_head_outline_meets_landmarks() -> None:
    """The outline of the head runs through its four landmarks."""
    flat = project(positions())
    for name, (x, y) in {"Fpz": (0, 1), "Oz": (0, -1), "T7": (-1, 0), "T8": (1, 0)}.items():
        assert math.dist(flat[name], (x, y)) < 0.08, name
    assert math.hypot(*flat["Cz"]) < 0.06
    assert flat["C3"][0] < 0 < flat["C4"][0]
    assert flat["Fz"][1] > 0 > flat["Pz"][1]


def test_every_electrode_is_drawn_or_named() -> None:
    """Every electrode is drawn with its value, and one without a position is named."""
    names = ["Fp1", "Cz", "O2"]
    svg = head({"Fp1": 1.0, "Cz": None, "O2": 3.0, "nowhere": 2.0}, positions(names), label="hours", unit="h")
    said = texts(svg)
    assert "Fp1: 1 h" in said
    assert "Cz: – h" in said
    assert "no position: nowhere" in said
    assert svg.count('class="electrode q9"') == 1  # the greatest value has the last colour
    assert svg.count('class="electrode empty"') == 1


def test_diverging_head_is_symmetric() -> None:
    """A diverging head is symmetric about zero."""
    svg = head({"Fp1": -1.0, "Cz": 0.0, "O2": 4.0}, positions(["Fp1", "Cz", "O2"]), label="x", diverging=True)
    classes = dict(re.findall(r"<title>(\w+): [^<]*</title><circle [^>]*class=\"electrode (d\d)\"", svg))
    assert classes == {"Fp1": "d3", "Cz": "d4", "O2": "d8"}


def test_hostile_words_stay_text_in_figures() -> None:
    """Hostile words stay text in every drawing."""
    drawings = [
        head({HOSTILE: 1.0, "Cz": 1.0}, positions(["Cz"]), label=HOSTILE, unit=HOSTILE),
        bar_chart([Bar(label=HOSTILE, value=1.0, note=HOSTILE)], label=HOSTILE),
        line_chart(
            [Line(label=HOSTILE, x=[1, 2], y=[1, 2])],
            label=HOSTILE,
            x_label=HOSTILE,
            y_label=HOSTILE,
            marks=[Mark(label=HOSTILE, x=1.5)],
        ),
        confusion_matrix([[1, 0], [0, 1]], [HOSTILE, "b"], label=HOSTILE),
        histogram([0, 1, 2], [3, 4], label=HOSTILE, x_label=HOSTILE, y_label=HOSTILE),
    ]
    for svg in drawings:
        assert "<script" not in svg
        assert ET.fromstring(svg).attrib["aria-label"] == HOSTILE


def test_a_missing_value_breaks_the_line() -> None:
    line = Line(label="x", x=[0, 1, 2, 3, 4], y=[1.0, 2.0, None, 1.0, 2.0])
    svg = line_chart([line], label="x", x_label="x", y_label="y")
    assert svg.count('class="line s0"') == 3  # two pieces, and the key in the legend


def test_long_line_keeps_its_mean() -> None:
    """A long line is averaged, and its mean is kept."""
    y = np.random.default_rng(0).normal(size=6000)
    svg = line_chart([Line(label="loss", x=np.arange(6000), y=y)], label="x", x_label="x", y_label="y")
    path = max(re.findall(r' d="([^"]+)"', svg), key=len)
    assert path.count("L") == 599
    assert len(svg) < 20_000


def test_nan_is_drawn_like_none() -> None:
    """Arrays with NaN are drawn like lists with None."""
    x, y = [0.0, 1.0, 2.0], [1.0, math.nan, 3.0]
    from_array = line_chart([Line(label="a", x=np.array(x), y=np.array(y))], label="x", x_label="x", y_label="y")
    from_list = line_chart([Line(label="a", x=x, y=[1.0, None, 3.0])], label="x", x_label="x", y_label="y")
    assert from_array == from_list


def test_confusion_colour_is_the_share() -> None:
    """The colour of a confusion matrix is the share of its true class."""
    svg = confusion_matrix([[99, 1], [5, 5]], ["often", "rare"], label="x")
    assert "true often, predicted rare: 1 (1.0%)" in texts(svg)
    assert "true rare, predicted rare: 5 (50.0%)" in texts(svg)
    steps = re.findall(r'class="(q\d)"', svg)
    assert steps == ["q9", "q0", "q5", "q5"]


def test_confusion_must_fit_its_classes() -> None:
    """A confusion matrix that does not fit its classes is refused."""
    with pytest.raises(ValueError, match="3 x 3"):
        confusion_matrix([[1, 0], [0, 1]], ["a", "b", "c"], label="x")


def test_bars_are_as_long_as_their_values() -> None:
    svg = bar_chart([Bar(label="a", value=10), Bar(label="b", value=5), Bar(label="c", value=0)], label="x")
    widths = [float(w) for w in re.findall(r'<rect [^>]*width="([\d.]+)"', svg)]
    assert widths[0] == pytest.approx(2 * widths[1], abs=0.2)
    assert widths[2] == 0


def test_empty_drawings_are_still_drawings() -> None:
    for svg in (
        bar_chart([], label="nothing"),
        head({}, {}, label="nothing"),
        line_chart([], label="nothing", x_label="x", y_label="y"),
        line_chart([Line(label="a", x=[], y=[])], label="nothing", x_label="x", y_label="y", y_log=True),
        histogram([0.0, 1.0], [0], label="nothing", x_label="x", y_label="y", y_log=True),
    ):
        assert ET.fromstring(svg).attrib["aria-label"] == "nothing"
