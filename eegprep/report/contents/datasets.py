"""A data set as one line of a report, from its manifest and its recordings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from eegprep.manifest.schema import Manifest
from eegprep.report.contents.facts import DatasetFacts, RecordingFacts, TrialCount


def trial_counts(
    counts: Mapping[tuple[str, str, str, str], int], manifests: Iterable[Manifest]
) -> tuple[TrialCount, ...]:
    """Trials by data set, task, class and split, sorted, with zeros for the manifests' unused tasks and classes."""
    split = min((s for *_, s in counts), default="train")
    there = {key[:3] for key in counts} | {key[:2] for key in counts}
    whole = dict(counts)
    for manifest in manifests:
        for task in manifest.tasks:
            for label in task.classes or ["any"]:
                if (manifest.name, task.name, *((label,) if task.classes else ())) not in there:
                    whole[manifest.name, task.name, label, split] = 0
    return tuple(TrialCount(dataset=d, task=t, label=c, split=s, count=n) for (d, t, c, s), n in sorted(whole.items()))


def dataset_facts(manifest: Manifest, recordings: Sequence[RecordingFacts], electrodes: Iterable[str]) -> DatasetFacts:
    """The data set's description from its manifest, and totals over its recordings."""
    own = [r for r in recordings if r.dataset == manifest.name]
    address = manifest.url or (f"https://doi.org/{manifest.doi}" if manifest.doi else "")
    return DatasetFacts(
        name=manifest.name,
        title=manifest.title,
        version=manifest.version,
        licence=manifest.licence.id,
        citation=manifest.citation,
        address=address,
        device=manifest.device,
        reference=manifest.reference,
        within_subject=manifest.within_subject,
        n_subjects=len({r.subject for r in own}),
        n_recordings=len(own),
        n_electrodes=len(set(electrodes)),
        n_trials=sum(r.n_trials for r in own),
        hours=sum(r.hours for r in own),
    )
