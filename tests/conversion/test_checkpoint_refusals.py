"""A checkpoint that cannot come in says why and what would work, before any weight is read."""

import json
import pickle

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from benchmarks.parity import SMALL_CONFIGS
from hf_vanilla_transformer import from_checkpoint
from hf_vanilla_transformer.conversion.checkpoint_files import CheckpointSource

from .saved import save


def edit(folder, **fields):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


class RunsWhenOpened:
    """What an author of pickled weights can do to whoever opens them."""

    def __reduce__(self):
        return pytest.fail, ("the file was unpickled",)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("pytorch_model.bin", "pickled by PyTorch; unpickling runs"),
        ("pytorch_model-00001-of-00002.bin", "pickled by PyTorch"),
        ("tf_model.h5", "of TensorFlow"),
        ("flax_model.msgpack", "of Flax"),
    ],
)
def test_weights_that_are_no_safetensors_are_not_opened(name, reason, tmp_path):
    save("bert", tmp_path)
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / name).write_bytes(pickle.dumps(RunsWhenOpened()))
    with pytest.raises(
        ValueError, match=rf"only others: {name} is {reason}.*spaces/safetensors/convert.*save_pretrained"
    ):
        from_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (transformers.T5Config(), r"'t5' is none of .*relative positions.*RMSNorm.*: bert, .*own class"),
        (transformers.LlamaConfig(), r"'llama' is none of .*RoPE.*RMSNorm.*gated"),
        (transformers.NllbMoeConfig(), r"'nllb-moe' is none of .*experts; the dense NLLB models come in"),
        (transformers.AlbertConfig(), r"'albert' is none of .*one set of weights"),
        (transformers.ModernBertConfig(), r"'modernbert' is none of"),
        (transformers.WhisperConfig(), r"'whisper' is none of .*speech"),
        (transformers.ResNetConfig(), r"'resnet' is none of the families that convert: bert"),
    ],
)
def test_another_family(config, message, tmp_path):
    config.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=message):
        from_checkpoint(tmp_path)


def test_quantized_weights(tmp_path):
    save("opt", tmp_path)
    edit(tmp_path, quantization_config={"quant_method": "gptq", "bits": 4})
    with pytest.raises(
        ValueError, match=r"quantized \(quant_method='gptq'\).*Convert the model that they were made from"
    ):
        from_checkpoint(tmp_path)


def test_opt_350m(tmp_path):
    config = transformers.OPTConfig(**SMALL_CONFIGS["opt"] | {"word_embed_proj_dim": 16, "do_layer_norm_before": False})
    transformers.OPTForCausalLM(config).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"word_embed_proj_dim=16|do_layer_norm_before=False"):
        from_checkpoint(tmp_path)


def test_fsmt_with_two_vocabularies(tmp_path):
    config = transformers.FSMTConfig(**SMALL_CONFIGS["fsmt"] | {"src_vocab_size": 50})
    transformers.FSMTForConditionalGeneration(config).save_pretrained(tmp_path / "fsmt")
    with pytest.raises(ValueError, match="tgt_vocab_size=67 but src_vocab_size=50"):
        from_checkpoint(tmp_path / "fsmt")


def test_xglm_that_zeroes_a_position(tmp_path):
    save("xglm", tmp_path, pad_token_id=4)
    with pytest.raises(ValueError, match=r"XGLM with pad_token_id=4 has no position in that row.*only 0, 1 or None"):
        from_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("saved", "head", "message"),
    [
        (
            "BertModel",
            "masked-lm",
            r"has no cls\.predictions.* and 3 more, which BertForMaskedLM needs.*saved as: BertModel",
        ),
        ("BertForMaskedLM", "sequence-classification", r"has no bert\.pooler\.dense\.bias.*head='base'"),
        (
            "BertForMaskedLM",
            "causal-lm",
            "head='causal-lm' does not exist for bert; it has: base, masked-lm, pretraining",
        ),
        ("BertForMaskedLM", "fill-mask", r"head='fill-mask' does not exist .*\(heads are called base, masked-lm"),
    ],
)
def test_a_head_that_is_not_there(saved, head, message, tmp_path):
    save("bert", tmp_path, saved)
    with pytest.raises(ValueError, match=message):
        from_checkpoint(tmp_path, head=head)


def test_a_class_that_we_lack_and_no_class_at_all(tmp_path):
    save("bart", tmp_path)
    edit(tmp_path, architectures=["BartForSequenceClassification"])
    with pytest.raises(ValueError, match=r"BartForSequenceClassification .*these convert: BartModel.*head='base'"):
        from_checkpoint(tmp_path)
    edit(tmp_path, architectures=None)
    with pytest.raises(ValueError, match=r"does not say which class was saved.*head=, one of: base, seq2seq-lm"):
        from_checkpoint(tmp_path)
    assert type(from_checkpoint(tmp_path, head="seq2seq-lm")).__name__ == "VanillaTransformerForConditionalGeneration"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"num_hidden_layers": 1}, r"contains bert\.encoder\.layer\.1\..* does not have: the two belong to different"),
        ({"num_hidden_layers": 3}, r"has no bert\.encoder\.layer\.2\."),
        ({"intermediate_size": 64}, r"has the shape \(.*48.*\), but its config\.json says \(.*64"),
    ],
)
def test_a_configuration_that_is_not_that_of_the_weights(fields, message, tmp_path):
    save("bert", tmp_path)
    edit(tmp_path, **fields)
    with pytest.raises(ValueError, match=message):
        from_checkpoint(tmp_path)


def test_an_adapter_merged_or_not(tmp_path):
    save("gpt2", tmp_path / "unmerged")
    tensors = load_file(tmp_path / "unmerged" / "model.safetensors")
    tensors["transformer.h.0.attn.c_attn.lora_A.default.weight"] = torch.zeros(2, 32)
    save_file(tensors, tmp_path / "unmerged" / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match="an adapter that was not merged: call merge_and_unload"):
        from_checkpoint(tmp_path / "unmerged")
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(ValueError, match="is an adapter of PEFT, not a model"):
        from_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("file", "error", "message"),
    [
        ("model.gguf", ValueError, "GGUF file"),
        ("bert_model.ckpt.index", ValueError, "original BERT in TensorFlow.*--format bert-tf"),
        ("readme.md", FileNotFoundError, r"has no config\.json.*save_pretrained"),
    ],
)
def test_a_folder_of_something_else(file, error, message, tmp_path):
    (tmp_path / file).touch()
    with pytest.raises(error, match=message):
        from_checkpoint(tmp_path)


def test_files_that_are_missing_or_damaged(tmp_path):
    save("gpt2", tmp_path / "shards", shard="20KB")
    next((tmp_path / "shards").glob("model-00002-*")).unlink()
    with pytest.raises(FileNotFoundError, match=r"lacks 1 of \d shards \(model-00002"):
        from_checkpoint(tmp_path / "shards")
    (tmp_path / "shards" / "model.safetensors.index.json").write_text("{}")
    with pytest.raises(ValueError, match="no index of shards"):
        from_checkpoint(tmp_path / "shards")
    save("gpt2", tmp_path / "cut")
    whole = (tmp_path / "cut" / "model.safetensors").read_bytes()
    (tmp_path / "cut" / "model.safetensors").write_bytes(whole[:-100])
    with pytest.raises(ValueError, match="damaged or no safetensors"):
        from_checkpoint(tmp_path / "cut")
    (tmp_path / "cut" / "config.json").write_text("{")
    with pytest.raises(ValueError, match=r"config\.json of .* is no JSON"):
        from_checkpoint(tmp_path / "cut")
    (tmp_path / "cut" / "config.json").write_text("{}")
    with pytest.raises(ValueError, match=r"has no model_type.*one of: bert"):
        from_checkpoint(tmp_path / "cut")


def test_a_model_of_ours(tmp_path):
    save("gpt2", tmp_path / "transformers")
    from_checkpoint(tmp_path / "transformers").save_pretrained(tmp_path / "ours")
    with pytest.raises(ValueError, match=r"is a model of this package already .*from_pretrained"):
        from_checkpoint(tmp_path / "ours")


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        ("./nowhere", FileNotFoundError, r"no folder source='\./nowhere'"),
        ("/no/such/folder", FileNotFoundError, "no folder source='/no/such/folder'"),
        ("a/b/c", FileNotFoundError, "no folder source='a/b/c'"),
        ("what is this", FileNotFoundError, "neither a folder nor a name"),
        ("someone/never-downloaded", FileNotFoundError, "not downloaded before"),
    ],
)
def test_a_source_that_is_not_there(source, error, message, tmp_path):
    with pytest.raises(error, match=message):
        from_checkpoint(source, cache_dir=tmp_path, local_files_only=True)


def test_a_file_where_a_folder_is_wanted(tmp_path):
    save("gpt2", tmp_path)
    with pytest.raises(ValueError, match="is a file; give the folder that it lies in"):
        from_checkpoint(tmp_path / "model.safetensors")


def test_the_token_is_not_shown():
    assert "secret" not in repr(CheckpointSource("someone/a-model", token="secret"))
