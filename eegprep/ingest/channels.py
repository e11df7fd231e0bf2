"""Which channels of a recording go into the store, under which electrode, and why the others do not.

A channel gets in if its name resolves to an electrode, its unit is known, the file does not call it bad, and its
signal is alive. Of all others the reason is kept.
"""

from __future__ import annotations

from dataclasses import dataclass

from eegprep.electrodes import Vocabulary, resolve_all
from eegprep.errors import InputError
from eegprep.manifest.schema import Manifest
from eegprep.recording import LeftOut
from eegprep.sources.base import SourceRecording
from eegprep.sources.checks import ChannelChecks

__all__ = ["Chosen", "choose", "without_bad"]


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """Rows of the source that go in: `rows[i]` is `electrodes[i]`, measured against `references[i]`."""

    rows: tuple[int, ...]
    electrodes: tuple[str, ...]
    references: tuple[str, ...]
    names: tuple[str, ...]
    decisions: tuple[str, ...]
    left_out: tuple[LeftOut, ...]


def choose(recording: SourceRecording, manifest: Manifest, vocabulary: Vocabulary) -> Chosen:
    """The channels that names and units let in.

    Raises
    ------
    InputError
        Where no channel is an electrode, or none of those has a unit.
    """
    resolved = resolve_all(
        vocabulary,
        recording.channels,
        rules=manifest.channels,
        derivations=manifest.derivations,
        system=manifest.electrode_system,
    )
    recorded = recording.reference or manifest.reference
    rows: list[int] = []
    references: list[str] = []
    left_out: list[LeftOut] = []
    n_without_unit = 0
    for row, (channel, resolution) in enumerate(zip(recording.channels, resolved, strict=True)):
        if resolution.electrode is None:
            public = channel.public_name or channel.name
            # a reason quotes the name, so it goes where the name goes
            reason = (
                resolution.reason if public == channel.name else "its name is not known; `eegprep inspect` shows it"
            )
            left_out.append(_out(public, resolution.code, reason))
        elif channel.unit == "":
            n_without_unit += 1
            left_out.append(_out(channel.name, "no_unit", "neither the file nor the manifest states its unit"))
        else:
            rows.append(row)
            references.append(resolution.reference or channel.reference or recorded)
    if not rows:
        codes = ", ".join(sorted({x.code for x in left_out})) or "it has no channels"
        name = "/".join(p or "-" for p in (recording.subject, recording.session, recording.run))
        raise InputError(
            f"no channel of {name} can be used",
            found=f"{len(recording.channels)} channels left out: {codes}",
            expected="at least one channel that is an electrode, with a known unit",
            todo="state `unit:` of the source in the manifest"
            if n_without_unit
            else "name the electrodes under `channels:`",
        )
    return Chosen(
        rows=tuple(rows),
        electrodes=tuple(str(resolved[r].electrode) for r in rows),
        references=tuple(references),
        names=tuple(recording.channels[r].name for r in rows),
        decisions=tuple(resolved[r].code for r in rows),
        left_out=tuple(left_out),
    )


def without_bad(chosen: Chosen, recording: SourceRecording, checks: ChannelChecks) -> tuple[Chosen, tuple[int, ...]]:
    """`chosen` without what the file calls bad or whose signal is dead, and the positions that stayed.

    Parameters
    ----------
    checks : ChannelChecks
        Of the chosen rows, in their order.

    Raises
    ------
    InputError
        Where none is left.
    """
    left_out = list(chosen.left_out)
    kept: list[int] = []
    for i, row in enumerate(chosen.rows):
        verdict = checks.verdicts[i]
        if recording.channels[row].status.casefold() == "bad":
            left_out.append(_out(chosen.names[i], "marked_bad", "the file or its side-car marks it as bad"))
        elif verdict is not None:
            left_out.append(_out(chosen.names[i], verdict[0], verdict[1]))
        else:
            kept.append(i)
    if not kept:
        codes = ", ".join(sorted({x.code for x in left_out[len(chosen.left_out) :]}))
        raise InputError("no channel holds usable signal", found=f"{len(chosen.rows)} electrodes: {codes}")
    return (
        Chosen(
            rows=tuple(chosen.rows[i] for i in kept),
            electrodes=tuple(chosen.electrodes[i] for i in kept),
            references=tuple(chosen.references[i] for i in kept),
            names=tuple(chosen.names[i] for i in kept),
            decisions=tuple(chosen.decisions[i] for i in kept),
            left_out=tuple(left_out),
        ),
        tuple(kept),
    )


def _out(name: str, code: str, reason: str) -> LeftOut:
    return LeftOut(kind="channel", name=name, code=code, reason=reason)
