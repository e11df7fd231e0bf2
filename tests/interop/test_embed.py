"""A recording embedded directly equals the same recording through ingest, shards and encoder."""

from __future__ import annotations

import json

import mne
import numpy as np
import pytest
import torch
from support.transfer_runs import settings

import eegpt
from eegprep import open_shards
from eegprep.errors import InputError, RefusedError, UsageError
from eegprep.shards import ShardSet
from eegpt.data import WindowIndex
from eegpt.interop import open_model
from eegpt.transfer.rows import Rows, encode


def through_shards(shards, model, n_samples: int, subject: str) -> dict[tuple[str, int], np.ndarray]:
    """Features by (electrode, first sample) of one subject, from int16."""
    opened = ShardSet.open(shards)
    index = WindowIndex([opened], n_samples=n_samples, stride=n_samples)
    names = index.recording_ids
    rows = index.gather(np.arange(len(index))).tensors()
    tokens = model.ete.tokenise(rows.signal_i16, rows.scale_uv, rows.sigma_uv)
    mask = torch.ones(len(tokens), 1, dtype=torch.bool)
    kinds = dict.fromkeys(Rows.__dataclass_fields__)
    kinds |= {"tokens_RTC": tokens, "electrode_R": rows.electrode.long(), "mask_NE": mask}
    with torch.inference_mode():
        found = encode(model.ete, Rows(**kinds), special=False, states=True).features_RF.numpy()
    starts = index.start_samples(np.arange(len(index)))
    return {
        (index.vocabulary.name_of(int(e)), int(start)): features
        for e, r, start, features in zip(rows.electrode, rows.recording, starts, found, strict=True)
        if names[int(r)].split("/")[1] == subject
    }


def test_embedding_equals_the_shard_path(recorded, encoder):
    """Ingest, shards, then encoder."""
    model = open_model(encoder)
    raw = mne.io.read_raw_fif(recorded.files / "s2.fif", verbose="ERROR")
    ds = eegpt.embed(raw, model=model, line_freq_hz=50)
    expected = through_shards(recorded.shards, model, model.window_samples, "s2")
    assert ds.sizes == {"window": 30, "electrode": 5, "feature": 32}
    assert len(expected) == 150
    spread = ds.features.values.std()
    for (electrode, start), features in expected.items():
        own = ds.features.sel(electrode=electrode).isel(window=start // 256).values
        # The shards' int16 is all that differs: a few thousandths of the features' own spread.
        np.testing.assert_allclose(own, features, atol=0.01 * spread)
    assert ds.attrs["recipe"] == "default"
    assert ds.attrs["steps"] == next(iter(open_shards(recorded.shards).values())).attrs["steps"]


def test_embedding_has_coordinates(encoder, toy):
    raw = toy.raw(1, names=("fp1", "EEG C3-A1", "T3", "Foo9", "Cz"))
    ds = eegpt.embed(raw, model=encoder, window_s=2.0, stride_s=1.0)
    assert list(ds.electrode.values) == ["Fp1", "C3", "T7", "Cz"]
    assert list(ds.channel.values) == ["fp1", "EEG C3-A1", "T3", "Cz"]
    np.testing.assert_allclose(np.diff(ds.time), 1.0)
    assert len(ds.attrs["model_sha256"]) == 64
    assert [x["name"] for x in json.loads(ds.attrs["left_out"]) if x["kind"] == "channel"] == ["Foo9"]


def test_unknown_channels_mapped_or_refused(encoder, toy):
    raw = toy.raw(1, names=("Fp1", "Cz", "Foo9"))
    from eegprep.electrodes import Vocabulary

    base = Vocabulary.base()
    off = base.position_m("Pz") + np.array([0.009, 0.0, 0.0])
    places = {"Fp1": base.position_m("Fp1"), "Cz": base.position_m("Cz"), "Foo9": off}
    raw.set_montage(mne.channels.make_dig_montage(places, coord_frame="head"), verbose="ERROR")
    assert list(eegpt.embed(raw, model=encoder).electrode.values) == ["Fp1", "Cz"]
    mapped = eegpt.embed(raw, model=encoder, unknown="nearest")
    assert list(mapped.electrode.values) == ["Fp1", "Cz", "Pz"]
    assert "Foo9: mapped to Pz, 9 mm away" in mapped.attrs["notes"]
    with pytest.raises(RefusedError, match="not electrodes that the model knows"):
        eegpt.embed(raw, model=encoder, unknown="refuse")


def test_rejected_stretches_are_missing(encoder, toy):
    """For their own electrode alone."""
    raw = toy.raw(3)
    raw._data[2, 2000:3000] = raw._data[2, 2000]  # flat from 10 to 15 s
    ds = eegpt.embed(raw, model=encoder, window_s=1.0)
    missing = np.isnan(ds.features.values).all(axis=2)
    assert missing[11:14, 2].all()
    assert not missing[:, [0, 1, 3, 4]].any()


def test_epochs_become_labelled_windows(encoder, toy):
    raw = toy.raw(4)
    events = np.array([[400, 0, 1], [1000, 0, 2], [1600, 0, 1]])
    epochs = mne.Epochs(
        raw, events, {"left": 1, "right": 2}, tmin=0, tmax=2, baseline=None, preload=True, verbose="ERROR"
    )
    with pytest.raises(InputError, match="no stretch that is long enough"):
        eegpt.embed(epochs, model=encoder)
    ds = eegpt.embed(epochs, model=encoder, recipe="epochs")
    assert ds.label.values.tolist() == ["left", "right", "left"]
    assert ds.sizes["window"] == 3
    assert np.isfinite(ds.features.values).all()


def test_unknown_preprocessing_is_refused(tmp_path, toy):
    run = toy.encoder(tmp_path / "old", data=[])
    with pytest.raises(UsageError, match="preprocessing of the model's data is unknown"):
        eegpt.embed(toy.raw(1), model=run)
    assert eegpt.embed(toy.raw(1), model=run, recipe="default").attrs["recipe"] == "default"


def test_the_recipe_comes_from_the_lock(tmp_path, toy):
    run = toy.encoder(tmp_path / "average", data=[toy.origin("default_average")])
    ds = eegpt.embed(toy.raw(1), model=run)
    assert ds.attrs["recipe"] == "default_average"
    assert "reference: average" in ds.attrs["steps"]


def test_the_callers_signal_is_unchanged(encoder, toy):
    raw = toy.raw(5)
    before = raw.get_data().copy()
    eegpt.embed(raw, model=encoder)
    np.testing.assert_array_equal(raw.get_data(), before)


def test_other_objects_are_not_signals(encoder):
    with pytest.raises(UsageError, match="not a signal that can be embedded"):
        eegpt.embed(np.zeros((3, 1000)), model=encoder)


def test_answers_equal_the_runs_predictions(recorded, encoder, tmp_path):
    """With the default readouts, whose views are standardised by subject: the same trials, two ways."""
    from eegpt.interop import LiveModel
    from eegpt.transfer.bank import TrialBank
    from eegpt.transfer.loop import Targets, predict
    from eegpt.transfer.run import transfer
    from eegpt.transfer.setup import make_setup, open_trials

    config = settings(steps=4, precision="float32", teg_layers=1)
    transfer(config, shards=[recorded.shards], out=tmp_path / "run", encoder=encoder)
    model = open_model(tmp_path / "run")
    assert model.aligned_heads == {0}
    # The recording's twelve trials lie side by side from 2 s on, and are all trials of this subject.
    raw = mne.io.read_raw_fif(recorded.files / "s4.fif", verbose="ERROR")
    ds = eegpt.embed(raw, model=model, window_s=2.0, line_freq_hz=50)
    assert ds.sizes["window"] == 15
    sets, index = open_trials([recorded.shards], config)
    setup = make_setup(sets, index, model.vocabulary, config)
    rows = np.flatnonzero(np.array(index.subject) == "toy/s4")
    bank = TrialBank(index, setup.electrodes.id_of, device=torch.device("cpu"), budget_bytes=0, aligned_tasks=(0,))
    targets = Targets.of(index, setup.head_of_task, rows, class_weights=True)
    expected = predict(model.transfer, bank, rows, targets)[:, :2]
    found = ds.probability_hand.values[1:13]
    # Standardising includes three windows that are not trials, so they are close, not equal.
    assert np.corrcoef(found[:, 1], expected[:, 1])[0, 1] > 0.9
    live = LiveModel(model, raw.ch_names, raw.info["sfreq"], unit="V", line_freq_hz=50)
    said = [o.outputs["probability_hand"] for o in live.push(raw[:, :2000][0])]
    assert np.isfinite(said).all()
    np.testing.assert_allclose(np.sum(said, axis=1), 1, atol=1e-5)


def test_bad_mark_costs_its_channel_alone(encoder, toy):
    """A bad mark of one channel costs that channel alone."""
    raw = toy.raw(1)
    raw.set_annotations(mne.Annotations([10.0], [4.0], ["BAD_loose"], ch_names=[("Fp1",)]))
    ds = eegpt.embed(raw, model=encoder, window_s=1.0)
    lost = {int(t) for t in ds.time.values[np.isnan(ds.features.sel(electrode="Fp1").values).any(axis=1)]}
    assert lost == {10, 11, 12, 13}
    assert ds.sizes["window"] == 30
    assert not np.isnan(ds.features.sel(electrode=["C3", "Cz", "C4", "O2"]).values).any()
    (entry,) = [x for x in json.loads(ds.attrs["left_out"]) if x["kind"] == "stretch"]
    assert (entry["name"], entry["code"], entry["n_samples"]) == ("Fp1", "annotated_bad", 1024)
