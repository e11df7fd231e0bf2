"""What was left out, grouped by data set, kind and code, the largest group first.

Reasons may name a channel or a value; each group shows the most frequent one.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

from eegprep.recording import RecordingInfo
from eegprep.report.contents.facts import LeftOutGroup


def group_left_out(infos: Iterable[RecordingInfo]) -> tuple[LeftOutGroup, ...]:
    """Group the `left_out` of all recordings by data set, kind and code, most frequent first."""
    names: dict[tuple[str, str, str], Counter[str]] = defaultdict(Counter)
    reasons: dict[tuple[str, str, str], Counter[str]] = defaultdict(Counter)
    recordings: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    hours: dict[tuple[str, str, str], float] = defaultdict(float)
    for info in infos:
        for entry in info.left_out:
            key = (info.dataset, entry.kind, entry.code)
            names[key][entry.name] += 1
            reasons[key][entry.reason] += 1
            recordings[key].add(info.id)
            if entry.n_samples is not None:
                # A gap in the recording is a gap in each electrode.
                n_electrodes = len(info.electrodes) if entry.kind == "stretch" and entry.name == "all" else 1
                hours[key] += n_electrodes * entry.n_samples / info.sfreq_hz / 3600
    groups = [
        LeftOutGroup(
            dataset=key[0],
            kind=key[1],
            code=key[2],
            reason=_most_common(reasons[key])[0],
            count=sum(names[key].values()),
            n_recordings=len(recordings[key]),
            names=tuple(_most_common(names[key])),
            hours=hours.get(key),
        )
        for key in names
    ]
    return tuple(sorted(groups, key=lambda g: (-g.count, g.dataset, g.kind, g.code)))


def _most_common(counts: Counter[str]) -> list[str]:
    return [name for name, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]
