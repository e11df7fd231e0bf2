"""Linear and logarithmic scales with round ticks, from values to user units.

An empty range is widened, so that a constant is drawn in the middle.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from eegprep.report.figures.numbers import format_tick


def finite(values: Iterable[float | None]) -> list[float]:
    """The finite values, without None."""
    return [float(v) for v in values if v is not None and math.isfinite(v)]


def round_ticks(low: float, high: float, n: int = 6) -> list[float]:
    """About `n` ticks between `low` and `high`, at steps of 1, 2, 2.5 or 5 times a power of ten."""
    raw = (high - low) / max(n, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(s * power for s in (1.0, 2.0, 2.5, 5.0, 10.0) if s * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [i * step for i in range(first, last + 1)]


def round_digits(value: float) -> float:
    """A tick without the last digits of floating point."""
    return float(f"{value:.9g}")


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Values `low..high` to positions `start..stop`; `log` for decades."""

    low: float
    high: float
    start: float
    stop: float
    log: bool = False

    @classmethod
    def over(
        cls, values: Iterable[float | None], start: float, stop: float, *, log: bool = False, zero: bool = False
    ) -> Scale:
        """A scale that covers all finite values (only positive ones if `log`), and optionally zero."""
        numbers = [v for v in finite(values) if not log or v > 0]
        if zero and not log:
            numbers.append(0.0)
        low, high = (min(numbers), max(numbers)) if numbers else (0.1, 1.0) if log else (0.0, 1.0)
        if log and high / low < 1.05:
            low, high = low / 2, high * 2
        elif not log and high - low < 1e-12 * max(abs(low), abs(high), 1e-300):
            pad = abs(high) / 2 or 1.0
            low, high = low - pad, high + pad
        return cls(low=low, high=high, start=start, stop=stop, log=log)

    def __call__(self, value: float) -> float:
        """The position of `value`, not clipped to the scale's range."""
        if self.log:
            share = (math.log10(value) - math.log10(self.low)) / (math.log10(self.high) - math.log10(self.low))
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.stop - self.start)

    def shows(self, value: float | None) -> bool:
        """Whether `value` has a position on the scale."""
        return value is not None and math.isfinite(value) and (value > 0 or not self.log)

    def ticks(self, n: int = 6) -> list[tuple[float, str]]:
        """Ticks as (value, text)."""
        if not self.log:
            return [(v, format_tick(round_digits(v))) for v in round_ticks(self.low, self.high, n)]
        lowest, highest = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        mantissas = (1,) if highest - lowest > 3 else (1, 3) if highest - lowest > 2 else (1, 2, 5)
        every = max(1, math.ceil((highest - lowest) / 8))
        candidates = [m * 10.0**e for e in range(lowest, highest + 1, every) for m in mantissas]
        shown = [v for v in candidates if self.low * 0.999 <= v <= self.high * 1.001]
        if len(shown) < 3:  # less than a decade: round values, evenly spread
            shown = [v for v in round_ticks(self.low, self.high, n) if v > 0]
        return [(v, format_tick(round_digits(v))) for v in shown]
