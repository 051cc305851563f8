"""Sequences packed into one row do not see each other: the loss of the row is the sum of theirs, gradients too."""

import pytest
import torch
from transformers import DataCollatorWithFlattening

from ..tiny_models import gradients, tiny_model, tokens

LENGTHS = (5, 3, 7)
IMPLEMENTATIONS = ["eager", "sdpa"]
# What tells the model about packing. Only seq_idx does where there is a mask.
TOLD_BY = ["positions", "seq_idx", "seq_idx and positions", "seq_idx and mask"]


def row(parts, padding, value):
    """The parts one after another, followed by padding; (1, length)."""
    return torch.cat([*parts, torch.full((1, padding), value)], dim=1)


def positions(lengths, padding):
    """Positions from 0 in each part; padding counts on."""
    counted = torch.cat([torch.arange(length) for length in lengths])
    return torch.cat([counted, counted[-1] + 1 + torch.arange(padding)])[None]


def sequences(lengths, padding):
    """The number of the sequence of each token; padding has that of the last one."""
    numbers = torch.arange(len(lengths)).repeat_interleave(torch.tensor(lengths))
    return torch.nn.functional.pad(numbers, (0, padding), value=len(lengths) - 1)[None]


def compare(model, separate, packed):
    """`separate` are batches of one sequence, `packed` the same in one row; all losses are sums."""
    losses = [model(**batch, num_items_in_batch=1).loss for batch in separate]
    expected = gradients(model, sum(losses))
    loss = model(**packed, num_items_in_batch=1).loss
    torch.testing.assert_close(loss, sum(losses), rtol=0, atol=1e-10)
    for name, gradient in gradients(model, loss).items():
        torch.testing.assert_close(gradient, expected[name], rtol=0, atol=1e-10, msg=name)


@pytest.mark.usefixtures("both_losses")
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("told_by", TOLD_BY)
@pytest.mark.parametrize("stack", ["encoder", "decoder"])
@pytest.mark.parametrize("fields", [{}, {"position_embedding_type": "sinusoidal"}], ids=["learned", "sinusoidal"])
@pytest.mark.parametrize("lengths", [LENGTHS, (4, 4, 4)], ids=["of many lengths", "of one length"])
def test_a_packed_row_of_one_stack_has_the_summed_loss_of_its_sequences(
    stack, told_by, implementation, fields, lengths
):
    model = tiny_model(stack, dropout=0, attention_dropout=0, **fields).double().train()
    model.set_attn_implementation(implementation)
    padding = 2 if "mask" in told_by else 0
    parts = [tokens(1, length, seed=seed) for seed, length in enumerate(lengths)]
    packed = {
        "input_ids": row(parts, padding, 0),
        "labels": row(parts, padding, -100),
    }
    if "positions" in told_by:
        packed["position_ids"] = positions(lengths, padding)
    if "seq_idx" in told_by:
        packed["seq_idx"] = sequences(lengths, padding)
    if "mask" in told_by:
        packed["attention_mask"] = row([torch.ones_like(part) for part in parts], padding, 0)
    compare(model, [{"input_ids": part, "labels": part} for part in parts], packed)


@pytest.mark.usefixtures("both_losses")
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("told_by", TOLD_BY)
@pytest.mark.parametrize(
    ("source_lengths", "target_lengths"),
    [(LENGTHS, (4, 6, 2)), ((5, 5, 5), (4, 6, 2)), (LENGTHS, (6, 6, 6))],
    ids=["of many lengths", "sources of one length", "targets of one length"],
)
def test_a_packed_row_of_pairs_has_the_summed_loss_of_its_pairs(
    told_by, implementation, source_lengths, target_lengths
):
    model = tiny_model("seq2seq", dropout=0).double().train()
    model.set_attn_implementation(implementation)
    padding = 2 if "mask" in told_by else 0
    sources = [tokens(1, length, seed=seed) for seed, length in enumerate(source_lengths)]
    targets = [tokens(1, length, seed=10 + seed) for seed, length in enumerate(target_lengths)]
    packed = {
        "input_ids": row(sources, padding, 0),
        "labels": row(targets, padding, -100),
    }
    if "positions" in told_by:
        packed |= {
            "position_ids": positions(source_lengths, padding),
            "decoder_position_ids": positions(target_lengths, padding),
        }
    if "seq_idx" in told_by:
        packed |= {
            "seq_idx": sequences(source_lengths, padding),
            "decoder_seq_idx": sequences(target_lengths, padding),
        }
    if "mask" in told_by:
        packed["attention_mask"] = row([torch.ones_like(part) for part in sources], padding, 0)
    compare(model, [{"input_ids": s, "labels": t} for s, t in zip(sources, targets)], packed)


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("stack", ["encoder", "decoder"])
def test_rows_of_long_and_short_sequences_equal_those_with_a_mask(stack, training):
    model = tiny_model(stack, dropout=0, attention_dropout=0, max_position_embeddings=160).double().train(training)
    rows = ((70, 3, 20, 33), (1, 90, 34), (128, 2))
    width = 140
    parts = [[tokens(1, length, seed=length) for length in lengths] for lengths in rows]
    padding = [width - sum(lengths) for lengths in rows]
    batch = {
        "input_ids": torch.cat([row(part, pad, 0) for part, pad in zip(parts, padding)]),
        "labels": torch.cat([row(part, pad, -100) for part, pad in zip(parts, padding)]),
        "position_ids": torch.cat([positions(lengths, pad) for lengths, pad in zip(rows, padding)]),
        "seq_idx": torch.cat([sequences(lengths, pad) for lengths, pad in zip(rows, padding)]),
        "attention_mask": torch.cat(
            [row([torch.ones_like(one) for one in part], pad, 0) for part, pad in zip(parts, padding)]
        ),
    }
    assert_same_as_with_a_mask(model, batch)


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
def test_a_target_without_a_source_and_a_source_without_a_target(training):
    model = tiny_model("seq2seq", dropout=0).double().train(training)
    sources, targets = (40, 1, 12), (3, 45, 2, 6)
    batch = {
        "input_ids": torch.cat([tokens(1, sum(sources)), tokens(1, sum(sources), seed=1)]),
        "seq_idx": torch.cat([sequences(sources, 0), sequences((50, 3), 0)]),
        "decoder_seq_idx": torch.cat([sequences(targets, 0), sequences((56,), 0)]),
        "labels": torch.cat([tokens(1, sum(targets), seed=2), tokens(1, sum(targets), seed=3)]),
    }
    kept = torch.ones_like(batch["input_ids"])
    kept[1, 45:] = 0
    # The fourth target has no source. What it sees does not matter, so its labels are ignored.
    batch["labels"][0, -6:] = -100
    assert_same_as_with_a_mask(model, batch | {"attention_mask": kept})


def assert_same_as_with_a_mask(model, batch):
    """Loss, gradients and labelled logits equal those with one mask over each row."""
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


@pytest.mark.parametrize("accelerator", [False, True], ids=["CPU", "as on an accelerator"])
@pytest.mark.parametrize("stack", ["encoder", "decoder"])
def test_rows_of_one_sequence_equal_rows_without_seq_idx(stack, accelerator, monkeypatch):
    if accelerator:  # nothing looks at the numbers there, and the kernel takes a mask
        monkeypatch.setattr("hf_vanilla_transformer.models.masks_vanilla.holds_several", lambda seq_idx: True)
        monkeypatch.setattr("hf_vanilla_transformer.models.masks_vanilla.takes_packed_rows", lambda *arguments: False)
    model = tiny_model(stack)
    ids = tokens(2, 6)
    mask = torch.tensor([[1] * 6, [1] * 4 + [0] * 2])
    for given in ({}, {"attention_mask": mask}):
        expected = model(input_ids=ids, **given).logits
        packed = model(input_ids=ids, seq_idx=torch.zeros_like(ids), **given).logits
        torch.testing.assert_close(packed[mask == 1], expected[mask == 1])


def test_dropout_of_the_attention_reaches_packed_rows():
    model = tiny_model("decoder", dropout=0, attention_dropout=0.5).train()
    batch = {"input_ids": tokens(1, 9), "position_ids": positions((4, 5), 0), "return_logits": True}
    first, second = model(**batch).logits, model(**batch).logits
    assert not torch.allclose(first, second)
    torch.testing.assert_close(model.eval()(**batch).logits, model(**batch).logits)


def test_no_mask_over_an_entire_packed_row_is_built(monkeypatch):
    monkeypatch.setattr("hf_vanilla_transformer.models.masks_vanilla.create_causal_mask", None)
    model = tiny_model("decoder")
    model(input_ids=tokens(1, 9), position_ids=positions((4, 5), 0))
    model.set_attn_implementation("eager")
    with pytest.raises(TypeError):  # that this test can fail
        model(input_ids=tokens(1, 9), position_ids=positions((4, 5), 0))


def test_a_packed_sequence_does_not_change_with_its_neighbours():
    model = tiny_model("decoder")
    first, second = tokens(1, 4, seed=1), tokens(1, 6, seed=2)
    position_ids = positions((4, 6), 0)
    one = model(input_ids=torch.cat([first, second], 1), position_ids=position_ids).logits
    other = model(input_ids=torch.cat([tokens(1, 4, seed=3), second], 1), position_ids=position_ids).logits
    torch.testing.assert_close(one[:, 4:], other[:, 4:])


# Number of padding tokens before and after a row.
SIDES = {"left": (2, 0), "right": (0, 2), "both": (1, 2)}


def padded(ids, side, value=0):
    """A row with padding on one or both sides."""
    return torch.nn.functional.pad(ids, SIDES[side], value=value)


def counted_positions(mask):
    """Position ids as `generate` computes them from a mask; padding has the position of a neighbour."""
    return (mask.cumsum(-1) - 1).clamp(min=0)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("stack", ["encoder", "decoder"])
def test_positions_of_padding_are_not_taken_for_packing(stack, side, implementation):
    model = tiny_model(stack, dropout=0, attention_dropout=0).double().train()
    model.set_attn_implementation(implementation)
    ids = tokens(2, 3)
    mask = padded(torch.ones_like(ids), side)
    batch = {"input_ids": padded(ids, side), "attention_mask": mask, "position_ids": counted_positions(mask)}
    labels = ids.clone()
    labels[:, 0] = -100  # of which a decoder would ask the padding before it
    alone = model(input_ids=ids, labels=labels, return_logits=True)
    rows = model(**batch, labels=padded(labels, side, -100), return_logits=True)
    torch.testing.assert_close(rows.logits[mask == 1], alone.logits.flatten(0, 1), rtol=0, atol=1e-12)
    torch.testing.assert_close(rows.loss, alone.loss, rtol=0, atol=1e-12)
    expected = gradients(model, alone.loss)
    for name, gradient in gradients(model, rows.loss).items():
        torch.testing.assert_close(gradient, expected[name], rtol=0, atol=1e-12, msg=name)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("target_side", SIDES)
@pytest.mark.parametrize("source_side", SIDES)
@pytest.mark.parametrize("inputs_from", ["decoder_input_ids", "labels"])
def test_a_padded_target_attends_to_the_entire_source(source_side, target_side, inputs_from, implementation):
    model = tiny_model("seq2seq", dropout=0).double().train()
    model.set_attn_implementation(implementation)
    source, labels = tokens(2, 5), tokens(2, 3, seed=1)
    source_mask, target_mask = (
        padded(torch.ones_like(ids), side) for ids, side in ((source, source_side), (labels, target_side))
    )
    batch = {
        "input_ids": padded(source, source_side),
        "attention_mask": source_mask,
        "position_ids": counted_positions(source_mask),
        "decoder_attention_mask": target_mask,
        "decoder_position_ids": counted_positions(target_mask),
        "labels": padded(labels, target_side, -100),
    }
    if inputs_from == "decoder_input_ids":
        batch["decoder_input_ids"] = padded(model.prepare_decoder_input_ids_from_labels(labels), target_side)
    alone = model(input_ids=source, labels=labels, return_logits=True)
    rows = model(**batch, return_logits=True)
    torch.testing.assert_close(rows.logits[target_mask == 1], alone.logits.flatten(0, 1), rtol=0, atol=1e-12)
    expected = gradients(model, alone.loss)
    assert expected["model.encoder.layers.0.mlp.fc1.weight"].abs().sum() > 0
    for name, gradient in gradients(model, rows.loss).items():
        torch.testing.assert_close(gradient, expected[name], rtol=0, atol=1e-12, msg=name)


@pytest.mark.parametrize("position_ids", [[7, 8, 9, 10], [0, 0, 0, 0], [0, 3, 4, 9], [0, 1, 0, 1]], ids=str)
@pytest.mark.parametrize("stack", ["encoder", "decoder"])
def test_positions_beside_a_mask_are_only_positions(stack, position_ids):
    """All positions have the same vector, so that only a mask could make a difference."""
    model = tiny_model(stack)
    table = model.model.embed_positions.weight
    table.data.copy_(table.data[:1].expand_as(table))
    ids = tokens(1, 4)
    given = model(input_ids=ids, attention_mask=torch.ones_like(ids), position_ids=torch.tensor([position_ids])).logits
    torch.testing.assert_close(given, model(input_ids=ids).logits)


def test_a_source_that_is_packed_by_its_positions_needs_a_target_that_is():
    model = tiny_model("seq2seq")
    batch = {"input_ids": tokens(1, 5), "decoder_input_ids": tokens(1, 3)}
    rows = torch.tensor([[0, 1, 2]])
    plain = model(**batch, decoder_position_ids=rows).logits
    # Only the encoder separates the sequences of the source; the target attends to all of them.
    source_positions = torch.tensor([[0, 1, 0, 1, 2]])
    states = model.get_encoder()(batch["input_ids"], position_ids=source_positions)
    expected = model(encoder_outputs=states, decoder_input_ids=batch["decoder_input_ids"]).logits
    given = model(**batch, position_ids=source_positions, decoder_position_ids=rows).logits
    torch.testing.assert_close(given, expected)
    assert not torch.allclose(given, plain)


@pytest.mark.usefixtures("both_losses")
def test_the_flattening_collator_of_transformers_tells_the_sequences():
    model = tiny_model("decoder", dropout=0, attention_dropout=0).double().train()
    parts = [tokens(1, length, seed=length) for length in LENGTHS]
    collate = DataCollatorWithFlattening(return_seq_idx=True)
    packed = collate([{"input_ids": part[0].tolist()} for part in parts])
    assert packed["seq_idx"].dtype == torch.int32
    compare(model, [{"input_ids": part, "labels": part} for part in parts], packed)


def test_generation_from_a_mask_and_positions_padded_on_the_left_equals_one_row_alone():
    model = tiny_model("decoder")
    ids = tokens(1, 5)
    options = {"max_new_tokens": 6, "do_sample": False}
    alone = model.generate(ids, **options)[:, 5:]
    mask = torch.tensor([[0, 0, 0, 1, 1, 1, 1, 1]])
    left = model.generate(torch.nn.functional.pad(ids, (3, 0)), attention_mask=mask, **options)[:, 8:]
    assert left.tolist() == alone.tolist()


def test_sequences_that_cannot_be_told_apart_are_refused():
    ids = tokens(2, 5)
    model = tiny_model("decoder")
    cache = model(input_ids=ids).past_key_values
    with pytest.raises(ValueError, match=r"seq_idx.*past_key_values"):
        model(input_ids=ids, past_key_values=cache, seq_idx=torch.zeros_like(ids))
    with pytest.raises(ValueError, match=r"seq_idx.*\(2, 4\).*\(2, 5\)"):
        model(input_ids=ids, seq_idx=torch.zeros(2, 4, dtype=torch.long))
    with pytest.raises(ValueError, match=r"seq_idx.*-1"):
        model(input_ids=ids, seq_idx=torch.tensor([[0, 0, 1, 1, -1]]))
    both = tiny_model("seq2seq")
    with pytest.raises(ValueError, match=r"decoder_seq_idx.*alone"):
        both(input_ids=ids, labels=ids, decoder_seq_idx=torch.zeros_like(ids))
    with pytest.raises(ValueError, match=r"seq_idx.*alone"):
        both(input_ids=ids, labels=ids, seq_idx=torch.zeros_like(ids))
    states = torch.randn(2, 5, 16)
    with pytest.raises(ValueError, match=r"encoder_seq_idx.*seq_idx"):
        both.get_decoder()(ids, encoder_hidden_states=states, encoder_seq_idx=torch.zeros_like(ids))
