"""An encoder that is told the reference and the kind of a signal starts as the paper's form."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from eegprep.electrodes import Vocabulary
from eegprep.electrodes.references import SCHEMES, reference_numbers
from eegprep.electrodes.vocabulary import KINDS
from eegpt.model.config import ETEConfig
from eegpt.model.ete import ETE
from eegpt.model.weights import bare_encoder, fill

V = Vocabulary.base(KINDS)
PLAIN = ETEConfig(n_layers=2, width=16, n_heads=2, token_samples=32, token_stride=8, n_electrodes=len(V))
TOLD = dataclasses.replace(PLAIN, condition="electrode+reference", kinds=tuple(KINDS.index(row.kind) for row in V))


def pair() -> tuple[ETE, ETE]:
    encoders = []
    for config in (PLAIN, TOLD):
        torch.manual_seed(0)
        encoders.append(ETE(config).eval())
    return encoders[0], encoders[1]


def test_numbers_of_references():
    """0 is unknown, then the vocabulary's electrodes, then the schemes in their order; words are read first."""
    found = reference_numbers(V, ["unknown", "Fp1", "M2", "average", "LE", "nobody knows", "EOGL"])
    assert found == [0, 1, 138, len(V) + 1, len(V) + 2, 0, 1 + V.id_of("EOGL")]
    assert TOLD.n_references == len(V) + len(SCHEMES)
    assert PLAIN.n_references == 0


@pytest.mark.parametrize("reference", ["unknown", "Cz", "average", "linked ears"])
def test_untrained_encoder_equals_the_paper(reference):
    """Added vectors start at zero and draw no random numbers: the computation is the paper's, bit for bit."""
    paper, told = pair()
    x = torch.randn(6, 9, 32)
    electrode = torch.tensor([0, 25, 137, 5, V.id_of("EOGL"), V.id_of("ECG")])
    number = torch.tensor(reference_numbers(V, [reference]) * 6)
    ids = told.config.input_ids(electrode, number)
    assert torch.equal(paper(x, electrode), told(x, ids))
    assert torch.equal(paper(x, paper.config.input_ids(electrode, number)), paper(x, electrode))
    for name, weight in paper.state_dict().items():
        assert torch.equal(weight, told.state_dict()[name])
    assert set(told.state_dict()) - set(paper.state_dict()) == {"reference", "kind"}
    cache = told.prefill(x, ids)
    assert torch.equal(cache.keys[0], paper.prefill(x, electrode).keys[0])


def test_references_and_kinds_change_the_state():
    """Once learned, the reference and the kind change the state; an unknown one is a plain electrode id."""
    _, told = pair()
    with torch.no_grad():
        told.reference.normal_()
        told.kind.normal_()
        told.reference[0] = 0
    x, electrode = torch.randn(2, 9, 32), torch.tensor([3, 3])
    numbers = torch.tensor(reference_numbers(V, ["Cz", "unknown"]))
    states = told(x[:1].expand(2, -1, -1), told.config.input_ids(electrode, numbers))
    assert not torch.allclose(states[0], states[1])
    assert torch.equal(states[1], told(x[:1], electrode[:1])[0])
    eog = torch.tensor([V.id_of("EOGL")])
    with torch.no_grad():
        told.electrode.weight[eog] = told.electrode.weight[3].clone()
    assert not torch.allclose(told(x[:1], eog), told(x[:1], electrode[:1]))


def test_numbers_out_of_range_are_unknown():
    """Words that have no number, and masked places (-1), count as an unknown reference."""
    ids = TOLD.input_ids(torch.tensor([1, 1, 1]), torch.tensor([-1, TOLD.n_references, TOLD.n_references - 1]))
    assert ids[:2].tolist() == [1, 1]
    assert int(ids[2]) > 1


def test_both_vectors_get_a_gradient():
    _, told = pair()
    ids = told.config.input_ids(torch.tensor([1, 2]), torch.tensor([4, 0]))
    told(torch.randn(2, 9, 32), ids).square().sum().backward()
    assert told.reference.grad[4].abs().sum() > 0
    assert told.reference.grad[7].abs().sum() == 0
    assert told.kind.grad[0].abs().sum() > 0


def test_filled_encoder_equals_a_built_one():
    """An encoder without memory is filled with the same weights."""
    torch.manual_seed(3)
    built, bare = ETE(TOLD), bare_encoder(TOLD)
    fill(bare, torch.device("cpu"), seed=3)
    for name, weight in built.state_dict().items():
        assert torch.equal(weight, bare.state_dict()[name]), name
