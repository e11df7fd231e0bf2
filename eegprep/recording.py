"""Basic types: recordings, stretches, trials, and what was left out.

Time is stored as integer samples at a stated rate; `seconds_to_samples` is the only rounding rule. `RecordingInfo` is
everything about a standardised recording except its signal; it is plain data, converts to JSON and back, and contains
no personal data.
"""

from __future__ import annotations

import bisect
import dataclasses
import functools
import itertools
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

STANDARD_SFREQ_HZ = 256.0
# Fields of RecordingInfo that are tuples of plain values.
_SEQUENCES = (
    "electrodes", "references", "sigma_uv", "source_channels", "source_files", "steps", "spectrum_before_uv2_hz",
    "origins",
)  # fmt: skip


def seconds_to_samples(seconds: float, sfreq_hz: float) -> int:
    """Convert seconds to samples: the nearest sample, halves upwards. Used for all conversions."""
    return math.floor(seconds * sfreq_hz + 0.5)


def input_name(electrode: str, reference: str) -> str:
    """The full name of an input: `electrode-reference`, e.g. `Fp1-F7` or `Cz-linked ears`."""
    return f"{electrode}-{reference}"


def electrode_of(name: str) -> str:
    """The electrode of an input's name; electrodes have no dash."""
    return name.partition("-")[0]


def input_names(electrodes: Sequence[str], references: Sequence[str]) -> tuple[str, ...]:
    """A unique name of each row: the electrode's, or `input_name` where an electrode has several rows."""
    counts = Counter(electrodes)
    return tuple(e if counts[e] == 1 else input_name(e, r) for e, r in zip(electrodes, references, strict=True))


def recording_id(*parts: str) -> str:
    """`dataset/subject/session/run`, with `-` for an empty part: the identifier of a recording everywhere."""
    return "/".join(part or "-" for part in parts)


@dataclass(frozen=True, kw_only=True, order=True)
class Stretch:
    """Contiguous samples `start_sample <= i < start_sample + n_samples` of a recording."""

    start_sample: int
    n_samples: int

    @property
    def stop_sample(self) -> int:
        """One past the last sample."""
        return self.start_sample + self.n_samples


def subtract(kept: Sequence[Stretch], rejected: Sequence[Stretch]) -> tuple[Stretch, ...]:
    """The parts of `kept` outside `rejected`, in order; boundaries in `kept` remain."""
    out: list[Stretch] = []
    bad = sorted(r for r in rejected if r.n_samples > 0)
    first = 0
    for stretch in sorted(kept):
        position = stretch.start_sample
        while first < len(bad) and bad[first].stop_sample <= position:
            first += 1
        for r in itertools.islice(bad, first, None):
            if r.stop_sample <= position:
                continue
            if r.start_sample >= stretch.stop_sample:
                break
            if r.start_sample > position:
                out.append(Stretch(start_sample=position, n_samples=r.start_sample - position))
            position = max(position, r.stop_sample)
        if position < stretch.stop_sample:
            out.append(Stretch(start_sample=position, n_samples=stretch.stop_sample - position))
    return tuple(out)


def covered(parts: Sequence[Stretch], stretches: Sequence[Stretch], origins: Sequence[int]) -> int:
    """Number of samples of the recording in `parts`, counting samples of overlapping epochs once.

    Parameters
    ----------
    parts : sequence of Stretch
        Without overlap on the time line, each inside one of `stretches`.
    stretches, origins : sequence of Stretch, of int
        Sorted stretches, and the sample of the recording at which each began; without origins they do not overlap.
    """
    if len(origins) != len(stretches):
        return sum(p.n_samples for p in parts)
    starts = [s.start_sample for s in stretches]
    shown = []
    for part in parts:
        at = max(bisect.bisect_right(starts, part.start_sample) - 1, 0)
        shown.append((part.start_sample - starts[at] + origins[at], part.n_samples))
    n, stop = 0, -(1 << 62)
    for start, length in sorted(shown):
        n += max(0, start + length - max(stop, start))
        stop = max(stop, start + length)
    return n


def spread(n: int, count: int) -> list[int]:
    """At most `count` of the indices 0 ... n-1, evenly spread from the first to the last, in order."""
    count = min(n, count)
    step = (n - 1) / max(count - 1, 1)
    return sorted({round(i * step) for i in range(count)})


def merge(stretches: Iterable[Stretch]) -> tuple[Stretch, ...]:
    """Sorted stretches without overlap; touching ones become one, empty ones are dropped."""
    out: list[Stretch] = []
    for s in sorted(stretches):
        if s.n_samples <= 0:
            continue
        if out and s.start_sample <= out[-1].stop_sample:
            stop = max(out[-1].stop_sample, s.stop_sample)
            out[-1] = Stretch(start_sample=out[-1].start_sample, n_samples=stop - out[-1].start_sample)
        else:
            out.append(s)
    return tuple(out)


def both(first: Sequence[Stretch], second: Sequence[Stretch]) -> list[Stretch]:
    """The intersection of two sorted lists of stretches."""
    out: list[Stretch] = []
    i = j = 0
    while i < len(first) and j < len(second):
        start = max(first[i].start_sample, second[j].start_sample)
        stop = min(first[i].stop_sample, second[j].stop_sample)
        if start < stop:
            out.append(Stretch(start_sample=start, n_samples=stop - start))
        if first[i].stop_sample < second[j].stop_sample:
            i += 1
        else:
            j += 1
    return out


@dataclass(frozen=True, kw_only=True, order=True)
class Trial:
    """A window with a label; `event` is the source's own text."""

    start_sample: int
    n_samples: int
    task: str
    label: str
    event: str = ""


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """A channel, a stretch of one, or a trial that was left out, with the reason.

    `kind` is `channel`, `stretch` or `trial`; `code` is a short stable identifier (`eog`, `flat`,
    `unknown_name`, ...); `reason` is text for the user. The samples of a stretch are at the standard rate.
    """

    kind: str
    name: str
    code: str
    reason: str
    start_sample: int | None = None
    n_samples: int | None = None


@dataclass(frozen=True, kw_only=True)
class MontageFit:
    """How well a recording's signal matches the positions of its electrodes.

    `figure` is the rank correlation, over all pairs of electrodes, between the similarity of their signals and their
    proximity; 0.7 to 0.9 is typical, 0 is a random order. `swap` names the two electrodes whose exchange would raise it
    most, by `gain`. `likeness` is the correlation of an electrode with the most similar one (median over electrodes):
    the order of uncorrelated channels, such as noise, cannot be checked.
    """

    figure: float
    likeness: float
    n_electrodes: int
    n_segments: int
    swap: tuple[str, str]
    gain: float


@dataclass(frozen=True, kw_only=True)
class RecordingInfo:
    """A standardised recording without its signal, which is (n_electrodes, n_samples) float32 in microvolt.

    Attributes
    ----------
    dataset, subject, session, run : str
        Identity; `session` and `run` may be empty. Strings stay strings (`"010"`).
    sfreq_hz : float
        Rate of the stored signal.
    n_samples : int
        Length of the stored time line, gaps included.
    electrodes : tuple of str
        Vocabulary names, one per row of the signal; an electrode with several derivations has several rows.
    references : tuple of str
        Reference of each row: an electrode, a scheme (`eegprep.electrodes.references`), or `unknown`.
    stretches : tuple of Stretch
        Contiguous stretches common to all electrodes. No filter and no window crosses the boundary between two, even if
        one begins at the sample at which the other ends (epoched files).
    rejected : mapping of str to tuple of Stretch
        Additional rejected stretches by input (`inputs`).
    origins : tuple of int
        If stretches are overlapping epochs, the sample of the recording at which each began, else empty.
    sigma_uv : tuple of float
        Robust standard deviation (1.4826 x median absolute deviation) of each electrode's kept samples.
    quality : mapping of str to tuple of float or None
        Quality figures per electrode, by name (e.g. `line_noise_ratio`), in row order.
    source_channels : tuple of str
        The file's own name of each row.
    source_sha256, signal_sha256 : str
        Hash of the source file or files, and of the decoded samples before any step.
    fingerprint : str
        Fingerprint that finds altered copies of the signal (`eegprep.splits.fingerprint`).
    steps : tuple of dict
        The recipe's steps, in order, as its own JSON (`Recipe.steps_json`).
    units_evidence : str
        Evidence that the signal is in microvolt.
    split : str
        `train`, `validation`, `test`, or empty if the shard stage decides.
    spectrum_before_uv2_hz, spectrum_step_hz : tuple of float, float
        Power density before any step, the median over electrodes, at 1, 2, 3, ... times the step; for the report.
    attributes : mapping of str to str
        Attributes of the subject or run that tasks may use (group, condition), from the manifest.
    montage : MontageFit, optional
        None if fewer than eight electrodes have the same reference and a position.
    """

    dataset: str
    subject: str
    session: str = ""
    run: str = ""
    sfreq_hz: float = STANDARD_SFREQ_HZ
    n_samples: int
    electrodes: tuple[str, ...]
    references: tuple[str, ...]
    stretches: tuple[Stretch, ...]
    rejected: Mapping[str, tuple[Stretch, ...]] = field(default_factory=dict)
    origins: tuple[int, ...] = ()
    trials: tuple[Trial, ...] = ()
    line_freq_hz: float | None = None
    sigma_uv: tuple[float, ...] = ()
    quality: Mapping[str, tuple[float | None, ...]] = field(default_factory=dict)
    source_channels: tuple[str, ...] = ()
    source_files: tuple[str, ...] = ()
    source_sha256: str = ""
    signal_sha256: str = ""
    fingerprint: str = ""
    source_sfreq_hz: float = STANDARD_SFREQ_HZ
    source_format: str = ""
    steps: tuple[Mapping[str, Any], ...] = ()
    units_evidence: str = ""
    split: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    spectrum_before_uv2_hz: tuple[float, ...] = ()
    spectrum_step_hz: float = 0.0
    left_out: tuple[LeftOut, ...] = ()
    montage: MontageFit | None = None

    @functools.cached_property
    def inputs(self) -> tuple[str, ...]:
        """A unique name of each row: the electrode, or `electrode-reference` if the electrode has several rows."""
        return input_names(self.electrodes, self.references)

    @property
    def id(self) -> str:
        """`dataset/subject/session/run`, with `-` for an empty part: the identifier of the recording everywhere."""
        return recording_id(self.dataset, self.subject, self.session, self.run)

    def kept(self, name: str) -> tuple[Stretch, ...]:
        """The stretches of one input that go into blocks."""
        return subtract(self.stretches, self.rejected.get(name, ()))

    def covered(self, parts: Sequence[Stretch]) -> int:
        """Number of samples of the recording in `parts` of its stretches, each counted once."""
        return covered(parts, self.stretches, self.origins)

    @property
    def n_recorded(self) -> int:
        """Samples of the recording, gaps included; for overlapping epochs, those covered by any epoch."""
        return self.covered(self.stretches) if self.origins else self.n_samples

    def left_out_samples(self, row: int) -> dict[str, int]:
        """Samples left out of one electrode, by code; with the kept samples they add up to `n_recorded`."""
        shown = list(self.kept(self.inputs[row]))
        out: dict[str, int] = {}
        for x in self.left_out:
            if x.kind != "stretch" or x.name not in ("all", self.source_channels[row]):
                continue
            n = x.n_samples or 0
            if self.origins and x.start_sample is not None:
                before = self.covered(shown)
                shown.append(Stretch(start_sample=x.start_sample, n_samples=n))
                n = self.covered(shown) - before
            out[x.code] = out.get(x.code, 0) + n
        return out

    def to_json(self) -> dict[str, Any]:
        """Plain data, ready for `canonical_json`; what is not a nested object is shared with this one."""
        # `dataclasses.asdict` copies every number, which takes longer than to write the text
        data: dict[str, Any] = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        for name in ("stretches", "trials", "left_out"):
            data[name] = tuple(dict(vars(one)) for one in data[name])
        data["rejected"] = {name: tuple(dict(vars(s)) for s in parts) for name, parts in self.rejected.items()}
        if self.montage is not None:
            data["montage"] = dict(vars(self.montage))
        if not self.origins:
            del data["origins"]
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RecordingInfo:
        """The inverse of `to_json`; an unknown or missing field raises TypeError."""
        values = dict(data)
        values["stretches"] = tuple(Stretch(**s) for s in values["stretches"])
        values["rejected"] = {k: tuple(Stretch(**s) for s in v) for k, v in values.get("rejected", {}).items()}
        values["trials"] = tuple(Trial(**t) for t in values.get("trials", ()))
        values["left_out"] = tuple(LeftOut(**x) for x in values.get("left_out", ()))
        values["quality"] = {k: tuple(v) for k, v in values.get("quality", {}).items()}
        if (montage := values.get("montage")) is not None:
            values["montage"] = MontageFit(**{**montage, "swap": tuple(montage["swap"])})
        for name in _SEQUENCES:
            values[name] = tuple(values.get(name, ()))
        return cls(**values)
