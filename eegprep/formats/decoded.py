"""What a reader returns for one file: the signal, its channels, and its events with their full text.

Signals are array-like: `signal[:, start:stop]` reads only those samples, so a day-long recording need not fit in
memory; `numpy.asarray(signal)` reads everything. These objects are not anonymised: `eegprep.sources.assemble` checks
the unit and removes personal data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from eegprep.errors import InputError
from eegprep.formats.clock import Clock
from eegprep.recording import LeftOut, Stretch

#: Lower rates do not even cover the alpha band: averages, or another kind of signal.
MIN_SFREQ_HZ = 32.0
MAX_SFREQ_HZ = 1e6
#: Meaning of an event: something that happened to the subject, a break in the recording, or samples to leave out.
Role = Literal["stimulus", "break", "gap"]
#: Factor from a unit to microvolt.
UNITS_TO_UV: Mapping[str, float] = {"V": 1e6, "mV": 1e3, "uV": 1.0, "nV": 1e-3}


class SignalLike(Protocol):
    """The interface of a signal, implemented by numpy arrays and `LazySignal`."""

    @property
    def shape(self) -> tuple[int, ...]:
        """`(n_channels, n_samples)`."""
        ...

    def __getitem__(self, key: Any, /) -> Any:
        """Samples as float64, e.g. `signal[:, 0:1000]`."""
        ...


class LazySignal:
    """A signal that is decoded on demand.

    Parameters
    ----------
    n_channels, n_samples : int
        Shape of the signal.
    read : callable
        `read(start_sample, stop_sample)` returns `(n_channels, stop - start)` float64.
    """

    dtype = np.dtype(np.float64)
    ndim = 2

    def __init__(self, n_channels: int, n_samples: int, read: Callable[[int, int], np.ndarray]) -> None:
        self.shape = (n_channels, n_samples)
        self._read = read

    def __getitem__(self, key: Any) -> np.ndarray:
        rows, columns = key if isinstance(key, tuple) else (key, slice(None))
        if not isinstance(columns, slice):
            raise TypeError("a lazy signal must be indexed by rows and a slice of samples: signal[rows, start:stop]")
        start, stop, step = columns.indices(self.shape[1])
        if step < 1:
            raise TypeError("the step of a slice of a lazy signal must be positive")
        block = self._read(start, max(start, stop))
        return block[rows, ::step] if step > 1 else block[rows]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        block = self._read(0, self.shape[1])
        return block if dtype is None else block.astype(dtype, copy=False)


@dataclass(frozen=True, kw_only=True)
class SourceChannel:
    """One channel of a file.

    Attributes
    ----------
    name : str
        Name in the file.
    kind : str
        Type in the file: `eeg`, `eog`, `veog`, `ecg`, `emg`, `resp`, `stim`, `misc`, `ref`, ..., else `unknown`.
    unit : str
        `V`, `mV`, `uV`, `nV`: the unit stated by the file or the manifest, in a `SourceRecording` already converted to
        microvolt. Empty if the unit is unknown and the signal is in the file's numbers.
    position_m : tuple of float, optional
        x (right), y (front), z (up) in metres, if the file contains them.
    from_landmarks : bool
        Whether the position was measured from the nasion and the ears (MNE's head frame); else only its direction is
        known.
    status : str
        `good` or `bad`, from the file or its BIDS sidecar.
    sfreq_hz : float, optional
        The channel's own rate if it differs from the recording's, to which its signal was brought.
    digital_min, digital_max, physical_min, physical_max : float, optional
        The header's range, for clipping and as evidence of the unit; physical values in the header's unit.
    unit_evidence : str
        Evidence for the unit.
    reference : str
        Reference of this channel, if the file states one per channel.
    public_name : str
        The name as stored: a pseudonym if its meaning is unknown, since it may be a person's.
    """

    name: str
    kind: str = "unknown"
    unit: str = ""
    position_m: tuple[float, float, float] | None = None
    from_landmarks: bool = False
    status: str = "good"
    sfreq_hz: float | None = None
    digital_min: float | None = None
    digital_max: float | None = None
    physical_min: float | None = None
    physical_max: float | None = None
    unit_evidence: str = ""
    reference: str = ""
    public_name: str = ""


@dataclass(frozen=True, kw_only=True, order=True)
class SourceEvent:
    """An event, at the source's rate; `n_samples` is 0 for an instant.

    `role` is set by readers whose format has it; otherwise `eegprep.formats.segments` derives it from the text.
    `channels` are the channels of a gap; empty for all. `witness` is the source of the event: `annotations`,
    `stim:` and a channel, `events file`, `events.tsv`; empty if a format has a single list of events.
    """

    start_sample: int
    n_samples: int = 0
    text: str
    role: Role = "stimulus"
    channels: tuple[str, ...] = ()
    witness: str = field(default="", compare=False)


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """One decoded recording, before anonymisation and the check of its unit.

    `signal` is in each channel's own unit, `channels[i].unit` (the file's numbers if that is empty). `events` contain
    the file's full text; `trial_labels` label the stretches of epoched files; `trial_values` are what the file itself
    gives for its trials. `origins` are the samples of the recording at which the stretches of an epoched file began, if
    they overlap. `clock` is the file's clock, if it jumps; onsets in seconds in a table refer to it.
    """

    format: str
    sfreq_hz: float
    channels: tuple[SourceChannel, ...]
    signal: SignalLike = field(compare=False)
    stretches: tuple[Stretch, ...]
    events: tuple[SourceEvent, ...] = ()
    trial_labels: tuple[tuple[Stretch, str], ...] = ()
    trial_values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    origins: tuple[int, ...] = ()
    reference: str = ""
    line_freq_hz: float | None = None
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()
    clock: Clock | None = field(default=None, compare=False, repr=False)

    @property
    def is_epoched(self) -> bool:
        """Whether the file holds epochs, so that times from the start of the recording have no sample."""
        return self.format.endswith("_epochs") or bool(self.trial_labels)


def whole(n_samples: int) -> tuple[Stretch, ...]:
    """One stretch that covers the signal, or none if it is empty."""
    return (Stretch(start_sample=0, n_samples=n_samples),) if n_samples else ()


def check_rate(sfreq_hz: float, where: str | Path | None) -> float:
    """A sampling rate that EEG can have; InputError for any other. Readers call it before they compute with a rate."""
    if not MIN_SFREQ_HZ <= sfreq_hz <= MAX_SFREQ_HZ:  # also for NaN
        raise InputError(
            "implausible sampling rate",
            where=where,
            found=f"{sfreq_hz:g} Hz",
            expected=f"{MIN_SFREQ_HZ:g} Hz to {MAX_SFREQ_HZ / 1e6:g} MHz",
        )
    return sfreq_hz
