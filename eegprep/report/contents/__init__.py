"""The contents of a store or shard sets in numbers, for reports and the pages of runs.

`Contents`, from `from_store` or `from_shards`, is frozen plain data: data sets, recordings, hours by electrode, trials
by class, what was left out and why, spectra and amplitudes. `eegprep.report.sections.contents` shows it on a page.
Readers are imported on demand.
"""

from pathlib import Path

from eegprep.report.contents.facts import (
    Amplitudes,
    Contents,
    DatasetFacts,
    ElectrodeFacts,
    Failure,
    LeftOutGroup,
    RecordingFacts,
    Spectrum,
    TrialCount,
)
from eegprep.report.contents.left_out import group_left_out

__all__ = [
    "Amplitudes",
    "Contents",
    "DatasetFacts",
    "ElectrodeFacts",
    "Failure",
    "LeftOutGroup",
    "RecordingFacts",
    "Spectrum",
    "TrialCount",
    "group_left_out",
    "contents_of_shards",
    "contents_of_store",
]


def contents_of_store(path: str | Path) -> Contents:
    """`Contents` of the store in the folder `path`."""
    from eegprep.report.contents.from_store import contents_of_store as read

    return read(Path(path))


def contents_of_shards(*paths: str | Path) -> Contents:
    """Combined `Contents` of the shard sets in the folders `paths`."""
    from eegprep.report.contents.from_shards import contents_of_shards as read

    return read([Path(p) for p in paths])
