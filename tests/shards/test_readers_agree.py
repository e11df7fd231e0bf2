"""What `verify --deep` calls whole, every reader reads: columns that are parsed late are verified too."""

from __future__ import annotations

import json

import pytest

from eegprep.errors import RefusedError
from eegprep.report.page import write_report
from eegprep.shards import ShardSet
from eegprep.shards.verify.shard_set import verify_shard_set

DAMAGE = {
    "electrodes": ["", "[]", '{"Cz": 1}', '{"Cz": {"slope": [1]}}', '{"Cz": {"slope": 1' + "0" * 400 + "}}", "NaN"],
    "attributes": ["", "[]", "3", '{"group": 1}', '{"group": null}', "[" * 100_000],
    "montage": ["{", "[]", "3", '{"figure": 1}', "null"],
    "steps": ["", "{}", "3", "[3]", '[{"step": "unknown"}]', '["band_pass"]', "[" * 100_000],
}  # fmt: skip
CASES = [(column, text) for column, texts in DAMAGE.items() for text in texts]


@pytest.mark.parametrize(("column", "text"), CASES, ids=lambda x: x[:20])
def test_late_columns_are_verified(hostile, shard_folder, tmp_path, column, text):
    """verify and report refuse what a reader would trip over."""
    folder = hostile.copy_of(shard_folder, tmp_path / "set")
    hostile.edit_table(folder, "recordings.parquet", lambda columns: columns[column].__setitem__(1, text))
    with pytest.raises(RefusedError, match=f"the column '{column}' of recording synthetic/001/-/1 is damaged"):
        verify_shard_set(folder)
    if column != "attributes":  # which no page shows
        with pytest.raises(RefusedError, match="is damaged"):
            write_report(folder, tmp_path / "page.html")


@pytest.mark.parametrize("change", [{"figure": "high"}, {"swap": ["Cz"]}, {"swap": [1, 2]}, {"gain": None}])
def test_montage_figures_are_figures(hostile, shard_folder, tmp_path, change):
    """Each figure of the montage check has its type."""
    fit = {"figure": 0.8, "likeness": 0.5, "n_electrodes": 3, "n_segments": 4, "swap": ["Cz", "O2"], "gain": 0.1}
    folder = hostile.copy_of(shard_folder, tmp_path / "set")

    def write(columns, one):
        columns["montage"][1] = json.dumps(one)

    hostile.edit_table(folder, "recordings.parquet", lambda columns: write(columns, fit))
    assert ShardSet.open(folder).recordings.montage(1).figure == 0.8
    hostile.edit_table(folder, "recordings.parquet", lambda columns: write(columns, fit | change))
    with pytest.raises(RefusedError, match="montage"):
        verify_shard_set(folder)


@pytest.mark.parametrize(("column", "value"), [("source_sfreq_hz", 0.0), ("source_sfreq_hz", float("inf")),
                                               ("line_freq_hz", -50.0), ("line_freq_hz", float("inf"))])  # fmt: skip
def test_impossible_rates_are_damage(hostile, shard_folder, tmp_path, column, value):
    """A rate that no recording has is damage; an unknown line frequency (NaN) is not."""
    folder = hostile.copy_of(shard_folder, tmp_path / "set")
    hostile.edit_table(folder, "recordings.parquet", lambda columns: columns[column].__setitem__(1, value))
    with pytest.raises(RefusedError, match="impossible rate or line frequency"):
        verify_shard_set(folder)


def test_endless_recording_is_refused(hostile, shard_folder, tmp_path):
    """A length of years would need terabytes for its time axis."""
    folder = hostile.copy_of(shard_folder, tmp_path / "set")
    hostile.edit_table(folder, "recordings.parquet", lambda columns: columns["n_samples"].__setitem__(1, 1 << 41))
    with pytest.raises(RefusedError, match="recording 1, column 'n_samples'"):
        ShardSet.open(folder)
