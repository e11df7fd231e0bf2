"""Conditions in file names label their recordings, also where names are stored as pseudonyms."""

from __future__ import annotations

import pytest
from support.recordings import eeg_uv, write_edf

import eegprep as ep

MANIFEST = """\
manifest: 1
name: lab
version: "1"
title: Lab
citation: made for a test
licence: {{id: CC0-1.0, share_shards: true}}
anonymous_subjects: {anonymous}
line_freq_hz: 50
reference: M1
source: {{kind: files, files: ["{{subject}}_{{{entity}}}.edf"]}}
split: {{by: {entity}, train: [rest], test: [task]}}
tasks:
  - name: state
    classes: [low, high]
    trials: {rule}
"""
RULES = {
    "labels": "{{by: {entity}, labels: {{rest: low, task: high}}, length_s: 2}}",
    "intervals": "{{by: interval, attribute: {entity}, intervals: {{rest: [{{label: low, from_s: 0, to_s: 4}}], "
    "task: [{{label: high, from_s: 0, to_s: 4}}]}}, length_s: 2}}",
}


@pytest.mark.parametrize("anonymous", ["true", "false"])
@pytest.mark.parametrize("rule", sorted(RULES))
@pytest.mark.parametrize("entity", ["run", "session"])
def test_names_in_rules_are_the_files_own(anonymous, rule, entity, tmp_path):
    """`labels`, `intervals` and `runs` are written as in the files, whatever is stored."""
    folder = tmp_path / "lab"
    folder.mkdir()
    for i, name in enumerate(("ann_rest", "ann_task", "bob_rest", "bob_task")):
        write_edf(folder / f"{name}.edf", eeg_uv(3, 2000, seed=i), names=("Fp1", "Cz", "Oz"))
    text = MANIFEST.format(anonymous=anonymous, entity=entity, rule=RULES[rule].format(entity=entity))
    (tmp_path / "lab.yaml").write_text(text)
    inspection = ep.inspect(tmp_path / "lab.yaml", source=folder)
    assert not inspection.unmatched
    ep.ingest(tmp_path / "lab.yaml", source=folder, out=tmp_path / "store")
    labels = [t.label for info in ep.open_store(tmp_path / "store").infos() for t in info.trials]
    assert {label: labels.count(label) for label in ("low", "high")} == {
        "low": len(labels) / 2,
        "high": len(labels) / 2,
    }
    assert len(labels) >= 8
    if anonymous == "false":
        stored = "".join(p.read_text(errors="replace") for p in (tmp_path / "store").rglob("*.yaml"))
        assert "ann" not in stored.replace("anonymous", "").replace("channel", "")


def test_runs_of_a_task_are_the_files_own(tmp_path):
    folder = tmp_path / "lab"
    folder.mkdir()
    for i, name in enumerate(("ann_rest", "ann_task")):
        write_edf(folder / f"{name}.edf", eeg_uv(3, 2000, seed=i), names=("Fp1", "Cz", "Oz"))
    rule = "{by: run, labels: {rest: low, task: high}, runs: [task], length_s: 2}"
    text = MANIFEST.format(anonymous="false", entity="run", rule=rule)
    (tmp_path / "lab.yaml").write_text(text.replace("by: run, train: [rest], test: [task]", "by: subject"))
    ep.ingest(tmp_path / "lab.yaml", source=folder, out=tmp_path / "store")
    assert {t.label for i in ep.open_store(tmp_path / "store").infos() for t in i.trials} == {"high"}
