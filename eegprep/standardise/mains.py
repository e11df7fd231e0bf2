"""The line frequency of a country, used for the notch if neither the manifest nor the file gives it.

60 Hz by IEC's list of world plugs (https://www.iec.ch/world-plugs); all other countries have 50 Hz. Japan has both, so
there the spectrum decides.
"""

from __future__ import annotations

# fmt: off
_SIXTY = frozenset({
    "AG", "AI", "AS", "AW", "BM", "BO", "BR", "BS", "BZ", "CA", "CO", "CR", "CU", "DO", "EC", "FM", "GT", "GU", "GY",
    "HN", "HT", "KN", "KR", "KY", "LR", "MF", "MH", "MP", "MS", "MX", "NI", "PA", "PE", "PH", "PR", "PW", "SA", "SR",
    "SV", "TC", "TT", "TW", "US", "VE", "VG", "VI",
})
# fmt: on
_BOTH = frozenset({"JP"})


def mains_hz(country: str | None) -> float | None:
    """50 or 60 Hz for an ISO 3166 code; None if the country is unknown or uses both."""
    if country is None or country in _BOTH:
        return None
    return 60.0 if country in _SIXTY else 50.0
