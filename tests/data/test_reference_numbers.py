"""Windows carry the numbers of references that an encoder counts, whatever vocabulary they come from."""

from __future__ import annotations

import numpy as np
import pytest
from support.clinical import potentials, write_edf

from eegprep.electrodes import Electrode, Vocabulary
from eegprep.electrodes.references import SCHEMES, numbered_references, reference_numbers
from eegprep.ingest import ingest
from eegprep.manifest import load_recipe
from eegprep.shards import build_shard_set
from eegprep.sources.implicit import manifest_for_path
from eegpt.data import WindowIndex
from eegpt.pretraining.forecast import with_vocabulary

NAMES = ("C3-A1", "C4-A2", "Cz-LE", "O1-Pz")
AGAINST = ("A1", "A2", "linked ears", "Pz")


def windows(folder, vocabulary=None):
    v = np.stack(list(potentials(NAMES, 256 * 20, 256.0).values()))
    write_edf(folder / "a.edf", NAMES, v, 256)
    options = {} if vocabulary is None else {"vocabulary": vocabulary}
    ingest(
        manifest_for_path(folder / "a.edf"), folder / "a.edf", folder / "store", recipe=load_recipe("default"),
        workers=0, **options,
    )  # fmt: skip
    build_shard_set([folder / "store"], folder / "shards", sync=False)
    index = WindowIndex([folder / "shards"], n_samples=256, stride=256, splits=None)
    return index, index.gather(np.arange(len(index)))


def with_ears():
    """A lab's vocabulary with the ear lobes as electrodes, which are also names of schemes."""
    ears = [Electrode(name=name, position_m=None, source="lab") for name in ("A1", "A2")]
    return Vocabulary.base().extend(ears)


@pytest.mark.parametrize("ears", [False, True])
def test_numbers_are_those_of_the_encoder(tmp_path, ears):
    """Also where a vocabulary has an electrode that is named like a scheme: no number is shifted."""
    vocabulary = with_ears() if ears else Vocabulary.base()
    index, batch = windows(tmp_path, vocabulary if ears else None)
    assert index.vocabulary.names == vocabulary.names
    names = [index.vocabulary.name_of(int(e)) for e in batch.electrode]
    found = dict(zip(names, batch.reference.tolist(), strict=True))
    expected = reference_numbers(vocabulary, AGAINST)
    assert found == dict(zip(("C3", "C4", "Cz", "O1"), expected, strict=True))
    assert [index.references[n] for n in expected] == list(AGAINST)
    assert len(index.references) >= len(vocabulary) + len(SCHEMES)


def test_references_follow_to_another_vocabulary(tmp_path):
    """A forecast with an encoder of another vocabulary hears the same references under its own numbers."""
    index, batch = windows(tmp_path)
    target = Vocabulary.extended()
    moved = with_vocabulary(batch.tensors(), index.vocabulary, target)
    names = [index.vocabulary.name_of(int(e)) for e in batch.electrode]
    assert [target.name_of(int(e)) for e in moved.electrode] == names
    of = dict(zip(("C3", "C4", "Cz", "O1"), AGAINST, strict=True))
    assert moved.reference.tolist() == reference_numbers(target, [of[name] for name in names])


def test_the_numbered_references_in_order():
    vocabulary = Vocabulary.base()
    numbers = reference_numbers(vocabulary, numbered_references(vocabulary))
    assert numbers == list(range(len(vocabulary) + len(SCHEMES)))
