"""Pictures of attention are written whole, in the format that the name asks for."""

import pytest
import torch

from hf_vanilla_transformer.interpretation import AttentionMap, plot_attention, plot_attention_heads


@pytest.fixture
def attention():
    weights = torch.rand(2, 5, 3, 4).softmax(-1)
    return AttentionMap(("Das", "$kostet$", "nichts", "</s>"), ("It", "is", "free"), weights)


@pytest.mark.parametrize(("ending", "start"), [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")])
def test_formats(attention, tmp_path, ending, start):
    path = plot_attention(attention, tmp_path / "deep" / f"map.{ending}", title="A title")
    assert path.read_bytes().startswith(start)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_all_heads(attention, tmp_path):
    assert plot_attention_heads(attention, tmp_path / "heads.png").stat().st_size > 1000
    with pytest.raises(ValueError, match="layers 0 to 1"):
        plot_attention_heads(attention, tmp_path / "heads.png", layer=2)


def test_an_ending_that_is_no_picture(attention, tmp_path):
    with pytest.raises(ValueError, match="does not end like a picture"):
        plot_attention(attention, tmp_path / "map.txt")
    assert not list(tmp_path.iterdir())
