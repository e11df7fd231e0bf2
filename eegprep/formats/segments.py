"""Find the contiguous parts of a recording from its break and gap events.

An event has a role: stimulus, break or gap (`SourceEvent.role`). Readers set it if the format has a field for it;
otherwise it follows from the full text: EEGLAB's `boundary`, MNE's `BAD_...`, `EDGE boundary`, BrainVision's marker
type `New Segment`. A text that only begins or ends with such a word is a stimulus, and so is any text that
a task names. No filter or window crosses a break.
"""

from __future__ import annotations

import bisect
import dataclasses
from collections.abc import Collection, Iterable, Sequence

from eegprep.formats.decoded import Decoded, Role, SourceEvent
from eegprep.recording import LeftOut, Stretch, both, subtract

_BREAKS = frozenset({"boundary", "bad boundary", "edge boundary", "new segment"})
#: EEGLAB's numeric boundary, ANT's discontinuity trigger, GDF's 0x7FFE (start of a new segment).
_FORMAT_BREAKS = {"eeglab": ("-99", "-99.0"), "ant": ("__",), "gdf": ("32766",)}
#: BrainVision's marker types, which MNE writes before a slash.
_MARKER_TYPES = {"new segment": "break", "bad interval": "gap"}
_SKIP = "bad_acq_skip"
#: Words that may follow `bad` and a space: `bad news` is a stimulus, `bad blink` is not.
_BAD_WORDS = frozenset({
    "acq", "skip", "acquisition", "artifact", "artifacts", "artefact", "artefacts", "blink", "blinks", "boundary",
    "break", "channel", "channels", "data", "ecg", "eeg", "emg", "eog", "epoch", "epochs", "eye", "flat", "interval",
    "jump", "jumps", "line", "motion", "movement", "movements", "muscle", "nan", "noise", "noisy", "peak", "period",
    "saccade", "saccades", "section", "segment", "segments", "signal", "span",
})  # fmt: skip


def role_of(text: str, n_samples: int, format_name: str = "", named: Collection[str] = ()) -> Role:
    """The role of an event from its text.

    Parameters
    ----------
    n_samples : int
        Its duration; a `BAD` mark without a duration is ignored.
    format_name : str
        As in `Decoded.format`; some texts are breaks in one format only.
    named : collection of str
        Texts named by tasks, which are always stimuli.
    """
    if text in named:
        return "stimulus"
    folded = " ".join(text.casefold().split())
    kind, slash, rest = folded.partition("/")
    if slash and kind in _MARKER_TYPES and not (kind == "bad interval" and n_samples == 0):
        return "break" if kind == "new segment" else "gap"
    folded = rest if kind == "comment" and rest != "new segment" else folded  # pybv writes annotations as comments
    lasts = n_samples > (1 if format_name == "brainvision" else 0)  # BrainVision markers last at least one sample
    if _is_bad(folded) and lasts:
        return "gap"
    if folded in _BREAKS or folded == _SKIP or folded in _FORMAT_BREAKS.get(format_name, ()):
        return "break"
    return "stimulus"


def _is_bad(folded: str) -> bool:
    if folded == "bad" or folded.startswith("bad_"):
        return True
    words = folded.removeprefix("bad ").split() if folded.startswith("bad ") else []
    return bool(words) and all(w in _BAD_WORDS or w.isdecimal() for w in words)


def break_at(stretches: Iterable[Stretch], breaks: Iterable[int]) -> tuple[Stretch, ...]:
    """Split stretches at the given samples; a break at a border has no effect."""
    out: list[Stretch] = []
    at = sorted(set(breaks))
    for stretch in sorted(stretches):
        position = stretch.start_sample
        for sample in at:
            if position < sample < stretch.stop_sample:
                out.append(Stretch(start_sample=position, n_samples=sample - position))
                position = sample
        out.append(Stretch(start_sample=position, n_samples=stretch.stop_sample - position))
    return tuple(out)


def structured(decoded: Decoded, named: Collection[str] = ()) -> Decoded:
    """`decoded` with the role of each event, and with stretches split at breaks and without gaps.

    A gap that names channels only affects those: it becomes an entry of `left_out` under the channel's name.

    Parameters
    ----------
    named : collection of str
        Texts named by tasks, which are always stimuli.
    """
    events, unknown = [], set()
    places = _places(decoded)
    for event in sorted(decoded.events):
        text, _, channel = event.text.rpartition("@@")
        if text and not event.channels and decoded.format in ("edf", "bdf") and _folded(channel) in places:
            event = dataclasses.replace(event, text=text, channels=(channel,))  # EDF+ appends the channel
        if event.role == "stimulus":
            event = dataclasses.replace(event, role=role_of(event.text, event.n_samples, decoded.format, named))
        if event.channels:
            found = [places.get(c) or places.get(_folded(c)) for c in event.channels]
            unknown |= {c for c, name in zip(event.channels, found, strict=True) if name is None}
            known = tuple(dict.fromkeys(name for name in found if name))
            # a mark for absent channels has no effect
            event = dataclasses.replace(event, channels=known, role=event.role if known else "stimulus")
        events.append(event)
    stretches, left_out = cut(decoded.stretches, events)
    here = {c.name for c in decoded.channels}
    return dataclasses.replace(
        decoded,
        events=tuple(events),
        stretches=stretches,
        left_out=(*decoded.left_out, *(x for x in left_out if x.name == "all" or x.name in here)),
        notes=(*decoded.notes, *_notes(events, unknown, named)),
    )


def _places(decoded: Decoded) -> dict[str, str]:
    """Channel names by the spellings that a mark may use: exact, or ignoring case and spaces."""
    # include channels of another rate, which the reader left out
    names = [c.name for c in decoded.channels] + [x.name for x in decoded.left_out if x.kind == "channel"]
    return {**{_folded(n): n for n in reversed(names)}, **{n: n for n in names}}


def _folded(name: str) -> str:
    return " ".join(name.casefold().split())


def _notes(events: Sequence[SourceEvent], unknown: set[str], named: Collection[str]) -> list[str]:
    """Notes on marks that could not be used, without their texts."""
    notes = []
    if unknown:
        notes.append(f"bad-segment marks name {len(unknown)} unknown channels")
    bad = [e for e in events if e.role == "stimulus" and e.text.casefold().startswith("bad") and e.text not in named]
    if n := sum(e.n_samples > 1 and not _is_bad(e.text.casefold()) for e in bad):
        notes.append(f"{n} events begin with the word bad but are not known marks of bad signal; nothing was left out")
    if n := sum(e.n_samples == 0 and _is_bad(e.text.casefold()) for e in bad):
        notes.append(f"{n} BAD marks have no duration; nothing was left out")
    return notes


def cut(stretches: Iterable[Stretch], events: Sequence[SourceEvent]) -> tuple[tuple[Stretch, ...], tuple[LeftOut, ...]]:
    """Stretches without gaps and split at breaks, and one entry for each part of a gap."""
    kept = tuple(sorted(stretches))
    starts, stops = [s.start_sample for s in kept], [s.stop_sample for s in kept]
    gaps: list[Stretch] = []
    left_out: list[LeftOut] = []
    marked: dict[str, int] = {}
    for event in sorted(e for e in events if e.role == "gap"):
        for name in event.channels or ("all",):
            # overlapping marks leave samples out only once
            start = max(event.start_sample, marked.get(name, 0))
            stop = event.start_sample + event.n_samples
            if stop <= start:
                continue
            marked[name] = stop
            gap = Stretch(start_sample=start, n_samples=stop - start)
            if name == "all":
                gaps.append(gap)
            touched = kept[bisect.bisect_right(stops, start) : bisect.bisect_left(starts, stop)]
            left_out += [_left_out(name, event, part) for part in both(touched, [gap])]
    breaks = [e.start_sample for e in events if e.role == "break"]
    return break_at(subtract(kept, gaps), breaks), tuple(left_out)


def _left_out(name: str, event: SourceEvent, part: Stretch) -> LeftOut:
    skip = event.text.casefold().removeprefix("comment/").startswith(_SKIP)
    return LeftOut(
        kind="stretch",
        name=name,
        code="acquisition_skip" if skip else "annotated_bad",
        reason="marked as not recorded in the file" if skip else "marked as bad in the file",
        start_sample=part.start_sample,
        n_samples=part.n_samples,
    )
