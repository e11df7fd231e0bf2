"""One label however it is written: in files of any format, in tables, and in the manifest."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from eegprep.ingest.trials import cut_trials
from eegprep.manifest.labels import code_text, event_label, look_up
from eegprep.manifest.schema import Manifest
from eegprep.manifest.tasks import TrialRule
from eegprep.sources import open_source
from eegprep.standardise.timeline import lay_out

ONES = (1, 1.0, "1", " 1", "1 ", "+1", "1.0", "1.", "1e0", "1E+0", "10e-1", "+1.000", np.float32(1), np.int64(1))


def test_all_ways_to_write_one() -> None:
    """Numbers as text, whole numbers as floats, signs, blanks and exponents."""
    assert {code_text(one) for one in ONES} == {"1"}
    assert {code_text(zero) for zero in ("0", "-0", "0.0", "+0", 0.0, -0.0, "0e5")} == {"0"}
    assert [code_text(x) for x in ("8.57", "8.570", np.float32(8.57), "-3.0", "1e3", "65536.0", "100", 1e16)] == [
        "8.57", "8.57", "8.57", "-3", "1000", "65536", "100", "10000000000000000",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text", ["01", "T1", "1a", "0x1", "1_000", "1,5", "nan", "inf", "", "1 2", "S1", "--1", "１", "1e999", "1e-999"]
)
def test_what_is_no_plain_number_stays(text: str) -> None:
    """Names, codes with leading zeros, and what only Python calls a number."""
    assert code_text(text) == text == event_label(text)


def test_brainvision_padding() -> None:
    """`S  1` is padded to four places; the kind of marker before it counts."""
    assert {event_label(t) for t in ("Stimulus/S  1", "Stimulus/S 1", "Stimulus/S1")} == {"Stimulus/S1"}
    assert event_label("S 12") == "S12" != event_label("Stimulus/S 12")
    assert event_label("Response/R  1") != event_label("Stimulus/S  1")
    assert [event_label(t) for t in ("S1 obj", "run  1", "go 1")] == ["S1 obj", "run  1", "go 1"]


def test_the_exact_key_goes_first() -> None:
    """A key that is spelled as the file has it is never passed over."""
    assert look_up({"1.0": "a", "1": "a2"}, "1") == "a2"
    assert look_up({"1.0": "a"}, "1") == "a"
    assert look_up({"1": "a"}, "2") is None


@given(st.decimals(-(10**9), 10**9, places=3), st.sampled_from(["", "+"]), st.sampled_from(["", "e0"]))
def test_equal_numbers_are_one_label(number, sign: str, power: str) -> None:
    """Whatever is equal as a number is one label; what differs is two; and the text does not change again."""
    plain = f"{number:f}"
    written = (sign if number >= 0 and not plain.startswith("-") else "") + plain + power
    assert code_text(written) == code_text(plain) == code_text(code_text(plain))
    assert float(code_text(written)) == float(number)


@pytest.mark.parametrize("key", [1, 1.0, "1", "1.0", "+1"])
def test_keys_of_a_manifest(key: object) -> None:
    """Programs that build a manifest give numbers, YAML gives texts."""
    rule = TrialRule.model_validate({"by": "event", "labels": {key: "a", "2": "b"}, "length_s": 1})
    assert look_up(rule.labels, "1") == "a"


def test_one_label_with_two_classes() -> None:
    """Refused where the manifest contradicts itself."""
    with pytest.raises(ValidationError, match="are the same label"):
        TrialRule.model_validate({"by": "event", "labels": {"1": "a", "1.0": "b"}, "length_s": 1})
    same = TrialRule.model_validate({"by": "event", "labels": {"1": "a", "1.0": "a"}, "length_s": 1})
    assert look_up(same.labels, "+1") == "a"


def trials(manifest: Manifest, folder: Path) -> list[tuple[int, str]]:
    source = open_source(manifest, folder)
    recording = source.read(source.plan()[0])
    timeline = lay_out(recording.stretches, recording.n_samples, Fraction(1))
    return [(t.start_sample, t.label) for t in cut_trials(recording, manifest, timeline, {"group": "1.0"})[0]]


def manifest_of(source: dict, task: dict, **fields: object) -> Manifest:
    base = {"manifest": 1, "name": "made", "version": "1", "title": "t", "citation": "c", "licence": {"id": "CC0-1.0"}}
    tasks = [{"name": "t", "classes": ["a", "b"], "trials": task}]
    return Manifest.model_validate({**base, "anonymous_subjects": True, "source": source, "tasks": tasks, **fields})


def signal() -> np.ndarray:
    return np.cumsum(np.random.default_rng(0).normal(0, 4, (4, 1000)), axis=1) % 50


EVENTS = {"by": "event", "labels": {"1": "a", "2.0": "b"}, "length_s": 0.5}
DESCRIBED = {"sfreq_hz": 100, "unit": "uV", "channels": ["C3", "C4", "O1", "O2"]}
BY_CHANNEL = {**DESCRIBED, "orientation": "row_per_channel"}


def table(folder: Path) -> Manifest:
    rows = ["C3,C4,O1,O2,mark"]
    marks = {300: "1.0", 600: "+2"}
    rows += [",".join(f"{v:.3f}" for v in row) + "," + marks.get(i, "0.0") for i, row in enumerate(signal().T)]
    (folder / "p.csv").write_text("\n".join(rows) + "\n")
    return manifest_of({"kind": "table", "files": ["{subject}.csv"], "event_column": "mark", **DESCRIBED}, EVENTS)


def matlab(folder: Path) -> Manifest:
    content = {"x": signal(), "pos": np.array([301.0, 601.0]), "code": np.array([1.0, 2.0])}
    scipy.io.savemat(folder / "p.mat", content)
    source = {"kind": "matlab", "files": ["{subject}.mat"], "variable": "x", **BY_CHANNEL}
    return manifest_of({**source, "event_variables": {"position": "pos", "text": "code", "first": 1}}, EVENTS)


def matlab_strings(folder: Path) -> Manifest:
    content = {"x": signal(), "pos": np.array([301.0, 601.0]), "code": np.array(["1.0", "+2"], dtype=object)}
    scipy.io.savemat(folder / "p.mat", content)
    source = {"kind": "matlab", "files": ["{subject}.mat"], "variable": "x", **BY_CHANNEL}
    return manifest_of({**source, "event_variables": {"position": "pos", "text": "code", "first": 1}}, EVENTS)


def numpy_trials(folder: Path) -> Manifest:
    data = signal().reshape(4, 10, 100).transpose(1, 0, 2)
    labels = np.zeros(10)
    labels[3], labels[6] = 1, 2
    np.savez(folder / "p.npz", x=data, y=labels)
    source = {"kind": "numpy", "files": ["{subject}.npz"], "variable": "x", "event_column": "y", **BY_CHANNEL}
    return manifest_of(source, {"by": "trial", "labels": {"1": "a", "2": "b"}})


def trial_table(folder: Path) -> Manifest:
    rows = ["trial,code", "4,1.0", "7,+2"]
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    np.savez(folder / "p.npz", x=signal().reshape(4, 10, 100).transpose(1, 0, 2), y=np.arange(1.0, 11.0))
    source = {"kind": "numpy", "files": ["{subject}.npz"], "variable": "x", "event_column": "y", **BY_CHANNEL}
    values = {"table": {"file": "labels.csv", "trial": "trial", "columns": {"code": "code"}}}
    rule = {"by": "trial", "values": ["code"], "labels": {"1": "a", "2": "b"}}
    return manifest_of(source, rule, trial_values=values)


@pytest.mark.parametrize("write", [table, matlab, matlab_strings, numpy_trials, trial_table], ids=lambda w: w.__name__)
def test_codes_agree_in_every_format(tmp_path: Path, write: Callable[[Path], Manifest]) -> None:
    """Floats of a table, of MATLAB and of NumPy, and texts of a table of trials, meet the manifest's whole numbers."""
    assert trials(write(tmp_path), tmp_path) == [(300, "a"), (600, "b")]


def test_labels_that_are_the_classes(tmp_path: Path) -> None:
    """Classes called 1 and 2, and a file with 1.0 and 2.0."""
    manifest = numpy_trials(tmp_path)
    plain = manifest.model_dump()
    plain["tasks"][0] |= {"classes": ["1", "2"], "trials": {"by": "trial"}}
    assert trials(Manifest.model_validate(plain), tmp_path) == [(300, "1"), (600, "2")]


def test_labels_of_attributes(tmp_path: Path) -> None:
    """A subject table that was written with floats."""
    manifest = manifest_of(
        table(tmp_path).model_dump()["source"],
        {"by": "attribute", "attribute": "group", "labels": {"1": "a", "0": "b"}},
    )
    assert [label for _, label in trials(manifest, tmp_path)] == ["a"]
