"""A data set as one line of a report: its manifest's words, and what its recordings add up to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from eegprep.manifest.schema import Manifest
from eegprep.report.contents.facts import DatasetFacts, RecordingFacts

__all__ = ["dataset_facts"]


def dataset_facts(manifest: Manifest, recordings: Sequence[RecordingFacts], electrodes: Iterable[str]) -> DatasetFacts:
    """What the manifest says of its data set, and what the recordings of it that are here add up to."""
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
