"""The parts of channel names: vendors' decorations, references, and names of signals that are not EEG.

Only tables and functions on strings; `resolve` applies them in a fixed order and looks names up in the vocabulary.
"""

from __future__ import annotations

import re
import unicodedata

from eegprep.electrodes import signals
from eegprep.electrodes.references import reference_word

# Channel types of files (BIDS types, MNE kinds) that are left out, with code and reason. Names are only used for
# `unknown` and `eeg`.
NOT_EEG_KINDS: dict[str, tuple[str, str]] = {
    "eog": ("eog", "an eye channel according to the file"),
    "veog": ("eog", "an eye channel according to the file"),
    "heog": ("eog", "an eye channel according to the file"),
    "ecg": ("ecg", "a heart channel according to the file"),
    "ekg": ("ecg", "a heart channel according to the file"),
    "emg": ("emg", "a muscle channel according to the file"),
    "stim": ("stim", "a trigger channel according to the file"),
    "trig": ("stim", "a trigger channel according to the file"),
    "misc": ("misc", "not EEG (misc) according to the file"),
    "ref": ("reference", "a reference channel according to the file"),
    "ref_meg": ("reference", "a reference channel according to the file"),
    "gnd": ("reference", "the ground according to the file"),
    "seeg": ("intracranial", "an intracranial channel (SEEG) according to the file"),
    "ecog": ("intracranial", "an intracranial channel (ECoG) according to the file"),
    "dbs": ("intracranial", "an intracranial channel (DBS) according to the file"),
    "resp": ("respiration", "a respiration channel according to the file"),
    "gsr": ("gsr", "skin conductance according to the file"),
    "temp": ("temperature", "a temperature according to the file"),
    "temperature": ("temperature", "a temperature according to the file"),
    "bio": ("aux", "another physiological signal according to the file"),
    "audio": ("aux", "audio according to the file"),
    "eyegaze": ("aux", "an eye tracker channel according to the file"),
    "pupil": ("aux", "an eye tracker channel according to the file"),
    "ppg": ("oxygen", "a pulse channel according to the file"),
    "meg": ("meg", "MEG according to the file"),
    "mag": ("meg", "MEG according to the file"),
    "grad": ("meg", "MEG according to the file"),
    "fnirs": ("fnirs", "fNIRS according to the file"),
    "nirs": ("fnirs", "fNIRS according to the file"),
    "accel": ("motion", "a movement channel according to the file"),
    "gyro": ("motion", "a movement channel according to the file"),
    "magn": ("motion", "a movement channel according to the file"),
    "syst": ("stim", "a system clock or counter according to the file"),
    "sysclock": ("stim", "a system clock or counter according to the file"),
}

# Names of non-EEG signals, tried in this order on the complete cleaned name, ignoring case.
_NOT_EEG: tuple[tuple[str, str, str], ...] = (
    (r".*[ _\-]off", "device", "device state"),
    (
        r"[hv]?eog([ _\-].*|\d*|[lrudhv]|left|right)|[vh]eo[a-z]?\d?|[lr]oc|[hv]eog\S*|eye.*"
        r"|e[12][ \-:_/]+([am][12]|e[12])|[il]o[12]?|so1",
        "eog",
        "eye",
    ),
    (r"e[ck]g([ _\-].*|\d*|[lr])|cardio.*|heart", "ecg", "heart"),
    (
        r"emg([ _\-].*|\d*|[lr])|chin([ _\-].*|\d*)|[lr][ _\-]?leg.*|leg([ _/\-].*|\d*)|masseter.*|submental.*"
        r"|plms?\d*|[lr]at\d*|tib(ial|ialis)?([ _\-].*|\d*)",
        "emg",
        "muscle",
    ),
    (
        r"sti ?\d*|stim(ulus)?\d*|status|trig(ger)?s?\d*|marker.*|mkr\d*|event.*|events?|dc\d+|dc ?input.*|di?g(ital)?"
        r"|code|label|class|target|(bdf|edf) annotations?|annotations?|sampl(e|es).*"
        r"|.*counter|packet.*|time ?stamp.*|time",
        "stim",
        "trigger, marker or clock",
    ),
    (
        r"resp([ _\-.].*|iration.*|\d*)|airflow.*|flow.*|tho(r(ax|acic)?)?|abd(o(men|minal)?)?"
        r"|nasal.*|snore|chest.*|cpap.*",
        "respiration",
        "breathing",
    ),
    (
        r"sp?[ao]o?2.*|spo2|osat|pulse.*|pleth?(ysmo.*)?|pleth.*|ppg.*|pr|hr|oxy.*|nirs.*|optics.*",
        "oxygen",
        "pulse or oxygen",
    ),
    (r"temp([ _\-.].*|erature.*|\d*)", "temperature", "temperature"),
    (r"gsr\d*|eda\d*|scl?\d*|skin.*|erg\d*", "gsr", "skin conductance"),
    (
        r"acc(el)?([ _\-.]?.*)|gyro.*|magn(et)?.*|mag[ _]?[xyz]|quat.*|q[0-3xyzw]|[xyz][ _\-]?(axis|acc|dir).*"
        r"|motion.*",
        "motion",
        "movement sensor",
    ),
    (r"photic.*|pho|light.*|stroboscope", "stim", "flicker or light sensor"),
    (
        r"contact[ _.\-].*|batt(ery)?.*|cq.*|hsi.*|.*quality.*|imp(edance)?.*|interpolated|elements|.*flag.*|analog.*",
        "device",
        "device state",
    ),
    (
        r"(delta|theta|alpha|beta|gamma|low_?(alpha|beta|gamma)|high_?(alpha|beta|gamma))[ _\-].*"
        r"|p(ow|m)\..*",
        "derived",
        "value computed by the device, not a signal",
    ),
    (
        r"((left|right|[lr])[ _]?)?aux.*|exg? ?\d+|exg|bip ?\d+|ext\d*|misc.*|other.*|audio.*|mic.*|position.*|pos"
        r"|body.*",
        "aux",
        "auxiliary input",
    ),
    (
        r"ref(erence)?\d*|vertex ref.*|gnd|ground|cms|drl|com|common|vref|nose|linked.*|[lr]mast.*",
        "reference",
        "reference or ground",
    ),
)
_NOT_EEG_COMPILED = tuple((re.compile(p), code, what) for p, code, what in _NOT_EEG)

# Names without a position: numbered inputs.
_NUMBERED = re.compile(r"(eeg|ch(an(nel)?)?|exg channel|input|e?lec(trode)?|x|pol x)?[ _\-.#]*\d{1,4}")

# Sites outside the vocabulary that only a manifest can map.
KNOWN_SITES: dict[str, tuple[str, str]] = {
    "a1": ("earlobe", "A1 is the left ear lobe, not in the vocabulary; a manifest may map it to M1"),
    "a2": ("earlobe", "A2 is the right ear lobe, not in the vocabulary; a manifest may map it to M2"),
    "t1": ("unknown_name", "T1 is an anterior temporal site outside the 10-10 system; a manifest may map it"),
    "t2": ("unknown_name", "T2 is an anterior temporal site outside the 10-10 system; a manifest may map it"),
    "sp1": ("intracranial", "Sp1 is a sphenoidal electrode, not on the scalp"),
    "sp2": ("intracranial", "Sp2 is a sphenoidal electrode, not on the scalp"),
    "pg1": ("intracranial", "Pg1 is a nasopharyngeal electrode, not on the scalp"),
    "pg2": ("intracranial", "Pg2 is a nasopharyngeal electrode, not on the scalp"),
    "nz": ("unknown_name", "Nz is the nasion, a landmark, not in the vocabulary"),
    "lpa": ("unknown_name", "LPA is a landmark, not an electrode"),
    "rpa": ("unknown_name", "RPA is a landmark, not an electrode"),
}

# References that may follow a space, an underscore or nothing: no electrode name ends in one of them.
_LOOSE = re.compile(
    r"(?P<active>.+?)(?:[ _]+(?P<apart>\S+|linked ears)|(?P<fused>A1A2|M1M2|A1|A2|M1|M2|REF))", re.IGNORECASE
)
_EAR_OR_MASTOID = frozenset({"a1", "a2", "m1", "m2"})

_QUOTED = re.compile(r"""(['"])(.*)\1""")
_TRAILING_UNIT = re.compile(r"(?<=\S)[ _/\-](uv|µv|μv|value|eeg|raw)$", re.IGNORECASE)
_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
# Prefixes without meaning: devices, streams, inputs and their numbers. Words for computed values (alpha, impedance,
# CSD) are not among them.
_DEVICE = (
    r"eeg|pol|raw|ch(?:an(?:nel)?)?|electrode|input|signal|stream|lsl|amp(?:lifier)?|device|headset|cap|brain ?vision"
    r"|rda|brainamp|acti(?:champ|cap|view)|liveamp|easycap|obci|open ?bci|cyton|daisy|ganglion|bio ?semi|g\.?tec"
    r"|(?:g\.?)?(?:usb|hi)amp|(?:g\.?)?nautilus|unicorn|enobio|starstim|eego|ant|muse|emotiv|epoc(?:x|flex)?|insight|dsi"
    r"|cognionics|smarting|mbt|neuracle|neuroscan|neuroelectrics|synamps|egi|nicolet|natus|mitsar"
)
_PREFIX = re.compile(rf"^(?:(?:(?:{_DEVICE})\d{{0,3}}|\d{{1,3}})[ _:.\-]+)+(?=\S)", re.IGNORECASE)
# Names of the 10-05 system, not all in a vocabulary; up to number 12, since caps extend the rows.
_TEN_FIVE = re.compile(
    r"(fp|af|afp|aff|f|ffc|fc|fcc|c|ccp|cp|cpp|p|ppo|po|poo|o|oi|i)z"
    r"|(?:(?:af|afp|aff|f|p|ppo|po|poo)([1-9]|1[0-2])|(?:ffc|fc|fcc|c|ccp|cp|cpp)[1-6]"
    r"|(?:fft|ft|ftt|t|ttp|tp|tpp)([7-9]|1[0-2])|(?:fp|o|oi|i)[12])h?"
)
_UNIT = re.compile(r"\s*[\(\[](uv|µv|μv|mv|v|nv|microvolts?|volts?|n/a|)[\)\]]$", re.IGNORECASE)
_RUNNING_NUMBER = re.compile(r"(?<=[A-Za-z0-9])-\d$")
# `C3-4`, a clinical short form of `C3-C4`.
_ACROSS = re.compile(r"([A-Za-z]{1,3})([13579])-([2468])")
_DASH = re.compile(r"\s*[-‐‑–—−:]\s*")


def clean(channel: str) -> str:
    """Strip vendors' decorations from a name: `EEG Fp1`, `BrainVision RDA_Fp1`, `Fc5..`, `F3 (uV)`, `T8-P8-1`."""
    name = channel.replace("\0", " ").translate(_FULL_WIDTH)
    # zero-width characters (direction marks, byte order marks) are not part of a name
    name = " ".join("".join(c for c in name if unicodedata.category(c) != "Cf").split())
    if (quoted := _QUOTED.fullmatch(name)) is not None:
        name = quoted[2].strip()
    name = _TRAILING_UNIT.sub("", _UNIT.sub("", name))
    name = _PREFIX.sub("", name)
    name = name.rstrip(". ").lstrip()
    across = _ACROSS.fullmatch(name)
    if across is not None and int(across[3]) == int(across[2]) + 1:
        return f"{across[1]}{across[2]}-{across[1]}{across[3]}"
    return _RUNNING_NUMBER.sub("", name)


def split_derivation(name: str) -> tuple[str, str] | None:
    """Split `F3-C3` into (`F3`, `C3`); None unless the cleaned name has exactly one dash between two words."""
    parts = _DASH.split(name)
    if len(parts) != 2 or not all(parts):
        return None
    return parts[0].rstrip("."), _PREFIX.sub("", parts[1].rstrip("."))


def split_loosely(name: str) -> tuple[str, str] | None:
    """Split `F3/A2`, `Fp1_REF`, `Fp1 LE`, `C3A2` into active part and reference; None if the reference is unknown.

    It is a derivation only if the active part is an electrode, which the caller has to check.
    """
    active, slash, reference = name.partition("/")
    if slash and active and reference and "/" not in reference:
        return active.strip(), reference.strip()
    found = _LOOSE.fullmatch(name)
    if found is None:
        return None
    reference = found["apart"] or found["fused"]
    if reference_word(reference) is None and reference.casefold() not in _EAR_OR_MASTOID:
        return None
    return found["active"], reference


def is_ten_five(name: str) -> bool:
    """Whether a name is a position of the 10-05 system, in the vocabulary or not."""
    return _TEN_FIVE.fullmatch(name.casefold()) is not None


def not_eeg(name: str) -> tuple[str, str] | None:
    """(code, reason) if a cleaned name is a non-EEG signal, else None."""
    folded = name.casefold()
    for pattern, code, what in _NOT_EEG_COMPILED:
        if pattern.fullmatch(folded):
            return code, f"the name {name!r} is that of a non-EEG channel: {what}"
    if (found := signals.code_of(name)) is not None:
        what = next(what for _, known, what in _NOT_EEG if known == found)
        return found, f"the name {name!r} is that of a non-EEG channel: {what}"
    if _NUMBERED.fullmatch(folded):
        return "unnamed", f"the name {name!r} is a number without a position; a manifest must name the electrodes"
    return None
