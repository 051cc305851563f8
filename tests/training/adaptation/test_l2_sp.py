"""Decay towards the start: the same as a naive loop, in one's own loop, in AdamW and in a plain Trainer."""

import copy

import datasets
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments

from hf_vanilla_transformer.tokenization import train_tokenizer
from hf_vanilla_transformer.training.adaptation import (
    L2SP,
    L2SPCallback,
    extend_embeddings,
    extend_tokenizer,
    frequent_words,
)
from hf_vanilla_transformer.training.optimizers import CombinedOptimizer, Muon, hidden_matrices

from ...tiny_models import tiny_model


def small(**fields):
    sizes = {"vocab_size": 20, "hidden_size": 8, "intermediate_size": 16, "max_position_embeddings": 16, "layers": 1}
    # Adam divides by the size of a gradient, however small: where it should be 0, single precision is noise.
    return tiny_model("decoder", **sizes, **fields).double()


def ids(seed=0):
    return torch.randint(3, 20, (4, 10), generator=torch.Generator().manual_seed(seed))


def backward(model, seed):
    model.zero_grad()
    model(input_ids=ids(seed), labels=ids(seed)).loss.backward()


@pytest.mark.parametrize("optimizer_class", [torch.optim.AdamW, torch.optim.SGD])
def test_a_step_equals_that_of_a_naive_loop(optimizer_class):
    model = small()
    naive, start = copy.deepcopy(model), copy.deepcopy(model).state_dict()
    optimizer = optimizer_class(model.parameters(), lr=0.05, weight_decay=0.0)
    L2SP(model, 3.0).attach(optimizer)
    other = optimizer_class(naive.parameters(), lr=0.05, weight_decay=0.0)
    for step in range(4):
        backward(model, step)
        optimizer.step()
        backward(naive, step)
        with torch.no_grad():
            for name, parameter in naive.named_parameters():
                parameter -= 0.05 * 3.0 * (parameter - start[name])
        other.step()
    for (name, parameter), expected in zip(model.named_parameters(), naive.parameters()):
        torch.testing.assert_close(parameter, expected, rtol=1e-5, atol=1e-6, msg=name)


def test_with_gradient_descent_the_decay_is_the_gradient_of_the_penalty():
    model = small()
    other = copy.deepcopy(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    L2SP(model, 2.0).attach(optimizer)
    penalised = L2SP(other, 2.0)
    plain = torch.optim.SGD(other.parameters(), lr=0.1)
    for step in range(3):
        backward(model, step)
        optimizer.step()
        other.zero_grad()
        (other(input_ids=ids(step), labels=ids(step)).loss + penalised.penalty()).backward()
        plain.step()
    for parameter, expected in zip(model.parameters(), other.parameters()):
        torch.testing.assert_close(parameter, expected, rtol=1e-5, atol=1e-6)


def test_the_penalty_is_the_formula_of_the_paper():
    model = small()
    l2_sp = L2SP(model, 0.7)
    assert l2_sp.penalty().item() == 0 and l2_sp.distance() == 0
    moved = 0.0
    with torch.no_grad():
        for parameter in model.parameters():
            change = torch.randn_like(parameter)
            parameter += change
            moved += float(change.double().square().sum())
    assert l2_sp.penalty().item() == pytest.approx(0.7 / 2 * moved, rel=1e-4)
    assert l2_sp.distance() == pytest.approx(moved**0.5, rel=1e-5)


def test_rows_of_new_tokens_do_not_decay_if_known_tokens_is_given():
    model = small(tie_word_embeddings=False, lm_head_bias=True)
    extend_embeddings(model, {20: (3, 4), 21: (5, 6)})
    l2_sp = L2SP(model, 1.0, known_tokens=20)
    with torch.no_grad():
        model.model.embed_tokens.weight[20:] += 1
        model.lm_head.weight[20:] += 1
        model.lm_head.bias[20:] += 1
    assert l2_sp.distance() == 0
    with torch.no_grad():
        model.lm_head.bias[19] += 2
    assert l2_sp.distance() == pytest.approx(2)
    pulled = L2SP(model, 1.0)  # all rows, from here
    with torch.no_grad():
        model.model.embed_tokens.weight[21, 0] += 3
    assert pulled.distance() == pytest.approx(3)
    backward(model, 0)
    l2_sp.decay([{"params": [model.lm_head.bias], "lr": 0.5}])
    assert l2_sp.distance() == pytest.approx(1)
    assert float(pulled.distance()) == pytest.approx((9 + 1) ** 0.5)


def test_weights_of_muon_and_adam_decay():
    model = small()
    matrices = hidden_matrices(model)
    chosen = {id(parameter) for parameter in matrices}
    rest = [parameter for parameter in model.parameters() if id(parameter) not in chosen]
    parts = [Muon(matrices, lr=0.02, momentum=0.9, weight_decay=0.0), torch.optim.AdamW(rest, lr=0.01)]
    l2_sp = L2SP(model, 10.0)
    free = L2SP(model, 0.0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 1.0
    before = free.distance()
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer = CombinedOptimizer(parts)
    l2_sp.attach(optimizer)
    optimizer.step()
    assert free.distance() < 0.93 * before


def test_another_models_optimizer_is_refused():
    with pytest.raises(ValueError, match=r"L2SP.*DDP"):
        L2SP(small(), 1.0).attach(torch.optim.SGD(small().parameters(), lr=0.1))
    with pytest.raises(ValueError, match=r"strength.*-1\.0"):
        L2SP(small(), -1.0)


def test_the_callback_decays_towards_the_start_in_a_plain_trainer(tmp_path):
    rows = datasets.Dataset.from_dict({"input_ids": ids().tolist(), "labels": ids().tolist()})
    distances = []
    for strength in (0.0, 20.0):
        model = small()
        start = L2SP(model, strength)
        arguments = TrainingArguments(
            output_dir=str(tmp_path), max_steps=10, learning_rate=0.02, lr_scheduler_type="constant", use_cpu=True,
            report_to="none", save_strategy="no", disable_tqdm=True,
        )  # fmt: skip
        trainer = Trainer(model, arguments, train_dataset=rows, callbacks=[L2SPCallback(start)])
        trainer.train()
        distances.append(start.distance())
    assert 0 < distances[1] < 0.6 * distances[0]


def test_a_transformers_model_is_extended_and_decays_in_a_plain_trainer(tmp_path):
    """What the documentation shows."""
    tokenizer = train_tokenizer(
        ["a small house near the river"] * 3, kind="byte_bpe", vocab_size=290, template="decoder"
    )
    texts = ["the riverhouse stands near the river"] * 4
    torch.manual_seed(0)
    sizes = {"n_positions": 32, "n_embd": 8, "n_layer": 1, "n_head": 2}
    model = GPT2LMHeadModel(GPT2Config(vocab_size=len(tokenizer), bos_token_id=1, eos_token_id=2, **sizes))
    extended = extend_tokenizer(tokenizer, frequent_words(texts, tokenizer, min_count=2), new_tokens=20)
    assert "riverhouse" in {word.text for word in extended.words}
    extend_embeddings(model, extended.pieces)
    rows = datasets.Dataset.from_list(
        [{"input_ids": ids, "labels": ids} for ids in extended.tokenizer(texts)["input_ids"]]
    )
    arguments = TrainingArguments(
        output_dir=str(tmp_path), max_steps=2, use_cpu=True, report_to="none", save_strategy="no", disable_tqdm=True
    )
    held = L2SP(model, 1.0)
    Trainer(model, arguments, train_dataset=rows, callbacks=[L2SPCallback(held)]).train()
    assert held.distance() > 0
