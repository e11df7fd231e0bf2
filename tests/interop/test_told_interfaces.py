"""Every interface tells the encoder what an input was measured against, and gives the same features for it."""

from __future__ import annotations

import dataclasses
import json

import mne
import numpy as np
import pytest
import torch
from support.small_models import TINY, eeg, origin

import eegpt.torch
from eegprep.electrodes import Vocabulary
from eegprep.electrodes.references import reference_numbers
from eegprep.electrodes.vocabulary import KINDS
from eegprep.errors import UsageError
from eegprep.manifest import load_recipe
from eegpt.interop import EEGPTClassifier, EEGPTFeatures, LiveModel, embed, export, open_model
from eegpt.interop.arrays import Inputs, SignalTrials
from eegpt.interop.embedding_files import embed_files
from eegpt.interop.exported.export import exportable
from eegpt.model.ete import ETE
from eegpt.runs import checkpoint as ck

NAMES = ("F3-A2", "C4-A1", "Fp1-F7", "Fp1-F3", "O1")
AGAINST = ("A2", "A1", "F7", "F3", "linked ears")


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """An encoder that has learned vectors of references and kinds, with rows for all kinds."""
    import yaml

    from eegprep.splits import Seen, SeenRecording
    from eegpt.runs.folder import write_config

    vocabulary = Vocabulary.base(KINDS)
    kinds = tuple(KINDS.index(row.kind) for row in vocabulary)
    config = dataclasses.replace(TINY, condition="electrode+reference", kinds=kinds, n_electrodes=len(vocabulary))
    folder = tmp_path_factory.mktemp("told") / "run"
    folder.mkdir()
    vocabulary.to_parquet(folder / "vocabulary.parquet")
    write_config(folder, "encoder", encoder=config, window_samples=[256])
    torch.manual_seed(7)
    weights = ETE(config).state_dict()
    for name in ("reference", "kind"):
        weights[name] = torch.randn_like(weights[name])
    ck.save_tensors(folder / "model.safetensors", weights)
    Seen.of([SeenRecording(id="elsewhere/s1/-/1")]).write(folder)
    lock = {"shard_sets": {}, "data": [origin()], "software": {}}
    (folder / "lock.yaml").write_text(yaml.safe_dump(lock), encoding="utf-8")
    return folder


def epochs_of(names=NAMES, types="eeg", n: int = 3) -> mne.EpochsArray:
    data = np.stack([eeg(k, len(names), 512, 256.0) for k in range(n)]) * 1e-6
    return mne.EpochsArray(data, mne.create_info(list(names), 256.0, types), verbose="ERROR")


@pytest.fixture(scope="module")
def expected(told):
    """By `embed`: features (trial, input, feature)."""
    return embed(epochs_of(), told, recipe="epochs", reference="linked ears")


def close(found, wanted) -> None:
    np.testing.assert_allclose(found, wanted, atol=2e-4)


def test_embed_names_the_references(told, expected):
    """References from names and from the argument; the encoder hears them."""
    assert tuple(expected.reference.values) == AGAINST
    assert tuple(expected.electrode.values) == ("F3", "C4", "Fp1-F7", "Fp1-F3", "O1")
    unknown = embed(epochs_of(), told, recipe="epochs")
    close(unknown.features[:, :4], expected.features[:, :4])
    assert not np.allclose(unknown.features[:, 4], expected.features[:, 4], atol=1e-2)


def test_estimators_equal_embed(told, expected):
    """Of Epochs, and of an array with names; also for two derivations of one electrode."""
    chosen = {"sigma": "call", "reference": "linked ears"}
    found = EEGPTFeatures(told, **chosen).fit(epochs_of())
    assert (found.electrodes_, found.references_) == (tuple(expected.electrode.values), AGAINST)
    close(found.transform(epochs_of()).reshape(3, 5, -1), expected.features)
    x = epochs_of().get_data(copy=False) * 1e6
    again = EEGPTFeatures(told, ch_names=NAMES, sfreq_hz=256.0, **chosen).fit(x)
    close(again.transform(x).reshape(3, 5, -1), expected.features)
    unknown = EEGPTFeatures(told, sigma="call").fit(epochs_of()).transform(epochs_of()).reshape(3, 5, -1)
    assert not np.allclose(unknown[:, 4], expected.features[:, 4], atol=1e-2)


def test_module_equals_embed(told, expected, tmp_path):
    """`eegpt.torch.EEGPT`, also when saved and loaded."""
    x = torch.from_numpy(epochs_of().get_data(copy=False) * 1e6).float()
    module = eegpt.torch.EEGPT(2, chs_info=list(NAMES), sfreq=256, pretrained=told, reference="linked ears").eval()
    assert (module.electrodes, module.references) == (tuple(expected.electrode.values), AGAINST)
    module.set_sigma(x)
    with torch.no_grad():
        close(module(x, return_features=True)["features"], expected.features)
        module.save_pretrained(tmp_path / "saved")
        again = eegpt.torch.EEGPT.from_pretrained(tmp_path / "saved").eval()
        assert again.references == AGAINST
        assert torch.equal(again(x), module(x))


def test_live_equals_embed(told, expected):
    """The last output of a trial that is pushed at once."""
    for trial, signal in enumerate(epochs_of().get_data(copy=False)):
        live = LiveModel(
            told, NAMES, 256.0, unit="V", recipe="epochs", sigma_uv=expected.sigma_uv.values, window_tokens=20,
            reference="linked ears",
        )  # fmt: skip
        assert (live.electrodes, live.references) == (tuple(expected.electrode.values), AGAINST)
        close(live.push(signal)[-1].features, expected.features[trial])


def test_exported_encoder_equals_embed(told, expected, tmp_path):
    """The description tells how an id is made of electrode and reference."""
    done = export(told, tmp_path / "encoder.pt2", n_samples=512)
    about = json.loads(done.description.read_text())
    assert about["electrode_is"] == "electrodes[name] + 181 * references[name]"
    assert about["references"]["linked ears"] == reference_numbers(Vocabulary.base(KINDS), ["linked ears"])[0]
    names = ("F3", "C4", "Fp1", "Fp1", "O1")
    pairs = zip(names, AGAINST, strict=True)
    ids = torch.tensor([about["electrodes"][e] + 181 * about["references"][r] for e, r in pairs])
    module, _ = exportable(open_model(told), n_samples=512)
    signal = epochs_of().get_data(copy=False)[1] * 1e6
    signal -= np.median(signal, axis=1, keepdims=True)
    with torch.no_grad():
        _, features = module(torch.from_numpy(signal).float(), torch.from_numpy(expected.sigma_uv.values), ids)
    close(features, expected.features[1])


def test_files_equal_embed(told, tmp_path):
    """`embed_files`, in memory and written, with the reference of the argument and of the names."""
    signal = eeg(3, len(NAMES), 256 * 12, 256.0)
    raw = mne.io.RawArray(signal * 1e-6, mne.create_info(list(NAMES), 256.0, "eeg"), verbose="ERROR")
    raw.save(tmp_path / "a_raw.fif", verbose="ERROR")
    wanted = embed(raw, told, reference="linked ears")
    assert tuple(wanted.reference.values) == AGAINST
    for out in (None, tmp_path / "features.nc"):
        found, failed = embed_files(tmp_path / "a_raw.fif", told, out=out, reference="linked ears")
        assert not failed
        (dataset,) = found.values()
        assert tuple(dataset.reference.values) == AGAINST
        np.testing.assert_allclose(dataset.features, wanted.features, atol=2e-3)  # the file is float32
    with pytest.raises(UsageError, match="unknown reference"):
        embed_files(tmp_path / "a_raw.fif", told, reference="linkd ears")


@pytest.mark.parametrize("of", ["embed", "estimator", "live", "module"])
def test_unknown_words_are_refused(told, of):
    """A reference that is misspelt is not silently unknown."""
    make = {
        "embed": lambda: embed(epochs_of(), told, recipe="epochs", reference="linkd ears"),
        "estimator": lambda: EEGPTFeatures(told, reference="linkd ears").fit(epochs_of()),
        "live": lambda: LiveModel(told, NAMES, 256.0, reference="linkd ears"),
        "module": lambda: eegpt.torch.EEGPT(2, chs_info=["C3"], sfreq=256, pretrained=told, reference="linkd ears"),
    }
    with pytest.raises(UsageError, match="unknown reference 'linkd ears'") as found:
        make[of]()
    assert "linked ears" in found.value.todo


def test_an_averaging_recipe_sets_the_reference(told):
    """The recipe's average is what the encoder hears, as in `embed`; different references are not averaged."""
    plain = epochs_of(("F3", "C4", "O1"))
    found = EEGPTFeatures(told, recipe="epochs_average", sigma="call", reference="linked ears").fit(plain)
    wanted = embed(plain, told, recipe="epochs_average", reference="linked ears")
    assert found.references_ == tuple(wanted.reference.values) == ("average",) * 3
    close(found.transform(plain).reshape(3, 3, -1), wanted.features)
    with pytest.raises(UsageError, match="different references"):
        EEGPTFeatures(told, recipe="epochs_average").fit(epochs_of())
    with pytest.raises(UsageError, match="different references"):
        LiveModel(told, NAMES, 256.0, recipe="epochs_average")


def test_other_kinds_reach_the_encoder(told):
    """With a recipe (or `kinds`) that keeps them; by default they are left out."""
    epochs = epochs_of(("C3-A2", "E1-A2", "chin"), ("eeg", "eog", "emg"))
    recipe = load_recipe("epochs").with_kinds(["eeg", "eog", "emg"])
    wanted = embed(epochs, told, recipe=recipe)
    assert tuple(wanted.electrode.values) == ("C3", "EOGL", "EMGchin")
    assert tuple(wanted.reference.values) == ("A2", "A2", "unknown")
    found = EEGPTFeatures(told, recipe=recipe, sigma="call").fit(epochs)
    close(found.transform(epochs).reshape(3, 3, -1), wanted.features)
    x = torch.from_numpy(epochs.get_data(copy=False) * 1e6).float()
    chosen = {"chs_info": epochs.info["chs"], "sfreq": 256, "pretrained": told}
    module = eegpt.torch.EEGPT(2, **chosen, kinds=["eeg", "eog", "emg"]).eval()
    module.set_sigma(x)
    with torch.no_grad():
        close(module(x, return_features=True)["features"], wanted.features)
    assert EEGPTFeatures(told).fit(epochs).left_out_ == ("E1-A2", "chin")
    assert set(eegpt.torch.EEGPT(2, **chosen).left_out) == {"E1-A2", "chin"}


def test_fitted_graphs_tell_derivations_apart(told):
    """Two derivations of one electrode have nodes and readouts of their own, and the reference matters."""
    x, y = epochs_of(n=8), np.array(["a", "b"] * 4)
    fitted = EEGPTClassifier(told, max_steps=3, reference="linked ears").fit(x, y)
    assert len(set(fitted.ids_.tolist())) == len(NAMES)
    names = [row for row in fitted.electrodes_ if row.startswith("Fp1")]
    assert names == ["Fp1-F7", "Fp1-F3"]
    probability = fitted.predict_proba(x)
    np.testing.assert_allclose(probability.sum(axis=1), 1, atol=1e-6)
    fitted._numbers = np.zeros_like(fitted._numbers)
    assert not np.array_equal(fitted.predict_proba(x), probability)


def test_fingerprints_know_references():
    """Encoded trials on disk are those of the same references."""
    inputs = Inputs(columns=(0,), electrodes=("C3",), references=("A2",), kinds=("eeg",))
    signal = np.zeros((2, 1, 64), np.float32)
    prints = set()
    for reference in ("A2", "A1"):
        own = dataclasses.replace(inputs, references=(reference,)).numbers(Vocabulary.base())
        trials = SignalTrials(signal, np.ones(1, np.float32), np.array([5]), reference=own)
        prints.add(trials.fingerprint(np.arange(2)))
    assert len(prints) == 2


def test_old_modules_load(told, tmp_path):
    """A module that was saved before its graph was told references has zeros for them."""
    chosen = {"chs_info": ["C3-A2", "C4-A1"], "sfreq": 256, "pretrained": told}
    module = eegpt.torch.EEGPT(2, **chosen).eval()
    module.save_pretrained(tmp_path / "saved")
    weights = ck.load_tensors(tmp_path / "saved" / "model.safetensors")
    ck.save_tensors(
        tmp_path / "saved" / "model.safetensors",
        {k: v for k, v in weights.items() if k not in ("teg.reference", "teg.kind")},
    )
    again = eegpt.torch.EEGPT.from_pretrained(tmp_path / "saved").eval()
    x = torch.from_numpy(eeg(0, 2, 512, 256.0)[None]).float()
    with torch.no_grad():
        assert torch.equal(again(x), module(x))


def test_exported_task_equals_embed(told, recorded, tmp_path):
    """A task on a told encoder: the graph hears the references in `embed` and in the exported file."""
    from support.transfer_runs import settings

    from eegpt.transfer.run import transfer

    chosen = {"steps": 4, "precision": "float32", "teg_layers": 1, "align": "none", "edges": "none"}
    chosen |= {"readout": "special+states", "views": ()}
    transfer(settings(**chosen), shards=[recorded.shards], out=tmp_path / "run", encoder=told)
    model = open_model(tmp_path / "run")
    assert model.transfer.teg.reference is not None
    with torch.no_grad():
        model.transfer.teg.reference.normal_()
    epochs = epochs_of(("F3-A2", "C4-A1", "O1"))
    probability = {}
    for reference in (None, "linked ears"):
        found = embed(epochs, model, recipe="epochs", reference=reference)
        probability[reference] = found["probability_hand"].values
        module, _ = exportable(model, n_samples=512)
        inputs = Inputs(
            columns=(0, 1, 2),
            electrodes=("F3", "C4", "O1"),
            references=tuple(found.reference.values),
            kinds=("eeg",) * 3,
        )
        ids = torch.from_numpy(inputs.ids(model.ete.config, model.vocabulary)).expand(3, -1)
        signal = epochs.get_data(copy=False) * 1e6
        signal = torch.from_numpy(signal - np.median(signal, axis=2, keepdims=True)).float()
        sigma = torch.from_numpy(found.sigma_uv.values).expand(3, -1)
        with torch.no_grad():
            output = module(signal, sigma, ids, torch.ones(3, 3, dtype=torch.bool))
        close(output, probability[reference])
    assert not np.array_equal(probability[None], probability["linked ears"])
