"""Prepare a signal in memory for a model, with the same code as ingest.

`mne.io.Raw` or `mne.Epochs` (volts, as in MNE), or a recording from `eegprep.sources`, becomes `Prepared`: microvolt at
256 Hz with its usable parts, the robust SD of each electrode, and every excluded channel and stretch with the reason.
"""

from __future__ import annotations

import numbers
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from eegprep.electrodes import Vocabulary, resolve_all
from eegprep.electrodes.naming import split_derivation
from eegprep.electrodes.references import canonical_reference, stated_reference
from eegprep.errors import RefusedError, UsageError
from eegprep.files import one_of
from eegprep.formats.decoded import Decoded, SourceChannel
from eegprep.manifest.recipe import Recipe, describe_steps
from eegprep.manifest.schema import ChannelRule, Licence, Manifest, SourceSpec
from eegprep.platform import pread
from eegprep.recording import LeftOut, Stretch, input_names, subtract
from eegprep.sources.assemble import assemble
from eegprep.sources.base import PlannedRecording, SourceRecording
from eegprep.standardise import Plan, decide, make_plan, run
from eegpt.transfer.setup import nearest_free

Unknown = Literal["leave_out", "nearest", "refuse"]
UNKNOWN: tuple[str, ...] = get_args(Unknown)


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A standardised signal."""

    signal_uv: NDArray[np.float32] | SignalFile  # (n_electrodes, n_samples) at 256 Hz, NaN in gaps
    electrodes: tuple[str, ...]  # names of the vocabulary
    references: tuple[str, ...]  # what each was measured against
    channels: tuple[str, ...]  # names of the file
    sigma_uv: NDArray[np.float32]  # (n_electrodes,) robust SD over the recording
    stretches: tuple[Stretch, ...]  # contiguous parts common to all electrodes; one per epoch for Epochs
    rejected: dict[str, tuple[Stretch, ...]]  # further rejected parts per input
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...]  # changes: electrodes mapped to others, corrected units
    steps: tuple[str, ...]  # the steps that ran, with their parameters
    labels: tuple[str, ...] = ()  # one per epoch; empty for a continuous signal

    def kept(self, row: int) -> tuple[Stretch, ...]:
        """The usable parts of one electrode."""
        return subtract(self.stretches, self.rejected.get(self.inputs[row], ()))

    @property
    def inputs(self) -> tuple[str, ...]:
        """A unique name of each row: the electrode, or with its reference if it has several rows."""
        return input_names(self.electrodes, self.references)


class _Memory:
    """A sink that keeps everything."""

    def __init__(self) -> None:
        self.chunks: list[NDArray[np.float32]] = []

    def append(self, signal_uv: NDArray[np.float32], /) -> None:
        self.chunks.append(np.array(signal_uv, np.float32))


class SignalFile:
    """A sink that writes to a file without a name, which is gone when it is closed, and reads windows of it.

    Use it as a context manager. `folder` needs 4 bytes per sample.
    """

    def __init__(self, folder: Path) -> None:
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  (closed on exit)
        self._n_rows = 0

    def __enter__(self) -> SignalFile:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def append(self, signal_uv: NDArray[np.float32], /) -> None:
        """Add (n_electrodes, n) samples."""
        self._n_rows = len(signal_uv)
        self._file.write(np.ascontiguousarray(signal_uv.T, np.float32).data)

    def windows(self, n_samples: int) -> SignalWindows:
        """All windows of this length, by their first sample."""
        self._file.flush()
        return SignalWindows(self._file.fileno(), self._n_rows, n_samples)


class SignalWindows:
    """The windows of a `SignalFile`, indexed by an array of first samples: (n, n_electrodes, n_samples) float32."""

    def __init__(self, descriptor: int, n_rows: int, n_samples: int) -> None:
        self._descriptor = descriptor
        n = os.fstat(descriptor).st_size // (4 * n_rows)
        self.shape = (n - n_samples + 1, n_rows, n_samples)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, starts: NDArray[np.int64]) -> NDArray[np.float32]:
        _, n_rows, n_samples = self.shape
        width = 4 * n_rows
        parts = [pread(self._descriptor, n_samples * width, int(start) * width) for start in starts]
        return np.stack([np.frombuffer(part, np.float32).reshape(n_samples, n_rows).T for part in parts])


def decoded_of(signal: Any) -> Decoded:
    """Convert an open MNE object to what the sources decode; UsageError for anything but Raw and Epochs."""
    import mne

    from eegprep.formats.epochs import decode_epochs
    from eegprep.formats.mne import decode_raw

    if isinstance(signal, mne.io.BaseRaw):
        return decode_raw(signal, "mne")
    if isinstance(signal, mne.BaseEpochs):
        with mne.utils.use_log_level("CRITICAL"):
            # Drop bad epochs first, as MNE does before returning data.
            data = np.asarray(signal.get_data(copy=False), dtype=np.float64)
        return decode_epochs(signal, data, "mne")
    raise UsageError(
        "not a signal that can be embedded",
        found=f"{type(signal).__module__}.{type(signal).__name__}",
        expected="mne.io.Raw or mne.Epochs",
        todo="mne.io.RawArray(signal_v, mne.create_info(names, sfreq, 'eeg')) makes one of an array in volts",
    )


def check_line_freq(line_freq_hz: object) -> None:
    """UsageError unless it is 50, 60 or None."""
    if line_freq_hz is not None and not (isinstance(line_freq_hz, numbers.Real) and line_freq_hz in (50, 60)):
        raise UsageError("unknown line frequency", found=line_freq_hz, expected="50 or 60 Hz")


def prepare(
    signal: Any,
    *,
    recipe: Recipe,
    vocabulary: Vocabulary,
    unknown: Unknown = "leave_out",
    line_freq_hz: float | None = None,
    reference: str | None = None,
    sink: SignalFile | None = None,
) -> Prepared:
    """Standardise a signal for a model with the given vocabulary.

    Parameters
    ----------
    signal : mne.io.Raw, mne.Epochs or SourceRecording
        EEG channels that are not in the vocabulary are listed in `left_out`.
    unknown : {"leave_out", "nearest", "refuse"}
        What to do with such channels: leave them out; map them to the nearest free electrode, by position; or refuse.
    line_freq_hz : float, optional
        50 or 60; by default taken from `info["line_freq"]` or the spectrum.
    reference : str, optional
        What the EEG channels were measured against, unless the signal says so.
    sink : SignalFile, optional
        Where the signal goes, instead of memory.

    Raises
    ------
    InputError
        If the signal cannot be used.
    RefusedError
        If an electrode is unknown and `unknown` is `refuse`.
    """
    import mne

    decoded = None if isinstance(signal, SourceRecording) else decoded_of(signal)
    channels = signal.channels if decoded is None else decoded.channels
    nearest, notes = rules_for_unknown(channels, vocabulary, unknown)
    check_line_freq(line_freq_hz)
    manifest = Manifest(
        manifest=1,
        name="signal",
        version="1",
        title="A signal in memory",
        citation="-",
        licence=Licence(id="unknown"),
        source=SourceSpec(),
        line_freq_hz=None if line_freq_hz is None else 50 if line_freq_hz == 50 else 60,
        channels=nearest,
        reference=stated_reference(vocabulary, reference),
    )
    planned = PlannedRecording(subject="signal", key="signal/-/-")
    with mne.utils.use_log_level("CRITICAL"):
        recording = signal if decoded is None else assemble(decoded, planned, manifest, Path())
        plan = make_plan(decide(recording, manifest=manifest, recipe=recipe, vocabulary=vocabulary))
        memory = _Memory()
        judged = run(plan, sink or memory)
    return Prepared(
        signal_uv=sink or np.concatenate(memory.chunks, axis=1),
        electrodes=plan.electrodes,
        references=plan.references,
        channels=tuple(c.name for c in plan.channels),
        sigma_uv=np.array(judged.sigma_uv, np.float32),
        stretches=plan.timeline.stretches,
        rejected=judged.rejected,
        left_out=(*_left_out(plan), *judged.left_out),
        notes=(*notes, *recording.notes),
        steps=describe_steps(recipe.steps_json(), sfreq_hz=recording.sfreq_hz, line_freq_hz=plan.line_freq_hz),
        labels=() if decoded is None else _labels(decoded, plan.timeline.source),
    )


def _left_out(plan: Plan) -> list[LeftOut]:
    """As in the plan, but with the original channel names, which a store must not contain."""
    verdicts = [v for v in plan.decision.verdicts if v.electrode is None]
    stored = {v.stored_as for v in verdicts}
    own = [LeftOut(kind="channel", name=v.name, code=v.code, reason=v.reason) for v in verdicts]
    return own + [x for x in plan.left_out if x.kind != "channel" or x.name not in stored]


def _labels(decoded: Decoded, kept: Sequence[Stretch]) -> tuple[str, ...]:
    of = dict(decoded.trial_labels)
    return tuple(of[s] for s in kept) if of else ()


def rules_for_unknown(
    channels: Sequence[SourceChannel], vocabulary: Vocabulary, unknown: Unknown
) -> tuple[dict[str, ChannelRule], list[str]]:
    """Rules for EEG channels that are not in the vocabulary, with notes on their effect."""
    one_of(unknown, "`unknown` (--unknown-electrodes)", UNKNOWN)
    resolved = resolve_all(vocabulary, channels)
    missing = [
        c for c, r in zip(channels, resolved, strict=True)
        if c.kind == "eeg" and r.electrode is None and r.code not in ("duplicate", "unknown_reference")
    ]  # fmt: skip
    if not missing or unknown == "leave_out":
        return {}, []
    if unknown == "refuse":
        raise RefusedError(
            f"{len(missing)} channels are not electrodes that the model knows",
            found=", ".join(c.name for c in missing[:12]),
            expected=f"electrodes among its {len(vocabulary)}",
            todo="unknown='nearest' maps each to the nearest one, 'leave_out' omits them",
        )
    taken = {r.electrode for r in resolved if r.electrode is not None}
    rules: dict[str, ChannelRule] = {}
    notes = []
    for channel in missing:
        near = nearest_free(vocabulary, channel.position_m, taken)
        if near is None:
            notes.append(f"{channel.name}: left out, no position to map it by")
            continue
        taken.add(near[0])
        parts = split_derivation(channel.name)
        against = None if parts is None else canonical_reference(vocabulary, parts[1])
        rules[channel.name] = ChannelRule(electrode=near[0], reference=against)
        notes.append(f"{channel.name}: {near[1]}")
    return rules, notes
