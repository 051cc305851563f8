"""Rules of the family tables, applied forwards and backwards."""

from types import SimpleNamespace

import pytest
import torch

from hf_vanilla_transformer.conversion.tensor_rules import (
    Flatten,
    Fuse,
    Repeat,
    Rule,
    SkipRows,
    Transpose,
    conv1d,
    export_tensors,
    import_tensors,
    layers,
    module,
    tensor,
)

CONFIG = SimpleNamespace(pad_token_id=1)


@pytest.mark.parametrize(
    ("rule", "theirs"),
    [
        (tensor("a", "b"), {"b": torch.randn(2, 3)}),
        (tensor("a", "b", Transpose()), {"b": torch.randn(2, 3)}),
        (tensor("a", "b", Flatten()), {"b": torch.randn(1, 3)}),
        (Rule(("q", "k", "v"), ("c",), Fuse(3, dim=1, transposed=True)), {"c": torch.randn(4, 12)}),
        (Rule(("q", "k", "v"), ("c",), Fuse(3, dim=0)), {"c": torch.randn(12)}),
        (Rule(("a",), ("b", "c"), Repeat(2)), {"b": torch.ones(3), "c": torch.ones(3)}),
        (tensor("a", "b", SkipRows(2)), {"b": torch.cat([torch.zeros(2, 3), torch.randn(4, 3)])}),
        (tensor("a", "b", SkipRows()), {"b": torch.cat([torch.zeros(2, 3), torch.randn(4, 3)])}),
    ],
    ids=["same", "transpose", "flatten", "fused weight", "fused bias", "repeat", "skip 2", "skip to padding"],
)
def test_import_and_export_are_inverse(rule, theirs):
    ours = import_tensors([rule], theirs, CONFIG)
    assert set(ours) == set(rule.ours)
    back = export_tensors([rule], ours, CONFIG)
    assert back.keys() == theirs.keys()
    assert all(torch.equal(back[name], theirs[name]) for name in theirs)


def test_fused_projections_are_split_in_order():
    rules = conv1d(("q", "k", "v"), "c_attn")
    theirs = {"c_attn.weight": torch.arange(24.0).view(2, 12), "c_attn.bias": torch.arange(12.0)}
    ours = import_tensors(rules, theirs, CONFIG)
    assert torch.equal(ours["k.weight"], theirs["c_attn.weight"][:, 4:8].T)
    assert torch.equal(ours["v.bias"], theirs["c_attn.bias"][8:])


def test_layers_are_numbered_on_both_sides():
    names = [rule.theirs[0] for rule in layers(2, module("norm", "LayerNorm"), "layers.{}.", "h.{}.")]
    assert names == ["h.0.LayerNorm.weight", "h.0.LayerNorm.bias", "h.1.LayerNorm.weight", "h.1.LayerNorm.bias"]


def test_import_reads_the_first_of_several_names():
    rule = Rule(("bias",), ("decoder.bias", "bias"), Repeat(2))
    ours = import_tensors([rule], {"decoder.bias": torch.ones(2), "bias": torch.zeros(2)}, CONFIG)
    assert torch.equal(ours["bias"], torch.ones(2))


def test_tensors_that_we_lack_are_left_out():
    assert export_tensors([tensor("a", "b", zero_if_absent=True)], {}, CONFIG) == {}


def test_a_missing_tensor_is_named():
    with pytest.raises(ValueError, match=r"'h\.0\.weight'.*'layers\.0\.weight'"):
        import_tensors([tensor("layers.0.weight", "h.0.weight")], {}, CONFIG)
