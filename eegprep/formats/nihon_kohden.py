"""Nihon Kohden: blocks of data, and the kinds of channels.

A recording that was paused has several blocks of data. MNE cannot read across the end of one from its middle, and marks
some ends one sample early. It also takes every channel whose name contains a capital Z, such as FZ, for another input.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from typing import Any

import numpy as np

from eegprep.formats.decoded import Decoded, LazySignal, SourceEvent

#: Inputs that are no electrodes; electrodes may have names that contain theirs.
_OTHER_INPUTS = re.compile(r"(DC|NA|BN|X)\d.*|Mark\d*|Z|\$.*", re.IGNORECASE)
_ENDS = frozenset({"BAD boundary", "EDGE boundary"})


def with_blocks(decoded: Decoded, raw: Any) -> Decoded:
    """`decoded`, read block by block, with breaks between the blocks and with electrodes of any name."""
    blocks = raw._raw_extras[0]["header"]["controlblocks"][0]["datablocks"]
    ends = np.cumsum([int(block["n_samples"]) for block in blocks]).tolist()
    signal, n_channels, n_samples = decoded.signal, *decoded.signal.shape

    def read(start: int, stop: int) -> np.ndarray:
        edges = [start, *(end for end in ends if start < end < stop), stop]
        parts = [np.asarray(signal[:, a:b]) for a, b in itertools.pairwise(edges)]
        return np.concatenate(parts, axis=1)

    channels = tuple(
        dataclasses.replace(c, kind="eeg", unit="V", unit_evidence="the format states its scale")
        if c.kind == "misc" and not _OTHER_INPUTS.fullmatch(c.name)
        else c
        for c in decoded.channels
    )
    borders = [end for end in ends[:-1] if 0 < end < n_samples]
    events = [e for e in decoded.events if not (e.text in _ENDS and any(abs(e.start_sample - b) <= 1 for b in borders))]
    events += [SourceEvent(start_sample=b, text="boundary", role="break", witness="annotations") for b in borders]
    return dataclasses.replace(
        decoded, channels=channels, events=tuple(sorted(events)), signal=LazySignal(n_channels, n_samples, read)
    )
