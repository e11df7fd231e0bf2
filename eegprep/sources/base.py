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
    """One recording to read, as known from file names and sizes.

    Attributes
    ----------
    subject, session, run : str
        Identity as stored: pseudonyms unless the manifest calls the data set's ids anonymous.
    files : tuple of str
        Paths relative to the source's folder, the main file first. For local messages only.
    n_bytes : int
        Their total size, to balance work.
    key : str
        `subject/session/run` with `-` for an empty part; unique within the source.
    attributes : mapping of str to str
        Attributes from the manifest's subject table.
    public_files : tuple of str
        Names of `files` as stored.
    part : str
        Number of the subject in a file with several, from 1; otherwise empty.
    channels : tuple of str
        The channel of each of `files`, if there is one file per electrode.
    trial_values : mapping of str to mapping of str to str
        By trial number, from 1: values that the manifest's `trial_values` list or read from a table.
    names : mapping of str to tuple of str
        Names of `subject`, `session` and `run` in the files, if these must not be stored. For local use only.
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
    """One recording without personal data, in microvolt if the unit is known.

    Attributes
    ----------
    signal : array-like, (n_channels, n_samples) float64
        In microvolt for channels with a `unit`, else in the file's numbers.
    stretches : tuple of Stretch
        Contiguous parts at the source's rate: broken at gaps, boundaries and between epochs.
    events : tuple of SourceEvent
        Only those named by a task of the manifest; other texts may be personal and are dropped.
    files : tuple of (str, str)
        Public name and SHA-256 of every file that was read.
    trial_labels : tuple of (Stretch, str)
        Epoched files: the label of each stretch, or its number if values are looked up by it; empty if unknown.
    origins : tuple of int
        Epoched files with overlapping stretches: the sample of the recording at which each began.
    parts : tuple of (float, Stretch)
        When each contiguous part began, in seconds, and its samples, if the file's clock jumps; else empty.
    trial_values : mapping of str to mapping of str to str
        By trial number, from 1: only the values that the manifest's `trial_values` name.
    units_evidence : str
        Evidence that the signal is in microvolt.
    left_out : tuple of LeftOut
        What the reader left out (channels of another rate, damaged parts), at the source's rate.
    notes : tuple of str
        Notes about the file, without its texts.
    event_counts, label_counts : mapping of str to int
        Counts of each event text and epoch label in the file. For local messages only; never stored.
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
    parts: tuple[tuple[float, Stretch], ...] = ()
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
        """Length of the time line, including gaps."""
        return int(self.signal.shape[1])


class Source(Protocol):
    """A source of recordings."""

    def plan(self) -> list[PlannedRecording]:
        """All recordings, sorted by key, without reading any signal."""
        ...

    def entries(self) -> list[Entry]:
        """All entries of the folder, sorted by path; empty for sources without a folder."""
        ...

    def read(self, planned: PlannedRecording) -> SourceRecording:
        """Read one recording. Raises InputError if it cannot be used."""
        ...
