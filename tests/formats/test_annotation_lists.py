"""EDF+ annotation lists: what the standard allows, what writers do beyond it, and that nothing is read by halves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eegprep.formats.edf.annotations import parse_records
from eegprep.formats.edf.read import read_annotations, read_edf

STAMP = b"+2\x14\x14\x00"


def parsed(*signals: bytes) -> tuple[list[tuple[float, float, str]], int]:
    lists = parse_records([list(signals)])
    return [(a.onset_s, a.duration_s, a.text) for a in lists.annotations], lists.n_unread_bytes


@pytest.mark.parametrize(
    ("written", "onset_s", "duration_s"),
    [
        (b"+2.5\x14a\x14\x00", 2.5, 0.0),
        (b"+2.5\x15\x14a\x14\x00", 2.5, 0.0),
        (b"+2.5\x15+1\x14a\x14\x00", 2.5, 1.0),
        (b"+2.5\x15-1\x14a\x14\x00", 2.5, 0.0),
        (b"+2.5\x151e-05\x14a\x14\x00", 2.5, 1e-5),
        (b"+2.5\x151.5E+1\x14a\x14\x00", 2.5, 15.0),
        (b"+2,5\x14a\x14\x00", 2.5, 0.0),
        (b"+2,5\x151,25\x14a\x14\x00", 2.5, 1.25),
        (b"+2.5e0\x14a\x14\x00", 2.5, 0.0),
        (b"+25e-1\x14a\x14\x00", 2.5, 0.0),
        (b"2.5\x14a\x14\x00", 2.5, 0.0),
        (b"+.5\x14a\x14\x00", 0.5, 0.0),
        (b"+2.\x14a\x14\x00", 2.0, 0.0),
        (b"-1.5\x14a\x14\x00", -1.5, 0.0),
        (b" +2.5 \x14a\x14\x00", 2.5, 0.0),
        (b"+2.5\x14a\x00", 2.5, 0.0),
        (b"+2.5\x14a\x14", 2.5, 0.0),
    ],
)
def test_numbers_as_writers_write_them(written: bytes, onset_s: float, duration_s: float) -> None:
    """Signed, empty and exponential durations, decimal commas, missing ends: event and onset are right."""
    assert parsed(STAMP + written) == ([(onset_s, duration_s, "a")], 0)


@pytest.mark.parametrize(
    "written",
    [
        b"+2.5.1\x14a\x14",
        b"+2.5\x00",
        b"noise\x14a\x14",
        b"+1e999\x14a\x14",
        b"+nan\x14a\x14",
        b"\x15+1\x14a\x14",
        b"+-2.5\x14a\x14",
        b"+2;5\x14a\x14",
    ],
)
def test_what_is_no_list_is_counted(written: bytes) -> None:
    """Nothing inside a damaged list is taken for another one, and the list behind it is read."""
    events, unread = parsed(STAMP + written + b"\x00+5.5\x14b\x14\x00")
    assert events == [(5.5, 0.0, "b")]
    assert unread == len(written.rstrip(b"\0"))


def test_an_unreadable_duration_is_counted() -> None:
    """The event stands, as an instant."""
    assert parsed(b"+0\x14\x14\x00+2.5\x15long\x14a\x14\x00") == ([(2.5, 0.0, "a")], 5)


def test_lists_without_nul_run_on() -> None:
    """Nihon Kohden: time stamp and events in one run; each event keeps its own onset and duration."""
    assert parsed(b"+1.000000\x14\x14+1.640000\x14a\x14\x14\x00") == ([(1.64, 0.0, "a")], 0)
    assert parsed(b"+1.0\x14\x14+1.64\x14a\x14\x14+1.8\x150.5\x14b\x14\x14\x00") == (
        [(1.64, 0, "a"), (1.8, 0.5, "b")],
        0,
    )
    assert parsed(b"+1\x14\x14+2\x14a\x14\x00") == ([(2.0, 0.0, "a")], 0)
    assert parsed(b"+1\x14\x14\x00+1.5\x14a\x14+1.75\x14b\x14\x00") == ([(1.5, 0.0, "a"), (1.75, 0.0, "b")], 0)
    assert parse_records([[b"+7.000000\x14\x14+7.64\x14a\x14\x14\x00"]]).starts == (7.0,)


def test_texts_that_look_like_onsets_stay() -> None:
    """A code with a sign is a text where nothing says that a list begins."""
    assert parsed(b"+0\x14\x14\x00+3\x14+1\x14\x00") == ([(3.0, 0.0, "+1")], 0)
    assert parsed(b"+0\x14\x14\x00+3\x14left\x14+1\x14-1\x14\x00") == ([(3, 0, "left"), (3, 0, "+1"), (3, 0, "-1")], 0)
    assert parsed(b"+0\x14\x14\x00+3\x14+2.5\x14\x00") == ([(3.0, 0.0, "+2.5")], 0)


def test_list_continues_in_the_next_signal() -> None:
    """A list that fills its signal is continued by the next one; one that is cut for good is counted."""
    assert parsed(STAMP + b"+2.5\x14long te", b"xt\x14\x00\x00") == ([(2.5, 0.0, "long text")], 0)
    assert parsed(STAMP + b"+2.", b"5\x14a\x14\x00\x00") == ([(2.5, 0.0, "a")], 0)
    assert parsed(STAMP + b"+2.5\x14a\x14", b"b\x14\x00\x00") == ([(2.5, 0.0, "a"), (2.5, 0.0, "b")], 0)
    assert parsed(STAMP + b"+2.5\x14a\x14", b"+3\x14b\x14\x00") == ([(2.5, 0.0, "a"), (3.0, 0.0, "b")], 0)
    assert parsed(STAMP + b"+2.5\x14", b"5\x14\x00\x00") == ([(2.5, 0.0, "5")], 0)
    events, unread = parsed(STAMP + b"+2.5\x15", b"\x00\x00+3\x14b\x14\x00")
    assert events == [(3.0, 0.0, "b")]
    assert unread == 5


def test_the_time_stamp_is_at_the_front() -> None:
    """The first list of the first signal keeps the time, nothing else."""
    assert parse_records([[b"+1\x14\x14\x00", b"+9\x14\x14\x00"]]).starts == (1.0,)
    assert parse_records([[b"+1\x14a\x14\x00+2\x14\x14\x00"]]).starts == (None,)
    assert parse_records([[b"junk\x00+2\x14\x14\x00"]]).starts == (None,)
    assert parse_records([[b"\x00+2\x14\x14\x00"]]).starts == (None,)


def test_texts_in_both_encodings() -> None:
    """UTF-8 as the standard has it, latin-1 as many programs write it."""
    assert [t for _, _, t in parsed(STAMP + "+3\x14Größe\x14\x00".encode())[0]] == ["Größe"]
    assert [t for _, _, t in parsed(STAMP + b"+3\x14Gr\xf6\xdfe\x14\x00")[0]] == ["Größe"]


@dataclass(frozen=True)
class Written:
    """A list as the strategies write it."""

    onset: str
    duration: str | None
    texts: tuple[str, ...]

    def __bytes__(self) -> bytes:
        lasts = b"" if self.duration is None else b"\x15" + self.duration.encode()
        return self.onset.encode() + lasts + b"\x14" + b"".join(t.encode() + b"\x14" for t in self.texts) + b"\x00"


def number(text: str | None) -> float:
    return float((text or "0").replace(",", "."))


NUMBERS = st.builds(
    lambda whole, part, mark, power: f"{whole}{mark + part if part else ''}{power}",
    st.integers(0, 99999),
    st.text("0123456789", max_size=6),
    st.sampled_from(".,"),
    st.sampled_from(["", "", "", "e0", "E-2", "e+1"]),
)
TEXTS = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="+"), min_size=1, max_size=20).filter(
    lambda t: t == t.strip()
)
LISTS = st.builds(
    Written,
    st.builds(lambda sign, n: sign + n, st.sampled_from("+-"), NUMBERS),
    st.none() | st.just("") | NUMBERS,
    st.lists(TEXTS, min_size=1, max_size=3).map(tuple),
)


@given(
    st.lists(st.lists(st.lists(LISTS, max_size=3), min_size=1, max_size=3), min_size=1, max_size=4), st.integers(0, 5)
)
def test_what_was_written_is_read(records: list[list[list[Written]]], padding: int) -> None:
    """Records of several annotation signals: every list comes back, in order, and no byte is left."""
    data = []
    for k, signals in enumerate(records):
        bodies = [b"".join(map(bytes, lists)) + b"\0" * padding for lists in signals]
        data.append([f"+{k}\x14\x14\x00".encode() + bodies[0], *bodies[1:]])
    found = parse_records(data)
    assert found.starts == tuple(float(k) for k in range(len(records)))
    assert (found.n_unread_bytes, found.n_unread_records) == (0, 0)
    expected = [
        (number(one.onset), max(number(one.duration), 0.0), text)
        for signals in records
        for lists in signals
        for one in lists
        for text in one.texts
    ]
    assert [(a.onset_s, a.duration_s, a.text) for a in found.annotations] == expected


@given(st.lists(LISTS, min_size=1, max_size=3), st.data())
def test_a_split_list_is_read_whole(lists: list[Written], data: st.DataObject) -> None:
    """Wherever the border of two annotation signals cuts the last list, all is there or bytes are counted."""
    whole = b"+0\x14\x14\x00" + b"".join(map(bytes, lists))
    cut = data.draw(st.integers(len(whole) - len(bytes(lists[-1])) + 1, len(whole) - 1))
    found = parse_records([[whole[:cut], whole[cut:]]])
    expected = [(number(one.onset), text) for one in lists for text in one.texts]
    read = [(a.onset_s, a.text) for a in found.annotations]
    assert read == expected or found.n_unread_bytes > 0


@given(st.lists(st.binary(max_size=60), min_size=1, max_size=3))
def test_any_bytes_are_read_or_counted(signals: list[bytes]) -> None:
    """No input is an error, and what is counted is never more than there is."""
    found = parse_records([signals])
    assert 0 <= found.n_unread_bytes <= sum(map(len, signals))
    assert all(a.text for a in found.annotations)


def test_unread_bytes_are_a_note(made, tmp_path: Path) -> None:
    """The recording says how many bytes in how many records; so does a file of annotations alone."""
    path = made["edf"](tmp_path / "p.edf", made["eeg_uv"](6, 1600), annotations=[(1.0, None, "T1"), (2.0, None, "T2")])
    data = path.read_bytes()
    path.write_bytes(data.replace(b"+2\x14T2\x14", b"+2;\x14T\x14", 1))
    decoded = read_edf(path)
    assert [(e.start_sample, e.text) for e in decoded.events] == [(200, "T1")]
    note = "6 bytes of annotations, in 1 of 8 records, cannot be read: events may be missing"
    assert note in decoded.notes
    assert read_annotations(path).notes == (note,)
