"""JSON and YAML of anybody: a value, or one line that names the file."""

import json

import pytest

from hf_vanilla_transformer import untrusted_files
from hf_vanilla_transformer.untrusted_files import parsed_yaml, read_json, read_json_object, read_yaml

LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "not valid JSON"),
        (b"\xff", "not UTF-8"),
        (b"[" * 100_000, "too many brackets"),
        (b"9" * 5000, "not valid JSON"),
        (b"[]", "must contain a JSON object, not list"),
    ],
)
def test_json_that_cannot_be_read_names_its_file(content, message, tmp_path):
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"config\.json.*{message}"):
        read_json_object(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LAUGHS, "values with its aliases"),
        ("a: &a [*a]", "inside each other"),
        ("[" * 20_000, "inside each other"),
        ("a: !!python/object/apply:os.getpid []", "not valid YAML"),
        ("a: 2026-02-31", "not valid YAML"),
        ("a: [", "not valid YAML"),
        ("? [a]\n: b", "not valid YAML"),
        ("a: \x00", "not valid YAML"),
    ],
)
def test_yaml_that_cannot_be_read_names_its_file(text, message, tmp_path):
    (tmp_path / "card.yaml").write_text(text)
    with pytest.raises(ValueError, match=rf"card\.yaml.*{message}"):
        read_yaml(tmp_path / "card.yaml")


def test_files_are_limited_in_size(tmp_path, monkeypatch):
    (tmp_path / "a").write_text(json.dumps("x" * 50))
    assert read_json(tmp_path / "a") == read_yaml(tmp_path / "a") == "x" * 50
    for name, read in (("_MOST_BYTES_OF_JSON", read_json), ("_MOST_BYTES_OF_YAML", read_yaml)):
        monkeypatch.setattr(untrusted_files, name, 51)
        with pytest.raises(ValueError, match="a has 52 bytes, but files of this kind have at most 51"):
            read(tmp_path / "a")


def test_aliases_and_merges_of_people_are_read():
    text = "base: &base {a: 1, b: [x]}\nother: {<<: *base, b: *base}\n"
    assert parsed_yaml(text, "text") == {"base": {"a": 1, "b": ["x"]}, "other": {"a": 1, "b": {"a": 1, "b": ["x"]}}}
    assert parsed_yaml("", "text") is None
