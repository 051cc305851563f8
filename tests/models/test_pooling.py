"""Pooling ignores padding, and a classifier can read a text in reverse order."""

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification

import hf_vanilla_transformer as vanilla
from hf_vanilla_transformer.models.pooling_vanilla import backward_order, kept_tokens, mean_prediction, pool

from ..tiny_models import tiny_model

PAD, START, END = 0, 1, 2


def encoder(**fields):
    return tiny_model(vanilla.VanillaEncoderForSequenceClassification, num_labels=3, **fields)


def decoder(**fields):
    fields = {"bos_token_id": START, "eos_token_id": END, "num_labels": 3} | fields
    return tiny_model(vanilla.VanillaDecoderForSequenceClassification, **fields)


def padded(rows, side):
    longest = max(map(len, rows))
    ids = [[PAD] * (longest - len(row)) + row if side == "left" else row + [PAD] * (longest - len(row)) for row in rows]
    ids = torch.tensor(ids)
    return {"input_ids": ids, "attention_mask": (ids != PAD).long()}


@pytest.fixture
def rows():
    generator = np.random.default_rng(0)
    return [[START, *generator.integers(5, 50, size=length).tolist(), END] for length in (3, 9, 1, 6)]


@pytest.mark.parametrize("pooling", ["last", "mean", "concat"])
def test_pooling_equals_plain_loops(pooling):
    generator = np.random.default_rng(1)
    states = generator.normal(size=(5, 7, 4)) - 3.0  # the maximum is below the zeros of padding
    kept = generator.random((5, 7)) < 0.6
    kept[:, 3] = True
    wanted = []
    for row, keep in zip(states, kept):
        tokens = row[keep]
        parts = {"last": [tokens[-1]], "mean": [tokens.mean(0)]}
        wanted.append(np.concatenate(parts.get(pooling, [tokens[-1], tokens.max(0), tokens.mean(0)])))
    found = pool(torch.tensor(states), torch.tensor(kept), pooling)
    np.testing.assert_allclose(found.numpy(), np.stack(wanted), rtol=1e-12)


@pytest.mark.parametrize("pooling", ["mean", "concat"])
def test_a_row_of_padding_alone_stays_finite(pooling):
    states = torch.randn(2, 4, 3)
    assert pool(states, torch.zeros(2, 4, dtype=torch.bool), pooling).isfinite().all()


@pytest.mark.parametrize("make", [encoder, decoder])
@pytest.mark.parametrize("pooling", ["last", "mean", "concat"])
def test_padding_on_either_side_changes_nothing(make, pooling, rows):
    model = make(classifier_pooling=pooling)
    alone = torch.cat([model(torch.tensor([row])).logits for row in rows])
    for side in ("left", "right"):
        torch.testing.assert_close(model(**padded(rows, side)).logits, alone, rtol=1e-4, atol=1e-5)


def test_the_default_heads_read_the_first_and_the_last_token(rows):
    batch = padded(rows, "right")
    model = encoder()
    pooled = model.model(**batch).pooler_output
    torch.testing.assert_close(model(**batch).logits, model.classifier(pooled), rtol=0, atol=0)
    model = decoder()
    states = model.model(**batch).last_hidden_state
    ends = batch["attention_mask"].sum(1) - 1
    torch.testing.assert_close(
        model(**batch).logits, model.classifier(states[torch.arange(len(rows)), ends]), rtol=0, atol=0
    )


def test_concat_reads_three_vectors_and_needs_no_pooler(tmp_path):
    model = encoder(classifier_pooling="concat")
    assert model.classifier.in_features == 48 and model.model.pooler is None
    model.save_pretrained(tmp_path)
    again, report = AutoModelForSequenceClassification.from_pretrained(tmp_path, output_loading_info=True)
    assert again.config.classifier_pooling == "concat" and not report["missing_keys"] and not report["unexpected_keys"]
    ids = torch.tensor([[5, 6, 7]])
    torch.testing.assert_close(again.eval()(ids).logits, model(ids).logits)


def test_multiple_choice_pools_as_the_configuration_says():
    model = tiny_model(vanilla.VanillaEncoderForMultipleChoice, num_labels=2, classifier_pooling="mean")
    ids = torch.randint(5, 50, (2, 3, 6))
    states = model.model(ids.view(6, 6)).last_hidden_state
    torch.testing.assert_close(model(ids).logits, model.classifier(states.mean(1)).view(2, 3))


def test_reversing_leaves_special_tokens_and_padding_in_place():
    ids = torch.tensor([[1, 7, 8, 9, 2, 0, 0], [0, 0, 1, 7, 8, 9, 10], [0, 0, 7, 2, 8, 2, 0], [0, 1, 2, 0, 0, 0, 0]])
    kept = ids != PAD
    order = backward_order(kept, ids, (START, END))
    assert ids.gather(1, order).tolist() == [
        [1, 9, 8, 7, 2, 0, 0],
        [0, 0, 1, 10, 9, 8, 7],
        [0, 0, 8, 2, 7, 2, 0],
        [0, 1, 2, 0, 0, 0, 0],
    ]
    again = backward_order(kept, ids.gather(1, order), (START, END))
    assert torch.equal(ids.gather(1, order).gather(1, again), ids)


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_backward_direction_reads_the_reversed_text(side, rows):
    backward = decoder(classifier_direction="backward", classifier_pooling="concat")
    forward = decoder(classifier_pooling="concat")
    forward.load_state_dict(backward.state_dict())
    turned = [[row[0], *row[-2:0:-1], row[-1]] for row in rows]
    torch.testing.assert_close(
        backward(**padded(rows, side)).logits, forward(**padded(turned, side)).logits, rtol=1e-5, atol=1e-6
    )
    # Embeddings have no marks, so everything that is kept is turned.
    embeds = backward.model.embed_tokens(torch.tensor([rows[1]]))
    torch.testing.assert_close(backward(inputs_embeds=embeds).logits, forward(inputs_embeds=embeds.flip(1)).logits)


@pytest.mark.parametrize("problem", ["single_label_classification", "multi_label_classification", "regression"])
def test_both_directions_give_the_mean_of_their_probabilities(problem, rows, tmp_path):
    both = decoder(classifier_direction="both", problem_type=problem)
    forward = decoder(problem_type=problem)
    backward = decoder(classifier_direction="backward", problem_type=problem)
    forward.model.load_state_dict(both.model.state_dict())
    forward.classifier.load_state_dict(both.classifier.state_dict())
    backward.model.load_state_dict(both.backward_model.state_dict())
    backward.classifier.load_state_dict(both.backward_classifier.state_dict())
    batch = padded(rows, "left")
    probabilities = {
        "single_label_classification": lambda logits: logits.softmax(-1),
        "multi_label_classification": torch.sigmoid,
        "regression": lambda logits: logits,
    }[problem]
    mean = (probabilities(forward(**batch).logits) + probabilities(backward(**batch).logits)) / 2
    torch.testing.assert_close(probabilities(both(**batch).logits), mean, rtol=1e-4, atol=1e-6)

    # Each learns as it would alone.
    labels = torch.rand(len(rows), 3) if problem != "single_label_classification" else torch.tensor([0, 1, 2, 0])
    both(**batch, labels=labels).loss.backward()
    forward(**batch, labels=labels).loss.backward()
    backward(**batch, labels=labels).loss.backward()
    torch.testing.assert_close(both.classifier.weight.grad, forward.classifier.weight.grad)
    torch.testing.assert_close(both.backward_classifier.weight.grad, backward.classifier.weight.grad)
    name = "layers.0.self_attn.q_proj.weight"
    torch.testing.assert_close(both.backward_model.get_parameter(name).grad, backward.model.get_parameter(name).grad)

    both.save_pretrained(tmp_path)
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    torch.testing.assert_close(again(**batch).logits, both(**batch).logits)


def test_the_mean_of_certain_predictions_is_finite():
    sure = torch.tensor([[200.0, -200.0]])
    for problem, probabilities in ((None, lambda x: x.softmax(-1)), ("multi_label_classification", torch.sigmoid)):
        torch.testing.assert_close(probabilities(mean_prediction(sure, -sure, problem)), torch.full((1, 2), 0.5))
        assert mean_prediction(sure, sure, problem).isfinite().all()


def test_invalid_combinations_are_refused(rows):
    with pytest.raises(Exception, match=r"classifier_pooling.*first"):
        vanilla.VanillaDecoderConfig(classifier_pooling="first")
    with pytest.raises(ValueError, match=r"attention_mask.*pad_token_id.*2 rows"):
        kept_tokens(torch.ones(2, 3, dtype=torch.long), None, None, None)
    model = decoder(classifier_pooling="mean")
    cache = model.model(torch.tensor([rows[0]]), use_cache=True).past_key_values
    with pytest.raises(ValueError, match=r"past_key_values.*classifier_pooling"):
        model(torch.tensor([[7]]), past_key_values=cache)
    with pytest.raises(ValueError, match=r"classifier_pooling='mean'.*'last'"):
        vanilla.to_transformers(model)
