"""Epoched EEGLAB and FIF files: every epoch becomes a stretch of its own with its label.

What enters: a path. What leaves: `Decoded` with the epochs one after another. The label of an epoch is the name
(or number) of the event that it was cut around. Epochs were cut by someone else, often overlapping and baseline
corrected, so nothing is joined across their borders.
"""

from __future__ import annotations

import dataclasses
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from eegprep.errors import InputError
from eegprep.recording import Stretch
from eegprep.sources.base import Decoded
from eegprep.sources.matlab import eeglab_nose
from eegprep.sources.privacy import clean_message

__all__ = ["decode_epochs", "read_epochs"]


def read_epochs(path: Path, format_name: str) -> Decoded:
    """Read an epoched file. Raises InputError where that fails."""
    import mne

    from eegprep.sources.mne_files import facing

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            if format_name == "eeglab":
                epochs: Any = mne.io.read_epochs_eeglab(path, verbose="CRITICAL")
            else:
                epochs = mne.read_epochs(path, preload=True, verbose="CRITICAL")
            data = np.asarray(epochs.get_data(copy=False), dtype=np.float64)
        except Exception as error:  # readers raise anything on damaged files; all of it means the same here
            raise InputError(
                f"{path.name} can't be read as epochs",
                where=path,
                found=clean_message(error),
                expected="a whole file of epochs",
                todo="copy the file again, with its side-cars, or leave it out",
            ) from error
    decoded = decode_epochs(epochs, data, format_name)
    if format_name == "eeglab" and any(c.position_m is not None for c in decoded.channels):
        decoded = dataclasses.replace(decoded, channels=facing(decoded.channels, eeglab_nose(path)))
    return decoded


def decode_epochs(epochs: Any, data: np.ndarray, format_name: str) -> Decoded:
    """`Decoded` of MNE's Epochs with their samples, (n_epochs, n_channels, n_samples)."""
    from eegprep.sources.mne_files import channels_of

    n_epochs, n_channels, n_samples = data.shape
    names = {code: name for name, code in epochs.event_id.items()}
    stretches = tuple(Stretch(start_sample=i * n_samples, n_samples=n_samples) for i in range(n_epochs))
    labels = [names.get(int(code), str(int(code))) for code in epochs.events[:, 2]]
    return Decoded(
        format=f"{format_name}_epochs",
        sfreq_hz=float(epochs.info["sfreq"]),
        channels=channels_of(epochs, format_name),
        signal=data.transpose(1, 0, 2).reshape(n_channels, n_epochs * n_samples),
        stretches=stretches,
        trial_labels=tuple(zip(stretches, labels, strict=True)),
        line_freq_hz=epochs.info["line_freq"],
        notes=(f"{n_epochs} epochs of {n_samples / float(epochs.info['sfreq']):g} s",),
    )
