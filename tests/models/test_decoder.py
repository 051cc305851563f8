"""The decoder: its cache, and padding that is also an end token."""

import pytest
import torch
from transformers import DynamicCache

from ..tiny_models import tiny_model, tokens


def _greedy(model: torch.nn.Module, ids: torch.Tensor, steps: int = 6) -> list[int]:
    """Greedy decoding with a cache by hand, one token at a time."""
    step, cache, written = ids, None, []
    for _ in range(steps):
        with torch.no_grad():
            outputs = model(step, past_key_values=cache, use_cache=True)
        cache, step = outputs.past_key_values, outputs.logits[:, -1:].argmax(-1)
        written.append(step.item())
    return written


def test_use_cache_true_gives_a_cache_in_training_mode_too():
    model = tiny_model("decoder", noise=0.5, dropout=0.0, attention_dropout=0.0)
    ids = tokens(1, 4)
    assert _greedy(model.train(), ids) == _greedy(model.eval(), ids)


def test_by_default_there_is_a_cache_in_evaluation_mode_only():
    model = tiny_model("decoder")
    ids = tokens(1, 4)
    assert model.train()(ids).past_key_values is None
    assert model.eval()(ids).past_key_values.get_seq_length() == 4
    model.config.use_cache = False
    assert model(ids).past_key_values is None


@pytest.mark.parametrize("stack", ["decoder", "seq2seq"])
def test_use_cache_false_reads_a_given_cache_and_returns_none(stack):
    model = tiny_model(stack)
    name = "decoder_input_ids" if stack == "seq2seq" else "input_ids"
    source = {"input_ids": tokens(1, 5)} if stack == "seq2seq" else {}
    ids = tokens(1, 4, seed=1)
    with torch.no_grad():
        complete = model(**source, **{name: ids}).logits[:, -1:]
        cache = model(**source, **{name: ids[:, :-1]}, use_cache=True).past_key_values
        outputs = model(**source, **{name: ids[:, -1:]}, past_key_values=cache, use_cache=False)
    assert outputs.past_key_values is None
    torch.testing.assert_close(outputs.logits, complete)


def test_a_given_cache_comes_back_in_training_mode():
    model = tiny_model("decoder").train()
    cache = DynamicCache(config=model.config)
    assert model(tokens(1, 4), past_key_values=cache).past_key_values is cache


def test_gradient_checkpointing_has_no_cache():
    model = tiny_model("decoder").train()
    model.gradient_checkpointing_enable()
    assert model(tokens(1, 4), use_cache=True).past_key_values is None


@pytest.mark.parametrize("end", [2, [2], [7, 2]])
@pytest.mark.parametrize("stack", ["encoder", "decoder", "seq2seq"])
def test_an_end_token_that_is_also_padding_is_trained(stack, end):
    model = tiny_model(stack, pad_token_id=2, eos_token_id=end, tie_word_embeddings=False)
    ids = torch.tensor([[5, 6, 2, 7, 8]])
    model(ids, labels=ids, attention_mask=torch.ones_like(ids)).loss.backward()
    assert model.get_input_embeddings().weight.grad[2].norm() > 0


def test_padding_that_is_no_other_token_is_not_trained():
    model = tiny_model("decoder", pad_token_id=2, eos_token_id=[1, 7], tie_word_embeddings=False)
    ids = torch.tensor([[5, 6, 2, 7, 8]])
    model(ids, labels=ids, attention_mask=torch.ones_like(ids)).loss.backward()
    assert model.get_input_embeddings().weight.grad[2].norm() == 0
