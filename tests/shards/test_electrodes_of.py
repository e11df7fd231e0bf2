"""A shard set takes its electrodes from the stores: a lab's own vocabulary need not be named twice."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from eegprep.electrodes import Vocabulary, dump_vocabulary, parse_vocabulary
from eegprep.errors import UsageError
from eegprep.shards import ShardSet, build_shard_set
from eegprep.shards.build.electrodes_of import vocabulary_of


def with_site(name: str) -> Vocabulary:
    """The shipped vocabulary and one place more."""
    rows = json.loads(dump_vocabulary(Vocabulary.base()))
    return parse_vocabulary(json.dumps([*rows, [name, [], [0.01, 0.02, 0.11], "lab"]]))


class Store:
    """Only what is asked for a vocabulary."""

    def __init__(self, vocabulary: Vocabulary | None) -> None:
        if vocabulary is not None:
            self.vocabulary = vocabulary
        self.path = Path("store")


def test_largest_vocabulary_is_taken() -> None:
    """The largest vocabulary that holds the others is taken."""
    own = with_site("LabSite")
    assert vocabulary_of([Store(None), Store(own), Store(Vocabulary.base())]) == own
    assert vocabulary_of([Store(None)]) == Vocabulary.base()


def test_conflicting_vocabulary_is_refused() -> None:
    """Vocabularies that do not agree are refused with what to do."""
    with pytest.raises(UsageError, match="incompatible vocabularies") as caught:
        vocabulary_of([Store(with_site("LabSite")), Store(with_site("OtherSite"))])
    assert "eegprep electrodes merge" in str(caught.value)


def test_own_electrodes_need_no_naming(store, tmp_path: Path) -> None:
    """A store with its own electrodes is sharded without naming them."""
    own = with_site("LabSite")
    renamed = []
    for info in store.infos():
        electrodes = ("LabSite", *info.electrodes[1:])
        renamed.append(dataclasses.replace(info, electrodes=electrodes, rejected={}))
    store._infos = renamed
    store.vocabulary = own
    build_shard_set([store], tmp_path / "set", sync=False)
    opened = ShardSet.open(tmp_path / "set")
    assert opened.vocabulary.names == own.names
    assert "LabSite" in {opened.vocabulary.name_of(int(e)) for e in opened.blocks.electrode}
