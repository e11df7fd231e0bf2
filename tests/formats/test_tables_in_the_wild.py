"""Tables as programs of many countries write them: the same numbers, or a question, never other numbers."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

import eegprep
from eegprep.errors import InputError
from eegprep.formats.tables.text import column_events, read_table
from eegprep.sources import open_source


def text_of(signal: np.ndarray, names, *, separator=",", comma=False, end="\n", header=True) -> str:
    lines = [separator.join(names)] if header else []
    for column in signal.T:
        line = separator.join(f"{v:.4f}" for v in column)
        lines.append(line.replace(".", ",") if comma else line)
    return end.join(lines) + end


@pytest.mark.parametrize(
    ("separator", "comma"),
    [(",", False), (";", False), ("\t", False), ("  ", False), (";", True), ("\t", True), ("  ", True)],
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_table_dialects_make_no_difference(
    made, names, tmp_path: Path, separator: str, comma: bool, end: str, encoding: str
) -> None:
    """Separators, decimal commas, line ends and byte order marks make no difference."""
    signal = made["eeg_uv"](6, 60)
    path = tmp_path / "a.csv"
    path.write_bytes(text_of(signal, names, separator=separator, comma=comma, end=end).encode(encoding))
    table = read_table(path)
    assert table.names == names
    np.testing.assert_allclose([table.numbers(n) for n in names], signal, atol=1e-4)


def test_decimal_commas_keep_the_first_row(made, names, tmp_path) -> None:
    """A table without a header whose numbers have decimal commas keeps its first row."""
    signal = made["eeg_uv"](6, 60)
    for separator in (";", " "):
        path = tmp_path / "a.csv"
        path.write_text(text_of(signal, names, separator=separator, comma=True, header=False))
        table = read_table(path, names=names)
        np.testing.assert_allclose(table.numbers("C3"), signal[2], atol=1e-4)


def test_lone_comma_number_is_asked_about(made, names, tmp_path: Path) -> None:
    """A number with a comma alone on its line is asked about and never cut."""
    signal = made["eeg_uv"](6, 1600)
    for name, row in zip(names, signal, strict=True):
        text = "\n".join(f"{v:.4f}" for v in row).replace(".", ",")
        (tmp_path / f"p_{name}.txt").write_text(text)
    source = {"kind": "table", "files": ["{subject}_{channel}.txt"], "sfreq_hz": 200, "unit": "uV"}
    opened = open_source(made["manifest"](source=source), tmp_path)
    with pytest.raises(InputError, match="ambiguous: decimal commas or separators"):
        opened.read(opened.plan()[0])
    opened = open_source(made["manifest"](source={**source, "separator": ";"}), tmp_path)
    recording = opened.read(opened.plan()[0])
    order = [names.index(c.name) for c in recording.channels]
    np.testing.assert_allclose(np.asarray(recording.signal), signal[order], atol=1e-4)


@pytest.mark.parametrize("nothing", ["", "NaN", "NA", "N/A", "NULL", "-", "#N/A", "None"])
def test_empty_cell_is_a_missing_value(tmp_path: Path, nothing: str) -> None:
    """A cell without a value is missing and not an error."""
    (tmp_path / "a.csv").write_text(f"C3,C4\n1.5,2\n{nothing},3\n2.5,4\n")
    np.testing.assert_array_equal(read_table(tmp_path / "a.csv").numbers("C3"), [1.5, np.nan, 2.5])


def test_text_among_numbers_is_not_repeated(tmp_path: Path) -> None:
    """Text among numbers is refused with its row and without its words."""
    (tmp_path / "a.csv").write_text("C3,C4\n1,2\n3,4\nJohn,5\n")
    with pytest.raises(InputError, match="in row 3") as caught:
        read_table(tmp_path / "a.csv").numbers("C3")
    assert "John" not in str(caught.value)


def test_wrong_encoding_is_refused(tmp_path: Path) -> None:
    """An encoding that does not exist or does not fit is refused."""
    (tmp_path / "a.csv").write_bytes(b"C3,C4\n1,2\n\xff\xfe\n")
    for encoding in ("klingon", "ascii"):
        with pytest.raises(InputError, match="not text in the encoding"):
            read_table(tmp_path / "a.csv", encoding=encoding)


@pytest.mark.parametrize("header", ["", "channel,t0,t1\n", "channel,0,0.005\n", ",1,2\n"])
@pytest.mark.parametrize("stated", [False, True])
def test_a_first_row_of_a_channel_stays(made, names, tmp_path: Path, header: str, stated: bool) -> None:
    """A channel's name before its samples is no header line; a header of times or counts is one."""
    signal = made["eeg_uv"](6, 800)
    if header:
        first, second, third = header.strip().split(",")
        step = float(third) - float(second) if third[0].isdigit() else 0.0
        times = [f"{float(second) + i * step:g}" if step else f"t{i}" for i in range(800)]
        header = ",".join([first, *times]) + "\n"
    rows = "".join(f"{n}," + ",".join(f"{v:.4f}" for v in row) + "\n" for n, row in zip(names, signal, strict=True))
    (tmp_path / "p.csv").write_text(header + rows)
    source = {"kind": "table", "files": ["{subject}.csv"], "sfreq_hz": 200, "unit": "uV"}
    source |= {"orientation": "row_per_channel", **({"channels": list(names)} if stated else {})}
    opened = open_source(made["manifest"](source=source), tmp_path)
    recording = opened.read(opened.plan()[0])
    assert tuple(c.name for c in recording.channels) == names
    np.testing.assert_allclose(recording.signal, signal, atol=1e-4)


def test_two_columns_of_one_name_are_refused(made, names, tmp_path: Path) -> None:
    """Never the first column's numbers twice; a name that nobody asks for may be there more often."""
    signal = made["eeg_uv"](6, 800)
    path = tmp_path / "p.csv"
    path.write_text(text_of(signal, ["Fp1", "Fp1", *names[2:]]))
    source = {"kind": "table", "files": ["{subject}.csv"], "sfreq_hz": 200, "unit": "uV"}
    opened = open_source(made["manifest"](source=source), tmp_path)
    with pytest.raises(InputError, match="2 columns of the name 'Fp1'"):
        opened.read(opened.plan()[0])
    opened = open_source(made["manifest"](source={**source, "channels": list(names[2:])}), tmp_path)
    np.testing.assert_allclose(opened.read(opened.plan()[0]).signal, signal[2:], atol=1e-4)


@pytest.mark.parametrize("clock", ["16:43:47.138", "2020-01-01 16:43:47", "16:43"])
def test_clock_among_channels_is_left_out(made, names, tmp_path: Path, clock: str) -> None:
    """A table without a header line needs a name for each column, also for one that is no channel."""
    signal = made["eeg_uv"](6, 800)
    lines = text_of(signal, names, header=False).splitlines()
    (tmp_path / "p.csv").write_text("".join(f"{line},{clock}\n" for line in lines))
    source = {"kind": "table", "files": ["{subject}.csv"], "sfreq_hz": 200, "unit": "uV"}
    opened = open_source(made["manifest"](source={**source, "channels": [*names, "clock"]}), tmp_path)
    recording = opened.read(opened.plan()[0])
    assert [(x.kind, x.name, x.code) for x in recording.left_out] == [("channel", "clock", "clock")]
    np.testing.assert_allclose(recording.signal, signal, atol=1e-4)


def test_a_state_in_a_column_lasts(made, names, tmp_path: Path) -> None:
    """A column that says the state of every row: each state is cut into windows, and 0 may be one."""
    signal = made["eeg_uv"](6, 200 * 40)
    state = np.repeat([0, 1, 0, 1], [2000, 2500, 1500, 2000])
    lines = [",".join([*(f"{v:.3f}" for v in row), str(s)]) for row, s in zip(signal.T, state, strict=True)]
    (tmp_path / "a.csv").write_text(",".join([*names, "closed"]) + "\n" + "\n".join(lines) + "\n")
    source = {"kind": "table", "files": ["{subject}.csv"], "sfreq_hz": 200, "unit": "uV", "channels": list(names)}
    source["event_column"] = "closed"
    rule = {"by": "event", "labels": {"0": "open", "1": "closed"}, "length_s": 5, "stride_s": 5}
    task = {"name": "eyes", "classes": ["open", "closed"], "trials": rule}
    manifest = made["manifest"](source=source, tasks=[task])
    (info,) = eegprep.open_store(eegprep.ingest(manifest, tmp_path, out=tmp_path / "store", workers=0).out).infos()
    expected = [
        (0, "open"),
        (5, "open"),
        (10, "closed"),
        (15, "closed"),
        (22.5, "open"),
        (30, "closed"),
        (35, "closed"),
    ]
    assert [(t.start_sample / 256, t.label) for t in info.trials] == expected


def test_a_code_of_a_few_rows_is_an_instant() -> None:
    """A code that stays for less than the shortest state has no duration; zero that no task names is no event."""
    events = column_events(["0", "0", "7", "7", "0", "8", "8", "8", "8"], shortest_state=3)
    assert [(e.start_sample, e.n_samples, e.text) for e in events] == [(2, 0, "7"), (5, 4, "8")]


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
def test_codes_of_events_are_words(made, names, tmp_path: Path, suffix: str) -> None:
    """`01` is not `1`, and `true` stays as it is written, where all cells of an event column look like numbers."""
    signal = made["eeg_uv"](6, 200 * 300)
    for words in (["01", "1", "001"], ["true", "false", "true"], ["2020-01-01", "2020-01-02", "1e3"]):
        cells = [""] * signal.shape[1]
        for k, word in enumerate(words):
            cells[400 * (k + 1)] = word
        lines = [",".join([*(f"{v:.5f}" for v in row), c]) for row, c in zip(signal.T, cells, strict=True)]
        text = (",".join([*names, "code"]) + "\n" + "\n".join(lines) + "\n").encode()
        (tmp_path / f"a{suffix}").write_bytes(gzip.compress(text, 0) if suffix == ".csv.gz" else text)
        source = {"kind": "table", "files": ["{subject}" + suffix], "sfreq_hz": 200, "unit": "uV"}
        rule = {"by": "event", "labels": dict.fromkeys(words, "a"), "length_s": 1}
        task = {"name": "t", "classes": ["a", "b"], "trials": rule}
        manifest = made["manifest"](source=source | {"channels": list(names), "event_column": "code"}, tasks=[task])
        opened = open_source(manifest, tmp_path)
        assert [e.text for e in opened.read(opened.plan()[0]).events] == words


def test_codes_with_a_decimal_comma(tmp_path: Path) -> None:
    """A code that a program wrote as `1,0` is the number 1."""
    (tmp_path / "a.csv").write_text("C3;code\n1,5;0,0\n2,5;1,0\n3,5;a,b\n")
    assert read_table(tmp_path / "a.csv", as_text=["code"]).texts("code") == ["0.0", "1.0", "a,b"]
