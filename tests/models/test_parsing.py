"""The dependency parser equals a naive one that goes word by word; padding, saving, invalid inputs."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from hf_vanilla_transformer import VanillaEncoderConfig, VanillaEncoderForDependencyParsing
from hf_vanilla_transformer.models.biaffine_vanilla import word_weights
from hf_vanilla_transformer.models.spanning_tree_vanilla import maximum_spanning_tree

from ..tiny_models import tiny_model, tokens

# Two sentences: words of one, two and three tokens between special tokens, and a shorter row with padding.
WORD_IDS = torch.tensor([[-1, 0, 1, 1, 2, 3, 3, 3, -1], [-1, 0, 0, 1, -1, -1, -1, -1, -1]])
MASK = torch.tensor([[1] * 9, [1] * 5 + [0] * 4])
HEADS = torch.tensor([[2, 0, 2, 3], [0, 1, -100, -100]])
LABELS = torch.tensor([[1, 0, 2, 1], [0, 2, -100, -100]])


def parser(**fields):
    fields = {"parser_arc_size": 12, "parser_label_size": 6} | fields
    return tiny_model(VanillaEncoderForDependencyParsing, **fields)


def batch():
    return {"input_ids": tokens(2, 9) * MASK, "attention_mask": MASK, "word_ids": WORD_IDS}


def naive_loss(model, pooling, items=None):
    """The equations of section 2.2 for one word and one candidate at a time."""
    inputs = {name: value for name, value in batch().items() if name != "word_ids"}
    states = model.model(**inputs).last_hidden_state

    def mapped(part, state):
        return functional.gelu(part.dense(state))

    arc_loss, label_loss, count = 0.0, 0.0, 0
    arcs, labels = model.arc_scorer, model.label_scorer
    for row in range(2):
        words = []
        for number in range(int(WORD_IDS[row].max()) + 1):
            pieces = states[row][WORD_IDS[row] == number]
            words.append(pieces[0] if pooling == "first" else pieces.mean(0))
        candidates = [model.root.weight[0], *words]
        for index, word in enumerate(words):
            dependent = mapped(arcs.dependent, word)
            scores = []
            for head, candidate in enumerate(candidates):
                if head != index + 1:
                    state = mapped(arcs.head, candidate)
                    scores.append(state @ arcs.bilinear.weight @ dependent + state @ arcs.bilinear.bias)
                else:
                    scores.append(torch.tensor(-1e9))
            head = int(HEADS[row, index])
            arc_loss = arc_loss - torch.stack(scores).log_softmax(0)[head]

            head_state, dependent = mapped(labels.head, candidates[head]), mapped(labels.dependent, word)
            tensors = labels.bilinear.weight.view(3, 6, 6)  # a matrix a label
            biases = labels.bilinear.bias.view(3, 6)
            scores = torch.stack(
                [
                    head_state @ tensors[label] @ dependent
                    + head_state @ biases[label]
                    + labels.linear.weight[label] @ dependent
                    + labels.linear.bias[label]
                    for label in range(3)
                ]
            )
            label_loss = label_loss - scores.log_softmax(0)[LABELS[row, index]]
            count += 1
    return (arc_loss + label_loss) / (items or count)


@pytest.mark.parametrize("pooling", ["first", "mean"])
@pytest.mark.parametrize("items", [None, 11])
def test_loss_and_gradients_are_those_of_the_equations(pooling, items):
    model = parser(word_pooling=pooling, num_labels=3).double()
    expected = naive_loss(model, pooling, items)
    expected.backward()
    gradients = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    model.zero_grad()
    keyword = {} if items is None else {"num_items_in_batch": torch.tensor(items)}
    loss = model(**batch(), heads=HEADS, labels=LABELS, **keyword).loss
    torch.testing.assert_close(loss, expected)
    loss.backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, gradients[name], msg=name)


@pytest.mark.parametrize("pooling", ["first", "mean"])
def test_padding_left_right_and_none_give_the_same(pooling):
    model, inputs = parser(word_pooling=pooling, num_labels=3), batch()
    right = model(**inputs)
    left = {name: value.clone() for name, value in inputs.items()}
    for value in left.values():
        value[1] = value[1].roll(4)
    shifted = model(**left)
    alone = model(**{name: value[1:, :5] for name, value in inputs.items()})
    for output in (shifted, right):
        torch.testing.assert_close(output.arc_logits[1, :2, :3], alone.arc_logits[0])
        torch.testing.assert_close(output.label_logits[1, :2], alone.label_logits[0])
        assert (output.arc_logits[1, :, 3:] == torch.finfo(torch.float32).min).all(), "absent words are no heads"
    torch.testing.assert_close(shifted.arc_logits[0], right.arc_logits[0])
    wider = {"heads": functional.pad(HEADS, (0, 2), value=-100), "labels": functional.pad(LABELS, (0, 2), value=-100)}
    loss = model(**inputs, heads=HEADS, labels=LABELS).loss
    torch.testing.assert_close(model(**left, heads=HEADS, labels=LABELS).loss, loss)
    torch.testing.assert_close(model(**inputs, **wider).loss, loss)


def test_without_word_ids_each_token_is_a_word():
    model, inputs = parser(num_labels=3), batch()
    ids = torch.where(MASK == 1, torch.arange(9), -1)
    plain = model(inputs["input_ids"], attention_mask=MASK)
    torch.testing.assert_close(plain.arc_logits, model(**{**inputs, "word_ids": ids}).arc_logits)
    assert plain.arc_logits.shape == (2, 9, 10) and plain.label_logits.shape == (2, 9, 3)
    assert model(inputs["input_ids"]).arc_logits.shape == (2, 9, 10)
    assert [len(tree.heads) for tree in model.parse(inputs["input_ids"], attention_mask=MASK)] == [9, 5]


def test_weights_of_tokens():
    ids = torch.tensor([[-1, 0, 0, 2, 2, 2]])
    first, mean = word_weights(ids, 4, "first")[0], word_weights(ids, 4, "mean")[0]
    assert first.tolist() == [[0, 1, 0, 0, 0, 0], [0] * 6, [0, 0, 0, 1, 0, 0], [0] * 6]
    torch.testing.assert_close(mean[0], torch.tensor([0, 0.5, 0.5, 0, 0, 0]))
    torch.testing.assert_close(mean[2], torch.tensor([0, 0, 0, 1, 1, 1]) / 3)
    assert not mean[1].any() and not mean[3].any()


def test_parsing_takes_the_best_tree_and_its_labels():
    model, inputs = parser(num_labels=3), batch()
    trees = model.parse(**inputs)
    output = model(**inputs)
    for row, words in enumerate((4, 2)):
        scores = output.arc_logits[row, :words, : words + 1].detach()
        heads = maximum_spanning_tree(scores.log_softmax(-1).numpy())
        assert trees[row].heads == heads.tolist()
        assert trees[row].heads.count(0) == 1
        given = functional.pad(torch.tensor(heads)[None], (0, 4 - words), value=-100)
        single = {name: value[row : row + 1] for name, value in inputs.items()}
        labels = model(**single, heads=given).label_logits[0, :words]
        assert trees[row].labels == labels.argmax(-1).tolist()
        probability = scores.softmax(-1)[torch.arange(words), torch.tensor(heads)] * labels.softmax(-1).amax(-1)
        np.testing.assert_allclose(trees[row].scores, probability.detach().numpy(), rtol=1e-5)
    assert not any(tree.heads != other.heads for tree, other in zip(trees, model.parse(**inputs, single_root=True)))


def test_a_model_learns_its_trees_and_comes_back_from_a_folder(tmp_path):
    torch.manual_seed(0)
    model, inputs = parser(num_labels=3).train(), batch()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(60):
        loss = model(**inputs, heads=HEADS, labels=LABELS).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    trees = model.eval().parse(**inputs)
    assert [tree.heads for tree in trees] == [[2, 0, 2, 3], [0, 1]]
    assert [tree.labels for tree in trees] == [[1, 0, 2, 1], [0, 2]]
    model.save_pretrained(tmp_path)
    loaded, found = VanillaEncoderForDependencyParsing.from_pretrained(tmp_path, output_loading_info=True)
    assert not found["missing_keys"] and not found["unexpected_keys"]
    assert loaded.parse(**inputs) == trees
    assert (tmp_path / "modeling_vanilla_parsing.py").is_file(), "the code travels with the model"


def test_it_starts_from_a_masked_language_model(tmp_path):
    body = tiny_model("encoder", noise=0.0)
    body.save_pretrained(tmp_path)
    model, found = VanillaEncoderForDependencyParsing.from_pretrained(tmp_path, num_labels=7, output_loading_info=True)
    assert all(name.startswith(("arc_scorer", "label_scorer", "root")) for name in found["missing_keys"])
    torch.testing.assert_close(model.model.layers[1].mlp.fc1.weight, body.model.layers[1].mlp.fc1.weight)
    assert model.label_scorer.linear.out_features == 7
    assert model.root.weight.std().item() == pytest.approx(0.02, rel=0.6), "new weights are initialised"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"heads": None}, "labels.*heads"),
        ({"heads": HEADS[:, :3]}, r"heads.*\(2, 3\).*\(2, 4\)"),
        ({"labels": LABELS[:, :3]}, r"labels.*\(2, 3\)"),
        ({"heads": HEADS.clamp(max=1) * 5}, "heads.*5.*4"),
        ({"labels": LABELS + 2}, r"labels.*4.*2|labels.*-98"),
        ({"labels": LABELS.clamp(min=-1)}, "labels.*-1"),
        ({"word_ids": WORD_IDS[:, 1:]}, r"word_ids.*\(2, 8\).*\(2, 9\)"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        parser(num_labels=3)(**{**batch(), "heads": HEADS, "labels": LABELS, **change})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"parser_arc_size": 0}, "parser_arc_size.*0"),
        ({"parser_dropout": 1.0}, r"parser_dropout.*1\.0"),
        ({"word_pooling": "last"}, "word_pooling.*last"),
    ],
)
def test_fields_out_of_range_are_refused(fields, message):
    with pytest.raises(Exception, match=message):
        VanillaEncoderConfig(**fields)
