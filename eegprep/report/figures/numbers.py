"""Number formatting: three significant digits, thin spaces between thousands, a dash for None.

Values that are not finite are also shown as a dash, never as `nan`, and keep their place in a table.
"""

from __future__ import annotations

import math

NOTHING = "–"
_THIN = "\u202f"


def format_number(value: float | int | None, digits: int = 3) -> str:
    """`value` with `digits` significant digits, integers in full; `–` for None and non-finite values."""
    if value is None or not math.isfinite(value):
        return NOTHING
    if isinstance(value, int) or (float(value).is_integer() and abs(value) < 1e15):
        return _grouped(f"{int(value):,}")
    magnitude = math.floor(math.log10(abs(value)))
    if magnitude < -4 or magnitude >= 9:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        return f"{mantissa}e{int(exponent)}".replace("-", "−")
    return _grouped(f"{value:,.{max(0, digits - 1 - magnitude)}f}")


def format_tick(value: float) -> str:
    """A tick's value in a short form, e.g. `0.1`, `10 000`, `1e−5`."""
    if value != 0 and not 1e-3 <= abs(value) < 1e7:
        mantissa, exponent = f"{value:e}".split("e")
        shown = f"{float(mantissa):g}e{int(exponent)}"
    else:
        shown = f"{round(value, 10):,.10f}".rstrip("0").rstrip(".")
    return _grouped(shown)


def _grouped(text: str) -> str:
    return text.replace(",", _THIN).replace("-", "−")


def format_percent(share: float | None, digits: int = 1) -> str:
    """A share of one as percent, e.g. `0.125` as `12.5 %`; a share above zero is never shown as zero."""
    if share is None or not math.isfinite(share):
        return NOTHING
    smallest = 10.0**-digits
    if 0 < share * 100 < smallest:
        return f"< {smallest:.{digits}f}{_THIN}%"
    return f"{share * 100:.{digits}f}{_THIN}%".replace("-", "−")


def format_duration(seconds: float | None) -> str:
    """Seconds in a suitable unit: `850 ms`, `12.4 s`, `7.3 min`, `2.21 h`."""
    if seconds is None or not math.isfinite(seconds):
        return NOTHING
    if seconds != 0 and abs(seconds) < 1:
        return f"{format_number(seconds * 1000)}{_THIN}ms"
    for limit, factor, unit in ((60, 1, "s"), (3600, 60, "min"), (math.inf, 3600, "h")):
        if abs(seconds) < limit:
            return f"{format_number(float(f'{seconds / factor:.3g}'))}{_THIN}{unit}"
    return NOTHING


def format_bytes(n_bytes: int | None) -> str:
    """Bytes in binary units, e.g. `1536` as `1.5 KiB`."""
    if n_bytes is None:
        return NOTHING
    value = float(n_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{format_number(value)}{_THIN}{unit}"
        value /= 1024
    return f"{format_number(value)}{_THIN}TiB"
