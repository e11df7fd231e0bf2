"""Assign subjects, or the runs of single-subject data sets, to train, validation and test.

The split of each recording id depends only on the recordings of the data set and its manifest's split rule: not on the
order of the recordings, the time, or other data sets.

Subjects are ranked by a hash of (data set, subject, seed) and the ranks are cut in the requested ratio, which keeps
the ratio exact for few subjects. Subjects that share a recording (public data sometimes contain a signal under two
subjects) stay together. If a task has one label per subject (patient or control), the split is stratified by it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from eegprep.errors import RefusedError, UsageError
from eegprep.manifest.schema import SplitRule
from eegprep.recording import RecordingInfo
from eegprep.splits.names import SPLITS, Names


def rank_key(*parts: str | int) -> str:
    """A hash to sort by: the same on every machine, unlike `hash`, and unrelated between seeds."""
    return hashlib.sha256("\x1f".join(str(p) for p in parts).encode()).hexdigest()


def assign(infos: Sequence[RecordingInfo], rule: SplitRule) -> dict[str, str]:
    """Assign every recording to a split.

    Parameters
    ----------
    infos : sequence of RecordingInfo
        Recordings of one or several data sets, each split separately. A recording whose `split` is already set keeps
        it, and with `by: subject` so do all recordings of its subject.
    rule : SplitRule
        From the manifest. `train`, `validation` and `test` list subjects, runs or sessions, as given by `by`.
        Unlisted subjects are divided, in the rule's ratio, among the splits without a list.

    Returns
    -------
    dict of str to str
        Recording id to `train`, `validation` or `test`, sorted by id.

    Raises
    ------
    UsageError
        A run or session is not listed, or a subject is not listed and all three splits have lists.
    RefusedError
        Subjects that must stay together were put into different splits.
    """
    out: dict[str, str] = {}
    for dataset in sorted({i.dataset for i in infos}):
        own = sorted((i for i in infos if i.dataset == dataset), key=lambda i: i.id)
        out |= _by_subject(dataset, own, rule) if rule.by == "subject" else _by_name(dataset, own, rule)
    return dict(sorted(out.items()))


def _named(rule: SplitRule, known: Iterable[str]) -> dict[str, str]:
    """The rule's split of each known name; other names in the rule are ignored."""
    names = Names(dict.fromkeys(known, ()), rule.by)
    out: dict[str, str] = {}
    for split, written in ((s, n) for s in SPLITS for n in getattr(rule, s)):
        found = names.find(written)
        if found is not None and out.setdefault(found, split) != split:
            raise UsageError(
                f"{rule.by} {found!r} is listed in two splits",
                found=f"`{out[found]}` and, as {written!r}, `{split}`",
                expected=f"each {rule.by} in one split",
                todo="correct the split in the manifest",
            )
    return out


def _by_name(dataset: str, infos: Sequence[RecordingInfo], rule: SplitRule) -> dict[str, str]:
    named = _named(rule, {i.run if rule.by == "run" else i.session for i in infos})
    out: dict[str, str] = {}
    for info in infos:
        name = info.run if rule.by == "run" else info.session
        split = info.split or named.get(name, "")
        if not split:
            raise UsageError(
                f"recording {info.id} is in no split",
                found=f"{rule.by} {name!r}",
                expected=f"one of {sorted(named)}",
                todo=f"list this {rule.by} under `train`, `validation` or `test` in the manifest of {dataset}",
            )
        out[info.id] = split
    return out


def _by_subject(dataset: str, infos: Sequence[RecordingInfo], rule: SplitRule) -> dict[str, str]:
    groups = tied_subjects(infos)
    fixed = _fixed(dataset, infos, rule, groups)
    free = {s: g for s, g in groups.items() if g not in fixed}
    if free:
        taken = {split for split in SPLITS if getattr(rule, split)}
        ratio = tuple(0.0 if split in taken else r for split, r in zip(SPLITS, rule.ratio, strict=True))
        if sum(ratio) <= 0:
            raise UsageError(
                f"subjects of {dataset} are in no split",
                found=", ".join(sorted(free)[:10]),
                expected="every subject listed, or one of the three splits without names",
                todo="list them in the manifest, or leave one split's list empty",
            )
        fixed = fixed | split_subjects(
            sorted(set(free.values())),
            ratio=(ratio[0], ratio[1], ratio[2]),
            seed=rule.seed,
            salt=dataset,
            strata=_group_strata(subject_strata(infos), free),
        )
    return {i.id: fixed[groups[i.subject]] for i in infos}


def _fixed(dataset: str, infos: Sequence[RecordingInfo], rule: SplitRule, groups: Mapping[str, str]) -> dict[str, str]:
    """Splits given by the manifest or the source, by group; conflicting splits of a group are refused."""
    named = _named(rule, groups)
    fixed: dict[str, str] = {}
    for info in infos:
        for split in {info.split, named.get(info.subject, "")} - {""}:
            if fixed.setdefault(groups[info.subject], split) != split:
                together = sorted(s for s, g in groups.items() if g == groups[info.subject])
                raise RefusedError(
                    f"subject {info.subject} of {dataset} would be in two splits",
                    found=f"{split} and {fixed[groups[info.subject]]} for {', '.join(together)}",
                    expected="one split per subject, and for subjects that share a recording",
                    todo="correct the split in the manifest",
                )
    return fixed


def tied_subjects(infos: Iterable[RecordingInfo]) -> dict[str, str]:
    """Map each subject to the first of the subjects that share a signal with it."""
    parent: dict[str, str] = {}

    def root(subject: str) -> str:
        while parent[subject] != subject:
            subject = parent[subject]
        return subject

    owner: dict[str, str] = {}
    for info in sorted(infos, key=lambda i: i.id):
        parent.setdefault(info.subject, info.subject)
        if info.signal_sha256:
            a, b = root(owner.setdefault(info.signal_sha256, info.subject)), root(info.subject)
            parent[max(a, b)] = min(a, b)
    return {subject: root(subject) for subject in sorted(parent)}


def subject_strata(infos: Iterable[RecordingInfo]) -> dict[str, str]:
    """A subject's labels in the tasks with one label per subject, as one word to stratify by."""
    labels: dict[str, dict[str, set[str]]] = {}
    for info in infos:
        own = labels.setdefault(info.subject, {})
        for trial in info.trials:
            own.setdefault(trial.task, set()).add(trial.label)
    return {
        subject: "\x1f".join(f"{task}={min(seen)}" for task, seen in sorted(own.items()) if len(seen) == 1)
        for subject, own in sorted(labels.items())
    }


def _group_strata(strata: Mapping[str, str], groups: Mapping[str, str]) -> dict[str, str]:
    members: dict[str, set[str]] = {}
    for subject, group in groups.items():
        members.setdefault(group, set()).add(strata.get(subject, ""))
    return {group: "\x1e".join(sorted(s)) for group, s in members.items()}


def split_subjects(
    subjects: Sequence[str],
    *,
    ratio: tuple[float, float, float] = (8.0, 1.0, 1.0),
    seed: int = 0,
    salt: str = "",
    strata: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Split subjects in a ratio, stratified.

    With three or more subjects, every split with a non-zero share gets at least one; of two, one is tested. A stratum
    of three or more also gives one subject each to test and validation, as long as half of the subjects stay in
    train: a task with one label per subject cannot be evaluated unless all labels occur in test.

    Parameters
    ----------
    subjects : sequence of str
        Unique, in any order.
    ratio : tuple of float
        Train, validation, test.
    salt : str
        Part of the hash, so that subject `01` of two data sets is assigned independently.
    strata : mapping of str to str, optional
        Subject to stratum; subjects that are absent form a separate one.
    """
    strata = strata or {}
    ranked = sorted(set(subjects), key=lambda s: (rank_key(salt, s, seed), s))
    by_stratum: dict[str, list[str]] = {}
    for subject in ranked:
        by_stratum.setdefault(strata.get(subject, ""), []).append(subject)
    counts = _counts(len(ranked), ratio)
    if len(by_stratum) > 1:
        wanted = sum(len(members) >= 3 for members in by_stratum.values())
        raised = {s: max(counts[s], wanted) for s in ("validation", "test") if counts[s]}
        if 2 * sum(raised.values()) <= len(ranked):
            counts |= raised
    out: dict[str, str] = {}
    left = {stratum: list(members) for stratum, members in sorted(by_stratum.items())}
    for split in ("test", "validation"):
        picked = dict.fromkeys(left, 0)
        for _ in range(counts[split]):
            # The next subject is from the stratum furthest below its share; the last of a stratum stays in train.
            able = [s for s in left if len(left[s]) > 1] or [s for s in left if left[s]]
            share = {s: counts[split] * len(by_stratum[s]) / len(ranked) - picked[s] for s in able}
            unserved = [s for s in able if picked[s] == 0 and len(by_stratum[s]) >= 3]
            stratum = max(unserved or able, key=lambda s: (share[s], rank_key(salt, s, seed)))
            out[left[stratum].pop(0)] = split
            picked[stratum] += 1
    return {s: out.get(s, "train" if ratio[0] > 0 else _largest(ratio)) for s in sorted(ranked)}


def _largest(ratio: tuple[float, float, float]) -> str:
    return SPLITS[max(range(3), key=lambda i: (ratio[i], i))]


def _counts(n: int, ratio: tuple[float, float, float]) -> dict[str, int]:
    """How many of `n` subjects each split gets: rounded shares, none empty with three or more subjects."""
    total = sum(ratio)
    counts = {}
    for split, part in zip(("validation", "test"), ratio[1:], strict=True):
        least = 1 if part > 0 and (n >= 3 or (n == 2 and split == "test")) else 0
        counts[split] = max(least, int(n * part / total + 0.5)) if part > 0 else 0
        if n < 2 and ratio[0] > 0:
            counts[split] = 0
    floor = 1 if ratio[0] > 0 and n else 0
    for split in ("validation", "test"):
        while counts[split] and counts["validation"] + counts["test"] > n - floor:
            counts[split] -= 1
    if ratio[0] <= 0:
        # Without a train share, the larger of the other two takes the remainder from rounding.
        larger = _largest(ratio)
        other = "test" if larger == "validation" else "validation"
        counts[larger] = n - counts[other]
    return {"train": n - counts["validation"] - counts["test"], **counts}
