"""The default vocabulary of a new shard set: the one vocabulary of its stores that contains all others.

Ids never change, so a vocabulary contains another only if it begins with its rows. Otherwise an error says what to do.
"""

from __future__ import annotations

from collections.abc import Sequence

from eegprep.electrodes import Vocabulary
from eegprep.errors import UsageError
from eegprep.shards.protocol import RecordingStore


def vocabulary_of(stores: Sequence[RecordingStore]) -> Vocabulary:
    """The largest of the stores' vocabularies; the shipped one if a store has none of its own.

    Raises
    ------
    UsageError
        If one store's vocabulary does not begin with another one's rows.
    """
    found = [getattr(store, "vocabulary", None) or Vocabulary.base() for store in stores]
    largest = max(found, key=len, default=Vocabulary.base())
    for store, vocabulary in zip(stores, found, strict=True):
        if tuple(vocabulary) != tuple(largest)[: len(vocabulary)]:
            raise UsageError(
                "the stores were ingested with incompatible vocabularies",
                where=getattr(store, "path", None),
                found=f"{len(vocabulary)} rows that are not the first of the largest vocabulary's {len(largest)}",
                expected="one vocabulary, or one that extends the other",
                todo="merge them (`eegprep electrodes merge`) and pass the result with --vocabulary",
            )
    return largest
