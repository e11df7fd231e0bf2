"""From files to predictions with EOG, EMG and ECG beside EEG, and with all derivations of a double banana."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from safetensors.torch import load_file
from support.clinical import write_chb, write_hmc
from support.transfer_runs import TINY, make_encoder, settings  # noqa: F401  fixture

from eegprep.electrodes import Vocabulary
from eegprep.errors import RefusedError
from eegprep.ingest import ingest
from eegprep.manifest import find_manifest, load_recipe
from eegprep.shards import build_shard_set
from eegprep.splits import Seen, SeenRecording
from eegpt.data import TrialIndex
from eegpt.evaluation.evaluate import evaluate
from eegpt.transfer.checkpoint import read_run
from eegpt.transfer.inputs import row_name
from eegpt.transfer.run import transfer

FAST = {
    "steps": 40, "batch_size": 16, "evaluate_every": 20, "learning_rate": 3e-3, "scheme": "kfold:2",
}  # fmt: skip
SEEN = Seen.of([SeenRecording(id="elsewhere/s1/-/1", signal_sha256="e" * 64)])


def stored(folder, name, *, recipe=None, reference=None):
    """The files in `folder/raw` as a shard set."""
    key = f"{recipe and 'eeg'}-{reference}"
    if not (folder / "store" / key).exists():
        ingest(find_manifest(name), folder / "raw", folder / "store" / key, recipe=recipe, workers=0, partial=True)
    build_shard_set([folder / "store" / key], folder / key, reference=reference, sync=False)
    return folder / key


@pytest.fixture(scope="module")
def nights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nights")
    write_hmc(folder / "raw", subjects=4, rounds=2)
    return folder


@pytest.fixture(scope="module")
def seizures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("seizures")
    write_chb(folder / "raw", cases=("02", "03", "04", "05"), seconds=120)
    return folder


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    from support.transfer_runs import write_encoder

    return write_encoder(tmp_path_factory.mktemp("encoder") / "run", SEEN)


def test_five_stages_from_every_channel(nights, tiny, tmp_path):
    """A night's file leads to a prediction of five stages from EEG, EOG, EMG and ECG."""
    shards = stored(nights, "hmc")
    with pytest.raises(RefusedError, match="not in the encoder's vocabulary") as found:
        transfer(settings(**FAST), shards=[shards], out=tmp_path / "no", encoder=tiny)
    assert "extend" in found.value.todo
    transfer(settings(**FAST, unknown_electrodes="extend"), shards=[shards], out=tmp_path / "run", encoder=tiny)
    run = read_run(tmp_path / "run")
    assert run.vocabulary.names[:138] == Vocabulary.base().names
    added = {row.name: row.kind for row in list(run.vocabulary)[138:]}
    assert added == {"EOGL": "eog", "EOGR": "eog", "EMGchin": "emg", "ECG": "ecg"}
    weights = load_file(tmp_path / "run" / "model.safetensors")
    before = load_file(tiny / "model.safetensors")["electrode.weight"]
    table = weights["ete.electrode.weight"]
    assert torch.equal(table[:138], before)
    torch.testing.assert_close(table[138], before.mean(dim=0))
    assert [len(classes) for classes in run.classes] == [5]
    _, results = evaluate(tmp_path / "run", [shards], baselines=())
    assert list(results.tasks) == ["hmc/hmc_stage"]


def test_double_banana_from_file_to_prediction(seizures, tiny, tmp_path):
    """Every derivation has a row of its own where an electrode has several, and the seizure is found."""
    shards = stored(seizures, "chbmit")
    index = TrialIndex(shards)
    assert len(index.inputs(0)) == 23
    transfer(settings(**FAST, unknown_electrodes="extend"), shards=[shards], out=tmp_path / "run", encoder=tiny)
    run = read_run(tmp_path / "run")
    names = set(run.vocabulary.names[138:])
    assert {"Fp1_F7", "Fp1_F3", "T7_P7", "T7_FT9", "ECG"} <= names
    assert "Fz_Cz" not in names  # one derivation alone has its electrode's row
    weights = load_file(tmp_path / "run" / "model.safetensors")["ete.electrode.weight"]
    assert torch.equal(weights[run.vocabulary.id_of("Fp1_F7")], weights[run.vocabulary.id_of("Fp1")])
    _, results = evaluate(tmp_path / "run", [shards], baselines=("majority", "band_power"))
    assert list(results.tasks) == ["chbmit/chbmit_seizure"]


def test_untold_derivations_are_refused(seizures, nights, tiny, tmp_path):
    """A model whose rows cannot tell a recording's derivations apart refuses it instead of mixing them."""
    one = stored(seizures, "chbmit", recipe=load_recipe("polysomnography").with_kinds(["eeg"]), reference="Fp1")
    transfer(settings(**FAST), shards=[one], out=tmp_path / "run", encoder=tiny)
    with pytest.raises(RefusedError, match="cannot tell the derivations of"):
        evaluate(tmp_path / "run", [stored(seizures, "chbmit", recipe=load_recipe("default"))], baselines=())


def test_told_encoder_sees_references(seizures, tmp_path, make_encoder):  # noqa: F811  fixture
    """An encoder that is told the reference gets its number: other references, other states."""
    told = dataclasses.replace(TINY, condition="electrode+reference")
    folder = make_encoder(tmp_path / "told", SEEN, told)
    from eegpt.runs import checkpoint as ck

    state = load_file(folder / "model.safetensors")
    state["reference"] = torch.randn_like(state["reference"])
    ck.save_tensors(folder / "model.safetensors", state)
    shards = stored(seizures, "chbmit", recipe=load_recipe("default"))
    transfer(settings(**FAST), shards=[shards], out=tmp_path / "run", encoder=folder)
    run = read_run(tmp_path / "run")
    weights = load_file(tmp_path / "run" / "model.safetensors")
    n, new = len(run.vocabulary), len(run.vocabulary) - 138
    assert new > 0
    assert len(weights["ete.reference"]) == len(state["reference"]) + new
    torch.testing.assert_close(weights["ete.reference"][1 + n :], state["reference"][139:])
    _, results = evaluate(tmp_path / "run", [shards], baselines=())
    assert list(results.tasks) == ["chbmit/chbmit_seizure"]


@pytest.mark.parametrize(
    ("electrode", "reference", "name"),
    [("Fp1", "F7", "Fp1_F7"), ("Cz", "linked ears", "Cz_linked_ears"), ("Cz", "CMS/DRL", "Cz_CMS_DRL")],
)
def test_row_names_are_valid(electrode, reference, name):
    assert row_name(electrode, reference) == name
