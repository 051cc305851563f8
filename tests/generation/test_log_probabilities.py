"""Log-probabilities of generated text, compared with a sum token by token and without batches."""

import pytest
import torch

from hf_vanilla_transformer.generation import (
    continuation_log_probabilities,
    log_probabilities,
    translation_log_probabilities,
)

from ..tiny_models import tiny_model, tokens


def by_hand(step, generated):
    """The sum of the log-probabilities of tokens, where `step` maps the ids so far to the logits of the next."""
    total, so_far = 0.0, []
    for token in generated:
        total += step(so_far).log_softmax(-1)[token].item()
        so_far.append(token)
    return total


@pytest.mark.parametrize("at_once", [1 << 26, 1])
def test_translations_are_scored_up_to_their_end_token(at_once, monkeypatch):
    monkeypatch.setattr(log_probabilities, "_LOGITS_AT_ONCE", at_once)
    model = tiny_model("seq2seq", pad_token_id=0, eos_token_id=1, bos_token_id=3, decoder_start_token_id=3)
    sources = tokens(2, 5)
    sources[1, 3:] = 0
    mask = (sources != 0).long()
    # Ended and padded; ended at the last position; not ended; ended immediately.
    sequences = torch.tensor(
        [[[3, 7, 8, 1, 0, 0], [3, 9, 10, 11, 12, 1]], [[3, 9, 10, 11, 12, 13], [3, 1, 0, 0, 0, 0]]]
    )
    scores = translation_log_probabilities(model, sources, mask, sequences)
    for row in range(2):
        source = sources[row : row + 1, : mask[row].sum()]
        for answer in range(2):
            generated = sequences[row, answer, 1:].tolist()
            generated = generated[: generated.index(1) + 1] if 1 in generated else generated

            def step(so_far, source=source):
                with torch.no_grad():
                    return model(input_ids=source, decoder_input_ids=torch.tensor([[3, *so_far]])).logits[0, -1]

            assert scores[row, answer].item() == pytest.approx(by_hand(step, generated), abs=1e-4)


@pytest.mark.parametrize("pad", [0, 1])  # 1 is the end token, as for models without a padding token
def test_continuations_are_scored_without_their_prompts(pad):
    model = tiny_model("decoder")
    model.generation_config.pad_token_id = pad
    prompts = tokens(2, 4)
    mask = torch.ones_like(prompts)
    prompts[1, :2], mask[1, :2] = pad, 0
    generated = torch.tensor([[7, 8, 9], [10, 1, pad]])
    scores = continuation_log_probabilities(model, torch.cat([prompts, generated], dim=1), mask, 4)
    for row, expected in enumerate([[7, 8, 9], [10, 1]]):
        prompt = prompts[row, mask[row].bool()].tolist()

        def step(so_far, prompt=prompt):
            with torch.no_grad():
                return model(torch.tensor([[*prompt, *so_far]])).logits[0, -1]

        assert scores[row].item() == pytest.approx(by_hand(step, expected), abs=1e-4)
