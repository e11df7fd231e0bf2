"""What the codes of left-out channels, stretches and trials mean, for where no recording's own reason is at hand."""

from __future__ import annotations

__all__ = ["meaning"]

_MEANINGS = {
    "acquisition_skip": "recording was paused",
    "annotated_bad": "marked as bad in the file",
    "boundary": "the file says that something was cut out here",
    "clipped": "at the end of the amplifier's range",
    "derivation": "measured between two electrodes, and the manifest leaves derivations out",
    "disconnected": "no signal of a brain: too weak, too strong, or line noise alone",
    "duplicate": "another channel of the recording maps to the same electrode",
    "ecg": "a heart channel",
    "emg": "a muscle channel",
    "eog": "an eye channel",
    "flat": "does not change",
    "gap": "nothing was recorded",
    "left_out": "the manifest leaves it out",
    "misc": "no EEG",
    "not_finite": "missing or infinite values",
    "not_whole": "shorter than the trial should be",
    "other_rate": "sampled at another rate than the recording's electrodes",
    "ref": "the reference itself",
    "stim": "a trigger channel",
    "too_short": "too short to keep",
    "unknown_name": "no electrode of the vocabulary has this name",
}


def meaning(code: str) -> str:
    """The code in words; a code that is not known here is given without its underscores."""
    return _MEANINGS.get(code, code.replace("_", " "))
