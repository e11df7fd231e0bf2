"""Curry files of epochs: every epoch is read, with its own label."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from support.recordings import NAMES, curry_header, curry_labels, eeg_uv

from eegprep.errors import InputError
from eegprep.formats.decode import decode_file
from eegprep.formats.decoded import Decoded
from eegprep.sources import manifest_for_path

pytest.importorskip("curryreader")
SIGNAL = eeg_uv(6, 1600)


def read(folder: Path, rows: Sequence[Sequence[int]] | None, labels: Sequence[str], *, version: int = 8) -> Decoded:
    """Four epochs of two seconds; `rows` are those of the list of epochs, None for no lists."""
    lists = ""
    if rows is not None:
        about = "".join("\t".join(map(str, row)) + "\n" for row in rows)
        lists = f"EPOCH_INFORMATION START\nEPOCH_INFORMATION END\n\nEPOCH_INFORMATION START_LIST\n{about}"
        lists += "EPOCH_INFORMATION END_LIST\n\nEPOCH_LABELS START\nEPOCH_LABELS END\n\nEPOCH_LABELS START_LIST\n"
        lists += "".join(f"{label}\n" for label in labels) + "EPOCH_LABELS END_LIST\n\n"
    header = curry_header(NAMES, 400, n_epochs=4)
    if version == 8:
        path = folder / "a.cdt"
        (folder / "a.cdt.dpa").write_text(header + curry_labels(NAMES) + lists)
    else:
        path = folder / "a.dat"
        (folder / "a.dap").write_text(header + lists)
        (folder / "a.rs3").write_text(curry_labels(NAMES))
    path.write_bytes(SIGNAL.T.astype("<f4").tobytes())
    return decode_file(path, manifest_for_path(path))


def of_types(*types: int, averages: int = 1, accepted: int = 1) -> list[tuple[int, ...]]:
    return [(averages, averages, kind, accepted, 1, 0, 0) for kind in types]


@pytest.mark.parametrize("version", [7, 8])
@pytest.mark.parametrize(
    ("types", "labels"),
    [
        ((1, 2, 1, 2), ("left", "right", "left", "right")),
        ((1, 2, 3, 4), ("left", "left", "right", "right")),
        ((1, 1, 1, 1), ("left", "right", "left", "right")),
        ((1, 2, 1, 2), ("left hand", "right hand", "left hand", "right hand")),
    ],
)
def test_every_epoch_has_its_label(tmp_path: Path, version: int, types: Sequence[int], labels: Sequence[str]) -> None:
    """Whatever its type: of two types with one label only one was read."""
    decoded = read(tmp_path, of_types(*types), labels, version=version)
    assert decoded.format == "curry_epochs"
    assert [(s.start_sample, s.n_samples, text) for s, text in decoded.trial_labels] == [
        (400 * k, 400, label) for k, label in enumerate(labels)
    ]
    np.testing.assert_allclose(np.asarray(decoded.signal) * 1e6, SIGNAL, rtol=1e-5)


def test_epochs_without_labels_are_stretches(tmp_path: Path) -> None:
    decoded = read(tmp_path, None, ())
    assert [(s.start_sample, s.n_samples) for s in decoded.stretches] == [(400 * k, 400) for k in range(4)]
    assert decoded.trial_labels == ()
    assert "the epochs have no labels" in decoded.notes


def test_averages_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="averages"):
        read(tmp_path, of_types(1, 2, 1, 2, averages=30), ("left", "right", "left", "right"))


def test_epochs_that_were_not_accepted_are_noted(tmp_path: Path) -> None:
    decoded = read(tmp_path, of_types(1, 1, accepted=0) + of_types(1, 1), ("a", "b", "a", "b"))
    assert "2 epochs are marked as not accepted; they are kept" in decoded.notes
    assert len(decoded.stretches) == 4
