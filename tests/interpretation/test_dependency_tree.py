"""Drawings of trees show every word and relation, and their arcs do not coincide."""

import xml.etree.ElementTree as ElementTree

import pytest

from hf_vanilla_transformer.data import load_trees
from hf_vanilla_transformer.data.readers.conllu import conllu_sentence
from hf_vanilla_transformer.interpretation import tree_svg, tree_text
from hf_vanilla_transformer.interpretation.dependency_tree import _levels

WORDS = ["The", "old", "man", "reads", "<books>", "."]
HEADS = [3, 3, 4, 0, 4, 4]
RELATIONS = ["det", "amod", "nsubj", "root", "obj", "punct"]


def test_the_outline_shows_each_word_below_its_head():
    assert tree_text(WORDS, HEADS, RELATIONS).splitlines() == [
        "reads (4, root)",
        "├─ man (3, nsubj)",
        "│  ├─ The (1, det)",
        "│  └─ old (2, amod)",
        "├─ <books> (5, obj)",
        "└─ . (6, punct)",
    ]
    assert tree_text(["갔다"], [0], ["root"]) == "갔다 (1, root)"


def test_the_svg_shows_every_word_and_relation():
    root = ElementTree.fromstring(tree_svg(WORDS, HEADS, RELATIONS))
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert sorted(texts) == sorted([*WORDS, *RELATIONS])
    height = float(root.get("height"))
    assert all(0 < float(element.get("y")) < height for element in root.iter("{http://www.w3.org/2000/svg}text"))
    assert float(ElementTree.fromstring(tree_svg(["갔다"], [0], ["root"])).get("width")) > 0


def test_arcs_on_one_level_do_not_overlap():
    heads = [3, 1, 0, 6, 4, 3, 6]
    levels = _levels(heads)
    spans = [(min(word, head), max(word, head)) for word, head in enumerate(heads, start=1)]
    for first in range(7):
        for second in range(first):
            if levels[first] == levels[second]:
                assert spans[first][1] <= spans[second][0] or spans[second][1] <= spans[first][0]


@pytest.mark.parametrize("draw", [tree_text, tree_svg])
def test_heads_that_do_not_form_a_tree_are_an_error(draw):
    with pytest.raises(ValueError, match=r"heads=\[2, 1\].*cycle"):
        draw(["a", "b"], [2, 1], ["x", "y"])
    with pytest.raises(ValueError, match=r"heads=\[2\]"):
        draw(["a"], [2], ["x"])
    with pytest.raises(ValueError, match="2 words, 1 heads and 2 relations"):
        draw(["a", "b"], [0], ["x", "y"])
    with pytest.raises(ValueError, match="0 words"):
        draw([], [], [])


def test_trees_survive_writing_and_reading_conllu(tmp_path):
    path = tmp_path / "parsed.conllu"
    path.write_text(conllu_sentence(WORDS, HEADS, RELATIONS) * 2, encoding="utf-8")
    rows, report = load_trees(path)
    assert report.skipped == 0
    assert rows.to_list() == [{"tokens": WORDS, "heads": HEADS, "relations": RELATIONS}] * 2
    with pytest.raises(ValueError, match=r"Word 1, .*'root'"):
        conllu_sentence(["a\tb"], [0], ["root"])
    with pytest.raises(ValueError, match="1 words, 2 heads"):
        conllu_sentence(["a"], [0, 1], ["root"])
