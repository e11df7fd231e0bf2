"""Descriptions of the codes for left-out channels, stretches and trials, if no recording's own reason is known."""

from __future__ import annotations

_MEANINGS = {
    "acquisition_skip": "recording was paused",
    "annotated_bad": "marked as bad in the file",
    "beyond_header": "behind the number of samples that the header states",
    "boundary": "the file says that something was cut out here",
    "clipped": "at the end of the amplifier's range",
    "derivation": "measured between two electrodes, and the manifest leaves derivations out",
    "disconnected": "no signal of a brain: too weak, too strong, or line noise alone",
    "duplicate": "another channel of the recording maps to the same electrode",
    "earlobe": "an ear lobe, no place of the vocabulary",
    "ecg": "a heart channel",
    "emg": "a muscle channel",
    "eog": "an eye channel",
    "flat": "does not change",
    "gap": "nothing was recorded",
    "held": "all channels hold their values at once",
    "manifest_left_out": "the manifest leaves it out",
    "marked_bad": "the file or its side-car marks it as bad",
    "misc": "no EEG",
    "no_unit": "neither the file nor the manifest states its unit",
    "no_near_electrode": "a numbered position with no electrode of the vocabulary near enough",
    "not_finite": "missing or infinite values",
    "not_whole": "shorter than the trial should be",
    "other_rate": "sampled at another rate than the recording's electrodes",
    "oxygen": "a sensor of oxygen in the blood",
    "ref": "the reference itself",
    "reference": "the reference itself",
    "rounding": "less than a sample each, between stretches whose lengths were rounded",
    "short": "shorter than the longest filter, or than the least that is kept",
    "short_rest": "too little between two rejected parts",
    "silent": "nothing, or nothing but one value, is left of it",
    "stim": "a trigger channel",
    "too_large": "larger than EEG can be",
    "unnamed": "the file gives it no name that says where it was",
    "unknown_label": "no task knows its label",
    "unknown_name": "no electrode of the vocabulary has this name",
    "zeros": "all channels are zero at once",
}


def meaning(code: str) -> str:
    """The code in words; a code that is not known here is given without its underscores."""
    return _MEANINGS.get(code, code.replace("_", " "))
