"""Base models: lineage, weights, tokenizer."""

import pytest
import torch
from transformers import AutoTokenizer

import hf_vanilla_transformer as vanilla
from hf_vanilla_transformer.training.finetuning.base_model import describe, lineage, open_base_model


def run_folder(folder, recipe):
    folder.mkdir()
    (folder / "recipe.yaml").write_text(recipe, encoding="utf-8")
    return str(folder)


def test_the_lineage_is_read_from_recipes(tmp_path):
    general = run_folder(tmp_path / "general", "task: causal_lm\ndata:\n  mixture: [{path: brown}, {path: wikitext}]\n")
    adapted = run_folder(
        tmp_path / "adapted", f"task: causal_lm\nmodel: {{start_from: {general}}}\ndata: {{path: imdb}}\n"
    )
    tuned_recipe = f"task: classification\nbase_model: {adapted}\ndata: {{path: reviews.csv}}\n"
    tuned = run_folder(tmp_path / "tuned", tuned_recipe)
    found = lineage(tuned)
    assert [one.source for one in found] == [tuned, adapted, general]
    assert found[2].data == ("brown", "wikitext") and found[0].task == "classification"
    assert describe(found) == (
        "`tuned` (classification on `reviews.csv`), made from `adapted` (causal_lm on `imdb`), made from `general` "
        "(causal_lm on `brown`, `wikitext`)"
    )
    (tmp_path / "tuned" / "model").mkdir()
    assert lineage(f"{tuned}/model")[1].source == adapted


def test_a_lineage_ends_at_the_first_model_without_a_recipe(tmp_path):
    scratch = run_folder(tmp_path / "scratch", "task: classification\nbase_model: somewhere\nfrom_scratch: true\n")
    assert len(lineage(scratch)) == 1
    around = run_folder(tmp_path / "around", f"model: {{start_from: {tmp_path / 'around'}}}\n")
    assert len(lineage(around)) == 1
    assert [one.source for one in lineage("user/model")] == ["user/model"]
    broken = run_folder(tmp_path / "broken", "task: [")
    with pytest.raises(ValueError, match=r"recipe\.yaml.*YAML"):
        lineage(broken)


def test_weights_are_copied_only_into_a_backbone_of_the_same_shape(causal_lm):
    base_model = open_base_model(causal_lm)
    assert base_model.stack == "decoder" and not base_model.known and not base_model.reads_backward
    backbone = vanilla.VanillaDecoderModel(base_model.config)
    assert base_model.put_into(backbone) == []
    whole = vanilla.VanillaDecoderForCausalLM.from_pretrained(causal_lm).eval()
    ids = torch.tensor([[5, 6, 7]])
    torch.testing.assert_close(backbone.eval()(ids).last_hidden_state, whole.model(ids).last_hidden_state)
    other = vanilla.VanillaDecoderModel(base_model.head_config(intermediate_size=48))
    with pytest.raises(ValueError, match=r"mlp\.fc1.*48"):
        base_model.put_into(other)
    with pytest.raises(ValueError, match="dropout='much'"):
        base_model.head_config(dropout="much")


def test_a_tokenizer_of_another_model_is_refused(causal_lm, tmp_path):
    config = vanilla.VanillaDecoderConfig.from_pretrained(causal_lm)
    tokenizer = AutoTokenizer.from_pretrained(causal_lm)
    config.vocab_size = len(tokenizer) - 5
    vanilla.VanillaDecoderForCausalLM(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"tokenizer.*entries"):
        open_base_model(tmp_path)


def test_a_tokenizer_without_padding_pads_with_its_end_token(causal_lm, tmp_path):
    model = vanilla.VanillaDecoderForCausalLM.from_pretrained(causal_lm)
    tokenizer = AutoTokenizer.from_pretrained(causal_lm)
    tokenizer.pad_token = None
    model.config.pad_token_id = None
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    base_model = open_base_model(tmp_path)
    assert base_model.tokenizer.pad_token == tokenizer.eos_token
    assert base_model.config.pad_token_id == tokenizer.eos_token_id
