"""What a reader makes of one file: the signal as the file has it, its channels, its events with their full text.

Signals are array-like: `signal[:, start:stop]` reads those samples alone, so that a day-long recording never has to lie
in memory as a whole; `numpy.asarray(signal)` reads all of it. Nothing of this leaves the machine:
`eegprep.sources.assemble` proves the unit and removes what is personal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np

from eegprep.formats.clock import Clock
from eegprep.recording import LeftOut, Stretch

#: What an event speaks of: what happened to the subject, a place where the recording was cut, or samples to leave out.
Role = Literal["stimulus", "break", "gap"]
#: Factor from a unit to microvolt.
UNITS_TO_UV: Mapping[str, float] = {"V": 1e6, "mV": 1e3, "uV": 1.0, "nV": 1e-3}


class SignalLike(Protocol):
    """What a signal offers: numpy arrays do, and so does `LazySignal`."""

    @property
    def shape(self) -> tuple[int, ...]:
        """`(n_channels, n_samples)`."""
        ...

    def __getitem__(self, key: Any, /) -> Any:
        """Samples as float64, e.g. `signal[:, 0:1000]`."""
        ...


class LazySignal:
    """A signal that is decoded when it is asked for.

    Parameters
    ----------
    n_channels, n_samples : int
        Shape of the whole.
    read : callable
        `read(start_sample, stop_sample)` gives `(n_channels, stop - start)` float64.
    """

    dtype = np.dtype(np.float64)
    ndim = 2

    def __init__(self, n_channels: int, n_samples: int, read: Callable[[int, int], np.ndarray]) -> None:
        self.shape = (n_channels, n_samples)
        self._read = read

    def __getitem__(self, key: Any) -> np.ndarray:
        rows, columns = key if isinstance(key, tuple) else (key, slice(None))
        if not isinstance(columns, slice):
            raise TypeError("a lazy signal is indexed by rows and a slice of samples: signal[rows, start:stop]")
        start, stop, step = columns.indices(self.shape[1])
        if step < 1:
            raise TypeError("a lazy signal is read forwards: the step of a slice must be positive")
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
        The file's own name.
    kind : str
        What the file says it is: `eeg`, `eog`, `ecg`, `emg`, `stim`, `misc`, `ref`, `seeg`, ..., else `unknown`.
    unit : str
        `V`, `mV`, `uV`, `nV`: the unit that the file or the manifest states, and the signal has been brought to
        microvolt. Empty: no unit is known, and the signal is in the file's numbers.
    position_m : tuple of float, optional
        x (right), y (front), z (up) in metres, where the file has them.
    from_landmarks : bool
        Whether the position was measured from the nasion and the ears (MNE's head frame); else only its directions
        are known.
    status : str
        `good` or `bad`, as the file or its BIDS side-car says.
    sfreq_hz : float, optional
        The channel's own rate where that differs from the recording's (files of mixed rates).
    digital_min, digital_max, physical_min, physical_max : float, optional
        The header's range, for clipping and as evidence of the unit; physical values in the header's unit.
    unit_evidence : str
        Why the unit is believed.
    reference : str
        What this channel was measured against, where the file says so channel by channel.
    public_name : str
        The name as it may be stored: a pseudonym where nobody knows what the name means, since it may be a person's.
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
    """Something that happened, at the source's rate; `n_samples` is 0 for an instant.

    `role` is set by readers whose format says it; `eegprep.formats.segments` decides by the text of the others.
    `channels` are the names of those that a gap is about; empty for all. `witness` is who says so: `annotations`,
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
    """What a reader made of one recording, before identity, privacy and proof of the unit.

    `signal` is in each channel's own unit as `channels[i].unit` says (file's numbers where it is empty).
    `events` carry the file's full text; `trial_labels` label the stretches of epoched files; `trial_values` are
    what the file itself says of trials. `origins` are the samples of the recording at which the stretches of an epoched
    file began, where they overlap in it. `clock` is the file's own one, where it jumps; a table that counts seconds
    counts them on it.
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


def whole(n_samples: int) -> tuple[Stretch, ...]:
    """One stretch over everything, or none of an empty signal."""
    return (Stretch(start_sample=0, n_samples=n_samples),) if n_samples else ()
