"""Counts of what ingest left out of the recordings of a shard set, for its lock.

One entry per data set, kind and code, so that a shard set without its stores still documents what is missing. Channel
names, event texts and reasons stay in the store: they come from headers, and a shard set contains no free text.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from eegprep.recording import RecordingInfo
from eegprep.shards.lock import LeftOutByIngest

_Key = tuple[str, str, str]
_COUNTED = ("count", "recordings", "samples")


def left_out_by_ingest(
    infos: Iterable[RecordingInfo], earlier: Sequence[LeftOutByIngest] = ()
) -> list[LeftOutByIngest]:
    """Count the `left_out` of all recordings, added to the entries of the set being extended.

    Returns
    -------
    list of LeftOutByIngest
        Sorted by data set, kind and code.
    """
    counts: dict[_Key, Counter[str]] = defaultdict(Counter)
    for entry in earlier:
        counts[entry.dataset, entry.kind, entry.code].update({name: getattr(entry, name) for name in _COUNTED})
    for info in infos:
        for x in info.left_out:
            # A gap in the recording is a gap in each electrode.
            n_electrodes = len(info.electrodes) if x.kind == "stretch" and x.name == "all" else 1
            counts[info.dataset, x.kind, x.code].update(count=1, samples=n_electrodes * (x.n_samples or 0))
        for kind, code in {(x.kind, x.code) for x in info.left_out}:
            counts[info.dataset, kind, code]["recordings"] += 1
    return [
        LeftOutByIngest(dataset=dataset, kind=kind, code=code, **{name: found[name] for name in _COUNTED})
        for (dataset, kind, code), found in sorted(counts.items())
    ]
