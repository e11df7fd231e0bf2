"""Data sets on OpenNeuro with EEG that are known without a network: a small table in the package.

Titles, numbers of subjects and licences are those in the public summary of EEGDash (dataset_summary.csv of its
repository), which collects what the data sets state; `unknown` where it names no licence. The data set's own
description counts: `eegprep manifest new openneuro:ID` reads it.
"""

from __future__ import annotations

import csv
import importlib.resources
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class KnownDataset:
    """One data set: its id, title, number of subjects, modality and licence as far as they are known."""

    id: str
    title: str
    subjects: int
    modality: str
    licence: str


def known_datasets() -> list[KnownDataset]:
    """The data sets of the table, sorted by id."""
    text = (importlib.resources.files("eegprep.remote") / "openneuro.tsv").read_text("utf-8")
    rows = csv.DictReader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE)
    found = [
        KnownDataset(
            id=r["id"], title=r["title"], subjects=int(r["subjects"]), modality=r["modality"], licence=r["licence"]
        )
        for r in rows
    ]
    return sorted(found, key=lambda d: d.id)
