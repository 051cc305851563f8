"""Errors for unsupported checkpoints have a reason and a remedy, before any weight is loaded."""

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
    """An object that runs code when it is unpickled."""

    def __reduce__(self):
        return pytest.fail, ("the file was unpickled",)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("pytorch_model.bin", "pickled by PyTorch"),
        ("pytorch_model-00001-of-00002.bin", "pickled by PyTorch"),
        ("tf_model.h5", "TensorFlow"),
        ("flax_model.msgpack", "Flax"),
    ],
)
def test_weights_in_other_formats_are_not_opened(name, reason, tmp_path):
    save("bert", tmp_path)
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / name).write_bytes(pickle.dumps(RunsWhenOpened()))
    with pytest.raises(ValueError, match=rf"{name} is .*{reason}.*spaces/safetensors/convert.*save_pretrained"):
        from_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (transformers.T5Config(), r"model_type='t5' .*relative positions.*RMSNorm.*: bert, .*own class"),
        (transformers.LlamaConfig(), r"model_type='llama' .*RoPE.*RMSNorm.*gated"),
        (transformers.NllbMoeConfig(), r"model_type='nllb-moe' .*experts.*facebook/nllb-200-distilled-600M"),
        (transformers.AlbertConfig(), r"model_type='albert' .*one set of weights"),
        (transformers.ModernBertConfig(), r"model_type='modernbert'"),
        (transformers.WhisperConfig(), r"model_type='whisper' .*speech"),
        (transformers.ResNetConfig(), r"model_type='resnet' .*: bert"),
    ],
)
def test_an_unsupported_family(config, message, tmp_path):
    config.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=message):
        from_checkpoint(tmp_path)


def test_quantized_weights(tmp_path):
    save("opt", tmp_path)
    edit(tmp_path, quantization_config={"quant_method": "gptq", "bits": 4})
    with pytest.raises(ValueError, match=r"quant_method='gptq'.*original model"):
        from_checkpoint(tmp_path)


def test_opt_350m(tmp_path):
    config = transformers.OPTConfig(**SMALL_CONFIGS["opt"] | {"word_embed_proj_dim": 16, "do_layer_norm_before": False})
    transformers.OPTForCausalLM(config).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"word_embed_proj_dim=16|do_layer_norm_before=False"):
        from_checkpoint(tmp_path)


def test_fsmt_with_two_vocabularies(tmp_path):
    config = transformers.FSMTConfig(**SMALL_CONFIGS["fsmt"] | {"src_vocab_size": 50})
    transformers.FSMTForConditionalGeneration(config).save_pretrained(tmp_path / "fsmt")
    with pytest.raises(ValueError, match=r"tgt_vocab_size=67 .*src_vocab_size=50"):
        from_checkpoint(tmp_path / "fsmt")


def test_xglm_with_a_zeroed_position(tmp_path):
    save("xglm", tmp_path, pad_token_id=4)
    with pytest.raises(ValueError, match=r"pad_token_id=4 .*0, 1 or None"):
        from_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("saved", "head", "message"),
    [
        (
            "BertModel",
            "masked-lm",
            r"cls\.predictions.* and 3 more.*BertForMaskedLM.*BertModel",
        ),
        ("BertForMaskedLM", "sequence-classification", r"bert\.pooler\.dense\.bias.*head='base'"),
        (
            "BertForMaskedLM",
            "causal-lm",
            r"head='causal-lm' .*bert.*base, masked-lm, pretraining",
        ),
        ("BertForMaskedLM", "fill-mask", r"head='fill-mask' .*base, masked-lm"),
    ],
)
def test_a_head_that_the_checkpoint_does_not_contain(saved, head, message, tmp_path):
    save("bert", tmp_path, saved)
    with pytest.raises(ValueError, match=message):
        from_checkpoint(tmp_path, head=head)


def test_an_unsupported_class_and_no_class(tmp_path):
    save("bart", tmp_path)
    edit(tmp_path, architectures=["BartForSequenceClassification"])
    with pytest.raises(ValueError, match=r"BartForSequenceClassification .*BartModel.*head='base'"):
        from_checkpoint(tmp_path)
    edit(tmp_path, architectures=None)
    with pytest.raises(ValueError, match=r"architectures.*head=.*base, seq2seq-lm"):
        from_checkpoint(tmp_path)
    assert type(from_checkpoint(tmp_path, head="seq2seq-lm")).__name__ == "VanillaTransformerForConditionalGeneration"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"num_hidden_layers": 1}, r"bert\.encoder\.layer\.1\..*BertForMaskedLM"),
        ({"num_hidden_layers": 3}, r"bert\.encoder\.layer\.2\."),
        ({"intermediate_size": 64}, r"config\.json requires intermediate_size=64.*\(48, 32\)"),
    ],
)
def test_a_configuration_of_another_model(fields, message, tmp_path):
    save("bert", tmp_path)
    edit(tmp_path, **fields)
    with pytest.raises(ValueError, match=message):
        from_checkpoint(tmp_path)


def test_an_unmerged_adapter(tmp_path):
    save("gpt2", tmp_path / "unmerged")
    tensors = load_file(tmp_path / "unmerged" / "model.safetensors")
    tensors["transformer.h.0.attn.c_attn.lora_A.default.weight"] = torch.zeros(2, 32)
    save_file(tensors, tmp_path / "unmerged" / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"lora_A.*merge_and_unload"):
        from_checkpoint(tmp_path / "unmerged")
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(ValueError, match=r"PEFT.*merge_and_unload"):
        from_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("file", "error", "message"),
    [
        ("model.gguf", ValueError, "GGUF file"),
        ("bert_model.ckpt.index", ValueError, r"TensorFlow.*--format bert-tf"),
        ("readme.md", FileNotFoundError, r"config\.json.*save_pretrained"),
    ],
)
def test_a_folder_in_another_format(file, error, message, tmp_path):
    (tmp_path / file).touch()
    with pytest.raises(error, match=message):
        from_checkpoint(tmp_path)


def test_missing_and_damaged_files(tmp_path):
    save("gpt2", tmp_path / "shards", shard="20KB")
    next((tmp_path / "shards").glob("model-00002-*")).unlink()
    with pytest.raises(FileNotFoundError, match=r"1 of \d shards \(model-00002"):
        from_checkpoint(tmp_path / "shards")
    (tmp_path / "shards" / "model.safetensors.index.json").write_text("{}")
    with pytest.raises(ValueError, match=r"model\.safetensors\.index\.json"):
        from_checkpoint(tmp_path / "shards")
    save("gpt2", tmp_path / "cut")
    complete = (tmp_path / "cut" / "model.safetensors").read_bytes()
    (tmp_path / "cut" / "model.safetensors").write_bytes(complete[:-100])
    with pytest.raises(ValueError, match=r"model\.safetensors is damaged"):
        from_checkpoint(tmp_path / "cut")
    (tmp_path / "cut" / "config.json").write_text("{")
    with pytest.raises(ValueError, match=r"config\.json .*JSON"):
        from_checkpoint(tmp_path / "cut")
    (tmp_path / "cut" / "config.json").write_text("{}")
    with pytest.raises(ValueError, match=r"model_type.*: bert"):
        from_checkpoint(tmp_path / "cut")


def test_a_model_of_ours(tmp_path):
    save("gpt2", tmp_path / "transformers")
    from_checkpoint(tmp_path / "transformers").save_pretrained(tmp_path / "ours")
    with pytest.raises(ValueError, match=r"model_type='vanilla_decoder'.*from_pretrained"):
        from_checkpoint(tmp_path / "ours")


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        ("./nowhere", FileNotFoundError, r"source='\./nowhere'"),
        ("/no/such/folder", FileNotFoundError, "source='/no/such/folder'"),
        ("a/b/c", FileNotFoundError, "source='a/b/c'"),
        ("what is this", FileNotFoundError, "source='what is this'"),
        ("someone/never-downloaded", FileNotFoundError, r"source='someone/never-downloaded' .*cache"),
    ],
)
def test_a_source_that_does_not_exist(source, error, message, tmp_path):
    with pytest.raises(error, match=message):
        from_checkpoint(source, cache_dir=tmp_path, local_files_only=True)


def test_a_file_instead_of_a_folder(tmp_path):
    save("gpt2", tmp_path)
    with pytest.raises(ValueError, match=r"model\.safetensors' is a file.*folder"):
        from_checkpoint(tmp_path / "model.safetensors")


def test_the_token_is_not_in_the_repr():
    assert "secret" not in repr(CheckpointSource("someone/a-model", token="secret"))
