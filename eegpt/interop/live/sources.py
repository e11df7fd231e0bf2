"""Live signals: Lab Streaming Layer, and a recording played back as one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eegprep.errors import InputError, UsageError, install

_UNITS = {
    "microvolts": "uV", "microvolt": "uV", "uv": "uV", "µv": "uV", "μv": "uV",
    "millivolts": "mV", "mv": "mV", "volts": "V", "v": "V", "nv": "nV",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class LiveSource:
    """A stream: `chunks` gives (n_channels, n) float64 in `unit` until it ends."""

    ch_names: tuple[str, ...]
    sfreq_hz: float
    unit: str
    chunks: Iterator[NDArray[np.float64]]


def from_raw(raw: Any, *, chunk_s: float = 0.125, speed: float = 0.0) -> LiveSource:
    """A recording in volts as a stream, without its bad channels; `speed` 1 is real time, 0 as fast as possible."""
    sfreq_hz = float(raw.info["sfreq"])
    step = max(1, round(chunk_s * sfreq_hz))

    def chunks() -> Iterator[NDArray[np.float64]]:
        began = time.monotonic()
        for start in range(0, int(raw.n_times), step):
            if speed > 0:
                time.sleep(max(0.0, began + start / sfreq_hz / speed - time.monotonic()))
            yield raw[picks, start : start + step][0]

    picks = [i for i, name in enumerate(raw.ch_names) if name not in raw.info["bads"]]
    return LiveSource(ch_names=tuple(raw.ch_names[i] for i in picks), sfreq_hz=sfreq_hz, unit="V", chunks=chunks())


def from_lsl(
    *,
    name: str | None = None,
    kind: str = "EEG",
    unit: str | None = None,
    wait_s: float = 10.0,
    silence_s: float = 10.0,
) -> LiveSource:
    """A stream of the Lab Streaming Layer on this network.

    Parameters
    ----------
    name, kind : str
        The stream's name, or else its type.
    unit : str, optional
        V, mV, uV or nV, if the stream's description lacks it.
    wait_s, silence_s : float
        Timeout of the search, and duration of silence after which the stream is considered ended.

    Raises
    ------
    InputError
        There is no such stream.
    UsageError
        Its unit or channel names are missing, or pylsl is not installed.
    """
    try:
        import pylsl
    except (ModuleNotFoundError, RuntimeError) as error:
        # pylsl raises RuntimeError if its shared library is missing.
        raise UsageError(
            "live streams need pylsl and its library", found=str(error)[:200],
            todo=install("stream"),
        ) from None  # fmt: skip
    which = ("name", name) if name else ("type", kind)
    streams = pylsl.resolve_byprop(*which, minimum=1, timeout=wait_s)
    if not streams:
        raise InputError(
            "no such stream on this network",
            found=f"nothing of {which[0]} {which[1]!r} within {wait_s:g} s",
            todo="start the amplifier's LSL program, or choose another stream",
        )
    inlet = pylsl.StreamInlet(streams[0], max_buflen=60)
    info = inlet.info(timeout=wait_s)
    names, units = _described(info)
    if len(names) != info.channel_count() or info.nominal_srate() <= 0:
        raise UsageError(
            "the stream does not name its channels",
            found=f"{info.channel_count()} channels, {len(names)} labels, {info.nominal_srate():g} Hz",
            expected="a label for each channel in its description, and a fixed rate",
        )
    told = {_UNITS.get(u.casefold(), "") for u in units} if units else {""}
    if unit is None and (len(told) != 1 or "" in told):
        raise UsageError(
            "the stream does not state its unit", found=", ".join(sorted(set(units))) or "nothing",
            todo="pass unit= (--unit): V, mV, uV or nV",
        )  # fmt: skip

    def chunks() -> Iterator[NDArray[np.float64]]:
        silent = 0.0
        while silent < silence_s:
            samples, _ = inlet.pull_chunk(timeout=0.1, max_samples=4096)
            if len(samples):
                silent = 0.0
                yield np.asarray(samples, np.float64).T
            else:
                silent += 0.1

    return LiveSource(ch_names=names, sfreq_hz=float(info.nominal_srate()), unit=unit or told.pop(), chunks=chunks())


def _described(info: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Channel labels and units from a stream's description."""
    names, units = [], []
    channel = info.desc().child("channels").child("channel")
    while not channel.empty():
        names.append(channel.child_value("label"))
        units.append(channel.child_value("unit"))
        channel = channel.next_sibling("channel")
    return tuple(n for n in names if n), tuple(u for u in units if u)
