"""The pipeline dependency-parsing: sentences, batches, invalid inputs, and a published folder without the package."""

import subprocess
import sys

import pytest
import torch
from transformers import AutoTokenizer, pipeline

import hf_vanilla_transformer as vanilla
from hf_vanilla_transformer.pipelines import DependencyParsingPipeline

from ..tiny_models import tiny_folder

LABELS = {0: "root", 1: "nsubj", 2: "det"}
SENTENCES = [["the", "dog", "runs"], ["Paris"], ["the", "old", "man", "reads", "a", "book", "."]]

# The code of the card of a published parser, in a process that cannot import our package.
_WITHOUT_PACKAGE = """
import sys
sys.modules["hf_vanilla_transformer"] = None
import torch
from transformers import AutoTokenizer
from transformers.dynamic_module_utils import get_class_from_dynamic_module

folder = sys.argv[1]
parser = get_class_from_dynamic_module("modeling_vanilla_parsing.VanillaEncoderForDependencyParsing", folder)
model = parser.from_pretrained(folder).eval()
tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
inputs = tokenizer(sys.argv[2:], is_split_into_words=True, return_tensors="pt")
word_ids = torch.tensor([[-1 if word is None else word for word in inputs.word_ids()]])
tree = model.parse(inputs.input_ids, inputs.attention_mask, word_ids)[0]
print(tree.heads, [model.config.id2label[label] for label in tree.labels])
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_folder(
        tmp_path_factory.mktemp("parser"),
        vanilla.VanillaEncoderForDependencyParsing,
        parser_arc_size=8,
        parser_label_size=8,
        id2label=LABELS,
        label2id={label: number for number, label in LABELS.items()},
    )


@pytest.fixture(scope="module")
def parse(folder):
    return pipeline("dependency-parsing", model=str(folder))


def test_a_sentence_has_a_tree(parse, folder):
    assert isinstance(parse, DependencyParsingPipeline)
    tree = parse(SENTENCES[0])
    assert tree["words"] == SENTENCES[0] and tree["heads"].count(0) == 1
    assert all(0 <= head <= 3 for head in tree["heads"]) and set(tree["relations"]) <= set(LABELS.values())
    assert all(0 < score <= 1 for score in tree["scores"])
    assert parse("the dog runs") == tree
    model = vanilla.VanillaEncoderForDependencyParsing.from_pretrained(folder).eval()
    inputs = AutoTokenizer.from_pretrained(folder)(SENTENCES[0], is_split_into_words=True, return_tensors="pt")
    word_ids = torch.tensor([[-1 if word is None else word for word in inputs.word_ids()]])
    assert model.parse(inputs["input_ids"], inputs["attention_mask"], word_ids)[0].heads == tree["heads"]


@pytest.mark.parametrize("side", ["right", "left"])
def test_batches_do_not_change_the_trees(side, parse):
    parse.tokenizer.padding_side = side
    single = [parse(sentence) for sentence in SENTENCES]
    for batch_size in (1, 2, 3):
        trees = parse(SENTENCES, batch_size=batch_size)
        for tree, expected in zip(trees, single):
            assert tree["scores"] == pytest.approx(expected["scores"], rel=1e-4)
            assert {**tree, "scores": 0} == {**expected, "scores": 0}
    parse.tokenizer.padding_side = "right"
    assert parse(["the dog runs", "Paris"], sentences=True) == [single[0], single[1]] or side == "left"
    assert parse([], sentences=True) == []


def test_single_root_can_be_turned_off(parse):
    tree = parse(SENTENCES[2], single_root=False)
    assert tree["heads"].count(0) >= 1 and len(tree["heads"]) == len(SENTENCES[2])


@pytest.mark.parametrize(
    ("sentence", "message"),
    [
        ("  ", r"'  '"),
        ([], r"\[\]"),
        (["a", " "], r"\['a', ' '\]"),
        (3, r"not 3\b"),
        (["word"] * 100, r"\b64 tokens"),
    ],
)
def test_an_invalid_sentence_is_rejected(sentence, message, parse):
    with pytest.raises(ValueError, match=message):
        parse(sentence)


def test_unknown_options_and_other_models_are_rejected(parse, masked_lm):
    with pytest.raises(ValueError, match="top_k"):
        parse(["a"], top_k=2)
    model = vanilla.VanillaEncoderForMaskedLM.from_pretrained(masked_lm)
    with pytest.raises(ValueError, match="VanillaEncoderForMaskedLM"):
        pipeline("dependency-parsing", model=model, tokenizer=AutoTokenizer.from_pretrained(masked_lm))


def test_a_published_folder_parses_without_the_package(folder, parse):
    words = SENTENCES[2]
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_PACKAGE, str(folder), *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    expected = parse(words)
    assert done.stdout.strip() == f"{expected['heads']} {expected['relations']}"


def test_a_saved_pipeline_loads_again(parse, tmp_path):
    parse.save_pretrained(str(tmp_path))
    assert pipeline("dependency-parsing", model=str(tmp_path))(SENTENCES[0]) == parse(SENTENCES[0])
