"""Which channels of a recording go into the store, under which electrode, and why the others do not.

A channel gets in if its name resolves to an electrode, its unit is known, the file does not call it bad, and its
signal is alive. Of all others the reason is kept. `eegprep inspect` and `eegprep ingest` both ask here, and nowhere
else.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from eegprep.electrodes import Vocabulary, resolve_all
from eegprep.errors import InputError
from eegprep.manifest.schema import Manifest
from eegprep.recording import LeftOut, recording_id
from eegprep.sources.base import SourceRecording
from eegprep.standardise.checks import ChannelChecks


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What becomes of one channel of a file: an electrode, or None; `code` and `reason` say why.

    `stored_as` is the name under which the store may speak of it: a name that nobody knows may be a person's.
    """

    row: int
    name: str
    stored_as: str
    electrode: str | None
    reference: str
    code: str
    reason: str

    def out(self, code: str, reason: str) -> Verdict:
        """The channel left out."""
        return dataclasses.replace(self, electrode=None, code=code, reason=reason)


def judge_names(recording: SourceRecording, manifest: Manifest, vocabulary: Vocabulary) -> tuple[Verdict, ...]:
    """What names and units say of each channel, in the file's order."""
    resolved = resolve_all(
        vocabulary,
        recording.channels,
        rules=manifest.channels,
        derivations=manifest.derivations,
        system=manifest.electrode_system,
    )
    recorded = recording.reference or manifest.reference
    verdicts = []
    for row, (channel, resolution) in enumerate(zip(recording.channels, resolved, strict=True)):
        verdict = Verdict(
            row=row,
            name=channel.name,
            stored_as=channel.name if resolution.electrode is not None else channel.public_name or channel.name,
            electrode=resolution.electrode,
            reference=resolution.reference or channel.reference or recorded,
            code=resolution.code,
            reason=resolution.reason,
        )
        if resolution.electrode is not None and channel.unit == "":
            verdict = verdict.out(
                "no_unit", channel.unit_evidence or "neither the file nor the manifest states its unit"
            )
        verdicts.append(verdict)
    return tuple(verdicts)


def judge_signal(verdicts: Sequence[Verdict], recording: SourceRecording, checks: ChannelChecks) -> tuple[Verdict, ...]:
    """`verdicts` without what the file calls bad or whose signal is dead.

    Parameters
    ----------
    checks : ChannelChecks
        Of the channels that `verdicts` let in, in their order.
    """
    out, place = [], 0
    for verdict in verdicts:
        if verdict.electrode is None:
            out.append(verdict)
            continue
        dead = checks.verdicts[place]
        place += 1
        if recording.channels[verdict.row].status.casefold() == "bad":
            out.append(verdict.out("marked_bad", "the file or its side-car marks it as bad"))
        elif dead is not None:
            out.append(verdict.out(*dead))
        else:
            out.append(verdict)
    return tuple(out)


def usable(verdicts: Sequence[Verdict], recording: SourceRecording) -> InputError | None:
    """The error that refuses a recording of which no channel got in; None where one did."""
    if any(v.electrode is not None for v in verdicts):
        return None
    codes = sorted({v.code for v in verdicts})
    name = recording_id(recording.subject, recording.session, recording.run)
    return InputError(
        f"no channel of {name} can be used",
        found=f"{len(verdicts)} channels left out: {', '.join(codes)}" if codes else "it has no channels",
        expected="at least one channel that is an electrode, with a known unit and a living signal",
        todo=_todo(codes),
    )


#: Codes of channels whose names are known and whose signal is not there, or was marked as bad.
_DEAD = frozenset({"flat", "clipped", "not_finite", "zeros", "held", "disconnected", "marked_bad"})


def _todo(codes: Sequence[str]) -> str:
    """What a person can do about recordings of which no channel got in."""
    if "no_unit" in codes:
        return "state `unit:` of the source in the manifest"
    if set(codes) <= _DEAD:
        return "leave the recording out; `eegprep inspect` shows the reason of each channel"
    return "name the electrodes under `channels:` of a manifest; `eegprep inspect` shows the reason of each channel"


def left_out_channels(verdicts: Sequence[Verdict]) -> list[LeftOut]:
    """The channels that did not get in, as the store may tell of them, each with its reason."""
    # A reason quotes the name, so it goes where the name goes.
    hidden = "its name is not known; `eegprep inspect` shows it"
    return [
        LeftOut(kind="channel", name=v.stored_as, code=v.code, reason=v.reason if v.stored_as == v.name else hidden)
        for v in verdicts
        if v.electrode is None
    ]
