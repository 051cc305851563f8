"""Sequences packed into one row do not see each other: the loss of the row is the sum of theirs, gradients too."""

import pytest
import torch

from .small import causal_language_model, gradients, masked_language_model, tokens, translation_model

LENGTHS = (5, 3, 7)
IMPLEMENTATIONS = ["eager", "sdpa"]


def row(parts, padding, value):
    """The parts side by side, and padding behind them; (1, length)."""
    return torch.cat([*parts, torch.full((1, padding), value)], dim=1)


def positions(lengths, padding):
    """Counted anew in each part; padding goes on counting."""
    counted = torch.cat([torch.arange(length) for length in lengths])
    return torch.cat([counted, counted[-1] + 1 + torch.arange(padding)])[None]


def compare(model, separate, packed):
    """`separate` are batches of one sequence, `packed` the same in one row; all losses are sums."""
    losses = [model(**batch, num_items_in_batch=1).loss for batch in separate]
    expected = gradients(model, sum(losses))
    loss = model(**packed, num_items_in_batch=1).loss
    torch.testing.assert_close(loss, sum(losses), rtol=0, atol=1e-10)
    for name, gradient in gradients(model, loss).items():
        torch.testing.assert_close(gradient, expected[name], rtol=0, atol=1e-10, msg=name)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("masked", [False, True], ids=["no mask", "mask and padding"])
@pytest.mark.parametrize("build", [masked_language_model, causal_language_model], ids=["masked", "causal"])
@pytest.mark.parametrize("fields", [{}, {"position_embedding_type": "sinusoidal"}], ids=["learned", "sinusoidal"])
@pytest.mark.parametrize("lengths", [LENGTHS, (4, 4, 4)], ids=["of many lengths", "of one length"])
def test_one_stack(build, masked, implementation, fields, lengths):
    model = build(dropout=0, attention_dropout=0, **fields).double().train()
    model.set_attn_implementation(implementation)
    padding = 2 if masked else 0
    parts = [tokens(1, length, seed=seed) for seed, length in enumerate(lengths)]
    packed = {
        "input_ids": row(parts, padding, 0),
        "labels": row(parts, padding, -100),
        "position_ids": positions(lengths, padding),
    }
    if masked:
        packed["attention_mask"] = row([torch.ones_like(part) for part in parts], padding, 0)
    compare(model, [{"input_ids": part, "labels": part} for part in parts], packed)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("masked", [False, True], ids=["no mask", "mask and padding"])
@pytest.mark.parametrize(
    ("source_lengths", "target_lengths"),
    [(LENGTHS, (4, 6, 2)), ((5, 5, 5), (4, 6, 2)), (LENGTHS, (6, 6, 6))],
    ids=["of many lengths", "sources of one length", "targets of one length"],
)
def test_translation(masked, implementation, source_lengths, target_lengths):
    model = translation_model(dropout=0).double().train()
    model.set_attn_implementation(implementation)
    padding = 2 if masked else 0
    sources = [tokens(1, length, seed=seed) for seed, length in enumerate(source_lengths)]
    targets = [tokens(1, length, seed=10 + seed) for seed, length in enumerate(target_lengths)]
    packed = {
        "input_ids": row(sources, padding, 0),
        "labels": row(targets, padding, -100),
        "position_ids": positions(source_lengths, padding),
        "decoder_position_ids": positions(target_lengths, padding),
    }
    if masked:
        packed["attention_mask"] = row([torch.ones_like(part) for part in sources], padding, 0)
    compare(model, [{"input_ids": s, "labels": t} for s, t in zip(sources, targets)], packed)


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("build", [masked_language_model, causal_language_model], ids=["masked", "causal"])
def test_rows_of_long_and_short_sequences_are_what_a_mask_makes_of_them(build, training):
    model = build(dropout=0, attention_dropout=0, max_position_embeddings=160).double().train(training)
    rows = ((70, 3, 20, 33), (1, 90, 34), (128, 2))
    width = 140
    parts = [[tokens(1, length, seed=length) for length in lengths] for lengths in rows]
    padding = [width - sum(lengths) for lengths in rows]
    batch = {
        "input_ids": torch.cat([row(part, pad, 0) for part, pad in zip(parts, padding)]),
        "labels": torch.cat([row(part, pad, -100) for part, pad in zip(parts, padding)]),
        "position_ids": torch.cat([positions(lengths, pad) for lengths, pad in zip(rows, padding)]),
        "attention_mask": torch.cat(
            [row([torch.ones_like(one) for one in part], pad, 0) for part, pad in zip(parts, padding)]
        ),
    }
    assert_same_as_with_a_mask(model, batch)


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
def test_a_target_without_a_source_and_a_source_without_a_target(training):
    model = translation_model(dropout=0).double().train(training)
    sources, targets = (40, 1, 12), (3, 45, 2, 6)
    batch = {
        "input_ids": torch.cat([tokens(1, sum(sources)), tokens(1, sum(sources), seed=1)]),
        "position_ids": torch.cat([positions(sources, 0), positions((50, 3), 0)]),
        "decoder_position_ids": torch.cat([positions(targets, 0), positions((56,), 0)]),
        "labels": torch.cat([tokens(1, sum(targets), seed=2), tokens(1, sum(targets), seed=3)]),
    }
    kept = torch.ones_like(batch["input_ids"])
    kept[1, 45:] = 0
    # The fourth target has no source: what it sees is nobody's concern, so it is not counted.
    batch["labels"][0, -6:] = -100
    assert_same_as_with_a_mask(model, batch | {"attention_mask": kept})


def assert_same_as_with_a_mask(model, batch):
    """Loss, gradients and labelled logits as with one mask for each whole row."""
    results = []
    for implementation in IMPLEMENTATIONS:
        model.set_attn_implementation(implementation)
        output = model(**batch, return_logits=True)
        results.append((output.loss, output.logits[batch["labels"] != -100], gradients(model, output.loss)))
    (expected_loss, expected_logits, expected), (loss, logits, found) = results
    torch.testing.assert_close(loss, expected_loss, rtol=0, atol=1e-12)
    torch.testing.assert_close(logits, expected_logits, rtol=0, atol=1e-11)
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, expected[name], rtol=0, atol=1e-11, msg=name)


def test_dropout_of_the_attention_reaches_packed_rows():
    model = causal_language_model(dropout=0, attention_dropout=0.5).train()
    batch = {"input_ids": tokens(1, 9), "position_ids": positions((4, 5), 0), "return_logits": True}
    first, second = model(**batch).logits, model(**batch).logits
    assert not torch.allclose(first, second)
    torch.testing.assert_close(model.eval()(**batch).logits, model(**batch).logits)


def test_no_mask_over_a_whole_packed_row_is_ever_made(monkeypatch):
    monkeypatch.setattr("hf_vanilla_transformer.models.masks_vanilla.create_causal_mask", None)
    model = causal_language_model()
    model(input_ids=tokens(1, 9), position_ids=positions((4, 5), 0))
    model.set_attn_implementation("eager")
    with pytest.raises(TypeError):  # that this test can fail
        model(input_ids=tokens(1, 9), position_ids=positions((4, 5), 0))


def test_a_packed_sequence_does_not_change_with_its_neighbours():
    model = causal_language_model()
    first, second = tokens(1, 4, seed=1), tokens(1, 6, seed=2)
    position_ids = positions((4, 6), 0)
    one = model(input_ids=torch.cat([first, second], 1), position_ids=position_ids).logits
    other = model(input_ids=torch.cat([tokens(1, 4, seed=3), second], 1), position_ids=position_ids).logits
    torch.testing.assert_close(one[:, 4:], other[:, 4:])


def test_padding_on_either_side_is_not_taken_for_packing():
    model = causal_language_model()
    ids = tokens(1, 5)
    alone = model(input_ids=ids).logits
    left = model(
        input_ids=torch.cat([torch.zeros(1, 3, dtype=torch.long), ids], 1),
        attention_mask=torch.tensor([[0, 0, 0, 1, 1, 1, 1, 1]]),
        position_ids=torch.tensor([[1, 1, 1, 0, 1, 2, 3, 4]]),
    ).logits
    torch.testing.assert_close(left[:, 3:], alone)
