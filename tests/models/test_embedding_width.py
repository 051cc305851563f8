"""Embeddings narrower than the layers, as in small ELECTRA: one more map, and nothing else is different."""

import pytest
import torch
from huggingface_hub.errors import StrictDataclassError
from transformers import ElectraConfig, ElectraModel

from hf_vanilla_transformer import VanillaEncoderConfig, VanillaEncoderForMaskedLM, VanillaEncoderModel, to_transformers

SIZE = {"vocab_size": 50, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
NARROW = {**SIZE, "hidden_size": 32, "embedding_size": 12, "max_position_embeddings": 20}
IDS = torch.randint(1, 50, (2, 9), generator=torch.Generator().manual_seed(0))


def test_the_small_model_has_as_many_parameters_as_the_published_one():
    published = ElectraConfig()
    config = VanillaEncoderConfig(
        vocab_size=published.vocab_size,
        hidden_size=256,
        embedding_size=128,
        num_hidden_layers=12,
        num_attention_heads=4,
        intermediate_size=1024,
    )
    with torch.device("meta"):
        ours = VanillaEncoderModel(config, add_pooling_layer=False)
        assert ours.num_parameters() == ElectraModel(published).num_parameters()


@pytest.mark.parametrize("positions", ["learned", "sinusoidal", "sinusoidal_t2t"])
def test_shapes_tying_and_saving(positions, tmp_path):
    torch.manual_seed(0)
    model = VanillaEncoderForMaskedLM(VanillaEncoderConfig(**NARROW, position_embedding_type=positions)).eval()
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert model.model.embed_tokens.weight.shape == (50, 12)
    outputs = model(IDS, labels=IDS, output_hidden_states=True)
    assert outputs.logits.shape == (2, 9, 50)
    assert {state.shape for state in outputs.hidden_states} == {(2, 9, 32)}
    model.save_pretrained(tmp_path)
    again = VanillaEncoderForMaskedLM.from_pretrained(tmp_path)
    assert torch.equal(again.eval()(IDS).logits, outputs.logits)
    again.resize_token_embeddings(60)
    assert again(IDS).logits.shape == (2, 9, 60)
    assert again.lm_head.weight is again.model.embed_tokens.weight


def test_gradients_reach_the_map():
    model = VanillaEncoderForMaskedLM(VanillaEncoderConfig(**NARROW))
    model(IDS, labels=IDS).loss.backward()
    assert model.model.embed_projection.weight.grad.abs().max() > 0


def test_one_width_has_no_map():
    names = set(VanillaEncoderModel(VanillaEncoderConfig(**NARROW | {"embedding_size": None})).state_dict())
    assert set(VanillaEncoderModel(VanillaEncoderConfig(**NARROW | {"embedding_size": 32})).state_dict()) == names
    narrow = set(VanillaEncoderModel(VanillaEncoderConfig(**NARROW)).state_dict())
    assert narrow - names == {"embed_projection.weight", "embed_projection.bias"}


def test_only_electra_can_express_it():
    model = VanillaEncoderForMaskedLM(VanillaEncoderConfig(**NARROW)).eval()
    reference = to_transformers(model)
    assert type(reference).__name__ == "ElectraForMaskedLM" and reference.config.embedding_size == 12
    torch.testing.assert_close(reference(IDS).logits, model(IDS).logits)
    with pytest.raises(ValueError, match=r"embedding_size=12.*hidden_size"):
        to_transformers(model, family="bert")
    same = VanillaEncoderForMaskedLM(VanillaEncoderConfig(**NARROW | {"embedding_size": 32}, positions_from_mask=False))
    assert type(to_transformers(same)).__name__ == "BertForMaskedLM"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"embedding_size": 0}, "embedding_size.*0"),
        ({"lm_head_transform": False}, "embedding_size=12.*hidden_size=32.*lm_head_transform=True"),
        ({"embedding_size": 11, "position_embedding_type": "sinusoidal"}, "embedding_size.*11"),
    ],
)
def test_invalid_widths_are_refused(fields, message):
    with pytest.raises(StrictDataclassError, match=rf"(?s){message}"):
        VanillaEncoderConfig(**NARROW | fields)
