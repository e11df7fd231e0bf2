"""Names in splits: every subject goes where the manifest says, by whatever name its owner knows it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eegprep.electrodes import Vocabulary
from eegprep.errors import UsageError
from eegprep.ingest.plan import with_stored_names
from eegprep.manifest.schema import Manifest
from eegprep.recording import RecordingInfo, Stretch
from eegprep.shards.build.plan import Options, make_plan
from eegprep.sources.entities import Group, plan_groups
from eegprep.sources.mne import FetchedSource
from eegprep.splits import assign
from eegprep.splits.names import Names, chosen_subjects

SPLITS = ("train", "validation", "test")
# What people call subjects: numbers with and without zeros, BIDS labels, names, dates, accents, blanks.
SUBJECT = st.one_of(
    st.integers(0, 30).map(str),
    st.integers(0, 30).map("{:02d}".format),
    st.integers(0, 30).map("sub-{:02d}".format),
    st.integers(0, 30).map("S{:03d}".format),
    st.sampled_from(["Anna", "anna", "Ben", "Jos\u00e9", "Jose\u0301", "2012-07-06", "20120706", "A B", "a.b", "s1_x"]),
    st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=5),
)


def manifest(*, anonymous: bool = False, only: list[str] | None = None, **split: object) -> Manifest:
    return Manifest.model_validate(
        {
            "manifest": 1,
            "name": "d",
            "version": "1",
            "title": "t",
            "citation": "c",
            "licence": {"id": "CC0-1.0"},
            "anonymous_subjects": anonymous,
            "source": {"kind": "files", "files": ["{subject}.edf"], "only_subjects": only or []},
            "split": split,
        }
    )


def planned(said: Manifest, subjects, *, implicit=False, session="", run=""):
    groups = [
        Group(files=(f"{s}.edf",), entities={"subject": s, "session": session, "run": run}, implicit=implicit)
        for s in subjects
    ]
    return plan_groups(said, Path("/nowhere"), groups)[0]


def info(subject, session="", run=""):
    return RecordingInfo(
        dataset="d", subject=subject, session=session, run=run, n_samples=9, electrodes=("Cz",), references=("",),
        stretches=(Stretch(start_sample=0, n_samples=9),),
    )  # fmt: skip


def split_of(said: Manifest, subjects, *, partial=False, implicit=False) -> dict[str, str]:
    """The split of every subject, by its own name, the whole way from the files' names to the shards."""
    plan = planned(said, subjects, implicit=implicit)
    resolved, _ = with_stored_names(said, plan, partial=partial)
    splits = assign([info(p.subject, run=p.run) for p in plan], resolved.split)
    return {p.names["subject"][0]: splits[info(p.subject, run=p.run).id] for p in plan}


@given(st.sets(SUBJECT, min_size=3, max_size=12), st.booleans(), st.randoms(use_true_random=False))
def test_each_named_subject_in_its_split(subjects, anonymous, random):
    """Whatever the names and whether they may be stored: named subjects are where they were put, others elsewhere."""
    where = {s: random.choice((*SPLITS, None)) for s in sorted(subjects)}
    named = {split: [s for s, w in where.items() if w == split] for split in SPLITS}
    if all(named.values()):
        where = {s: w or "train" for s, w in where.items()}
        named = {split: [s for s, w in where.items() if w == split] for split in SPLITS}
    got = split_of(manifest(anonymous=anonymous, **named), subjects)
    assert {s: got[s] for s, w in where.items() if w} == {s: w for s, w in where.items() if w}
    taken = {split for split in SPLITS if named[split]}
    assert not {got[s] for s, w in where.items() if not w} & taken


@given(st.sets(SUBJECT, min_size=2, max_size=10), SUBJECT, st.booleans())
def test_a_name_of_nobody_is_an_error(subjects, other, anonymous):
    """A name leads to exactly one subject, or is refused: it is never ignored."""
    said = manifest(anonymous=anonymous, test=[other])
    fits = [s for s in subjects if s == other] or [s for s in subjects if Names({s: ()}).find(other)]
    if len(fits) != 1:
        with pytest.raises(UsageError, match=re.escape(repr(other))):
            split_of(said, subjects)
        return
    got = split_of(said, subjects)
    tested = {s for s, split in got.items() if split == "test"}
    assert len(tested) == 1
    assert tested == {other} if other in subjects else Names(dict.fromkeys(tested, ())).find(other)


@pytest.mark.parametrize("anonymous", [True, False])
@pytest.mark.parametrize(
    ("subjects", "written", "tested"),
    [
        (["subj1", "subj2", "subj3"], "subj3", "subj3"),
        (["01", "02", "03"], "sub-03", "03"),
        (["sub-01", "sub-02"], "02", "sub-02"),
        (["01", "02", "03"], "3", "03"),
        (["1", "2", "3"], "03", "3"),
        (["1", "01", "2"], "1", "1"),
        (["1", "01", "2"], "01", "01"),
        (["sub-1", "1", "2"], "1", "1"),
        (["2012-07-06", "2012-07-07"], "2012-07-06", "2012-07-06"),
        (["Jos\u00e9", "Ana"], "Jose\u0301", "Jos\u00e9"),
    ],
)
def test_names_as_commonly_written(subjects, written, tested, anonymous):
    got = split_of(manifest(anonymous=anonymous, test=[written]), subjects)
    assert [s for s, split in got.items() if split == "test"] == [tested]


@pytest.mark.parametrize(
    ("subjects", "split", "said"),
    [
        (["s1", "s2"], {"test": ["s3"]}, "unknown subject 's3'"),
        (["s1", "s2"], {"test": ["S2"]}, "did you mean 's2'"),
        (["s1", "s2"], {"train": ["s 1"]}, "unknown subject 's 1'"),
        (["01", "001", "2"], {"test": ["1"]}, "subject '1' is ambiguous"),
        (["sub-01", "01", "2"], {"test": ["1"]}, "subject '1' is ambiguous"),
        (["01", "02"], {"train": ["01"], "test": ["sub-01"]}, "'01' under `train` and 'sub-01' under `test`"),
        (["01", "02"], {"validation": ["1"], "test": ["01"]}, "in two splits"),
        (["a", "b", "c", "Kim"], {"train": ["a"], "validation": ["b"], "test": ["c"]}, "'Kim'"),
    ],
)
@pytest.mark.parametrize("anonymous", [True, False])
def test_wrong_names_are_refused(subjects, split, said, anonymous):
    """With the names that were written, not their pseudonyms."""
    with pytest.raises(UsageError) as caught:
        split_of(manifest(anonymous=anonymous, **split), subjects)
    assert said in str(caught.value)


def test_the_stored_manifest_names_nobody():
    """The manifest goes into stores and shard sets, so the names in it are those that may be stored."""
    said = manifest(test=["subj3"], only=["subj1", "subj3"])
    plan = planned(said, ["subj1", "subj3"])
    stored, _ = with_stored_names(said, plan, partial=False)
    assert not [name for name in ("subj1", "subj3") if name in stored.model_dump_json()]
    assert set(stored.split.test) <= {p.subject for p in plan}
    # and it still means the same where it is ingested again
    again, _ = with_stored_names(stored, planned(stored, ["subj1", "subj3"]), partial=False)
    assert again == stored
    assert chosen_subjects(stored, ["subj1", "subj2", "subj3"]) == {"subj1", "subj3"}


def test_names_that_may_be_stored_stay():
    """Equal bytes: where the data set's names are anonymous, nothing in the manifest changes."""
    said = manifest(anonymous=True, train=["01", "21"])
    assert with_stored_names(said, planned(said, ["01", "02", "21"]), partial=False) == (said, ())


def test_part_of_a_data_set_may_lack_names():
    """With --partial a name may be elsewhere, unless it looks like a slip for one that is here."""
    said = manifest(train=["s1"], test=["s9"])
    assert split_of(said, ["s1", "s2", "s3"], partial=True)["s1"] == "train"
    _, absent = with_stored_names(said, planned(said, ["s1"]), partial=True)
    assert absent == ("s9",)
    for slip in ("S2", "s_2", "s02"):
        with pytest.raises(UsageError, match="unknown subject"):
            split_of(manifest(test=[slip]), ["s1", "s2"], partial=True)


def test_parts_of_one_set_have_one_manifest():
    """Two stores of two parts can be sharded together only if their manifests agree."""
    said = manifest(train=["s1"], test=["s2"])
    here, there = (with_stored_names(said, planned(said, [s]), partial=True)[0] for s in ("s1", "s2"))
    assert here == there


def test_a_folder_without_patterns_has_names():
    """Subjects that were guessed from paths are found by the folder or the file."""
    said = manifest(test=["kim"])
    assert split_of(said, ["anna.edf", "ben.edf", "kim.edf"], implicit=True)["kim.edf"] == "test"
    with pytest.raises(UsageError, match="ambiguous"):
        split_of(said, ["kim.edf", "kim.vhdr", "ben.edf"], implicit=True)


@pytest.mark.parametrize("by", ["session", "run"])
def test_sessions_and_runs_resolve_too(by):
    said = manifest(by=by, train=["20120706"], test=["2"])
    plan = [*planned(said, ["a"], **{by: "20120706"}), *planned(said, ["a"], **{by: "02"})]
    resolved, _ = with_stored_names(said, plan, partial=False)
    infos = [info(p.subject, p.session, p.run) for p in plan]
    assert list(assign(infos, resolved.split).values()).count("test") == 1
    with pytest.raises(UsageError, match=rf"unknown {by} '3'"):
        with_stored_names(manifest(by=by, train=["20120706", "02"], test=["3"]), plan, partial=False)
    with pytest.raises(UsageError, match=rf"1 {by}s are in no split"):
        with_stored_names(manifest(by=by, test=["02"]), plan, partial=False)


def test_a_subset_chooses_by_the_same_names():
    assert chosen_subjects(manifest(only=["1", "sub-03"]), ["01", "02", "03"]) == {"01", "03"}
    assert chosen_subjects(manifest(), ["01", "02"]) == {"01", "02"}
    with pytest.raises(UsageError, match="unknown subject '7'"):
        chosen_subjects(manifest(only=["7"]), ["01", "02"])
    said = manifest(only=["1", "7"])
    with pytest.raises(UsageError, match="unknown subject '7'"):
        with_stored_names(said, planned(said, ["01"]), partial=False)


def test_subset_keeps_splits_of_the_whole():
    """Subjects that a subset leaves out may still stand in its split."""
    got = split_of(manifest(only=["a", "b"], train=["a"], test=["c"]), ["a", "b"])
    assert got["a"] == "train"


def test_shards_find_names_written_otherwise():
    """A store of other making, whose manifest has names as a person wrote them."""
    rule = manifest(test=["sub-03"], validation=["2"]).split
    splits = assign([info(s) for s in ("01", "02", "03")], rule)
    assert [splits[info(s).id] for s in ("01", "02", "03")] == ["train", "validation", "test"]
    with pytest.raises(UsageError, match="in two splits"):
        assign([info("01"), info("02")], manifest(test=["1"], train=["01"]).split)


@pytest.mark.parametrize(
    ("listed", "pattern"),
    [
        (["01", "02"], "{subject}"),
        (["1", "2"], "{subject}"),
        (["1.0", "2.0"], "{subject}"),
        (["sub-01", "sub-02"], "{subject}"),
        (["sub-01", "sub-02"], "sub-{subject}"),
        (["P1", "P2"], "P{subject}"),
    ],
)
def test_subject_tables_by_the_same_names(tmp_path, listed, pattern):
    """`01` of the files is `1`, `1.0` or `sub-01` of the table, and never another subject."""
    rows = "".join(f"{name},{group}\n" for name, group in zip(listed, "ab", strict=True))
    (tmp_path / "people.csv").write_text(f"id,Group\n{rows}", encoding="utf-8")
    table = {"file": "people.csv", "id_column": "id", "id_pattern": pattern, "attributes": {"group": "Group"}}
    said = Manifest.model_validate({**manifest(anonymous=True).model_dump(), "subjects": table})
    groups = [Group(files=(f"{s}.edf",), entities={"subject": s}) for s in ("01", "02", "03")]
    plan, _ = plan_groups(said, tmp_path, groups)
    assert {p.subject: p.attributes.get("group") for p in plan} == {"01": "a", "02": "b", "03": None}


def test_two_rows_of_one_subject_must_agree(tmp_path):
    table = {"file": "people.csv", "id_column": "id", "attributes": {"group": "Group"}}
    said = Manifest.model_validate({**manifest(anonymous=True).model_dump(), "subjects": table})
    groups = [Group(files=("s1.edf",), entities={"subject": "s1"})]
    (tmp_path / "people.csv").write_text("id,Group\ns1,a\ns1,a\n", encoding="utf-8")
    assert plan_groups(said, tmp_path, groups)[0][0].attributes == {"group": "a"}
    (tmp_path / "people.csv").write_text("id,Group\ns1,a\ns1,b\n", encoding="utf-8")
    with pytest.raises(UsageError, match="contradicts itself"):
        plan_groups(said, tmp_path, groups)
    (tmp_path / "people.csv").write_text("id,Group\n1,a\n001,b\n", encoding="utf-8")
    with pytest.raises(UsageError, match="ambiguous"):
        plan_groups(said, tmp_path, [Group(files=("01.edf",), entities={"subject": "01"})])


def test_data_sets_that_mne_fetches(tmp_path):
    """Their subjects are numbers with zeros, which nobody writes."""
    whole = manifest(anonymous=True, test=["3"], train=["sub-001"])
    source = {"kind": "mne", "code": "eegbci", "subject": "1-4", "only_subjects": ["1", "3", "04"]}
    said = Manifest.model_validate({**whole.model_dump(), "source": source})
    plan = FetchedSource(said, tmp_path).plan()
    assert {p.subject for p in plan} == {"001", "003", "004"}
    stored, _ = with_stored_names(said, plan, partial=False)
    assert (stored.split.test, stored.split.train) == (["003"], ["001"])
    assert stored.source.only_subjects == ["001", "003", "004"]


@pytest.mark.parametrize("n_subjects", [5, 8, 12, 20])
def test_stores_of_a_set_split_together(n_subjects):
    """A subject with one session in each of two stores is not in two splits."""

    class Held:
        manifest = manifest(anonymous=True)

        def __init__(self, *infos):
            self.infos = lambda: list(infos)

        def electrode_uv(self, *_):
            raise AssertionError("a split needs no signal")

        def close(self):
            pass

    names = [f"{n:02d}" for n in range(n_subjects)]
    first = Held(*(info(s, session="1") for s in names[: 2 * n_subjects // 3]))
    second = Held(*(info(s, session="2") for s in names[n_subjects // 3 :]))
    options = Options(block_samples=100, max_shard_bytes=1 << 20)
    plan = make_plan([first, second], Vocabulary.base(), options, version="1")
    found: dict[str, set[str]] = {}
    for one in plan.recordings:
        found.setdefault(one.info.subject, set()).add(one.split)
    assert all(len(splits) == 1 for splits in found.values())
    assert set().union(*found.values()) == set(SPLITS)
