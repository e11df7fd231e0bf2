"""Select the channels of a recording and their electrodes.

A channel is kept if its name resolves to an electrode, its unit is known, the file does not mark it bad, and its
signal is not flat. The reason is kept for all others. Used by both `eegprep inspect` and `eegprep ingest`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from eegprep.electrodes import Vocabulary, resolve_all
from eegprep.electrodes.together import stored_reference
from eegprep.errors import InputError
from eegprep.manifest.recipe import Recipe
from eegprep.manifest.schema import Manifest
from eegprep.recording import LeftOut, recording_id
from eegprep.sources.base import SourceRecording
from eegprep.standardise.checks import ChannelChecks


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The decision about one channel: an electrode, or None with `code` and `reason`.

    `reference` is an electrode, a scheme, or `unknown`; `kind` is the electrode's kind. `stored_as` is its name in the
    store; an unknown name may be personal and becomes a pseudonym.
    """

    row: int
    name: str
    stored_as: str
    electrode: str | None
    reference: str
    code: str
    reason: str
    kind: str = "eeg"

    def out(self, code: str, reason: str) -> Verdict:
        """This verdict with the channel left out."""
        return dataclasses.replace(self, electrode=None, code=code, reason=reason)


#: A channel must reach this many times the low edge of its kind's band with its own Nyquist frequency: one octave.
_LEAST_BAND = 2.0


def judge_names(
    recording: SourceRecording, manifest: Manifest, vocabulary: Vocabulary, recipe: Recipe
) -> tuple[Verdict, ...]:
    """Decide by the name, unit and own rate of each channel, in the file's order; only the recipe's kinds are kept."""
    recorded = recording.reference or manifest.reference
    resolved = resolve_all(
        vocabulary,
        recording.channels,
        rules=manifest.channels,
        derivations=manifest.derivations,
        system=manifest.electrode_system,
        reference=recorded,
        kinds=recipe.kinds,
    )
    verdicts = []
    for row, (channel, resolution) in enumerate(zip(recording.channels, resolved, strict=True)):
        verdict = Verdict(
            row=row,
            name=channel.name,
            stored_as=channel.name if resolution.electrode is not None else channel.public_name or channel.name,
            electrode=resolution.electrode,
            reference=stored_reference(vocabulary, resolution, channel, recorded),
            code=resolution.code,
            reason=resolution.reason,
            kind=resolution.kind,
        )
        if resolution.electrode is not None and channel.unit == "":
            verdict = verdict.out("no_unit", channel.unit_evidence or "unit not stated by the file or the manifest")
        low_hz, rate_hz = recipe.lowest_hz(verdict.kind), channel.sfreq_hz
        if verdict.electrode is not None and rate_hz is not None and rate_hz / 2 < _LEAST_BAND * low_hz:
            reason = (
                f"sampled at {rate_hz:g} Hz, too slow for the band of {verdict.kind}, which begins at {low_hz:g} Hz; "
                f"a recipe that keeps {verdict.kind} with a lower `low_hz` keeps this channel"
            )
            verdict = verdict.out("slow", reason)
        verdicts.append(verdict)
    return tuple(verdicts)


def judge_signal(verdicts: Sequence[Verdict], recording: SourceRecording, checks: ChannelChecks) -> tuple[Verdict, ...]:
    """`verdicts` without channels that are bad in the file or have no signal.

    Parameters
    ----------
    checks : ChannelChecks
        Checks of the channels kept in `verdicts`, in their order.
    """
    out, place = [], 0
    for verdict in verdicts:
        if verdict.electrode is None:
            out.append(verdict)
            continue
        dead = checks.verdicts[place]
        place += 1
        if recording.channels[verdict.row].status.casefold() == "bad":
            out.append(verdict.out("marked_bad", "marked as bad by the file or its sidecar"))
        elif dead is not None:
            out.append(verdict.out(*dead))
        else:
            out.append(verdict)
    return tuple(out)


def usable(verdicts: Sequence[Verdict], recording: SourceRecording) -> InputError | None:
    """The error for a recording without any kept channel, else None."""
    if any(v.electrode is not None for v in verdicts):
        return None
    codes = sorted({v.code for v in verdicts})
    name = recording_id(recording.subject, recording.session, recording.run)
    return InputError(
        f"no usable channel in {name}",
        found=f"{len(verdicts)} channels left out: {', '.join(codes)}" if codes else "no channels",
        expected="at least one EEG channel with a known unit and a non-flat signal",
        todo=_todo(codes),
    )


#: Codes of channels with a known name whose signal is missing or was marked as bad.
_DEAD = frozenset({"flat", "clipped", "not_finite", "zeros", "held", "disconnected", "marked_bad"})


def _todo(codes: Sequence[str]) -> str:
    """What the user can do about recordings without any usable channel."""
    if "no_unit" in codes:
        return "state `unit:` of the source in the manifest"
    if set(codes) <= _DEAD:
        return "leave the recording out; `eegprep inspect` shows the reason of each channel"
    return "name the electrodes under `channels:` of a manifest; `eegprep inspect` shows the reason of each channel"


def left_out_channels(verdicts: Sequence[Verdict]) -> list[LeftOut]:
    """The channels that are left out, by their stored names, with reasons."""
    # The reason quotes the name, so both are replaced together.
    hidden = "unknown name; see `eegprep inspect`"
    return [
        LeftOut(kind="channel", name=v.stored_as, code=v.code, reason=v.reason if v.stored_as == v.name else hidden)
        for v in verdicts
        if v.electrode is None
    ]
