"""Resolve a channel name to an electrode and its reference, or to the reason why the channel is left out.

Evidence is used in this order: the manifest's rule for the channel; its type in the file (EOG, trigger); the numbering
of a stated cap system (BioSemi, EGI); the name; for an uninformative name, its measured position. Unknown names are
never matched by similarity: they get a hint, not an electrode.

`eegprep.electrodes.together` resolves all channels of a file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from eegprep.electrodes import naming, systems
from eegprep.electrodes.heads import POSITION_TOLERANCE_M
from eegprep.electrodes.vocabulary import Vocabulary
from eegprep.errors import nearest

# Formats allow 8 to 80 characters; hints for longer names would be slow.
_LONGEST_NAME = 120


@dataclass(frozen=True, kw_only=True)
class Resolution:
    """The resolution of one channel.

    `electrode` is a vocabulary name, or None if the channel is left out. `reference` is the reference given by the
    channel's name (`None`: that of the recording). `code` is a short stable identifier:
    `manifest`, `system`, `matched`, `alias`, `derivation`, `position` if it is kept, else the reason why not (`eog`,
    `ecg`, `stim`, `unknown_name`, `duplicate`, ...). `reason` is the same as text.
    """

    channel: str
    electrode: str | None
    reference: str | None = None
    code: str
    reason: str


class Channel(Protocol):
    """Protocol of a file's channel, implemented by `eegprep.sources.SourceChannel`."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def position_m(self) -> tuple[float, float, float] | None: ...
    @property
    def status(self) -> str: ...


@dataclass(frozen=True, kw_only=True)
class NamedChannel:
    """A channel with only a name."""

    name: str
    kind: str = "unknown"
    position_m: tuple[float, float, float] | None = None
    status: str = "good"


class Rule(Protocol):
    """Protocol of a manifest's channel rule, implemented by `eegprep.manifest.schema.ChannelRule`."""

    @property
    def electrode(self) -> str | None: ...
    @property
    def reference(self) -> str | None: ...
    @property
    def leave_out(self) -> str | None: ...
    @property
    def note(self) -> str: ...


def resolve(
    vocabulary: Vocabulary,
    channel: str,
    *,
    kind: str = "unknown",
    position_m: Sequence[float] | None = None,
    system: str | None = None,
) -> Resolution:
    """Resolve one channel by its name, kind and position.

    Parameters
    ----------
    channel : str
        Name in the file.
    kind : str
        Type in the file; for `eeg` and `unknown` the name decides.
    position_m : (3,) sequence of float, optional
        Measured position in MNE's head frame, in metres. Used only for uninformative names.
    system : str, optional
        Cap system (`biosemi128`, `egi128`, `bbci`, ...); takes precedence over the name.

    Raises
    ------
    UsageError
        The system is unknown.
    """
    by_kind = naming.NOT_EEG_KINDS.get(kind.casefold())
    if by_kind is not None:
        return Resolution(channel=channel, electrode=None, code=by_kind[0], reason=by_kind[1])
    name = cleaned(vocabulary, channel)
    if system is not None:
        by_system = _by_system(vocabulary, channel, name, system)
        if by_system is not None:
            return by_system
    return _by_name(vocabulary, channel, name, position_m)


def cleaned(vocabulary: Vocabulary, channel: str) -> str:
    """Strip decorations, unless the vocabulary contains the name with them (such as a lab's own `RAW_1`)."""
    plain = channel.strip()
    return plain if plain in vocabulary else naming.clean(channel)


def _by_system(vocabulary: Vocabulary, channel: str, name: str, system: str) -> Resolution | None:
    table = systems.table(system)
    if name.casefold() in table:
        electrode, note = table[name.casefold()]
        if electrode in vocabulary:
            return taken(channel, vocabulary.canonical(electrode), None, "system", f"{system} {name}: {note}")
        return left_out(channel, "not_in_vocabulary", f"{system} {name} is {electrode}, which is not in the vocabulary")
    if systems.is_numbered(name, system):
        return left_out(channel, "no_near_electrode", f"no electrode of the vocabulary is near {system} {name}")
    return None


def _by_name(vocabulary: Vocabulary, channel: str, name: str, position_m: Sequence[float] | None) -> Resolution:
    if not name:
        return left_out(channel, "unnamed", "the channel has no name")
    if len(name) > _LONGEST_NAME:
        return left_out(channel, "unknown_name", f"a name of {len(name)} characters is not in the vocabulary")
    if name in vocabulary:
        electrode = vocabulary.canonical(name)
        if electrode.casefold() == name.casefold():
            return taken(channel, electrode, None, "matched", f"named {electrode}")
        return taken(channel, electrode, None, "alias", f"{name} is an alias of {electrode}")
    folded = name.casefold()
    if folded in naming.KNOWN_SITES:
        code, reason = naming.KNOWN_SITES[folded]
        return left_out(channel, code, reason)
    other = naming.not_eeg(name)
    if other is not None and other[0] != "unnamed":
        return left_out(channel, *other)
    parts = naming.split_derivation(name)
    if parts is None and (loose := naming.split_loosely(name)) is not None and loose[0] in vocabulary:
        parts = loose
    if parts is not None:
        return _derivation(vocabulary, channel, *parts)
    if naming.is_ten_five(name):
        return _outside(vocabulary, channel, name)
    if position_m is not None:
        return by_position(vocabulary, channel, name, position_m)
    if other is not None:
        return left_out(channel, *other)
    if systems.looks_numbered(name):
        return left_out(
            channel,
            "numbered",
            f"{name} is an input's number in a numbered system (BioSemi, EGI); the manifest must state the system",
        )
    hint = nearest(name, vocabulary.names, n=1)
    reason = f"{name!r} is not in the vocabulary" + (f"; {hint}" if hint else "")
    return left_out(channel, "unknown_name", reason)


def _derivation(vocabulary: Vocabulary, channel: str, active: str, reference: str) -> Resolution:
    if reference in vocabulary:
        against: str | None = vocabulary.canonical(reference)
    else:
        against = naming.reference_word(reference)
    if active not in vocabulary:
        if active.casefold() in naming.KNOWN_SITES:
            code, reason = naming.KNOWN_SITES[active.casefold()]
            return left_out(channel, code, f"derivation with active part {active}: {reason}")
        other = naming.not_eeg(active)
        if other is not None:
            return left_out(channel, *other)
        if naming.is_ten_five(active):
            return _outside(vocabulary, channel, active)
        hint = nearest(active, vocabulary.names, n=1)
        return left_out(
            channel,
            "unknown_name",
            f"derivation with active part {active!r}, which is not in the vocabulary" + (f"; {hint}" if hint else ""),
        )
    electrode = vocabulary.canonical(active)
    if against is None:
        return left_out(channel, "unknown_reference", f"{electrode} against {reference!r}, an unknown reference")
    if against == electrode:
        return left_out(channel, "unknown_reference", f"{electrode} against itself")
    return taken(channel, electrode, against, "derivation", f"{electrode} measured against {against}")


def _outside(vocabulary: Vocabulary, channel: str, name: str) -> Resolution:
    """A known position outside the vocabulary; a nearby electrode is not suggested."""
    return left_out(
        channel,
        "outside_vocabulary",
        f"{name} is a position of the 10-05 system that is not among the vocabulary's {len(vocabulary)} electrodes; "
        "extend it with --vocabulary",
    )


def by_position(vocabulary: Vocabulary, channel: str, name: str, position_m: Sequence[float]) -> Resolution:
    """The electrode at a position, or the reason why there is none."""
    found = vocabulary.nearest(position_m, 1)
    if not found:
        return left_out(channel, "unknown_name", f"{name!r} is not in the vocabulary, which has no positions")
    electrode, distance_m = found[0]
    place = f"nearest electrode {electrode}, {distance_m * 1000:.1f} mm away"
    if distance_m <= POSITION_TOLERANCE_M:
        return taken(channel, electrode, None, "position", f"by its measured position: {place}")
    limit = f"{POSITION_TOLERANCE_M * 1000:g} mm are allowed"
    return left_out(channel, "no_near_electrode", f"{name!r} is not in the vocabulary; {place}, {limit}")


def taken(channel: str, electrode: str, reference: str | None, code: str, reason: str) -> Resolution:
    """A channel that is an electrode."""
    return Resolution(channel=channel, electrode=electrode, reference=reference, code=code, reason=reason)


def left_out(channel: str, code: str, reason: str) -> Resolution:
    """A channel that is left out, with code and reason."""
    return Resolution(channel=channel, electrode=None, code=code, reason=reason)
