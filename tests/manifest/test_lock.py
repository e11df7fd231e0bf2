"""Locks are deterministic, come back as they went, and tell where two labs' work differs first."""

from __future__ import annotations

import pytest

from eegprep.errors import RefusedError, UsageError
from eegprep.manifest import parse_manifest
from eegprep.manifest.diff import differences
from eegprep.manifest.licences import merge_licences, refuse_sharing
from eegprep.manifest.lock import Lock, Stage, decisions, first_difference, read_lock, versions, write_lock
from eegprep.manifest.schema import Licence

HASH = {c: c * 64 for c in "abc"}


def lock(**changes) -> Lock:
    ingest = {
        "stage": "ingest",
        "manifests": {"lab": HASH["a"]},
        "parameters": {"recipe": "default"},
        "inputs": {"b/2.edf": HASH["b"], "a/1.edf": HASH["a"]},
        "outputs": {"recordings/1.arrow": HASH["c"]},
        "counts": {"recordings": 1},
        "decisions": decisions([("lab/2/-/-", "ECG", "ecg", "heart"), ("lab/1/-/-", "ECG", "ecg", "heart")]),
    }
    return Lock(lock=1, versions={"python": "3.11", "numpy": "2.1"}, stages=[Stage(**{**ingest, **changes})])


def test_equal_work_gives_equal_lock_bytes(tmp_path):
    """A lock comes back unchanged, and equal work gives equal bytes."""
    write_lock(tmp_path, lock())
    first = (tmp_path / "lock.yaml").read_bytes()
    assert first_difference(read_lock(tmp_path), lock()) is None
    write_lock(tmp_path, lock(inputs={"a/1.edf": HASH["a"], "b/2.edf": HASH["b"]}))
    assert (tmp_path / "lock.yaml").read_bytes() == first


def test_equal_decisions_are_one_entry():
    """Equal decisions of many recordings are one entry."""
    found = lock().stages[0].decisions
    assert [(d.about, d.decision, d.recordings) for d in found] == [("ECG", "ecg", ["lab/1/-/-", "lab/2/-/-"])]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"outputs": {"recordings/1.arrow": HASH["a"]}},
            "stage ingest, outputs: 1 of 1 differ, first recordings/1.arrow",
        ),
        ({"inputs": {"a/1.edf": HASH["a"]}}, "stage ingest, inputs: 1 of 2 differ, first b/2.edf"),
        ({"counts": {"recordings": 2}}, "stage ingest, counts"),
        ({"decisions": []}, "stage ingest, decisions: 1 differ, first ECG ecg"),
    ],
)
def test_first_difference_is_in_words(changes, message):
    """The first difference is told in words."""
    assert message in first_difference(lock(), lock(**changes))


def test_versions_alone_are_no_difference():
    """Versions alone are no difference, but are named as the cause of one."""
    other = lock().model_copy(update={"versions": {"python": "3.11", "numpy": "2.2"}})
    assert first_difference(lock(), other) is None
    changed = other.model_copy(update={"stages": lock(outputs={"recordings/1.arrow": HASH["a"]}).stages})
    assert "numpy: 2.1 here, 2.2 there" in first_difference(lock(), changed)


def test_a_lock_holds_no_clock_and_no_host():
    assert set(versions()) == {"python", "eegpt", "mne", "numpy", "scipy", "pyarrow"}


def test_a_damaged_lock_is_one_clear_error(tmp_path):
    (tmp_path / "lock.yaml").write_text("lock: 1\nversions: {}\nstages:\n  - {stage: ingst}\n")
    with pytest.raises(UsageError, match=r"lock\.yaml:4"):
        read_lock(tmp_path)
    (tmp_path / "lock.yaml").write_text(
        "lock: 1\nversions: {}\nstages:\n  - {stage: ingest, outputs: {../x: " + HASH["a"] + "}}\n"
    )
    with pytest.raises(UsageError, match="relative path"):
        read_lock(tmp_path)


CC0 = Licence(id="CC0-1.0", share_shards=True, commercial_use=True)
NC = Licence(id="CC-BY-NC-4.0", share_shards=True, commercial_use=False, note="no commerce")
UNKNOWN = Licence(id="CC-BY-4.0", share_shards=True)
SIGNED = Licence(id="LicenseRef-Lab", signed=True)


def test_the_most_restrictive_licence_wins():
    assert merge_licences([CC0, CC0]) == CC0
    both = merge_licences([CC0, NC])
    assert (both.id, both.share_shards, both.commercial_use) == ("CC-BY-NC-4.0 AND CC0-1.0", True, False)
    assert merge_licences([CC0, UNKNOWN]).commercial_use is None
    assert merge_licences([NC, UNKNOWN]).commercial_use is False
    everything = merge_licences([CC0, NC, SIGNED])
    assert everything.signed
    assert not everything.share_shards
    assert merge_licences([SIGNED, NC, CC0]) == everything


MANIFEST = """\
manifest: 1
name: lab
version: "1"
title: t
citation: c
licence: {id: CC-BY-ND-4.0, share_shards: no}
source: {files: [a.edf, b.edf]}
tasks:
  - {name: one, classes: [a, b], trials: {by: trial}}
  - {name: two, classes: [a, b], trials: {by: trial}}
"""


def test_no_derivatives_exits_with_3():
    """Shards of no-derivatives data sets are refused with exit code 3."""
    with pytest.raises(RefusedError, match="must not be shared") as caught:
        refuse_sharing([parse_manifest(MANIFEST)])
    assert caught.value.exit_code == 3
    refuse_sharing([parse_manifest(MANIFEST.replace("share_shards: no", "share_shards: yes"))])


def test_diff_names_what_differs():
    ours = parse_manifest(MANIFEST)
    assert differences(ours, ours) == []
    theirs = parse_manifest(
        MANIFEST.replace("title: t", "title: T")
        .replace("[a.edf, b.edf]", "[b.edf, c.edf]")
        .replace("name: one", "name: new")
    )
    text = "\n".join(differences(ours, theirs))
    assert "title: t in the first, T in the second" in text
    assert "source.files: only in the first ['a.edf'], only in the second ['c.edf']" in text
    assert "tasks.one: only in the first" in text
    assert "tasks.new: only in the second" in text
    assert "tasks.two" not in text
