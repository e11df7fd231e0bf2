"""The words of the sources: what is planned, what a reader decodes, what leaves.

A source goes in three steps. `plan` looks at names and the first bytes of files only. A reader turns one
planned file or group of files into a `Decoded`: the signal as the file has it, its channels, its events with
their full text. `eegprep.sources.assemble` then proves the unit, takes away what is personal and makes the
`SourceRecording`, the only thing that leaves this package.

Signals are array-like: `signal[:, start:stop]` reads those samples alone, so that a day-long recording never
has to lie in memory as a whole; `numpy.asarray(signal)` reads all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np

from eegprep.recording import LeftOut, Stretch
from eegprep.sources.entry import Entry

__all__ = [
    "UNITS_TO_UV",
    "Decoded",
    "LazySignal",
    "PlannedRecording",
    "Role",
    "SignalLike",
    "Source",
    "SourceChannel",
    "SourceEvent",
    "SourceRecording",
    "whole",
]

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

    `role` is set by readers whose format says it; `eegprep.sources.segments` decides by the text of the others.
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
class PlannedRecording:
    """One recording to be read, known from names and sizes alone.

    Attributes
    ----------
    subject, session, run : str
        Identity as it may be stored: pseudonyms where the manifest does not call the data set's ids anonymous.
    files : tuple of str
        Paths relative to the source's folder, the one to open first. For messages on this machine only.
    n_bytes : int
        Their size, to balance work.
    key : str
        `subject/session/run` with `-` for an empty part; unique within the source.
    attributes : mapping of str to str
        What the manifest's subject table says of the subject.
    public_files : tuple of str
        The names of `files` as they may be stored.
    part : str
        Which subject of a file that holds several, from 1; empty elsewhere.
    channels : tuple of str
        The channel that each of `files` holds, where every electrode has a file of its own.
    trial_values : mapping of str to mapping of str to str
        By trial number, from 1: the values that the manifest's `trial_values` list or take from a table.
    names : mapping of str to tuple of str
        `subject`, `session` and `run` to the names by which the owner of the files knows them, where these are not the
        ones that may be stored. For this machine only.
    """

    subject: str
    session: str = ""
    run: str = ""
    files: tuple[str, ...] = ()
    n_bytes: int = 0
    key: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    public_files: tuple[str, ...] = ()
    part: str = ""
    channels: tuple[str, ...] = ()
    trial_values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """What a reader made of one recording, before identity, privacy and proof of the unit.

    `signal` is in each channel's own unit as `channels[i].unit` says (file's numbers where it is empty).
    `events` carry the file's full text; `trial_labels` label the stretches of epoched files; `trial_values` are
    what the file itself says of trials. `origins` are the samples of the recording at which the stretches of an epoched
    file began, where they overlap in it.
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


@dataclass(frozen=True, kw_only=True)
class SourceRecording:
    """One recording as it leaves the sources: free of personal data, in microvolt where that is known.

    Attributes
    ----------
    signal : array-like, (n_channels, n_samples) float64
        In microvolt for channels whose `unit` is not empty, else in the file's numbers.
    stretches : tuple of Stretch
        Contiguous parts at the source's rate: broken at gaps, boundaries and between epochs.
    events : tuple of SourceEvent
        Only those whose text a task of the manifest names; other texts may be anything and stay behind.
    files : tuple of (str, str)
        Public name and SHA-256 of every file that was read.
    trial_labels : tuple of (Stretch, str)
        Epoched files: the label of each stretch, or its number where values go by it; empty where no task knows it.
    origins : tuple of int
        Epoched files whose stretches overlap in the recording: the sample of the recording at which each one began.
    trial_values : mapping of str to mapping of str to str
        By trial number, from 1: the values that the manifest's `trial_values` name, and no others.
    units_evidence : str
        Why the signal is believed to be in microvolt.
    left_out : tuple of LeftOut
        What the reader itself left out (channels of another rate, damaged parts), at the source's rate.
    notes : tuple of str
        What is odd about the file, in our own words.
    event_counts, label_counts : mapping of str to int
        How often each text of an event, and each label of an epoch, stands in the file: the full texts, for messages
        on this machine only. They are never stored.
    """

    subject: str
    session: str
    run: str
    sfreq_hz: float
    channels: tuple[SourceChannel, ...]
    signal: SignalLike = field(compare=False)
    stretches: tuple[Stretch, ...]
    events: tuple[SourceEvent, ...] = ()
    format: str
    files: tuple[tuple[str, str], ...]
    trial_labels: tuple[tuple[Stretch, str], ...] = ()
    trial_values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    origins: tuple[int, ...] = ()
    reference: str = ""
    units_evidence: str = ""
    line_freq_hz: float | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()
    event_counts: Mapping[str, int] = field(default_factory=dict, repr=False)
    label_counts: Mapping[str, int] = field(default_factory=dict, repr=False)

    @property
    def n_samples(self) -> int:
        """Length of the time line, gaps included."""
        return int(self.signal.shape[1])


class Source(Protocol):
    """Where recordings come from."""

    def plan(self) -> list[PlannedRecording]:
        """All recordings, sorted by key, without reading any signal."""
        ...

    def entries(self) -> list[Entry]:
        """What every entry of the folder is, each exactly once, by path; empty where a list elsewhere says what is."""
        ...

    def read(self, planned: PlannedRecording) -> SourceRecording:
        """Read one recording. Raises InputError where it cannot be used."""
        ...


def whole(n_samples: int) -> tuple[Stretch, ...]:
    """One stretch over everything, or none of an empty signal."""
    return (Stretch(start_sample=0, n_samples=n_samples),) if n_samples else ()
