"""Resolve all channels of a file, with each electrode and reference used at most once.

Several derivations of one electrode (FP1-F7 and FP1-F3) are all kept. If several channels resolve to the same electrode
against the same reference, one is kept, in this order of preference: a rule of the manifest, a plain name, an older
name, a derivation, a name of another kind, a position; then a channel that the file does not mark bad; then the nearer
of two positions; then the first in the file. The others are left out with the code `duplicate`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np

from eegprep.electrodes import naming, systems
from eegprep.electrodes.heads import Position, on_template
from eegprep.electrodes.references import UNKNOWN, canonical_reference
from eegprep.electrodes.resolve import (
    EEG_ALONE,
    Channel,
    Resolution,
    Rule,
    by_position,
    cleaned,
    keeps,
    left_out,
    other_kind,
    resolve,
    taken,
)
from eegprep.electrodes.vocabulary import Vocabulary
from eegprep.errors import UsageError, nearest

# Codes of kept channels, from the strongest to the weakest evidence: the order of the duplicate rule.
MATCHED = ("manifest", "system", "matched", "alias", "derivation", "signal", "position")


def resolve_all(
    vocabulary: Vocabulary,
    channels: Sequence[Channel],
    *,
    rules: Mapping[str, Rule] | None = None,
    derivations: str = "active",
    system: str | None = None,
    reference: str = UNKNOWN,
    kinds: Collection[str] = EEG_ALONE,
) -> list[Resolution]:
    """Resolve all channels of one file, in the order of the file, with each electrode and reference at most once.

    Parameters
    ----------
    rules : mapping of str to Rule, optional
        The manifest's `channels`, by name in the file (exact, else ignoring case and surrounding spaces).
    derivations : {'active', 'leave_out'}
        Whether `F3-C3` is F3 against C3, or left out with the code `derivation_left_out`. A common reference
        (`Fp1-REF`, `Fp1-LE`) is always kept.
    system : str, optional
        Cap system stated by the manifest. Without it, names such as A5, B12 show that a file uses BioSemi's numbers;
        then C3 or P1 are not 10-20 positions either, and no such name is used.
    reference : str
        Reference of the EEG channels whose name states none.
    kinds : collection of str
        Kinds of channels to keep, see `resolve`.

    Raises
    ------
    UsageError
        A rule names an electrode that is not in the vocabulary, or the system is unknown.
    """
    folded_rules = {name.strip().casefold(): rule for name, rule in (rules or {}).items()}
    names = [cleaned(vocabulary, c.name) for c in channels]
    system = system or systems.evident(names)
    inputs = systems.letters_of_inputs(names) if system is None else ""
    eyes = system is None and not inputs and systems.only_eyes(names)
    measured = [None if c.kind.casefold() in naming.NOT_EEG_KINDS else c.position_m for c in channels]
    positions: list[Position | None] = [None] * len(channels)
    no_positions = ""
    if any(p is not None and name not in vocabulary for p, name in zip(measured, names, strict=True)) or inputs:
        from_landmarks = all(getattr(c, "from_landmarks", True) for c in channels if c.position_m is not None)
        positions, no_positions = on_template(vocabulary, measured, from_landmarks=from_landmarks)
    found: list[Resolution] = []
    for channel, name, place_m, position_m in zip(channels, names, measured, positions, strict=True):
        rule = (rules or {}).get(channel.name) or folded_rules.get(channel.name.strip().casefold())
        if rule is not None and (rule.electrode is not None or rule.leave_out is not None):
            resolution = _by_rule(vocabulary, channel.name, rule, kinds)
        elif eyes and name.upper() in ("E1", "E2") and channel.kind.casefold() not in naming.NOT_EEG_KINDS:
            reason = f"{name} is an eye channel: no other input of the file is an E"
            resolution = other_kind(vocabulary, channel.name, name, "eog", reason, kinds)
        elif inputs and systems.is_input_label(name, inputs) and channel.kind.casefold() not in naming.NOT_EEG_KINDS:
            resolution = _numbered(vocabulary, channel, name, position_m)
        else:
            resolution = resolve(
                vocabulary, channel.name, kind=channel.kind, position_m=position_m, system=system, kinds=kinds
            )
            if rule is not None and rule.reference is not None and resolution.electrode is not None:
                resolution = replace(resolution, reference=rule.reference)
        if position_m is not None and resolution.code in ("position", "no_near_electrode"):
            resolution = replace(resolution, reason=f"{resolution.reason} (after scaling the head to the table's)")
        elif place_m is not None and resolution.code in ("unnamed", "numbered", "unknown_name"):
            reason = f"{resolution.reason}; position not used: {no_positions}"
            resolution = left_out(channel.name, "no_near_electrode", reason)
        between_two = resolution.code == "derivation" and resolution.reference in vocabulary
        if derivations == "leave_out" and between_two:
            reason = f"{resolution.reason}; the manifest leaves out derivations between two electrodes"
            resolution = left_out(channel.name, "derivation_left_out", reason)
        found.append(resolution)
    against = [stored_reference(vocabulary, r, c, reference) for r, c in zip(found, channels, strict=True)]
    off_m = [_off_m(vocabulary, r, p) for r, p in zip(found, positions, strict=True)]
    return _once(channels, found, against, off_m)


def stored_reference(vocabulary: Vocabulary, resolution: Resolution, channel: Channel, recorded: str) -> str:
    """What a channel was measured against: an electrode, a scheme, or `unknown`.

    The reference in the channel's name comes first, then the file's statement about the channel, then `recorded`, the
    reference of the recording, which is one of its EEG channels alone. A name like `Fp1-REF` means the latter.
    """
    own = resolution.reference
    own = None if own is None or (resolution.code != "manifest" and own == "REF") else own
    stated = getattr(channel, "reference", "") or (recorded if resolution.kind == "eeg" else UNKNOWN)
    reference = canonical_reference(vocabulary, own or stated)
    # A recorded channel of the stated reference electrode: if it is not flat, the statement is not about it.
    return UNKNOWN if reference == resolution.electrode else reference


def _off_m(vocabulary: Vocabulary, resolution: Resolution, position_m: Sequence[float] | None) -> float:
    """Distance of an electrode that was found by its position; 0 for all others."""
    if resolution.code != "position" or resolution.electrode is None or position_m is None:
        return 0.0
    place = vocabulary.position_m(resolution.electrode)
    return 0.0 if place is None else float(np.linalg.norm(place - np.asarray(position_m)))


def _by_rule(vocabulary: Vocabulary, channel: str, rule: Rule, kinds: Collection[str]) -> Resolution:
    if rule.leave_out is not None:
        return left_out(channel, "manifest_left_out", f"left out by the manifest: {rule.leave_out}")
    electrode = rule.electrode or ""
    known = vocabulary if electrode in vocabulary else vocabulary.with_kinds(("other",))
    if electrode in known and (kind := known.kind_of(electrode)) not in kinds:
        return left_out(channel, kind, f"{known.canonical(electrode)} according to the manifest; {keeps(kind)}")
    if electrode not in vocabulary:
        raise UsageError(
            f"the manifest maps channel {channel!r} to {electrode!r}, which the vocabulary lacks",
            todo=nearest(electrode, vocabulary.names) or "use a name of `eegprep electrodes list`, or extend the table",
        )
    name = vocabulary.canonical(electrode)
    reason = f"{name} according to the manifest" + (f" ({rule.note})" if rule.note else "")
    kind = vocabulary.kind_of(name)
    return taken(channel, name, rule.reference, "manifest", reason, kind=kind)


def _numbered(vocabulary: Vocabulary, channel: Channel, name: str, position_m: Sequence[float] | None) -> Resolution:
    if position_m is not None:
        return by_position(vocabulary, channel.name, name, position_m)
    return left_out(
        channel.name,
        "numbered",
        f"the file numbers its inputs by letter (A1, A2, ..., B1, ...), so {name} is not a position; the manifest must "
        "state the system, or name the electrodes under `channels:`",
    )


def _once(
    channels: Sequence[Channel], found: list[Resolution], against: Sequence[str], off_m: Sequence[float]
) -> list[Resolution]:
    best: dict[tuple[str, str], int] = {}

    def rank(i: int) -> tuple[int, int, float, int]:
        return (MATCHED.index(found[i].code), int(channels[i].status.casefold() == "bad"), off_m[i], i)

    for i, resolution in enumerate(found):
        if resolution.electrode is not None:
            kept = best.setdefault((resolution.electrode, against[i]), i)
            if rank(i) < rank(kept):
                best[resolution.electrode, against[i]] = i
    out = []
    for i, resolution in enumerate(found):
        electrode, reference = resolution.electrode, against[i]
        if electrode is not None and best[electrode, reference] != i:
            winner = channels[best[electrode, reference]].name
            measured = "" if reference == UNKNOWN else f" against {reference}"
            resolution = left_out(
                resolution.channel,
                "duplicate",
                f"the same electrode {electrode}{measured} as channel {winner!r}, which is kept (manifest before name "
                "before derivation before position, good before bad, nearer before farther, first before later)",
            )
        out.append(resolution)
    return out
