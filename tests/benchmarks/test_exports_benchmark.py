"""The benchmark of exports runs, and its record is whole."""

import json

import pytest

from benchmarks import exports
from tests.conversion.exports.small import small_folder

pytest.importorskip("ctranslate2")


@pytest.mark.slow
def test_the_record(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(
        exports, "EXPORTS", [each for each in exports.EXPORTS if each[0] in ("transformers", "ctranslate2")]
    )
    folders = [str(small_folder(tmp_path / stack, stack)) for stack in ("encoder", "decoder", "seq2seq")]
    quick = ["--rows", "4", "--tokens", "3", "--repeats", "1", "--threads", "1"]
    exports.main([*folders, *quick, "--output", str(tmp_path / "record.json")])
    record = json.loads((tmp_path / "record.json").read_text())
    assert record["machine"]["torch"]
    assert list(record["results"]) == folders
    for result in record["results"].values():
        assert result["exports"].keys() == {"transformers", "ctranslate2 float32", "ctranslate2 int8"}
        assert result["exports"]["transformers"]["checks"][0]["difference"] <= 1e-4
        assert result["speed"].keys() == {"ours", "transformers", "ctranslate2 float32", "ctranslate2 int8"}
        assert all(speed["median"] > 0 for speed in result["speed"].values())
    written = exports.table(record)
    assert written.count("| ctranslate2 int8 |") == 3 and "computed in float32" in written
    assert "With ctranslate2 " in written
    printed = capsys.readouterr().out
    assert "tokens made a second" in printed and "tokens read a second" in printed


def test_too_few_sentences(tmp_path):
    with pytest.raises(ValueError, match=r"--sentences.*--rows"):
        exports.measure({}, [], 3, 1, False)
