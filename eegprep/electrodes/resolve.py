"""Resolve a channel name to an electrode and its reference, or to the reason why the channel is left out.

Evidence is used in this order: the manifest's rule for the channel; its type in the file (EOG, trigger); the numbering
of a stated cap system (BioSemi, EGI); the name; for an uninformative name, its measured position. Unknown names are
never matched by similarity: they get a hint, not an electrode.

`eegprep.electrodes.together` resolves all channels of a file.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from eegprep.electrodes import naming, signals, systems
from eegprep.electrodes.heads import POSITION_TOLERANCE_M
from eegprep.electrodes.references import UNKNOWN, canonical_reference, reference_word
from eegprep.electrodes.vocabulary import Vocabulary
from eegprep.errors import nearest

EEG_ALONE = ("eeg",)
# Formats allow 8 to 80 characters; hints for longer names would be slow.
_LONGEST_NAME = 120


@dataclass(frozen=True, kw_only=True)
class Resolution:
    """The resolution of one channel.

    `electrode` is a vocabulary name, or None if the channel is left out; `kind` is the row's kind. `reference` is the
    reference given by the channel's name (`None`: that of the recording). `code` is a short stable identifier:
    `manifest`, `system`, `matched`, `alias`, `derivation`, `signal` (another kind), `position` if it is kept, else the
    reason why not (`eog`, `ecg`, `stim`, `unknown_name`, `duplicate`, ...). `reason` is the same as text.
    """

    channel: str
    electrode: str | None
    reference: str | None = None
    code: str
    reason: str
    kind: str = "eeg"


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
    kinds: Collection[str] = EEG_ALONE,
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
    kinds : collection of str
        Kinds to keep. Channels of another kind are left out, with the option that keeps them.

    Raises
    ------
    UsageError
        The system is unknown.
    """
    name = cleaned(vocabulary, channel)
    by_kind = naming.NOT_EEG_KINDS.get(kind.casefold())
    if by_kind is not None:
        return other_kind(vocabulary, channel, name, *by_kind, kinds, of_type=kind)
    if system is not None:
        by_system = _by_system(vocabulary, channel, name, system)
        if by_system is not None:
            return by_system
    return _by_name(vocabulary, channel, name, position_m, kinds)


def other_kind(
    vocabulary: Vocabulary,
    channel: str,
    name: str,
    code: str,
    reason: str,
    kinds: Collection[str],
    *,
    of_type: str = "unknown",
) -> Resolution:
    """A channel that is not EEG: its row if its kind is kept, else why it is left out and what keeps it."""
    kind, signal = signals.KIND_OF_CODE.get(code), signals.signal_of(code, name, of_type)
    if kind is None or signal is None:
        return left_out(channel, code, reason)
    shipped = Vocabulary.base(("eeg", kind))
    kind = shipped.kind_of(signal.row)
    if kind not in kinds:
        return left_out(channel, code, f"{reason}; {keeps(kind)}")
    if signal.row not in vocabulary:
        return left_out(channel, "not_in_vocabulary", f"{reason}; its row {signal.row} is not in the vocabulary")
    reference = canonical_reference(vocabulary, signal.reference)
    against = f" against {reference}" if reference != UNKNOWN else ""
    return taken(channel, signal.row, reference, "signal", f"{signal.row}{against}: {reason}", kind=kind)


def keeps(kind: str) -> str:
    """The option that keeps channels of a kind."""
    return f"--kinds eeg,{kind} keeps it"


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


def _by_name(
    vocabulary: Vocabulary,
    channel: str,
    name: str,
    position_m: Sequence[float] | None,
    kinds: Collection[str] = EEG_ALONE,
) -> Resolution:
    if not name:
        return left_out(channel, "unnamed", "the channel has no name")
    if len(name) > _LONGEST_NAME:
        return left_out(channel, "unknown_name", f"a name of {len(name)} characters is not in the vocabulary")
    if name in vocabulary:
        electrode = vocabulary.canonical(name)
        kind = vocabulary.kind_of(name)
        if kind not in kinds:
            return left_out(channel, kind, f"{electrode} is a channel of kind {kind}; {keeps(kind)}")
        reference = None if kind == "eeg" else UNKNOWN
        if electrode.casefold() == name.casefold():
            return taken(channel, electrode, reference, "matched", f"named {electrode}", kind=kind)
        return taken(channel, electrode, reference, "alias", f"{name} is an alias of {electrode}", kind=kind)
    folded = name.casefold()
    if folded in naming.KNOWN_SITES:
        code, reason = naming.KNOWN_SITES[folded]
        return left_out(channel, code, reason)
    other = naming.not_eeg(name)
    if other is not None and other[0] != "unnamed":
        return other_kind(vocabulary, channel, name, *other, kinds)
    parts = naming.split_derivation(name)
    if parts is None and (loose := naming.split_loosely(name)) is not None:
        parts = loose if loose[0] in vocabulary or signals.code_of(loose[0]) is not None else None
    if parts is not None:
        return _derivation(vocabulary, channel, name, *parts, kinds)
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


def _derivation(
    vocabulary: Vocabulary, channel: str, name: str, active: str, reference: str, kinds: Collection[str]
) -> Resolution:
    if reference in vocabulary:
        against: str | None = vocabulary.canonical(reference)
    else:
        against = reference_word(reference)
    if active not in vocabulary:
        if active.casefold() in naming.KNOWN_SITES:
            code, reason = naming.KNOWN_SITES[active.casefold()]
            return left_out(channel, code, f"derivation with active part {active}: {reason}")
        other = naming.not_eeg(active)
        if other is not None:
            return other_kind(vocabulary, channel, name, *other, kinds)
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
    if (kind := vocabulary.kind_of(electrode)) not in kinds:
        return left_out(channel, kind, f"{electrode} is a channel of kind {kind}; {keeps(kind)}")
    return taken(channel, electrode, against, "derivation", f"{electrode} measured against {against}", kind=kind)


def _outside(vocabulary: Vocabulary, channel: str, name: str) -> Resolution:
    """A known position outside the vocabulary; a nearby electrode is not suggested."""
    return left_out(
        channel,
        "outside_vocabulary",
        f"{name} is a position of the 10-05 system that is not among the vocabulary's {len(vocabulary)} electrodes; "
        "extend it with --vocabulary extended",
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


def taken(
    channel: str, electrode: str, reference: str | None, code: str, reason: str, *, kind: str = "eeg"
) -> Resolution:
    """A channel that is an electrode."""
    return Resolution(channel=channel, electrode=electrode, reference=reference, code=code, reason=reason, kind=kind)


def left_out(channel: str, code: str, reason: str) -> Resolution:
    """A channel that is left out, with code and reason."""
    return Resolution(channel=channel, electrode=None, code=code, reason=reason)
