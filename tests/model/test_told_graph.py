"""A graph whose nodes are told the reference and the kind starts as the paper's form."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from eegprep.electrodes import Vocabulary
from eegprep.electrodes.references import reference_numbers
from eegprep.electrodes.vocabulary import KINDS
from eegpt.model.config import ETEConfig
from eegpt.model.ete import ETE
from eegpt.model.heads import HeadSpec
from eegpt.model.teg import TEG, TEGConfig
from eegpt.runs.settings import from_mapping, to_mapping
from eegpt.transfer.config import TransferConfig
from eegpt.transfer.fit import build_model, graph_config

V = Vocabulary.base(KINDS)
PLAIN = TEGConfig(n_layers=2, width=16, n_electrodes=len(V))
TOLD = dataclasses.replace(PLAIN, condition="electrode+reference", kinds=tuple(KINDS.index(row.kind) for row in V))
ENCODER = ETEConfig(
    n_layers=1, width=16, n_heads=2, token_samples=32, token_stride=8, n_electrodes=len(V),
    condition="electrode+reference", kinds=TOLD.kinds,
)  # fmt: skip
ELECTRODE = torch.tensor([[0, 25, V.id_of("EOGL")], [3, 4, 0]])
MASK = torch.tensor([[True, True, True], [True, True, False]])


def graph(config: TEGConfig) -> TEG:
    torch.manual_seed(0)
    return TEG(config).eval()


def inputs(reference: str) -> torch.Tensor:
    return ENCODER.input_ids(ELECTRODE, torch.tensor(reference_numbers(V, [reference])))


@pytest.mark.parametrize("reference", ["unknown", "Cz", "average"])
def test_untrained_graph_equals_the_paper(reference):
    """Added vectors start at zero and draw no random numbers: pooled states are equal, bit for bit."""
    plain, told = graph(PLAIN), graph(TOLD)
    z = torch.randn(2, 3, 16)
    assert torch.equal(plain(z, ELECTRODE, MASK), told(z, inputs(reference), MASK))
    for name, weight in plain.state_dict().items():
        assert torch.equal(weight, told.state_dict()[name])
    assert set(told.state_dict()) - set(plain.state_dict()) == {"reference", "kind"}


def test_nodes_differ_by_reference_and_kind():
    """Once learned, both change the pooled state; an unknown reference is a plain electrode id."""
    told = graph(TOLD)
    z = torch.randn(2, 3, 16)
    before = told(z, ELECTRODE, MASK)
    with torch.no_grad():
        told.reference[1:].normal_()
    assert torch.equal(told(z, ELECTRODE, MASK), before)
    assert not torch.allclose(told(z, inputs("Cz"), MASK), told(z, inputs("average"), MASK))
    with torch.no_grad():
        told.kind[KINDS.index("eog")].normal_()
    found = told(z, ELECTRODE, MASK)
    assert not torch.allclose(found[0], before[0])  # has an EOG channel
    assert torch.equal(found[1], before[1])


def test_the_encoder_setting_governs_the_graph():
    """The graph of a told encoder is told, that of the paper's encoder is not; a config without it is the old form."""
    config = TransferConfig()
    told = graph_config(config, ENCODER)
    assert (told.condition, told.kinds) == (ENCODER.condition, ENCODER.kinds)
    plain = graph_config(config, dataclasses.replace(ENCODER, condition="electrode", kinds=()))
    assert TEG(plain).reference is None
    saved = to_mapping(told)
    assert from_mapping(TEGConfig, saved) == told
    before = {k: v for k, v in saved.items() if k not in ("condition", "kinds")}
    assert TEG(from_mapping(TEGConfig, before)).reference is None


def test_out_of_range_ids_are_an_error():
    """Without references an id beyond the vocabulary is not taken for another electrode's."""
    with pytest.raises(IndexError):
        graph(PLAIN)(torch.randn(1, 1, 16), torch.tensor([[len(V) + 3]]), torch.tensor([[True]]))


def test_reference_reaches_the_nodes():
    """References of encoded trials arrive at the nodes, also through subsets and joins of trials."""
    from eegpt.transfer.rows import Rows, join

    model = build_model(ETE(ENCODER), graph_config(TransferConfig(), ENCODER), (HeadSpec(name="t", n_outputs=2),),
                        TransferConfig())  # fmt: skip
    ids = inputs("Cz")
    rows = Rows(
        tokens_RTC=torch.randn(5, 4, 32), token_mask_RT=None, electrode_R=ids[MASK], mask_NE=MASK,
        course_RF=torch.zeros(5, 8), sigma_R=torch.ones(5),
    )  # fmt: skip
    encoded = model.encode(rows)
    assert torch.equal(encoded.electrode_R, ELECTRODE[MASK])
    whole = join([encoded, encoded.take(torch.tensor([1]))])
    expected = torch.cat((ids, ids[1:])).masked_fill(~torch.cat((MASK, MASK[1:])), -1)
    assert torch.equal(whole.electrodes(with_references=True), expected)
    if model.scale is None:
        assert torch.equal(model.nodes(encoded, torch.tensor([0, 0]))[1], expected[:2])
