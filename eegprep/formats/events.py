"""Combine events from different sources, and decode trigger channels.

Events come from up to four sources: trigger channels, an annotation list, an event file and a table beside the
recording. Readers return the events of each; `one_truth` merges them into one list and reports contradictions.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Hashable, Iterable, Mapping, Sequence

import numpy as np

from eegprep.formats.decoded import SourceEvent
from eegprep.manifest.labels import code_text, event_label

#: Prefix of the witness of a trigger channel's events; the channel's name follows.
STIM = "stim:"
#: Whose clock is used if witnesses have the same events at different times: events chosen by a person, then events
#: recorded with the signal, then lists written by a program afterwards.
_CHOSEN = ("events.tsv", "events file")
#: Times are often written in whole milliseconds.
_ROUNDED_S = 0.0005
#: How many events of the witness with fewer events have to agree before its clock counts as shifted.
_AGREE = 0.8
_MAX_COMPARED = 2000
#: A channel that changes more often, and at more than half of its samples, is a signal.
_MAX_CHANGES = 10_000


def same_moment(sfreq_hz: float) -> int:
    """Largest distance in samples between two witnesses of the same event.

    One sample, since each witness rounds to its nearest sample, plus half a millisecond, since many programs write
    times with three decimals.
    """
    return 1 + math.floor(_ROUNDED_S * sfreq_hz + 0.5)


def nearest_sample(sample: int, per_record: int, own_per_record: int) -> int:
    """Convert a sample from a channel's rate to the recording's, rounding half up."""
    return (2 * sample * per_record + own_per_record) // (2 * own_per_record)


def trigger_events(
    blocks: Iterable[np.ndarray], channel: str, *, text: str | None = None
) -> tuple[list[SourceEvent], list[str]]:
    """The events of a trigger channel, and notes; the same rule for all formats.

    A change to a nonzero value is an event at the first sample of the new value, even without a zero between
    codes; a change to zero is not. The first value of a recording may have started before it, so it is an event only
    if it lasts as long as another pulse of the channel, or one sample.

    Parameters
    ----------
    blocks : iterable of (n_samples,) array
        Consecutive blocks of the channel's values, which are rounded to integers.
    text : str, optional
        Label of the events; their values by default.
    """
    starts: list[int] = []
    values: list[int] = []
    n = 0
    for block in blocks:
        block = np.rint(np.nan_to_num(np.asarray(block, dtype=np.float64))).astype(np.int64)
        before = values[-1:] or (~block[:1]).tolist()
        for i in np.flatnonzero(block != np.concatenate([before, block[:-1]]) if block.size else block):
            starts.append(n + int(i))
            values.append(int(block[i]))
        n += block.size
        if len(starts) > max(_MAX_CHANGES, n // 2):
            return [], ["a trigger channel changes at most samples, so it contains no codes and was ignored"]
    lasting = np.diff([*starts, n])
    notes: list[str] = []
    first = 0
    if values and values[0] != 0:
        others = lasting[1:-1][(np.array(values[1:-1]) != 0) & (np.array(values[2:]) == 0)]
        pulse = values[1:2] == [0] and (lasting[0] == 1 or (others.size and others.min() <= lasting[0] <= others.max()))
        if not pulse:
            first = 1
            notes.append(f"a trigger channel begins with the value {values[0]}, which is not an event")
    return [
        SourceEvent(start_sample=start, text=text or str(value), witness=STIM + channel)
        for start, value in zip(starts[first:], values[first:], strict=True)
        if value != 0
    ], notes


def one_truth(
    events: Iterable[SourceEvent], names: Mapping[str, Hashable], sfreq_hz: float
) -> tuple[tuple[SourceEvent, ...], tuple[str, ...]]:
    """The events named by tasks, without duplicates and spelled as in the manifest; and notes on contradictions.

    Events of two witnesses are the same if they have the same label and are not further apart than `same_moment`; the
    trigger channel's sample and the longer duration are kept. If two witnesses have the same events at different times,
    only one's times are used: an event file or table takes precedence over a trigger channel, and that over an
    annotation list.

    Parameters
    ----------
    names : mapping of str to hashable
        The texts named by the manifest's tasks, each with its meaning; texts with equal meanings may name the same
        event. `channel/code` names a code of one trigger channel only.
    """
    spelled = {event_label(name): name for name in sorted(names, reverse=True)}
    once: dict[tuple[str, str, int], SourceEvent] = {}
    n_named = 0
    for event in events:
        text = _name(event, names, spelled)
        if text is None:
            continue
        n_named += 1
        key = (event.witness, event_label(text), event.start_sample)
        if key not in once or once[key].n_samples < event.n_samples:
            once[key] = dataclasses.replace(event, text=text)
    notes: list[str] = []
    if twice := n_named - len(once):
        notes.append(f"duplicate events (same label and sample) are kept once: {twice}")
    by_witness: dict[str, list[SourceEvent]] = {}
    for event in sorted(once.values()):
        by_witness.setdefault(event.witness, []).append(event)
    kept: list[SourceEvent] = []
    recorded = False
    for witness in sorted(by_witness, key=_rank):
        # two trigger channels share a clock, so a delay between them is real
        own_clock = not (recorded and witness.startswith(STIM))
        kept, more = _add(kept, by_witness[witness], same_moment(sfreq_hz), own_clock)
        recorded |= witness.startswith(STIM)
        notes += more
    notes += _of_two_names(kept, names, same_moment(sfreq_hz))
    return tuple(sorted(kept)), tuple(notes)


def _of_two_names(events: Sequence[SourceEvent], names: Mapping[str, Hashable], tolerance: int) -> list[str]:
    """Notes on witnesses that use different names for an event and disagree about its occurrences."""
    by_meaning: dict[Hashable, dict[tuple[str, str], list[SourceEvent]]] = {}
    for event in events:
        lists = by_meaning.setdefault(names[event.text], {})
        lists.setdefault((event.witness, event.text), []).append(dataclasses.replace(event, text=""))
    notes: list[str] = []
    for lists in by_meaning.values():
        for (one, first), (other, second) in itertools.combinations(sorted(lists), 2):
            own, others = lists[one, first], lists[other, second]
            n_pairs = len(_paired(own, others, tolerance))
            if one != other and len(own) + len(others) > 2 * n_pairs >= min(len(own), len(others)):
                notes.append(
                    f"{_called(one)}: {len(own)} events {first!r}, {_called(other)}: {len(others)} events {second!r}; "
                    f"{n_pairs} of them are the same"
                )
    return notes


def _name(event: SourceEvent, names: Mapping[str, Hashable], spelled: dict[str, str]) -> str | None:
    """The manifest's name of an event; None if no task names it."""
    if event.witness.startswith(STIM):
        full = f"{event.witness.removeprefix(STIM)}/{code_text(event.text)}"
        if (text := spelled.get(event_label(full))) is not None:
            return text
    return event.text if event.text in names else spelled.get(event_label(event.text))


def _rank(witness: str) -> tuple[int, str]:
    if witness in _CHOSEN:
        return _CHOSEN.index(witness), witness
    return (len(_CHOSEN) if witness.startswith(STIM) else len(_CHOSEN) + 1), witness


def _called(witness: str) -> str:
    return witness.replace(STIM, "stim channel ", 1) if witness.startswith(STIM) else witness or "the file"


def _add(
    kept: list[SourceEvent], own: list[SourceEvent], tolerance: int, own_clock: bool
) -> tuple[list[SourceEvent], list[str]]:
    """Merge in the events of the next witness; `own_clock`: whether it may have been timed by another clock."""
    both = {event_label(e.text) for e in kept} & {event_label(e.text) for e in own}
    known = [e for e in kept if event_label(e.text) in both]
    told = [e for e in own if event_label(e.text) in both]
    pairs = _paired(known, told, tolerance)
    first, second = sorted({_called(e.witness) for e in known}), _called(own[0].witness)
    notes: list[str] = []
    out = {id(e): e for e in kept}
    left = {id(e): e for e in own}
    if both and own_clock and 2 * len(pairs) < min(len(known), len(told)):
        shift = _shift(known, told, tolerance)
        if shift is not None:
            notes.append(
                f"{second} has the events of {' and '.join(first)} {abs(shift)} samples "
                f"{'later' if shift > 0 else 'earlier'} ({len(told)} and {len(known)}); the latter are used"
            )
            pairs, left = [], {id(e): e for e in own if event_label(e.text) not in both}
            return [*kept, *left.values()], notes
    for better, worse in pairs:
        exact = worse if worse.witness.startswith(STIM) and not better.witness.startswith(STIM) else better
        out[id(better)] = dataclasses.replace(
            better, start_sample=exact.start_sample, n_samples=max(better.n_samples, worse.n_samples)
        )
        del left[id(worse)]
    n_first, n_second = len(known) - len(pairs), len(told) - len(pairs)
    if n_first or n_second:
        only = [f"{n} only in {who}" for n, who in ((n_first, " and ".join(first)), (n_second, second)) if n]
        notes.append(
            f"{' and '.join(first)}: {len(known)} events, {second}: {len(told)}; {', '.join(only)}; all are used"
        )
    return [*out.values(), *left.values()], notes


def _paired(
    known: Sequence[SourceEvent], told: Sequence[SourceEvent], tolerance: int
) -> list[tuple[SourceEvent, SourceEvent]]:
    """Merge events with the same label at the same moment, in order of time."""
    waiting: dict[str, list[SourceEvent]] = {}
    for event in sorted(known, reverse=True):
        waiting.setdefault(event_label(event.text), []).append(event)
    pairs: list[tuple[SourceEvent, SourceEvent]] = []
    for event in sorted(told):
        queue = waiting.get(event_label(event.text), [])
        while queue and queue[-1].start_sample < event.start_sample - tolerance:
            queue.pop()
        if queue and queue[-1].start_sample <= event.start_sample + tolerance:
            pairs.append((queue.pop(), event))
    return pairs


def _shift(known: Sequence[SourceEvent], told: Sequence[SourceEvent], tolerance: int) -> int | None:
    """Delay of `told` in samples if it has the events of `known` on another clock, else None."""
    known, told = sorted(known)[:_MAX_COMPARED], sorted(told)[:_MAX_COMPARED]
    if min(len(known), len(told)) < 2:
        return None
    first, second = (np.array([e.start_sample for e in events]) for events in (known, told))
    labels, others = (np.array([event_label(e.text) for e in events]) for events in (known, told))
    if len(known) == len(told) and np.array_equal(labels, others):
        delay = second - first
        if 2 * np.abs(delay).max() < np.diff(first).min(initial=np.iinfo(np.int64).max // 4):
            return int(np.median(delay))
    delays = (second[:, None] - first[None, :])[others[:, None] == labels[None, :]]
    values, counts = np.unique(delays // (2 * tolerance), return_counts=True)
    best = int(values[np.argmax(counts)]) * 2 * tolerance + tolerance
    moved = [dataclasses.replace(e, start_sample=e.start_sample - best) for e in told]
    pairs = _paired(known, moved, 2 * tolerance)
    if len(pairs) < max(2, _AGREE * min(len(known), len(told))):
        return None
    return best + int(np.median([b.start_sample - a.start_sample for a, b in pairs]))
