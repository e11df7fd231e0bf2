"""Detect flat, clipped, missing, disconnected and noisy signals. Nothing is changed here.

`check_signal(signal_uv, sfreq_hz, stretches)` reads a signal in microvolt at the source's rate in chunks, so memory
does not grow with its length. It returns `ChannelChecks`: per channel the stretches to reject (`rejected(row)`),
quality figures, and for unusable channels a code and a reason (`verdicts[row]`).

The rules, each with its limit as a parameter:

- not finite: samples that are NaN or infinite.
- zeros, held: at least 0.1 s in which all channels (three or more) are zero or constant at once, as devices fill in
  lost packets. Treated as missing, like samples that are not finite.
- flat: the same value for at least `flat_s` seconds, which a connected electrode never gives.
- clipped: the channel's highest or lowest value for at least `clipped_s` seconds, but shorter than flat.
- disconnected: 4-30 Hz amplitude under 2 % or over 30 times the median of the recording's channels (the latter only
  over 200 µV); or line noise with 1000 times the power of all of 4-30 Hz.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from eegprep.formats.decoded import SignalLike
from eegprep.recording import Stretch, both, merge, seconds_to_samples, subtract
from eegprep.sources.units import Sampled, sampled_density, summarise

_CHUNK = 1 << 16
#: A run is at the channel's limit if its value differs from it by less than this.
_SAME_UV = 1e-5
_LINE_HZ = (50.0, 60.0)
_MOSTLY_BAD = 0.9
#: All channels at once never stay constant this long by chance.
_HELD_S, _FEWEST_HELD = 0.1, 10
#: Least power density of line noise in µV²/Hz, to distinguish it from the floor of a filter.
_LINE_FLOOR = 1e-2
#: Number of segments whose covariance is kept, enough that a few blinks do not dominate.
_N_COVARIANCES = 20


@dataclass(frozen=True, kw_only=True)
class ChannelChecks:
    """Per channel, in row order.

    Attributes
    ----------
    flat, clipped, not_finite : tuple of tuple of Stretch
        At the source's rate.
    zeros, held : tuple of Stretch
        Of all channels at once.
    verdicts : tuple of (code, reason) or None
        Channels that are completely bad: `flat`, `clipped`, `not_finite`, `zeros`, `held`, `disconnected`.
    line_noise_ratio : tuple of float or None
        Power density at the line frequency relative to its neighbours; 1 means no line noise.
    line_freq_hz : float or None
        50 or 60: as given, else the one with the clearer peak; None if neither has a peak.
    amplitude_uv, slope : tuple of float or None
        4-30 Hz root mean square, and how the spectrum falls; see `eegprep.sources.units`.
    minimum_uv, maximum_uv : tuple of float or None
    covariance : (n_segments, n_channels, n_channels) ndarray or None
        4-30 Hz, of segments spread over the recording; None if none is long enough.
    """

    flat: tuple[tuple[Stretch, ...], ...]
    clipped: tuple[tuple[Stretch, ...], ...]
    not_finite: tuple[tuple[Stretch, ...], ...]
    verdicts: tuple[tuple[str, str] | None, ...]
    line_noise_ratio: tuple[float | None, ...]
    line_freq_hz: float | None
    amplitude_uv: tuple[float | None, ...]
    slope: tuple[float | None, ...]
    minimum_uv: tuple[float | None, ...]
    maximum_uv: tuple[float | None, ...]
    zeros: tuple[Stretch, ...] = ()
    held: tuple[Stretch, ...] = ()
    covariance: np.ndarray | None = field(default=None, compare=False)

    def missing(self, row: int) -> tuple[Stretch, ...]:
        """Stretches of a channel without signal (not finite, or filled in by the device), sorted and merged."""
        return merge((*self.not_finite[row], *self.zeros, *self.held))

    def rejected(self, row: int) -> tuple[Stretch, ...]:
        """All rejected stretches of one channel, sorted and merged."""
        return merge((*self.flat[row], *self.clipped[row], *self.missing(row)))


def _runs(flags: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Starts and lengths of the runs of True."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False])).astype(np.int8)))
    return edges[::2], edges[1::2] - edges[::2]


class _Scan:
    """Runs of equal and of non-finite samples of every channel, collected chunk by chunk."""

    def __init__(self, n_channels: int, shortest: int) -> None:
        self.shortest = shortest
        self.equal: list[list[tuple[Stretch, float]]] = [[] for _ in range(n_channels)]
        self.missing: list[list[Stretch]] = [[] for _ in range(n_channels)]
        self.last_values = np.full(n_channels, np.nan)
        self.low = np.full(n_channels, np.inf)
        self.high = np.full(n_channels, -np.inf)

    def scan(self, signal: SignalLike, stretch: Stretch) -> None:
        """Scan one stretch; runs end at its boundaries."""
        n_channels = signal.shape[0]
        last: np.ndarray | None = None
        carried = np.zeros(n_channels, dtype=np.int64)  # equal steps carried over from the previous chunk
        for start in range(stretch.start_sample, stretch.stop_sample, _CHUNK):
            stop = min(start + _CHUNK, stretch.stop_sample)
            block = np.asarray(signal[:, start:stop], dtype=np.float64)
            # same[:, i]: sample i equals the one before it; the first of a stretch has no predecessor
            same = np.zeros(block.shape, dtype=bool)
            for row, values in enumerate(block):  # a row at a time stays in the processor's cache
                np.equal(values[1:], values[:-1], out=same[row][1:])
                self._range(row, values, start)
            if last is not None:
                same[:, 0] = block[:, 0] == last
                self.last_values = last
            ends = stop == stretch.stop_sample
            counts = np.count_nonzero(same, axis=1)
            long_enough = counts + carried >= self.shortest - 1
            for row, values in enumerate(block):
                if long_enough[row]:
                    self._equal_runs(row, same[row], values, start, int(carried[row]), ends)
            whole = counts == stop - start
            tails = np.where(same[:, -1] & ~whole, np.argmin(same[:, ::-1], axis=1), counts * whole)
            carried = np.where(whole, carried + tails, tails)
            last = np.array(block[:, -1])

    def _range(self, row: int, values: np.ndarray, start: int) -> None:
        low, high = values.min(), values.max()
        if not (np.isfinite(low) and np.isfinite(high)):  # NaN spreads into both
            finite = np.isfinite(values)
            starts, lengths = _runs(~finite)
            self.missing[row] += [
                Stretch(start_sample=start + int(a), n_samples=int(n)) for a, n in zip(starts, lengths, strict=True)
            ]
            low = np.where(finite, values, np.inf).min()
            high = np.where(finite, values, -np.inf).max()
        self.low[row], self.high[row] = min(self.low[row], low), max(self.high[row], high)

    def _equal_runs(
        self, row: int, same: np.ndarray, values: np.ndarray, start: int, carried: int, is_last: bool
    ) -> None:
        """Keep the runs that end in this chunk; a run that reaches its end is carried over."""
        starts, lengths = _runs(same)
        if carried and not same[0]:
            # it ended with the previous chunk, so its value is not in this one
            starts, lengths = np.concatenate([[0], starts]), np.concatenate([[0], lengths])
        for a, n in zip(starts.tolist(), lengths.tolist(), strict=True):
            total = n + (carried if a == 0 else 0)
            if total + 1 < self.shortest or (n and a + n == same.size and not is_last):
                continue
            first = start + a - 1 - (carried if a == 0 else 0)
            value = float(values[a]) if n else float(self.last_values[row])
            self.equal[row].append((Stretch(start_sample=first, n_samples=total + 1), value))


def line_noise(freqs: np.ndarray, density: np.ndarray, line_freq_hz: float | None) -> tuple[np.ndarray, float | None]:
    """Power density at the line frequency relative to that 3 to 8 Hz away, per channel, and the line frequency.

    If no frequency is given, it is 50 or 60 Hz, whichever has the larger ratio; None if neither reaches 3.
    """
    ratios: dict[float, np.ndarray] = {}
    for line in _LINE_HZ if line_freq_hz is None else (line_freq_hz,):
        peak = np.abs(freqs - line) <= 1.0
        beside = (np.abs(freqs - line) >= 3.0) & (np.abs(freqs - line) <= 8.0)
        if freqs.size and freqs[-1] >= line + 3.0 and peak.any() and beside.any():
            with np.errstate(invalid="ignore", divide="ignore"):
                ratios[line] = density[:, peak].max(axis=1) / np.median(density[:, beside], axis=1)
    if not ratios:
        return np.full(density.shape[0], np.nan), line_freq_hz
    best = max(ratios, key=lambda f: _median(ratios[f]))
    # In a band that was filtered out, any ripple has a large ratio, so the peak needs a minimum power as well.
    strong = _median(density[:, np.abs(freqs - best) <= 1.0].max(axis=1)) > _LINE_FLOOR
    stands_out = line_freq_hz is not None or (_median(ratios[best]) > 3.0 and strong)
    return ratios[best], best if stands_out else None


def _median(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else 0.0


def check_signal(
    signal_uv: SignalLike,
    sfreq_hz: float,
    stretches: Sequence[Stretch],
    *,
    line_freq_hz: float | None = None,
    flat_s: float = 1.0,
    clipped_s: float = 0.05,
    comparable: bool = True,
) -> ChannelChecks:
    """Check every channel of a recording.

    Parameters
    ----------
    signal_uv : array-like, (n_channels, n_samples)
        Microvolt, before any filter; read in chunks.
    sfreq_hz : float
    stretches : sequence of Stretch
        Parts to check.
    line_freq_hz : float, optional
        50 or 60 if known; detected by default.
    flat_s, clipped_s : float
        Shortest run in seconds (for clipped also at least 4 samples).
    comparable : bool
        Whether the channels should have similar amplitudes, as EEG does: only then can one be `disconnected`, and only
        then do constant values in all of them mean lost samples.
    """
    n_channels = signal_uv.shape[0]
    n_flat = max(4, seconds_to_samples(flat_s, sfreq_hz))
    n_clipped = min(n_flat, max(4, seconds_to_samples(clipped_s, sfreq_hz)))
    scan = _Scan(n_channels, n_clipped)
    for stretch in stretches:
        scan.scan(signal_uv, stretch)
    flat: list[tuple[Stretch, ...]] = []
    clipped: list[tuple[Stretch, ...]] = []
    for row in range(n_channels):
        rails = (scan.low[row], scan.high[row])
        flat.append(merge([s for s, _ in scan.equal[row] if s.n_samples >= n_flat]))
        short = [(s, v) for s, v in scan.equal[row] if s.n_samples < n_flat]
        clipped.append(merge([s for s, v in short if any(abs(v - r) <= _SAME_UV for r in rails)]))
    equal = [[s for s, _ in runs] for runs in scan.equal]
    least = max(_FEWEST_HELD, seconds_to_samples(_HELD_S, sfreq_hz))
    held = [s for s in _held_by_all(equal, scan.missing, least) if s.n_samples < n_flat] if comparable else []
    silent = [[s for s, v in runs if v == 0.0] for runs in scan.equal]
    zeros = both(held, _held_by_all(silent, scan.missing, least)) if comparable else []
    held = [*subtract(held, zeros)]
    missing = [merge([*m, *zeros, *held]) for m in scan.missing]
    sampled = sampled_density(signal_uv, stretches, sfreq_hz, n_covariances=_N_COVARIANCES)
    figures = summarise(sampled)
    ratios, line = line_noise(sampled.freqs_hz, sampled.density, line_freq_hz)
    n_kept = sum(s.n_samples for s in stretches)
    filled = {"zeros": zeros, "held": held}
    verdicts = [
        _lost(n_kept, flat[row], clipped[row], missing[row], {"not_finite": scan.missing[row], **filled})
        or (_disconnected(row, figures.amplitude, ratios, sampled) if comparable else None)
        for row in range(n_channels)
    ]
    return ChannelChecks(
        flat=tuple(flat),
        clipped=tuple(clipped),
        not_finite=tuple(merge(m) for m in scan.missing),
        zeros=tuple(zeros),
        held=tuple(held),
        verdicts=tuple(verdicts),
        line_noise_ratio=_plain(ratios),
        line_freq_hz=line,
        amplitude_uv=_plain(figures.amplitude),
        slope=_plain(figures.slope),
        minimum_uv=_plain(scan.low),
        maximum_uv=_plain(scan.high),
        covariance=sampled.covariance,
    )


def together(parts: Sequence[tuple[Sequence[int], ChannelChecks]]) -> ChannelChecks:
    """The checks of several groups of channels as one; each group comes with the rows of its channels.

    Figures of the whole recording (line frequency, lost samples of all channels at once) are those of the first group.
    """
    first = parts[0][1]
    if len(parts) == 1:
        return first
    order = [(row, checks, i) for rows, checks in parts for i, row in enumerate(rows)]
    by_row = sorted(order, key=lambda x: x[0])
    names = (
        "flat", "clipped", "not_finite", "verdicts", "line_noise_ratio", "amplitude_uv", "slope", "minimum_uv",
        "maximum_uv",
    )  # fmt: skip
    merged: dict[str, Any] = {name: tuple(getattr(checks, name)[i] for _, checks, i in by_row) for name in names}
    return replace(first, **merged, covariance=None)


def _plain(values: np.ndarray) -> tuple[float | None, ...]:
    return tuple(float(v) if np.isfinite(v) else None for v in values)


def _lost(
    n_kept: int,
    flat: Sequence[Stretch],
    clipped: Sequence[Stretch],
    missing: Sequence[Stretch],
    kinds: Mapping[str, Sequence[Stretch]],
) -> tuple[str, str] | None:
    """The main reason why 90 % or more of a channel is bad, as a code; `kinds` make up `missing`."""
    n_bad = sum(s.n_samples for one in (flat, clipped, missing) for s in one)
    if n_kept == 0 or n_bad < _MOSTLY_BAD * n_kept:
        return None
    parts = {"flat": flat, "clipped": clipped, **kinds}
    code = max(parts, key=lambda c: sum(s.n_samples for s in parts[c]))
    share = min(100 * n_bad / n_kept, 100)
    return code, f"{share:.0f} % of its samples are flat, clipped or missing, most of them {code.replace('_', ' ')}"


def _disconnected(row: int, amplitude: np.ndarray, ratios: np.ndarray, sampled: Sampled) -> tuple[str, str] | None:
    typical = _median(amplitude)
    own = amplitude[row]
    if typical <= 0 or not np.isfinite(own):
        return None
    compared = np.isfinite(amplitude).sum() >= 3
    if compared and own < 0.02 * typical:
        return "disconnected", f"4-30 Hz amplitude of {own:.3g} µV, the others have {typical:.3g} µV"
    if compared and own > 30 * typical and own > 200:
        return "disconnected", f"4-30 Hz amplitude of {own:.3g} µV, the others have {typical:.3g} µV"
    for line in _LINE_HZ:
        peak = np.abs(sampled.freqs_hz - line) <= 1.0
        if peak.any():
            step = sampled.freqs_hz[1] - sampled.freqs_hz[0]
            power = float(np.sum(sampled.density[row, peak]) * step)
            if power > 1000 * own**2:
                return "disconnected", f"line noise has {power / own**2:.0f} times the power of 4 to 30 Hz"
    return None


def _held_by_all(equal: Sequence[Sequence[Stretch]], missing: Sequence[Sequence[Stretch]], least: int) -> list[Stretch]:
    """Runs of at least `least` samples in which all channels (three or more) are constant or missing."""
    if len(equal) < 3:
        return []
    common: list[Stretch] | None = None
    for held, lost in zip(equal, missing, strict=True):
        own = merge([*held, *lost])
        common = list(own) if common is None else both(common, own)
        if not common:
            return []
    return [s for s in common or [] if s.n_samples >= least]
