"""`.ts` files of the time series archives: text, one labelled case per line, dimensions separated by colons.

The manifest gives channel names, rate and unit, which the format lacks. Cases are concatenated to one signal, each a
stretch with its label, so no filter or window crosses from one case into the next. Text is Latin-1 unless the manifest
says otherwise.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from eegprep.errors import InputError, UsageError
from eegprep.formats.decoded import Decoded, SourceChannel
from eegprep.formats.ts_series import evident_step, whole_channels
from eegprep.manifest.schema import Manifest
from eegprep.recording import LeftOut, Stretch


def _case(line: str, n_channels: int, where: str) -> tuple[np.ndarray, str]:
    *dimensions, label = line.split(":")
    if len(dimensions) != n_channels:
        raise InputError(
            "the dimensions of a case do not match the channels of the manifest",
            where=where,
            found=len(dimensions),
            expected=n_channels,
        )
    try:
        rows = [np.array(["nan" if v == "?" else v for v in d.split(",")], dtype=np.float64) for d in dimensions]
    except ValueError:
        raise InputError("a value is not a number", where=where, expected="numbers separated by commas") from None
    if len({r.size for r in rows}) != 1:
        raise InputError("the dimensions of a case differ in length", where=where, found=sorted({r.size for r in rows}))
    return np.stack(rows), label.strip()


def _put_together(cases: list[np.ndarray], step: int | None, path: Path) -> list[np.ndarray]:
    """The cases, with stated damage repaired; InputError if damage is found but not stated, or the reverse."""
    if step is None:
        steps = {evident_step(case) for case in cases}
        if len(steps) == 1 and (evident := steps.pop()) is not None:
            raise InputError(
                f"the dimensions of {path.name} are not channels: each is the previous one, {evident} samples later",
                where=path,
                expected="one channel per dimension",
                todo=f"state `source: dimensions_step: {evident}`, which keeps the channels that are complete",
            )
        return cases
    whole = [whole_channels(case, step) for case in cases]
    if any(w is None or not len(w) for w in whole):
        raise InputError(
            f"the dimensions of {path.name} are not windows {step} samples apart, as the manifest says",
            where=path,
            todo="omit `source: dimensions_step:` if each dimension is a channel",
        )
    return [w for w in whole if w is not None]


def read_ts(path: Path, manifest: Manifest) -> Decoded:
    """Read one file. Raises UsageError if the manifest lacks rate or channels, InputError on damage."""
    spec = manifest.source
    if spec.sfreq_hz is None or not spec.channels:
        raise UsageError(
            f"the manifest {manifest.name} must describe the .ts file",
            expected="`source: sfreq_hz:` and `source: channels:`",
        )
    encoding = "latin-1" if spec.encoding == "utf-8" else spec.encoding
    cases: list[np.ndarray] = []
    labels: list[str] = []
    in_data = False
    with path.open(encoding=encoding, newline=None) as handle:
        for number, raw in enumerate(handle, start=1):
            line = raw.strip()
            if not line or line.startswith("#"):
                continue
            if not in_data:
                in_data = line.casefold() == "@data"
                continue
            signal, label = _case(line, len(spec.channels), f"{path}:{number}")
            cases.append(signal)
            labels.append(label)
    if not cases:
        raise InputError(f"{path.name} contains no cases", where=path, expected="lines of numbers after @data")
    cases = _put_together(cases, spec.dimensions_step, path)
    kept, lost = spec.channels[: cases[0].shape[0]], spec.channels[cases[0].shape[0] :]
    stretches: list[Stretch] = []
    start = 0
    for case in cases:
        stretches.append(Stretch(start_sample=start, n_samples=case.shape[1]))
        start += case.shape[1]
    return Decoded(
        format="ts",
        sfreq_hz=spec.sfreq_hz,
        channels=tuple(SourceChannel(name=n) for n in kept),
        signal=np.concatenate(cases, axis=1),
        stretches=tuple(stretches),
        trial_labels=tuple(zip(stretches, labels, strict=True)),
        reference=manifest.reference,
        left_out=tuple(
            LeftOut(
                kind="channel",
                name=name,
                code="not_whole",
                reason="the channel is incomplete or missing in the file: its dimensions are windows of one series",
            )
            for name in lost
        ),
    )
