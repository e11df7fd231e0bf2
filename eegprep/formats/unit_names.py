"""Parse how files write units of voltage (`V`, `mV`, `uV`, `nV`), and which units are not voltages.

A micro sign has two code points, and is two characters if it was read with the wrong encoding.
"""

from __future__ import annotations

import re
import unicodedata

_WORDS = {
    "v": "V", "volt": "V", "volts": "V",
    "mv": "mV", "millivolt": "mV", "millivolts": "mV", "milliv": "mV",
    "uv": "uV", "muv": "uV", "mkv": "uV", "microvolt": "uV", "microvolts": "uV", "microv": "uV", "uvolt": "uV",
    "uvolts": "uV",
    "nv": "nV", "nanovolt": "nV", "nanovolts": "nV", "nanov": "nV",
}  # fmt: skip

# Quantities of channels that are not voltages.
_OTHER = re.compile(
    r"%|percent|°?(c|f|k)|deg(ree)?s?\.?[cf]?|celsius|bpm|/min|1/min|l/(min|s)|ml(/(min|s))?|hz|mm ?hg|cm ?h2o|h?pa"
    r"|m?bar|m?s|min|g|m/s(\^?2|²)?|rad(/s)?|deg/s|dps|u?t(esla)?|[um]?s(iemens)?|[km]?ohm|lux|bool(ean)?|steps?|[mcu]?m|kg"
    r"|[mun]?a",
    re.IGNORECASE,
)


def unit_of(text: str) -> str:
    """`V`, `mV`, `uV` or `nV` if the text is a unit of voltage in any known spelling, else ''."""
    # UTF-8 read as Latin-1: Â before the micro sign, Î before the Greek letter.
    folded = text.strip().replace("Âµ", "µ").replace("Î¼", "μ")
    # NFKC maps both micro signs to one letter.
    folded = unicodedata.normalize("NFKC", folded).replace("μ", "u").casefold()
    return _WORDS.get(re.sub(r"[\s\[\]()]|/(bit|count|lsb)$", "", folded), "")


def is_other_quantity(text: str) -> bool:
    """Whether the text is a unit other than a voltage (`%`, `degC`, `bpm`); such a channel is not EEG."""
    return not unit_of(text) and _OTHER.fullmatch(text.strip()) is not None
