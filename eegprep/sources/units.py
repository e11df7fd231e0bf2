"""Check that a signal is in microvolt: compare the stated unit with the amplitude and the spectrum.

Files that are wrong by a factor of a thousand or a million are common: exporters that write volts as microvolt,
readers that assume another unit. Three independent facts are compared.

1. The unit that the header or the manifest states, or that the format fixes.
2. The amplitude: the spectrum between 4 and 30 Hz, where scalp EEG has 1 to 100 µV (root mean square) with little
   drift or line noise. The median over segments and channels limits the effect of blinks and dead channels;
   channels with electrode names are used if there are any.
3. The shape of the spectrum: EEG falls with frequency. Wrongly decoded bytes give white noise, with as much power per
   hertz at 2 to 6 Hz as at 20 to 30 Hz.

If only a factor of 1000 or a million brings the amplitude into the range of EEG, the spectrum is that of EEG, and most
of at least three channels need the same factor, the signal is corrected and the evidence is kept; if the manifest
stated the unit, the recording is refused instead. An amplitude far off with another spectrum is refused.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eegprep.electrodes import Vocabulary
from eegprep.electrodes.naming import clean, not_eeg
from eegprep.electrodes.resolve import resolve
from eegprep.errors import InputError
from eegprep.formats.decoded import LazySignal, SignalLike, SourceChannel
from eegprep.recording import Stretch

#: 4-30 Hz root mean square in µV: the typical and the possible range of scalp EEG.
TYPICAL_UV = (1.0, 100.0)
THINKABLE_UV = (0.05, 1000.0)
#: Ratio of the power density at 2-6 Hz to that at 20-30 Hz.
EEG_SLOPE = (1.5, 1e4)
NOISE_SLOPE = 1.5

#: Hz: above slow drifts, below line noise and most muscle activity.
AMPLITUDE_HZ = (4.0, 30.0)

_FACTORS = (1e3, 1e6, 1e-3, 1e-6)
_MAX_SEGMENTS = 40
_MIN_AGREEING = 0.6
_MIN_CHANNELS = 3


@dataclass(frozen=True, kw_only=True)
class Sampled:
    """Power densities: `freqs_hz` (n_freqs,), `density` (n_channels, n_freqs) in unit²/Hz; NaN in dead channels.

    `covariance`, if requested, is the channels' covariance between 4 and 30 Hz in some of the segments,
    (n_some, n_channels, n_channels), in arbitrary units.
    """

    freqs_hz: np.ndarray
    density: np.ndarray
    n_segments: int
    covariance: np.ndarray | None = None


@dataclass(frozen=True, kw_only=True)
class Spectral:
    """Per channel: 4-30 Hz amplitude in the signal's unit, slope of the spectrum; NaN where not measurable."""

    amplitude: np.ndarray
    slope: np.ndarray
    n_segments: int


@dataclass(frozen=True, kw_only=True)
class UnitsProof:
    """Channels with their evidence, the signal after any correction, and one sentence for the recording."""

    channels: tuple[SourceChannel, ...]
    signal: SignalLike
    evidence: str
    notes: tuple[str, ...] = ()
    sampled: Sampled | None = None
    witnesses: np.ndarray | None = None


def sampled_density(
    signal: SignalLike, stretches: Sequence[Stretch], sfreq_hz: float, *, n_covariances: int = 0
) -> Sampled:
    """Power density of each channel from up to 40 segments of up to 4 s, spread over the recording.

    Parameters
    ----------
    signal : array-like, (n_channels, n_samples)
    stretches : sequence of Stretch
        Segments are taken from these.
    sfreq_hz : float
    n_covariances : int
        Number of evenly spread segments for which the covariance is computed.

    Notes
    -----
    Median over segments of Hann-windowed periodograms, which limits the effect of bursts and blinks.
    """
    longest = max((s.n_samples for s in stretches), default=0)
    n = min(int(4 * sfreq_hz), longest)
    starts: list[int] = []
    if n >= 8:
        starts = [a for s in stretches for a in range(s.start_sample, s.stop_sample - n + 1, n)]
    if len(starts) > _MAX_SEGMENTS:
        starts = [starts[i] for i in np.linspace(0, len(starts) - 1, _MAX_SEGMENTS).astype(int)]
    freqs = np.fft.rfftfreq(n, 1 / sfreq_hz) if starts else np.zeros(0)
    if not starts:
        return Sampled(freqs_hz=freqs, density=np.zeros((signal.shape[0], 0)), n_segments=0)
    window = np.hanning(n)
    densities = np.empty((len(starts), signal.shape[0], freqs.size))
    band = (freqs >= AMPLITUDE_HZ[0]) & (freqs <= AMPLITUDE_HZ[1])
    chosen = set(np.linspace(0, len(starts) - 1, min(n_covariances, len(starts))).astype(int).tolist())
    covariance: list[np.ndarray] = []
    for i, start in enumerate(starts):
        block = np.asarray(signal[:, start : start + n], dtype=np.float64)
        with np.errstate(invalid="ignore"):
            block = (block - block.mean(axis=1, keepdims=True)) * window
            spectrum = np.fft.rfft(block, axis=1)
            densities[i] = np.abs(spectrum) ** 2 * (2 / (sfreq_hz * np.sum(window**2)))
            if i in chosen:
                parts = np.hstack([spectrum.real[:, band], spectrum.imag[:, band]])
                covariance.append(parts @ parts.T)
    return Sampled(
        freqs_hz=freqs,
        density=_nanmedian(densities, axis=0),
        n_segments=len(starts),
        covariance=np.array(covariance) if covariance and band.any() else None,
    )


def summarise(sampled: Sampled) -> Spectral:
    """Per channel: amplitude between 4 and 30 Hz, and ratio of the power density at 2-6 Hz to that at 20-30 Hz."""
    freqs, density = sampled.freqs_hz, sampled.density
    nan = np.full(density.shape[0], np.nan)
    band = (freqs >= AMPLITUDE_HZ[0]) & (freqs <= AMPLITUDE_HZ[1])
    if band.sum() < 2:
        return Spectral(amplitude=nan, slope=nan, n_segments=sampled.n_segments)
    low, high = (freqs >= 2) & (freqs <= 6), (freqs >= 20) & (freqs <= 30)
    slope = nan
    with np.errstate(invalid="ignore", divide="ignore"):
        amplitude = np.sqrt(np.sum(density[:, band], axis=1) * (freqs[1] - freqs[0]))
        if low.any() and high.any():
            slope = np.median(density[:, low], axis=1) / np.median(density[:, high], axis=1)
    return Spectral(amplitude=amplitude, slope=slope, n_segments=sampled.n_segments)


def _nanmedian(values: np.ndarray, axis: int) -> np.ndarray:
    """numpy.nanmedian without the warning on all-NaN rows, and as fast as numpy.median if there is no NaN."""
    if not np.isnan(values).any():
        return np.asarray(np.median(values, axis=axis))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.asarray(np.nanmedian(values, axis=axis))


def prove_units(
    channels: tuple[SourceChannel, ...],
    signal: SignalLike,
    stretches: Sequence[Stretch],
    *,
    sfreq_hz: float,
    where: Path,
) -> UnitsProof:
    """Check the stated units against the signal; correct with evidence, or refuse.

    Raises
    ------
    InputError
        If the amplitude contradicts the stated unit and no factor explains it, or the signal is noise.
    """
    judged, witnesses = _judged(channels)
    sampled = sampled_density(signal, stretches, sfreq_hz) if judged.any() else None
    proof = _prove(channels, signal, judged, witnesses, sampled, where)
    return dataclasses.replace(proof, sampled=sampled, witnesses=witnesses)


def _prove(
    channels: tuple[SourceChannel, ...],
    signal: SignalLike,
    judged: np.ndarray,
    witnesses: np.ndarray,
    sampled: Sampled | None,
    where: Path,
) -> UnitsProof:
    if sampled is None:
        return UnitsProof(
            channels=channels,
            signal=signal,
            evidence="no channel has a unit",
            notes=("neither the file nor the manifest states a unit",) if _any_eeg(channels) else (),
        )
    figures = summarise(sampled)
    live = witnesses & np.isfinite(figures.amplitude) & (figures.amplitude > 0)
    stated = _stated(channels, witnesses)
    if not live.any():
        return UnitsProof(
            channels=channels, signal=signal, evidence=f"{stated}; too short or too flat to check against the signal"
        )
    amplitude = float(np.median(figures.amplitude[live]))
    slopes = figures.slope[live]
    slope = float(_nanmedian(slopes, axis=0))
    facts = f"4-30 Hz amplitude {amplitude:.3g} µV"
    if np.isfinite(slope):
        facts += f", spectrum falls by {slope:.3g}"
    if TYPICAL_UV[0] <= amplitude <= TYPICAL_UV[1]:
        if np.isfinite(slope) and slope < NOISE_SLOPE:
            odd = "the spectrum does not fall with frequency, as for noise"
            return UnitsProof(
                channels=channels,
                signal=signal,
                evidence=f"{stated}; {facts}: an amplitude typical of EEG",
                notes=(odd,),
            )
        return UnitsProof(channels=channels, signal=signal, evidence=f"{stated}; {facts}: typical for EEG")
    factor = next((f for f in _FACTORS if TYPICAL_UV[0] <= amplitude * f <= TYPICAL_UV[1]), None)
    thinkable = THINKABLE_UV[0] <= amplitude <= THINKABLE_UV[1]
    if thinkable:
        odd = "low" if amplitude < TYPICAL_UV[0] else "high"
        return UnitsProof(
            channels=channels,
            signal=signal,
            evidence=f"{stated}; {facts}: unusually {odd}, but possible",
            notes=(f"amplitudes are unusually {odd} for EEG ({amplitude:.3g} µV between 4 and 30 Hz)",),
        )
    shifted = figures.amplitude[live] * (factor or 0.0)
    agreeing = float(np.mean((shifted >= TYPICAL_UV[0] / 3) & (shifted <= TYPICAL_UV[1] * 3)))
    like_eeg = EEG_SLOPE[0] <= slope <= EEG_SLOPE[1]
    if factor is None or not like_eeg or agreeing < _MIN_AGREEING or live.sum() < _MIN_CHANNELS:
        noise = np.isfinite(slope) and slope < NOISE_SLOPE
        raise InputError(
            "not EEG in microvolt: " + ("the samples are noise" if noise else "the amplitude is impossible"),
            where=where,
            found=f"{facts} ({stated})",
            expected=f"{TYPICAL_UV[0]:g} to {TYPICAL_UV[1]:g} µV between 4 and 30 Hz, falling with frequency",
            todo="the file is damaged or its unit is wrong: download it again, or state the unit in the manifest",
        )
    if any(c.unit_evidence.startswith("the manifest") for c, j in zip(channels, judged, strict=True) if j):
        raise InputError(
            f"the unit in the manifest is wrong by a factor of {1 / factor:g}",
            where=where,
            found=f"{facts} ({stated})",
            expected=f"{amplitude * factor:.3g} µV after multiplying by {factor:g}",
            todo="correct `unit:` in the manifest",
        )
    sentence = (
        f"{stated}; {facts}, impossible for EEG: multiplied by {factor:g}, which gives {amplitude * factor:.3g} µV"
    )
    factors = np.where(judged, factor, 1.0)[:, None]

    def read(start: int, stop: int) -> np.ndarray:
        return np.asarray(signal[:, start:stop], dtype=np.float64) * factors

    corrected: SignalLike
    if isinstance(signal, np.ndarray):
        corrected = signal * factors
    else:
        corrected = LazySignal(signal.shape[0], signal.shape[1], read)
    return UnitsProof(
        channels=tuple(
            dataclasses.replace(c, unit_evidence=sentence) if j else c for c, j in zip(channels, judged, strict=True)
        ),
        signal=corrected,
        evidence=sentence,
        notes=(f"the file's unit is wrong by a factor of {1 / factor:g}; corrected by its amplitude and spectrum",),
    )


def _judged(channels: Sequence[SourceChannel]) -> tuple[np.ndarray, np.ndarray]:
    """The channels in which a wrong unit would be corrected, and those used to detect it.

    Channels of belts, legs and hearts are also in volts and often outnumber the electrodes, so channels with electrode
    names are used to detect it; if there are none, all channels whose names do not say otherwise.
    """
    volts = np.array([c.unit != "" and c.kind in ("eeg", "unknown") for c in channels], dtype=bool)
    other = np.array([_is_other(c.name) for c in channels], dtype=bool)
    judged = volts & ~other if (volts & ~other).any() else volts
    base = Vocabulary.base()
    named = np.array([j and resolve(base, c.name).electrode is not None for c, j in zip(channels, judged, strict=True)])
    return judged, named.astype(bool) if named.any() else judged


def _is_other(name: str) -> bool:
    found = not_eeg(clean(name))
    return found is not None and found[0] != "unnamed"


def _any_eeg(channels: Sequence[SourceChannel]) -> bool:
    return any(c.kind in ("eeg", "unknown") for c in channels)


def _stated(channels: Sequence[SourceChannel], judged: np.ndarray) -> str:
    """The distinct sentences of the judged channels, most frequent first."""
    counts: dict[str, int] = {}
    for channel, one in zip(channels, judged, strict=True):
        if one:
            text = channel.unit_evidence or f"stated {channel.unit}"
            counts[text] = counts.get(text, 0) + 1
    return ", ".join(sorted(counts, key=lambda t: (-counts[t], t))[:3])
