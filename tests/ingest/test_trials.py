"""Trials: every way that a task can say where its windows are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from eegprep.formats.decoded import SourceEvent
from eegprep.ingest.trials import cut_trials
from eegprep.manifest.schema import Manifest
from eegprep.recording import Stretch, Trial
from eegprep.sources.base import SourceRecording
from eegprep.standardise import lay_out
from eegprep.standardise.resample import ratio_of

RATE = 128.0


def cut(
    rule: dict[str, Any],
    *,
    stretches: list[tuple[int, int]] | None = None,
    events: tuple[SourceEvent, ...] = (),
    labels: tuple[tuple[Stretch, str], ...] = (),
    run: str = "1",
    attributes: dict[str, str] | None = None,
    task: dict[str, Any] | None = None,
) -> tuple[list[tuple[int, int, str]], list[str]]:
    parts = [Stretch(start_sample=a, n_samples=n) for a, n in stretches or [(0, 1280)]]
    n_samples = parts[-1].stop_sample
    manifest = Manifest.model_validate(
        {
            "manifest": 1,
            "name": "toy",
            "version": "1",
            "title": "",
            "citation": "",
            "licence": {"id": "none"},
            "source": {"kind": "files"},
            "tasks": [{"name": "t", "classes": ["a", "b"], **(task or {}), "trials": rule}],
        }
    )
    recording = SourceRecording(
        subject="1",
        session="x",
        run=run,
        sfreq_hz=RATE,
        channels=(),
        signal=np.empty((0, n_samples)),
        stretches=tuple(parts),
        events=events,
        format="made",
        files=(),
        trial_labels=labels,
    )
    timeline = lay_out(parts, n_samples, ratio_of(RATE, 256.0))
    trials, left_out = cut_trials(recording, manifest, timeline, attributes or {})
    assert all(isinstance(t, Trial) for t in trials)
    return [(t.start_sample, t.n_samples, t.label) for t in trials], [x.code for x in left_out]


def test_event_starts_window_after_offset() -> None:
    """An event starts a window after its offset."""
    events = tuple(SourceEvent(start_sample=s, text=t) for s, t in ((128, "T1"), (640, "T2"), (300, "other")))
    rule = {"by": "event", "labels": {"T1": "a", "T2": "b"}, "offset_s": -0.5, "length_s": 2.0}
    assert cut(rule, events=events) == ([(128, 512, "a"), (1152, 512, "b")], [])


def test_window_outside_stretch_is_left_out() -> None:
    """A window that leaves its stretch or lies in a gap is left out."""
    events = tuple(SourceEvent(start_sample=s, text="T1") for s in (10, 600, 700, 1270))
    rule = {"by": "event", "labels": {"T1": "a"}, "length_s": 1.0}
    found = cut(rule, events=events, stretches=[(0, 640), (768, 512)])
    assert found == ([(20, 256, "a")], ["outside_stretch", "outside_stretch", "in_gap"])


def test_stride_cuts_a_long_event() -> None:
    """A long event is cut into windows where a stride is given."""
    events = (SourceEvent(start_sample=128, n_samples=640, text="Sleep stage 2"),)
    rule = {"by": "event", "labels": {"Sleep stage 2": "b"}, "length_s": 2.0, "stride_s": 1.0}
    assert cut(rule, events=events)[0] == [(256, 512, "b"), (512, 512, "b"), (768, 512, "b"), (1024, 512, "b")]


@pytest.mark.parametrize("by", ["run", "session"])
def test_entity_labels_windows(by: str) -> None:
    """An entity labels windows of the recording."""
    rule = {"by": by, "labels": {"1": "a", "x": "a"}, "length_s": 3.0, "from_s": 1.0, "to_s": 8.0}
    assert cut(rule)[0] == [(256, 768, "a"), (1024, 768, "a")]
    assert cut({**rule, "runs": ["2"]})[0] == []


def test_an_unlabelled_run_has_no_trials() -> None:
    assert cut({"by": "run", "labels": {"7": "a"}, "length_s": 1.0}) == ([], [])


def test_no_length_gives_a_trial_per_stretch() -> None:
    """A recording is one trial per stretch where no length is given."""
    rule = {"by": "attribute", "attribute": "group"}
    found = cut(rule, stretches=[(0, 300), (400, 100)], attributes={"group": "b"})
    assert found == ([(0, 600, "b"), (800, 200, "b")], [])


def test_attribute_goes_through_the_labels() -> None:
    """An attribute goes through the rule's labels or must be a class."""
    assert cut({"by": "attribute", "attribute": "g", "labels": {"0": "a"}}, attributes={"g": "0"})[0][0][2] == "a"
    assert cut({"by": "attribute", "attribute": "g"}, attributes={"g": "zzz"}) == ([], ["unknown_label"])
    assert cut({"by": "attribute", "attribute": "g"}) == ([], [])


def test_numbers_label_a_regression() -> None:
    task = {"kind": "regression", "classes": []}
    rule = {"by": "attribute", "attribute": "age", "length_s": 5.0}
    assert cut(rule, attributes={"age": "31"}, task=task)[0] == [(0, 1280, "31"), (1280, 1280, "31")]
    for odd in ("old", "nan", "inf", "1e39", "1_0", "0x10"):  # 1e39 is infinite in single precision
        assert cut(rule, attributes={"age": odd}, task=task)[1] == ["unknown_label", "unknown_label"], odd


def test_labelled_epochs_are_trials() -> None:
    """Labelled epochs are trials, and a lost one is counted."""
    stretches = [(0, 64), (64, 64), (192, 64)]
    labels = tuple((Stretch(start_sample=s, n_samples=64), x) for s, x in ((0, "a"), (64, "b"), (128, "a"), (192, "c")))
    found = cut({"by": "trial"}, stretches=stretches, labels=labels)
    assert found == ([(0, 128, "a"), (128, 128, "b")], ["unknown_label", "in_gap"])


def test_a_part_of_each_epoch_may_be_taken() -> None:
    labels = ((Stretch(start_sample=0, n_samples=640), "a"),)
    rule = {"by": "trial", "from_s": 1.0, "to_s": 4.0, "length_s": 1.0, "stride_s": 1.0}
    assert cut(rule, stretches=[(0, 640)], labels=labels)[0] == [(256, 256, "a"), (512, 256, "a"), (768, 256, "a")]


def test_intervals_may_depend_on_attributes() -> None:
    """Intervals depend on an attribute or hold for all."""
    intervals = {
        "closed": [{"label": "a", "from_s": 0.0, "to_s": 4.0}, {"label": "b", "from_s": 4.0}],
        "*": [{"label": "b", "to_s": 2.0}],
    }
    rule = {"by": "interval", "attribute": "first", "intervals": intervals, "length_s": 2.0}
    assert [x[2] for x in cut(rule, attributes={"first": "closed"})[0]] == ["a", "a", "b", "b", "b"]
    assert cut(rule, attributes={"first": "open"})[0] == [(0, 512, "b")]


def test_windows_never_cross_a_gap() -> None:
    found = cut({"by": "run", "labels": {"1": "a"}, "length_s": 2.0}, stretches=[(0, 700), (800, 480)])
    assert found == ([(0, 512, "a"), (512, 512, "a"), (2048, 512, "a")], ["outside_stretch", "outside_stretch"])
