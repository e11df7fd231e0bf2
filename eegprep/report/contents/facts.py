"""The types of a report's contents: plain, frozen, ordered.

Hours are hours of kept signal at the stored rate; an electrode-hour is one hour of one electrode. Spectra are
one-sided power densities in µV²/Hz.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class DatasetFacts:
    """One data set: its description in the manifest, and its contents here."""

    name: str
    title: str
    version: str
    licence: str
    citation: str
    address: str
    device: str
    reference: str
    within_subject: bool
    n_subjects: int
    n_recordings: int
    n_electrodes: int
    n_trials: int
    hours: float


@dataclass(frozen=True, kw_only=True)
class ElectrodeFacts:
    """One electrode over all recordings; `sigma_uv` is the median of its robust standard deviations."""

    name: str
    position_m: tuple[float, float, float] | None
    hours: float
    n_recordings: int
    sigma_uv: float | None


@dataclass(frozen=True, kw_only=True)
class RecordingFacts:
    """One recording.

    `electrode_hours_lost` is the time lost to gaps and rejected stretches, summed over electrodes; `figures` are the
    largest value of each quality figure over electrodes, by name, and `montage` (`eegprep.recording.MontageFit`).
    A shard set does not contain the number of channels left out of a recording.
    """

    id: str
    dataset: str
    subject: str
    split: str
    hours: float
    n_electrodes: int
    n_trials: int
    electrode_hours: float
    electrode_hours_lost: float
    n_channels_left_out: int | None
    sigma_uv_low: float | None = None
    sigma_uv_median: float | None = None
    sigma_uv_high: float | None = None
    figures: Mapping[str, float] = field(default_factory=dict)

    @property
    def lost(self) -> float:
        """Lost share of the electrode-hours, 0 to 1."""
        whole = self.electrode_hours + self.electrode_hours_lost
        return self.electrode_hours_lost / whole if whole > 0 else 0.0


@dataclass(frozen=True, kw_only=True)
class LeftOutGroup:
    """All entries of one kind left out for the same reason.

    `names` are the affected channels (or events), most frequent first; `hours` are electrode-hours of stretches,
    None for entries without a length. A shard set's lock contains neither names nor reasons, since they come from
    headers.
    """

    dataset: str
    kind: str
    code: str
    reason: str
    count: int
    n_recordings: int
    names: tuple[str, ...]
    hours: float | None = None


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A file or recording that failed, with its error in parts."""

    name: str
    what: str
    found: str
    todo: str


@dataclass(frozen=True, kw_only=True)
class TrialCount:
    """Trials of one class of one task in one split."""

    dataset: str
    task: str
    label: str
    split: str
    count: int


@dataclass(frozen=True, kw_only=True)
class Spectrum:
    """Median power density over electrodes and recordings, with its 10th and 90th percentile, in µV²/Hz.

    `stage` is `before` or `after` the steps; `n` is the number of electrodes, over all recordings.
    """

    dataset: str
    stage: str
    freq_hz: tuple[float, ...]
    median: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    n: int


@dataclass(frozen=True, kw_only=True)
class Amplitudes:
    """Number of sampled values between `edges_uv`, and beyond either end."""

    edges_uv: tuple[float, ...]
    counts: tuple[int, ...]
    n_beyond: int
    n_samples: int


@dataclass(frozen=True, kw_only=True)
class Contents:
    """Contents of a store or shard set.

    `kind` is `store` or `shard set`; `provenance` are (what, value) lines such as versions and hashes;
    `n_looked_at` is the number of recordings used for spectra and amplitudes; `warnings` concern an entire data
    set.
    """

    kind: str
    name: str
    n_bytes: int
    datasets: tuple[DatasetFacts, ...]
    recordings: tuple[RecordingFacts, ...]
    electrodes: tuple[ElectrodeFacts, ...]
    trials: tuple[TrialCount, ...]
    left_out: tuple[LeftOutGroup, ...] | None
    failures: tuple[Failure, ...] = ()
    spectra: tuple[Spectrum, ...] = ()
    amplitudes: Amplitudes | None = None
    n_looked_at: int = 0
    steps: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    provenance: tuple[tuple[str, str], ...] = ()

    @property
    def hours(self) -> float:
        """Hours of recording kept in any electrode."""
        return sum(r.hours for r in self.recordings)

    @property
    def electrode_hours(self) -> float:
        """Hours summed over electrodes."""
        return sum(e.hours for e in self.electrodes)

    @property
    def n_subjects(self) -> int:
        """Subjects, counted per data set."""
        return len({(r.dataset, r.subject) for r in self.recordings})

    def worst_first(self) -> list[RecordingFacts]:
        """Recordings sorted by lost share of electrode-hours, then by noisiest electrode."""
        return sorted(self.recordings, key=lambda r: (-r.lost, -(r.sigma_uv_high or 0.0), r.id))
