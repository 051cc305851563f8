"""Sentences of words with tags or trees: reading them, and counting bad ones."""

import gzip
import json

import datasets
import pytest

from hf_vanilla_transformer.data import BadRow, load_tagged, load_trees
from hf_vanilla_transformer.data.readers.trees import tree_problem

CONLLU = """\
# sent_id = s1
# text = Don't go.
1-2\tDon't\t_\t_\t_\t_\t_\t_\t_\t_
1\tDo\tdo\tAUX\tVB\t_\t3\taux\t_\t_
2\tn't\tnot\tPART\tRB\t_\t3\tadvmod\t_\t_
3\tgo\tgo\tVERB\tVB\t_\t0\troot\t_\tSpaceAfter=No
3.1\tgone\tgo\tVERB\tVB\t_\t_\t_\t_\t_
4\t.\t.\tPUNCT\t.\t_\t3\tpunct\t_\t_

# sent_id = s2
1\tYes\tyes\t_\tUH\t_\t0\troot\t_\t_

1\tTwo\ttwo\tNUM\tCD\t_\t2\tx\t_\t_
2\tcycles\tcycle\tNOUN\tNNS\t_\t1\tx\t_\t_

1\tbroken line
"""

GOOD = {"tokens": ["a", "b", "c"], "head": [2, 0, 2], "deprel": ["x", "root", "y"]}
BAD_TREES = {
    BadRow.LENGTHS: {**GOOD, "head": [2, 0]},
    BadRow.HEAD_RANGE: {**GOOD, "head": [2, 0, 4]},
    BadRow.CYCLE: {**GOOD, "head": [2, 1, 0]},
    BadRow.ROOTS: {**GOOD, "head": [0, 0, 2]},
    BadRow.NO_HEAD: {**GOOD, "head": [2, None, 2]},
    BadRow.NO_LABEL: {**GOOD, "deprel": ["x", None, "y"]},
    BadRow.EMPTY: {"tokens": [], "head": [], "deprel": []},
    BadRow.EMPTY_WORD: {**GOOD, "tokens": ["a", " ", "c"]},
    BadRow.NOT_LISTS: {**GOOD, "tokens": "a b c"},
    BadRow.MISSING: {"tokens": ["a"], "head": [0]},
}


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize("ending", [".conllu", ".conllu.gz"])
def test_conllu_files_hold_trees_and_tags(ending, tmp_path):
    path = tmp_path / f"train{ending}"
    path.write_bytes(gzip.compress(CONLLU.encode()) if ending.endswith("gz") else CONLLU.encode())
    rows, report = load_trees(path)
    assert rows[0] == {
        "tokens": ["Do", "n't", "go", "."],
        "heads": [3, 3, 0, 3],
        "relations": ["aux", "advmod", "root", "punct"],
    }
    assert rows[1]["tokens"] == ["Yes"]
    assert report.counts == {BadRow.CYCLE: 1, BadRow.FIELDS: 1}
    assert report.examples == {BadRow.CYCLE: [f"{path}:13"], BadRow.FIELDS: [f"{path}:16"]}
    tagged, report = load_tagged(tmp_path, tags_column="upos")
    assert tagged["tags"][0] == ["AUX", "PART", "VERB", "PUNCT"]
    assert report.counts[BadRow.NO_LABEL] == 1, "the tag _ means no tag"
    with pytest.raises(ValueError, match=r"train\.conllu.*'tags'.*upos"):
        load_tagged(path)


def test_bad_trees_are_counted_or_raise(tmp_path):
    path = write_lines(tmp_path / "train.jsonl", [GOOD, *BAD_TREES.values()])
    rows, report = load_trees(path)
    assert rows.to_list() == [{"tokens": ["a", "b", "c"], "heads": [2, 0, 2], "relations": ["x", "root", "y"]}]
    assert report.counts == dict.fromkeys(BAD_TREES, 1)
    for line, reason in enumerate(BAD_TREES, start=2):
        assert report.examples[reason] == [f"{path}:{line}"]
    with pytest.raises(ValueError, match=rf"train\.jsonl:2: {BadRow.LENGTHS.value} .*on_bad_row='skip'"):
        load_trees(path, on_bad_row="error")
    only_bad = write_lines(tmp_path / "bad.jsonl", list(BAD_TREES.values()))
    with pytest.raises(ValueError, match=r"bad\.jsonl: 0 of 10 rows"):
        load_trees(only_bad)
    rows, report = load_trees(path, single_root=False)
    assert len(rows) == 2 and BadRow.ROOTS not in report.counts


def test_class_names_replace_the_numbers_of_a_class_label():
    features = datasets.Features(
        {"tokens": datasets.List(datasets.Value("string")), "ner": datasets.List(datasets.ClassLabel(names=["O", "X"]))}
    )
    values = {"tokens": [["a", "b"], ["c"]], "ner": [[0, 1], [-1]]}
    rows, report = load_tagged(datasets.Dataset.from_dict(values, features=features), tags_column="ner")
    assert rows.to_list() == [{"tokens": ["a", "b"], "tags": ["O", "X"]}]
    assert report.counts == {BadRow.NO_LABEL: 1}


def test_unreadable_sources_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"source=.*missing\.conllu"):
        load_trees(tmp_path / "missing.conllu")
    (tmp_path / "train.csv").write_text("tokens,tags\na,b\n")
    with pytest.raises(ValueError, match=r"train\.csv.*\.parquet, .*\.conllu"):
        load_tagged(tmp_path / "train.csv")
    with pytest.raises(ValueError, match=r"on_bad_row.*'ignore'"):
        load_tagged(tmp_path / "train.csv", on_bad_row="ignore")
    with pytest.raises(ValueError, match="'a', 'a'"):
        load_tagged(tmp_path / "train.csv", tokens_column="a", tags_column="a")
    empty = tmp_path / "empty.conllu"
    empty.write_text("")
    with pytest.raises(ValueError, match=r"empty\.conllu"):
        load_trees(empty)
    latin = tmp_path / "latin.conllu"
    latin.write_bytes(CONLLU.replace("Two", "Zwölf").encode("latin-1"))
    assert load_trees(latin)[1].counts[BadRow.NOT_UTF8] == 1


@pytest.mark.parametrize(
    ("heads", "problem"),
    [
        ([0], None),
        ([2, 3, 0], None),
        ([1], BadRow.CYCLE),
        ([2, 3, 1, 0], BadRow.CYCLE),
        ([0, 0], BadRow.ROOTS),
        ([-1], BadRow.HEAD_RANGE),
        ([0, 3], BadRow.HEAD_RANGE),
        ([2, 1], BadRow.CYCLE),
    ],
)
def test_the_problem_of_heads_that_are_not_a_tree(heads, problem):
    assert tree_problem(heads) is problem
    assert tree_problem(heads, single_root=False) is (None if problem is BadRow.ROOTS else problem)


@pytest.mark.parametrize("name", ["ud_english_ewt", "ud_korean_gsd"])
def test_real_treebanks_contain_only_trees(name, shared_data):
    rows, report = load_trees(shared_data / name, split="validation")
    assert report.skipped == 0 and len(rows) == report.rows > 900
