"""The glossary: every name is defined in the file that its link leads to, and every term is explained twice."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/glossary.md"
TEXT = PAGE.read_text(encoding="utf-8")
# Heading of a term: its English name, its Korean name, or one name for both.
ENTRIES = dict(re.findall(r"^### ([^\n]+)\n(.*?)(?=^##|\Z)", TEXT, re.S | re.M))
HANGUL = re.compile("[가-힣]")
# The terms of a first course, which the page must not lose.
TERMS = """
    Encoder-decoder, Information bottleneck, Hidden state, Self-attention, Query key and value, Multi-head
    attention, Cross-attention, Teacher forcing, Shifted right, Look-ahead mask, Pad mask, Positional encoding,
    Residual connection, Layer normalisation, Batch normalisation, Feed-forward network, Embedding tying, Label
    smoothing, Warm-up, Beam search, Length penalty, Greedy search, Perplexity, WordPiece, Transfer learning, Body
    and head, Catastrophic forgetting, Gradual unfreezing, Slow start, N→1, N→N, N→path, N→M, BLEU, chrF, Masked
    language model, Causal language model, KV cache, Dropout, Attention head, Softmax, Temperature
"""


@cache
def definitions(path: Path) -> dict[str, int]:
    """The line of each class, function and method of a file; `Class.method` and `function.inner` have a dot."""
    lines: dict[str, int] = {}

    def visit(node: ast.AST, prefix: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                lines[prefix + child.name] = child.lineno
                visit(child, f"{prefix}{child.name}.")

    visit(ast.parse(path.read_text(encoding="utf-8")), "")
    return lines


def links(label: str, entry: str) -> list[tuple[str, Path]]:
    """The names and files of the links on the line that begins with a label."""
    lines = re.findall(rf"^{label}: (.+)$", entry, re.M)
    return [
        (name, (PAGE.parent / target).resolve())
        for line in lines
        for name, target in re.findall(r"\[`([^`]+)`\]\(([^)]+)\)", line)
    ]


def sentences(text: str) -> int:
    return len(re.findall(r"[.?!](?=\s|$)", text))


@pytest.mark.parametrize("label", ["Code", "Test"])
@pytest.mark.parametrize("term", ENTRIES)
def test_a_name_is_defined_in_the_file_of_its_link(term, label):
    found = links(label, ENTRIES[term])
    assert found
    for name, file in found:
        line = definitions(file)[name]
        word = name.rpartition(".")[2]
        assert re.match(rf"\s*(class|(async )?def) {word}\b", file.read_text(encoding="utf-8").splitlines()[line - 1])
        folder = "tests" if label == "Test" else "hf_vanilla_transformer"
        assert file.is_relative_to(ROOT / folder)
        assert name.startswith("test_") == (label == "Test")


@pytest.mark.parametrize("term", ENTRIES)
def test_a_term_has_two_sentences_in_each_language(term):
    heading, _, (english, korean) = re.findall(r"^\| (.+) \| (.+) \|$", ENTRIES[term], re.M)
    assert heading == ("English", "한국어")
    assert sentences(english) == 2 and not HANGUL.search(english)
    assert sentences(korean) == 2 and HANGUL.search(korean)


def test_the_terms_of_a_first_course_are_explained():
    english = {heading.partition(" · ")[0].replace(",", "") for heading in ENTRIES}
    assert {" ".join(term.split()) for term in TERMS.split(",")} <= english


def test_the_index_lists_every_term_in_order():
    index, _, _ = TEXT.partition("\n## ")
    assert re.findall(r"\[([^\]`]+)\]\(#", index) == [heading.partition(" · ")[0] for heading in ENTRIES]
