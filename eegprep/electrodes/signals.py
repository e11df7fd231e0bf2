"""Names of channels that are not EEG (EOG, EMG, ECG, respiration), as rows of the vocabulary.

Tables and functions on strings, from the channel names of Sleep-EDF, HMC, ISRUC, SHHS, CAP, MESA and BIDS types. A name
without a known place gets its kind's general row (`EOG`, `EMG`, `ECG`, `RESP`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

#: Kinds by the code of `eegprep.electrodes.naming.not_eeg`.
KIND_OF_CODE = {"eog": "eog", "ecg": "ecg", "emg": "emg", "respiration": "respiration", "oxygen": "other"}
#: Rows by channel type of the file (BIDS, MNE), for names that say no more.
_ROW_OF_TYPE = {
    "eog": "EOG", "veog": "EOGV", "heog": "EOGH", "ecg": "ECG", "ekg": "ECG", "emg": "EMG", "resp": "RESP",
    "ppg": "Pleth",
}  # fmt: skip

_LEFT = r"\(?(?:l|left|li|sin|sx|sinistr[ao])\)?"
_RIGHT = r"\(?(?:r|right|re|dx|dex|destr[ao])\)?"
_GAP = r"[ _\-/.]*"
# Tried in this order on the complete folded name. `{n}` in a row is the number in the name, if any.
_ROWS: dict[str, tuple[tuple[str, str], ...]] = {
    "eog": (
        (rf"l{_GAP}e?oc|l{_GAP}e?og|h?{_GAP}eog{_GAP}{_LEFT}|{_LEFT}{_GAP}e(?:ye|og)|lo1|e1", "EOGL"),
        (rf"r{_GAP}e?oc|r{_GAP}e?og|h?{_GAP}eog{_GAP}{_RIGHT}|{_RIGHT}{_GAP}e(?:ye|og)|lo2|e2", "EOGR"),
        (rf"h{_GAP}eog?|eog{_GAP}h(?:or.*)?|h{_GAP}eo[lr]?|hor.*eog", "EOGH"),
        (rf"v{_GAP}eog?|eog{_GAP}v(?:er.*)?|v{_GAP}eo[udl]?|ver.*eog|v{_GAP}eog{_GAP}u(?:p\w*)?", "EOGV"),
        (rf"eog{_GAP}([123])", "EOG{n}"),
        (rf"eog(?:{_GAP}eog)?", "EOG"),
    ),
    "emg": (
        (rf"(?:emg{_GAP})?(?:chin|mentalis|submental\w*){_GAP}([123])", "EMGchin{n}"),
        (rf"(?:emg{_GAP})?(?:chin|mentalis|submental\w*|mentonier)(?:{_GAP}(?:emg|0))?", "EMGchin"),
        (rf"(?:emg{_GAP})?(?:l{_GAP}(?:leg|at|tib\w*)|left{_GAP}(?:leg|tib\w*)|(?:leg|tib\w*|plms?){_GAP}{_LEFT}|sx(?=[12]))"
         rf"(?:{_GAP}emg)?({_GAP}[12])?", "EMGlegL{n}"),
        (rf"(?:emg{_GAP})?(?:r{_GAP}(?:leg|at|tib\w*)|right{_GAP}(?:leg|tib\w*)|(?:leg|tib\w*|plms?){_GAP}{_RIGHT}"
         rf"|dx(?=[12]))(?:{_GAP}emg)?({_GAP}[12])?", "EMGlegR{n}"),
        (rf"(?:emg{_GAP})?(?:legs?|tib(?:ial(?:is)?)?|plms?)(?:{_GAP}emg)?", "EMGleg"),
        (rf"emg{_GAP}([123])", "EMG{n}"),
        (rf"emg(?:{_GAP}(?:emg|aux))?|masseter\w*|deltoid\w*", "EMG"),
    ),
    "ecg": (
        (rf"e[ck]g{_GAP}(?:lead{_GAP})?(iii|ii|i|v[1-6])", "ECG{n}"),
        (rf"e[ck]g{_GAP}([123])", "ECG{n}"),
        (rf"e[ck]g{_GAP}l(?:eft)?|l(?:eft)?{_GAP}e[ck]g", "ECGL"),
        (rf"e[ck]g{_GAP}r(?:ight)?|r(?:ight)?{_GAP}e[ck]g", "ECGR"),
        (rf"e[ck]g(?:{_GAP}e[ck]g)?|cardio\w*|heart", "ECG"),
    ),
    "respiration": (
        (rf"(?:resp{_GAP})?(?:n(?:asal)?{_GAP}pres(?:s(?:ure)?)?|press?(?:ure)?|p{_GAP}?nas\w*|(?:nasal{_GAP})?cannula|ptaf)",
         "RESPpressure"),
        (rf"(?:resp{_GAP})?(?:new{_GAP})?(?:air{_GAP}?flow|flow|flusso|air|th?erm\w*|tflow|oro{_GAP}?nasal|nasal"
         rf"|naso\w*)(?:{_GAP}flow)?", "RESPflow"),
        (rf"(?:resp{_GAP})?(?:tho(?:r\w*)?|chest|torac\w*){_GAP}(?:res\w*|effort|belt)?", "RESPthorax"),
        (rf"(?:resp{_GAP})?(?:abd\w*|addom\w*){_GAP}(?:res\w*|effort|belt)?", "RESPabdomen"),
        (rf"resp(?:iration)?(?:{_GAP}[12])?", "RESP"),
        (r"snor\w*", "Snore"),
    ),
    "oxygen": ((r"pleth\w*|ppg\d?", "Pleth"),),
}  # fmt: skip
_COMPILED = {code: tuple((re.compile(p), row) for p, row in rows) for code, rows in _ROWS.items()}
# Of two vertical eye channels this is the second, which gets the general row for both to be kept.
_LOWER = re.compile(rf"v?{_GAP}eog?{_GAP}(?:l(?:o\w*)?|d(?:own)?|inf\w*|below|bot\w*)")
_WORD = re.compile(r"(?:eog|emg|e[ck]g|resp)[ _.:\-]+(?=.*\S[ ]*[-/:])")
_SIDES = re.compile(r"\s*[-–−/:]\s*")
_SPELLING = {"iii": "III", "ii": "II", "i": "I"}


@dataclass(frozen=True, kw_only=True)
class Signal:
    """A channel of another kind: its row, and what stands after the dash of a derivation (empty if nothing does)."""

    row: str
    reference: str = ""


def code_of(name: str) -> str | None:
    """The code of a cleaned name with a row; None if it has none."""
    if re.fullmatch("e[12]", name.casefold()):
        return None  # electrodes of EGI's nets, unless the file has no other (`systems.only_eyes`)
    return next((code for code in _COMPILED if row_of(code, name) is not None), None)


def row_of(code: str, name: str) -> str | None:
    """The row of a cleaned name of a kind (`eog`, `emg`, `ecg`, `respiration`, `oxygen`); None if it has none."""
    folded = name.casefold().strip()
    for pattern, row in _COMPILED.get(code, ()):
        if (found := pattern.fullmatch(folded)) is not None:
            number = re.sub(r"[ _\-/.]", "", found[1] or "") if found.re.groups else ""
            number = "" if row.startswith("EMGleg") and number == "1" else number
            return row.format(n=_SPELLING.get(number, number.upper()))
    return None


def signal_of(code: str, name: str, kind: str = "unknown") -> Signal | None:
    """The row of a channel that is not EEG, and its reference as written.

    Parameters
    ----------
    code : str
        From `eegprep.electrodes.naming`: what the name or the file's type says that the channel is.
    name : str
        Cleaned name.
    kind : str
        The file's type, which decides if the name says nothing.
    """
    if (whole := row_of(code, name)) is not None:
        return Signal(row=_typed(whole, kind))
    bare = _WORD.sub("", name.casefold(), count=1)
    for text in (name.casefold(), bare):
        parts = _SIDES.split(text)
        if len(parts) == 2 and all(parts):
            active = row_of(code, parts[0]) or row_of(code, f"{code} {parts[0]}")
            if active is not None:
                active = _typed(active, kind)
                reference = row_of(code, parts[1]) or parts[1]
                return Signal(row=active, reference="" if reference == active else reference)
    general = {"eog": "EOG", "ecg": "ECG", "emg": "EMG"}.get(code)
    row = general if _LOWER.fullmatch(name.casefold()) else _ROW_OF_TYPE.get(kind.casefold(), general)
    return None if row is None else Signal(row=row)


def _typed(row: str, kind: str) -> str:
    """The row of the file's type instead of a general row, which the name alone gives."""
    return _ROW_OF_TYPE.get(kind.casefold(), row) if row in ("EOG", "EMG", "ECG", "RESP") else row
