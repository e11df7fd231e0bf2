"""`eegpt embed` writes as it goes: the same features as in memory, and clean ends when the disk is full."""

from __future__ import annotations

import io
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr

from eegprep.errors import InputError
from eegpt.interop import embedding, feature_files, open_model
from eegpt.interop.embedding import embed
from eegpt.interop.embedding_files import embed_files
from eegpt.interop.signals import SignalFile, prepare

ENGINES = {".nc": "h5netcdf", ".zarr": "zarr"}


@pytest.mark.parametrize("ending", sorted(ENGINES))
def test_file_equals_the_dataset(recorded, encoder, tmp_path, ending):
    """Values, coordinates and attributes are those of `embed`; the second recording has a group too."""
    model = open_model(encoder)
    files = [recorded.files / "s0.fif", recorded.files / "s1.fif"]
    out = tmp_path / f"x{ending}"
    found, failed = embed_files(files, model, out=out, window_s=1.0)
    assert not failed
    assert list(found) == ["s0.fif", "s1.fif"]
    options = {"window_s": 1.0, "stride_s": None, "recipe": model.recipe(), "unknown": "leave_out"}
    origin = feature_files.origin_of(files, model, line_freq_hz=None, **options)
    with xr.open_datatree(out, engine=ENGINES[ending]) as tree:
        assert tree.attrs == {"origin_sha256": origin}
        for file in files:
            import mne

            whole = embed(mne.io.read_raw(file, verbose="ERROR"), model=model, window_s=1.0)
            stored = tree[file.name].to_dataset()
            np.testing.assert_array_equal(stored.features.values, whole.features.values)
            assert set(stored.coords) == set(whole.coords)
            assert stored.attrs["steps"] == whole.attrs["steps"]
    assert [p.name for p in tmp_path.iterdir()] == [out.name]


@pytest.mark.parametrize("ending", sorted(ENGINES))
def test_failed_recording_leaves_no_group(recorded, encoder, tmp_path, monkeypatch, ending):
    """A recording that fails in the middle leaves nothing in the file; if all fail, there is no file."""
    model, out = open_model(encoder), tmp_path / f"x{ending}"
    files = [recorded.files / f"s{k}.fif" for k in range(3)]
    made = embedding.features_of
    calls = []

    def failing(*arguments):
        calls.append(1)
        for first, values in made(*arguments):
            yield first, values
            if len(calls) in (2, 4, 5, 6):
                raise InputError("broken")

    monkeypatch.setattr(embedding, "features_of", failing)
    found, failed = embed_files(files, model, out=out, window_s=1.0)
    assert list(found) == ["s0.fif", "s2.fif"]
    assert list(failed) == ["s1.fif"]
    with xr.open_datatree(out, engine=ENGINES[ending]) as tree:
        assert sorted(tree.children) == ["s0.fif", "s2.fif"]
        assert "origin_sha256" not in tree.attrs
    found, failed = embed_files(files, model, out=tmp_path / f"y{ending}", window_s=1.0)
    assert not found
    assert len(failed) == 3
    assert [p.name for p in tmp_path.iterdir()] == [out.name]


def test_signal_file_gives_the_same_windows(recorded, encoder, tmp_path):
    """A signal on disk has the windows of the one in memory."""
    import mne

    model = open_model(encoder)
    raw = mne.io.read_raw(recorded.files / "s0.fif", verbose="ERROR")
    options = {"recipe": model.recipe(), "vocabulary": model.vocabulary}
    whole = prepare(raw, **options).signal_uv
    with SignalFile(tmp_path) as sink:
        windows = prepare(raw, **options, sink=sink).signal_uv.windows(300)
        assert windows.shape == (whole.shape[1] - 299, *whole.shape[:1], 300)
        starts = np.array([0, 7, len(windows) - 1])
        np.testing.assert_array_equal(windows[starts], np.stack([whole[:, s : s + 300] for s in starts]))
    assert list(tmp_path.iterdir()) == []


LIMITED = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
sys.argv[1:] = sys.argv[2:]
limit = {limit}
if limit:
    import _eegpt_cli.model, eegpt.interop.embedding_files, h5netcdf, xarray
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
from _eegpt_cli.model import main
main()
"""


@pytest.mark.parametrize("limit", [4_000, 160_000])
@pytest.mark.parametrize("ending", sorted(ENGINES))
def test_full_disk_is_one_message(recorded, encoder, tmp_path, ending, limit):
    """One message and exit code 1, no crash of the HDF5 library afterwards, and nothing left."""
    done = subprocess.run(
        [sys.executable, "-c", LIMITED.format(limit=limit), "-", "embed", recorded.files / "s0.fif",
         "--model", encoder, "--out", tmp_path / f"x{ending}"],
        capture_output=True, text=True, check=False, timeout=280,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert "File too large" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_errors_of_writing_come_back(tmp_path):
    """The HDF5 library is told that all went well; the error is kept, with the file's name."""

    class Full(io.FileIO):
        def write(self, data: object, /) -> int:
            raise OSError(28, "No space left on device")

    target = feature_files._Target(tmp_path / "x.part")
    target._file.close()
    target._file = Full(tmp_path / "x.part", "r+")
    assert target.write(b"12345") == 5
    assert target.tell() == 5
    assert target.error is not None
    assert (target.error.errno, target.error.filename) == (28, str(tmp_path / "x.part"))
    target.close()


def test_memory_does_not_grow_with_length(encoder, tmp_path, monkeypatch):
    """Neither the signal nor the features of a long recording are ever in memory as a whole."""
    model = open_model(encoder)
    largest = []
    made = embedding.features_of

    def watched(*arguments):
        for first, values in made(*arguments):
            largest.append(values.nbytes)
            yield first, values

    monkeypatch.setattr(embedding, "features_of", watched)
    from support.small_models import raw_of

    from eegprep.processes import reader

    monkeypatch.setattr(reader, "WHOLE_BYTES", 0)  # every recording is read in parts
    raw_of(3, seconds=120).save(tmp_path / "long_raw.fif", verbose="ERROR")
    embed_files(tmp_path / "long_raw.fif", model, out=tmp_path / "x.nc", window_s=1.0)
    assert len(largest) > 1
    assert max(largest) < 512 * 2 * model.ete.config.width * 4 + 1
