"""Seizures in a patient's summary: each recording gets its own, and a text that contradicts itself is refused."""

from __future__ import annotations

import pytest

from eegprep.errors import InputError
from eegprep.sources.events_file import belonging, events_files
from eegprep.sources.seizure_summary import seizure_events

TEXT = """\
Data Sampling Rate: 256 Hz

File Name: chb01_01.edf
File Start Time: 11:42:54
Number of Seizures in File: 0

File Name: chb01_03.edf
File Start Time: 13:43:04
File End Time: 14:43:04
Number of Seizures in File: 2
Seizure 1 Start Time: 10 seconds
Seizure 1 End Time: 14.5 seconds
Seizure 2 Start Time: 20 seconds
Seizure 2 End Time: 30 seconds
"""


def events(folder, text: str = TEXT, recording: str = "chb01_03.edf", seconds: int = 30):
    path = folder / "chb01-summary.txt"
    path.write_text(text, encoding="utf-8")
    found = seizure_events(path, recording, n_samples=seconds * 100, sfreq_hz=100.0)
    return None if found is None else [(e.start_sample, e.n_samples, e.text) for e in found]


def test_seizures_and_the_time_between_them(tmp_path):
    """A recording is its seizures and what lies between them."""
    assert events(tmp_path) == [
        (0, 1000, "no seizure"), (1000, 450, "seizure"), (1450, 550, "no seizure"), (2000, 1000, "seizure"),
    ]  # fmt: skip
    assert events(tmp_path, recording="chb01_01.edf") == [(0, 3000, "no seizure")]
    assert events(tmp_path, recording="chb01_99.edf") is None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("File: 2", "File: 3", "inconsistent seizures for chb01_03.edf"),
        ("End Time: 14.5", "End Time: 9", "inconsistent seizures"),
        ("Seizure 2 End Time: 30 seconds\n", "", "inconsistent seizures"),
        ("Number of Seizures in File: 2\n", "", "inconsistent seizures"),
        ("End Time: 30 seconds", "End Time: 31 seconds", "after the end of chb01_03.edf"),
        ("File Name:", "Name:", "is not a seizure summary"),
    ],
)
def test_implausible_summary_is_refused(tmp_path, old, new, message):
    """A summary that cannot be believed is refused."""
    with pytest.raises(InputError, match=message):
        events(tmp_path, TEXT.replace(old, new))


def test_text_that_is_too_large_is_not_read(tmp_path):
    """A text that is too large is not read."""
    with pytest.raises(InputError, match="too large"):
        events(tmp_path, TEXT + " " * (5 << 20))


def test_nearest_summary_of_a_subject_counts():
    """A file of one subject belongs to all its recordings, and a closer one goes before it."""
    paths = ["chb01/chb01-summary.txt", "chb02/chb02-summary.txt", "chb01/chb01_03.edf"]
    by_patient = events_files("**/chb{subject}-summary.txt", paths)
    assert belonging(by_patient, {"subject": "01", "run": "01_03"}) == "chb01/chb01-summary.txt"
    assert belonging(by_patient, {"subject": "03", "run": "03_01"}) is None
    both = by_patient | {frozenset({("subject", "01"), ("run", "01_03")}): "own.edf"}
    assert belonging(both, {"subject": "01", "run": "01_03"}) == "own.edf"
    assert belonging({frozenset(): "any.txt"}, {"subject": "01"}) is None
