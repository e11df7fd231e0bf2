"""Descriptions of the codes for left-out channels, stretches and trials, if no recording's own reason is known."""

from __future__ import annotations

_MEANINGS = {
    "acquisition_skip": "the recording was paused",
    "annotated_bad": "marked as bad in the file",
    "beyond_header": "after the number of samples in the header",
    "boundary": "something was cut out here according to the file",
    "clipped": "at the end of the amplifier's range",
    "derivation": "measured between two electrodes, and the manifest leaves out derivations",
    "disconnected": "not an EEG signal: too weak, too strong, or mostly line noise",
    "duplicate": "another channel of the recording maps to the same electrode",
    "earlobe": "an ear lobe, not in the vocabulary",
    "ecg": "a heart channel",
    "emg": "a muscle channel",
    "eog": "an eye channel",
    "flat": "constant signal",
    "gap": "nothing was recorded",
    "held": "all channels are constant at once",
    "manifest_left_out": "left out by the manifest",
    "marked_bad": "marked as bad by the file or its sidecar",
    "misc": "no EEG",
    "no_unit": "unit not stated by the file or the manifest",
    "no_near_electrode": "a numbered position too far from every electrode of the vocabulary",
    "not_finite": "missing or infinite values",
    "not_whole": "shorter than the trial should be",
    "other_rate": "sampled at another rate than the electrodes",
    "slow": "sampled too slowly for its kind of signal",
    "oxygen": "a blood oxygen sensor",
    "ref": "the reference itself",
    "reference": "the reference itself",
    "rounding": "less than a sample, between stretches of rounded length",
    "short": "shorter than the longest filter, or than the minimum length",
    "short_rest": "too short between two rejected parts",
    "silent": "nothing, or only a constant, is left",
    "stim": "a trigger channel",
    "too_large": "amplitude too large for EEG",
    "unnamed": "no informative name in the file",
    "unknown_label": "label unknown to all tasks",
    "unknown_name": "no electrode of the vocabulary has this name",
    "zeros": "all channels are zero at once",
}


def meaning(code: str) -> str:
    """The code in words; for an unknown code, the code without underscores."""
    return _MEANINGS.get(code, code.replace("_", " "))
