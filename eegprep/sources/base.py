"""The types of the sources: planned recordings and `SourceRecording`.

A source has three steps. `plan` looks at names and the first bytes of files only. A reader of `eegprep.formats` turns
a planned recording into a `Decoded`. `eegprep.sources.assemble` checks the unit, removes personal data and makes the
`SourceRecording`, the only output of this package.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from eegprep.formats.decoded import SignalLike, SourceChannel, SourceEvent
from eegprep.recording import LeftOut, Stretch
from eegprep.sources.entry import Entry


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
        Epoched files: the label of each stretch, or its number where values go by it; empty if no task knows it.
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
        """What every entry of the folder is, each exactly once, by path; empty if a list elsewhere says what is."""
        ...

    def read(self, planned: PlannedRecording) -> SourceRecording:
        """Read one recording. Raises InputError if it cannot be used."""
        ...
