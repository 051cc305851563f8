"""The paper's beam search in transformers' `generate`, checked against all possible sequences."""

import copy
import itertools

import pytest
import torch
from transformers import GenerationConfig, StoppingCriteriaList

from hf_vanilla_transformer import VanillaTransformerConfig, VanillaTransformerForConditionalGeneration
from hf_vanilla_transformer.generation import GoogleLengthPenalty, SourceLengthLimit

END, START, VOCABULARY, LONGEST = 1, 3, 6, 4


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(3)
    config = VanillaTransformerConfig.tiny(
        vocab_size=VOCABULARY, hidden_size=16, intermediate_size=32, encoder_layers=1, decoder_layers=1,
        num_attention_heads=2, max_position_embeddings=32, initializer="normal", initializer_range=0.6,
        eos_token_id=END, decoder_start_token_id=START,
    )  # fmt: skip
    return VanillaTransformerForConditionalGeneration(config).eval()


SOURCES = torch.tensor([[4, 5, 2, 1], [2, 2, 5, 1], [5, 4, 4, 1]])


@torch.no_grad()
def all_hypotheses(model, source):
    """Every finished output of at most LONGEST tokens with its log probability."""
    found = []
    for length in range(1, LONGEST + 1):
        ids = torch.tensor(list(itertools.product(range(VOCABULARY), repeat=length)))
        finished = (ids[:, :-1] != END).all(1) & ((ids[:, -1] == END) | (length == LONGEST))
        ids = ids[finished]
        target = torch.nn.functional.pad(ids, (1, 0), value=START)
        logits = model(input_ids=source.expand(len(ids), -1), decoder_input_ids=target[:, :-1]).logits
        scores = logits.log_softmax(-1).gather(2, ids[:, :, None]).sum((1, 2))
        found += zip(ids.tolist(), scores.tolist())
    return found


@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.5])
def test_beam_search_finds_the_best_hypothesis_by_the_penalty_of_gnmt(model, alpha):
    """Wu et al. 2016, Eq. 14. With as many beams as there are prefixes, beam search is exhaustive."""
    outputs = model.generate(
        SOURCES, num_beams=200, do_sample=False, max_new_tokens=LONGEST, early_stopping="never",
        length_penalty=GoogleLengthPenalty(alpha), return_dict_in_generate=True, output_scores=True,
        num_return_sequences=1,
    )  # fmt: skip
    for index, source in enumerate(SOURCES):
        ranked = [
            (log_probability / ((5 + len(ids)) / 6) ** alpha, ids)
            for ids, log_probability in all_hypotheses(model, source)
        ]
        score, ids = max(ranked)
        assert outputs.sequences[index, 1 : 1 + len(ids)].tolist() == ids
        assert float(outputs.sequences_scores[index]) == pytest.approx(score, abs=1e-4)


def test_the_penalty_is_a_float_with_its_own_power():
    penalty = GoogleLengthPenalty(0.6)
    assert 7**penalty == pytest.approx(((5 + 7) / 6) ** 0.6)
    assert penalty == 0.6 and penalty > 0
    assert isinstance(copy.deepcopy(GenerationConfig(length_penalty=penalty)).length_penalty, GoogleLengthPenalty)
    assert (torch.tensor([7.0]) ** float(penalty)).item() == pytest.approx(7**0.6)


@pytest.mark.parametrize("num_beams", [1, 3])
def test_each_sentence_has_its_own_length_limit(model, num_beams):
    lengths = torch.tensor([2, 3, 4])
    outputs = model.generate(
        SOURCES, num_beams=num_beams, do_sample=False, max_new_tokens=20, min_new_tokens=20,
        stopping_criteria=StoppingCriteriaList([SourceLengthLimit(lengths, margin=1)]),
    )  # fmt: skip
    # Finished outputs are filled with padding or end tokens.
    produced = ((outputs[:, 1:] != model.config.pad_token_id) & (outputs[:, 1:] != END)).sum(1)
    assert (produced <= lengths + 1).all()
    assert outputs.shape[1] <= 1 + int(lengths.max()) + 1
