"""From what a file calls a channel to an electrode and its reference, or to the reason why it is left out.

Order of evidence, strongest first: what the manifest says of this channel; what the file says it is (EOG, trigger);
the numbering of a stated system (BioSemi, EGI); the name; for a name that means nothing, its measured position.
Nothing is guessed from a likeness: an unknown name gets a hint, never an electrode.

Of several channels of one file that land on the same electrode one is kept, by a stated rule: a rule of the manifest
before a name, a plain name before an older name, that before a derivation, that before a position; then a channel that
the file does not mark bad; then the one that stands first. The others are left out with the code `duplicate`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from eegprep.electrodes import naming, systems
from eegprep.electrodes.vocabulary import Vocabulary
from eegprep.errors import UsageError, nearest

__all__ = ["Resolution", "Channel", "NamedChannel", "Rule", "resolve", "resolve_all", "POSITION_TOLERANCE_M"]

# Neighbours of the base vocabulary are 15 to 30 mm apart, so half of the smallest gap keeps the answer unique.
POSITION_TOLERANCE_M = 0.0075

# Formats hold 8 to 80 characters; hints for more would only cost time.
_LONGEST_NAME = 120

# Codes of a channel that got in, from the strongest evidence to the weakest: the order of the duplicate rule.
MATCHED = ("manifest", "system", "matched", "alias", "derivation", "position")


@dataclass(frozen=True, kw_only=True)
class Resolution:
    """What one channel is.

    `electrode` is a vocabulary name, or None where the channel is left out. `reference` is what the channel was
    measured against where its name says so (`None`: as the recording's). `code` is a short stable word to count by:
    `manifest`, `system`, `matched`, `alias`, `derivation`, `position` where it got in, else why not (`eog`, `ecg`,
    `stim`, `unknown_name`, `duplicate`, ...). `reason` says the same for people.
    """

    channel: str
    electrode: str | None
    reference: str | None = None
    code: str
    reason: str


class Channel(Protocol):
    """What is needed of a file's channel; `eegprep.sources.SourceChannel` has it."""

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
    """A channel of which only the name is known."""

    name: str
    kind: str = "unknown"
    position_m: tuple[float, float, float] | None = None
    status: str = "good"


class Rule(Protocol):
    """What is needed of a manifest's statement on a channel; `eegprep.manifest.schema.ChannelRule` has it."""

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
    """What one channel is, by its own name, kind and position.

    Parameters
    ----------
    channel : str
        As the file has it.
    kind : str
        What the file says it is; `eeg` and `unknown` leave the answer to the name.
    position_m : (3,) sequence of float, optional
        Measured position in MNE's head frame, in metres. Used only for a name that means nothing.
    system : str, optional
        A numbering that is known to apply (`biosemi128`, `egi128`, `bbci`, ...); it goes before the name.

    Raises
    ------
    UsageError
        The system is not known.
    """
    by_kind = naming.NOT_EEG_KINDS.get(kind.casefold())
    if by_kind is not None:
        return Resolution(channel=channel, electrode=None, code=by_kind[0], reason=by_kind[1])
    name = _cleaned(vocabulary, channel)
    if system is not None:
        by_system = _by_system(vocabulary, channel, name, system)
        if by_system is not None:
            return by_system
    return _by_name(vocabulary, channel, name, position_m)


def _cleaned(vocabulary: Vocabulary, channel: str) -> str:
    """Without decorations, unless the vocabulary has the name with them (a lab's own `RAW_1` is that name)."""
    plain = channel.strip()
    return plain if plain in vocabulary else naming.clean(channel)


def _by_system(vocabulary: Vocabulary, channel: str, name: str, system: str) -> Resolution | None:
    table = systems.table(system)
    if name.casefold() in table:
        electrode, note = table[name.casefold()]
        if electrode in vocabulary:
            return _in(channel, vocabulary.canonical(electrode), None, "system", f"{system} {name}: {note}")
        return _out(channel, "not_in_vocabulary", f"{system} {name} is {electrode}, which the vocabulary lacks")
    if systems.is_numbered(name, system):
        return _out(channel, "no_near_electrode", f"{system} {name} has no electrode of the vocabulary close by")
    return None


def _by_name(vocabulary: Vocabulary, channel: str, name: str, position_m: Sequence[float] | None) -> Resolution:
    if not name:
        return _out(channel, "unnamed", "it has no name")
    if len(name) > _LONGEST_NAME:
        return _out(channel, "unknown_name", f"a name of {len(name)} characters is no name of the vocabulary")
    if name in vocabulary:
        electrode = vocabulary.canonical(name)
        if electrode.casefold() == name.casefold():
            return _in(channel, electrode, None, "matched", f"its name is {electrode}")
        return _in(channel, electrode, None, "alias", f"{name} is another name of {electrode}")
    folded = name.casefold()
    if folded in naming.KNOWN_SITES:
        code, reason = naming.KNOWN_SITES[folded]
        return _out(channel, code, reason)
    other = naming.not_eeg(name)
    if other is not None and other[0] != "unnamed":
        return _out(channel, *other)
    parts = naming.split_derivation(name)
    if parts is not None:
        return _derivation(vocabulary, channel, *parts)
    if position_m is not None:
        return _by_position(vocabulary, channel, name, position_m)
    if other is not None:
        return _out(channel, *other)
    if systems.looks_numbered(name):
        return _out(
            channel,
            "numbered",
            f"{name} is an input's number in a numbered system (BioSemi, EGI); the manifest has to say which system",
        )
    hint = nearest(name, vocabulary.names, n=1)
    reason = f"{name!r} is no name of the vocabulary" + (f"; {hint}" if hint else "")
    return _out(channel, "unknown_name", reason)


def _derivation(vocabulary: Vocabulary, channel: str, active: str, reference: str) -> Resolution:
    if reference in vocabulary:
        against: str | None = vocabulary.canonical(reference)
    else:
        against = naming.reference_word(reference)
    if active not in vocabulary:
        if active.casefold() in naming.KNOWN_SITES:
            code, reason = naming.KNOWN_SITES[active.casefold()]
            return _out(channel, code, f"derivation whose active part is {active}: {reason}")
        other = naming.not_eeg(active)
        if other is not None:
            return _out(channel, *other)
        hint = nearest(active, vocabulary.names, n=1)
        return _out(
            channel,
            "unknown_name",
            f"derivation whose active part {active!r} is no name of the vocabulary" + (f"; {hint}" if hint else ""),
        )
    electrode = vocabulary.canonical(active)
    if against is None:
        return _out(channel, "unknown_reference", f"{electrode} against {reference!r}, a reference that is not known")
    if against == electrode:
        return _out(channel, "unknown_reference", f"{electrode} against itself")
    return _in(channel, electrode, against, "derivation", f"{electrode} measured against {against}")


def _by_position(vocabulary: Vocabulary, channel: str, name: str, position_m: Sequence[float]) -> Resolution:
    found = vocabulary.nearest(position_m, 1)
    if not found:
        return _out(channel, "unknown_name", f"{name!r} is no name of the vocabulary, which has no positions")
    electrode, distance_m = found[0]
    place = f"nearest electrode {electrode}, {distance_m * 1000:.1f} mm off"
    if distance_m <= POSITION_TOLERANCE_M:
        return _in(channel, electrode, None, "position", f"by its measured position: {place}")
    limit = f"{POSITION_TOLERANCE_M * 1000:g} mm are allowed"
    return _out(channel, "no_near_electrode", f"{name!r} is no name of the vocabulary; {place}, {limit}")


def _in(channel: str, electrode: str, reference: str | None, code: str, reason: str) -> Resolution:
    return Resolution(channel=channel, electrode=electrode, reference=reference, code=code, reason=reason)


def _out(channel: str, code: str, reason: str) -> Resolution:
    return Resolution(channel=channel, electrode=None, code=code, reason=reason)


def resolve_all(
    vocabulary: Vocabulary,
    channels: Sequence[Channel],
    *,
    rules: Mapping[str, Rule] | None = None,
    derivations: str = "active",
    system: str | None = None,
) -> list[Resolution]:
    """What every channel of one file is, in the order of the file; each electrode at most once.

    Parameters
    ----------
    rules : mapping of str to Rule, optional
        The manifest's `channels`, by the file's own name (exact, else whatever the case, without blanks around it).
    derivations : {'active', 'leave_out'}
        Whether `F3-C3` is F3 against C3, or left out with the code `derivation_left_out`. A common reference
        (`Fp1-REF`, `Fp1-LE`) is never left out for that.
    system : str, optional
        A numbering stated by the manifest. Where none is stated, names such as A5, B12 show that a file is numbered
        BioSemi's way; then C3 or P1 mean no 10-20 place either, and no bare name is taken from such a file.

    Raises
    ------
    UsageError
        A rule names an electrode that the vocabulary lacks, or the system is not known.
    """
    folded_rules = {name.strip().casefold(): rule for name, rule in (rules or {}).items()}
    names = [_cleaned(vocabulary, c.name) for c in channels]
    system = system or systems.evident(names)
    numbered = system is None and systems.numbered_like_biosemi(names)
    found: list[Resolution] = []
    for channel, name in zip(channels, names, strict=True):
        rule = (rules or {}).get(channel.name) or folded_rules.get(channel.name.strip().casefold())
        if rule is not None and (rule.electrode is not None or rule.leave_out is not None):
            resolution = _by_rule(vocabulary, channel.name, rule)
        elif numbered and systems.is_biosemi_label(name) and channel.kind.casefold() not in naming.NOT_EEG_KINDS:
            resolution = _numbered(vocabulary, channel, name)
        else:
            resolution = resolve(
                vocabulary, channel.name, kind=channel.kind, position_m=channel.position_m, system=system
            )
            if rule is not None and rule.reference is not None and resolution.electrode is not None:
                resolution = replace(resolution, reference=rule.reference)
        between_two = resolution.code == "derivation" and resolution.reference in vocabulary
        if derivations == "leave_out" and between_two:
            reason = f"{resolution.reason}; the manifest leaves derivations between two electrodes out"
            resolution = _out(channel.name, "derivation_left_out", reason)
        found.append(resolution)
    return _once(channels, found)


def _by_rule(vocabulary: Vocabulary, channel: str, rule: Rule) -> Resolution:
    if rule.leave_out is not None:
        return _out(channel, "manifest_left_out", f"the manifest leaves it out: {rule.leave_out}")
    electrode = rule.electrode or ""
    if electrode not in vocabulary:
        raise UsageError(
            f"the manifest maps channel {channel!r} to {electrode!r}, which the vocabulary lacks",
            todo=nearest(electrode, vocabulary.names) or "use a name of `eegprep electrodes list`, or extend the table",
        )
    name = vocabulary.canonical(electrode)
    reason = f"the manifest says that it is {name}" + (f" ({rule.note})" if rule.note else "")
    return _in(channel, name, rule.reference, "manifest", reason)


def _numbered(vocabulary: Vocabulary, channel: Channel, name: str) -> Resolution:
    if channel.position_m is not None:
        return _by_position(vocabulary, channel.name, name, channel.position_m)
    return _out(
        channel.name,
        "numbered",
        f"the file numbers its inputs A1, A2, ..., B1, ...: {name} is no place; the manifest has to say which system",
    )


def _once(channels: Sequence[Channel], found: list[Resolution]) -> list[Resolution]:
    best: dict[str, int] = {}

    def rank(i: int) -> tuple[int, int, int]:
        return (MATCHED.index(found[i].code), int(channels[i].status.casefold() == "bad"), i)

    for i, resolution in enumerate(found):
        if resolution.electrode is not None:
            kept = best.setdefault(resolution.electrode, i)
            if rank(i) < rank(kept):
                best[resolution.electrode] = i
    out = []
    for i, resolution in enumerate(found):
        electrode = resolution.electrode
        if electrode is not None and best[electrode] != i:
            winner = channels[best[electrode]].name
            resolution = _out(
                resolution.channel,
                "duplicate",
                f"{electrode} as well as channel {winner!r}, which is kept (manifest before name before derivation "
                "before position, good before bad, first before later)",
            )
        out.append(resolution)
    return out
