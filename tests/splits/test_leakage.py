"""What was seen is not tested: by person, by recording and by signal."""

from __future__ import annotations

import json

import pytest

from eegprep.errors import InputError, RefusedError
from eegprep.splits import SEEN_FILE, Seen, SeenRecording, find_leaks, refuse_leaks

SEEN = Seen.of([SeenRecording(id="d/1/-/1", signal_sha256="aa"), SeenRecording(id="d/2/-/1", signal_sha256="bb")])


def test_other_subjects_and_signals_pass():
    """Other subjects with other signals pass."""
    assert refuse_leaks(SEEN, [SeenRecording(id="d/3/-/1", signal_sha256="cc")]) == ""


@pytest.mark.parametrize(
    ("recording", "how"),
    [
        (SeenRecording(id="d/1/-/2", signal_sha256="cc"), "subject"),
        (SeenRecording(id="d/1/-/1", signal_sha256=""), "recording"),
        (SeenRecording(id="other/9/-/1", signal_sha256="bb"), "signal"),
    ],
)
def test_seen_data_is_refused_with_3(recording, how):
    """A seen subject, recording or signal is refused with exit code 3."""
    assert [leak.how for leak in find_leaks(SEEN, [recording])] == [how]
    with pytest.raises(RefusedError) as caught:
        refuse_leaks(SEEN, [recording], stage="pre-training")
    assert caught.value.exit_code == 3
    assert recording.id in str(caught.value)
    assert "pre-training" in str(caught.value)


def test_an_override_says_what_it_allowed():
    text = refuse_leaks(SEEN, [SeenRecording(id="d/1/-/2")], allow=True)
    assert text.startswith("LEAKAGE ALLOWED: 1 test recording")
    assert "d/1/-/2" in text


def test_within_subject_leaks_are_by_signal():
    """Within a subject only recordings and signals count."""
    same_person = SeenRecording(id="d/1/-/2", signal_sha256="cc", within_subject=True)
    assert find_leaks(SEEN, [same_person]) == []
    same_signal = SeenRecording(id="d/1/-/2", signal_sha256="aa", within_subject=True)
    assert [leak.how for leak in find_leaks(SEEN, [same_signal])] == ["signal"]


def test_an_empty_hash_matches_nothing():
    seen = Seen.of([SeenRecording(id="d/1/-/1")])
    assert find_leaks(seen, [SeenRecording(id="e/1/-/1")]) == []


def test_seen_list_round_trips(tmp_path):
    """The list goes to a file and comes back."""
    SEEN.write(tmp_path)
    assert Seen.from_json(json.loads((tmp_path / SEEN_FILE).read_text())) == SEEN


@pytest.mark.parametrize(
    "data", [{}, {"seen": 2}, {"seen": 1, "recordings": [{"id": "x"}]}, {"seen": 1, "recordings": 3}]
)
def test_a_broken_list_is_an_input_error(data):
    with pytest.raises(InputError):
        Seen.from_json(data)
