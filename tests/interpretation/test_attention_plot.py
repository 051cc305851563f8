"""Pictures of attention are written completely, in the format of their file name."""

import pytest
import torch

from hf_vanilla_transformer.interpretation import AttentionMap, plot_attention, plot_attention_heads


@pytest.fixture
def attention():
    weights = torch.rand(2, 5, 3, 4).softmax(-1)
    return AttentionMap(("Das", "$kostet$", "nichts", "</s>"), ("It", "is", "free"), weights)


@pytest.mark.parametrize(("ending", "start"), [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")])
def test_the_ending_of_the_path_chooses_the_format(attention, tmp_path, ending, start):
    path = plot_attention(attention, tmp_path / "deep" / f"map.{ending}", title="A title")
    assert path.read_bytes().startswith(start)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_all_heads_of_a_layer_are_drawn(attention, tmp_path):
    assert plot_attention_heads(attention, tmp_path / "heads.png").stat().st_size > 1000
    with pytest.raises(ValueError, match=r"layer=2.*layers 0 to 1"):
        plot_attention_heads(attention, tmp_path / "heads.png", layer=2)


def test_an_ending_without_a_picture_format_is_an_error(attention, tmp_path):
    with pytest.raises(ValueError, match=r"path=.*map\.txt"):
        plot_attention(attention, tmp_path / "map.txt")
    assert not list(tmp_path.iterdir())
