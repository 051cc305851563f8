"""Folders as other people save them: wrapped or old names, old or missing tokenizer files, other files beside them."""

import json
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertTokenizer

from hf_vanilla_transformer import from_checkpoint
from hf_vanilla_transformer.commands.main import main
from hf_vanilla_transformer.conversion.checkpoint_files import CheckpointSource
from hf_vanilla_transformer.conversion.checkpoint_tokenizer import load_tokenizer
from hf_vanilla_transformer.conversion.output_difference import largest_difference
from hf_vanilla_transformer.hub import export_folder

from .saved import save

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefgh", *(f"##{letter}" for letter in "abcdefgh")]


def edit_config(folder, **fields):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def rename_tensors(folder, rename):
    tensors = load_file(folder / "model.safetensors")
    save_file({rename(name): value for name, value in tensors.items()}, folder / "model.safetensors", {"format": "pt"})


# Names of tensors


@pytest.mark.parametrize("prefix", ["module.", "module._orig_mod.", "model."])
@pytest.mark.parametrize("class_name", ["BertForMaskedLM", "BertModel", "BartForConditionalGeneration"])
def test_a_saved_wrapper_of_the_model(prefix, class_name, tmp_path):
    reference = save(class_name[:4].lower(), tmp_path, class_name)
    rename_tensors(tmp_path, lambda name: prefix + name)
    assert largest_difference(reference, from_checkpoint(tmp_path)) <= 1e-5


@pytest.mark.parametrize("class_name", ["BertForMaskedLM", "BertModel", "GPT2Model", "BartModel"])
def test_the_prefix_of_the_base_model_may_be_there_or_missing(class_name, tmp_path):
    prefix = {"Bert": "bert.", "GPT2": "transformer.", "Bart": "model."}[class_name[:4]]
    reference = save(class_name[:4].lower(), tmp_path, class_name)
    has_prefix = class_name == "BertForMaskedLM"
    rename_tensors(tmp_path, lambda name: name.removeprefix(prefix) if has_prefix else prefix + name)
    assert largest_difference(reference, from_checkpoint(tmp_path)) <= 1e-5


@pytest.mark.parametrize(
    ("family", "architecture"),
    [
        ("xlm-roberta", "RobertaForMaskedLM"),
        ("camembert", "RobertaForMaskedLM"),
        ("roberta", "XLMRobertaForMaskedLM"),
        ("mbart", "BartForConditionalGeneration"),
        ("bert", "TFBertForMaskedLM"),
        ("gpt2", "FlaxGPT2LMHeadModel"),
    ],
)
def test_the_class_of_a_related_family_or_another_library(family, architecture, tmp_path):
    reference = save(family, tmp_path)
    edit_config(tmp_path, architectures=[architecture])
    assert largest_difference(reference, from_checkpoint(tmp_path)) <= 1e-5


def test_a_class_with_several_heads_names_those_that_can_be_converted(tmp_path):
    reference = save("gpt2", tmp_path)
    edit_config(tmp_path, architectures=["GPT2DoubleHeadsModel"])
    with pytest.raises(ValueError, match=r"GPT2DoubleHeadsModel.*--head.*causal-lm"):
        from_checkpoint(tmp_path)
    assert largest_difference(reference, from_checkpoint(tmp_path, head="causal-lm")) <= 1e-5


def test_a_missing_family_is_named_after_the_class(tmp_path):
    save("distilbert", tmp_path)
    edit_config(tmp_path, model_type=None)
    with pytest.raises(ValueError, match='"model_type": "distilbert"'):
        from_checkpoint(tmp_path)


def test_norms_that_the_class_does_not_have_are_not_dropped(tmp_path):
    """Without its last norms an mBART would be another function."""
    save("mbart", tmp_path)
    edit_config(tmp_path, model_type="bart", architectures=["BartForConditionalGeneration"])
    with pytest.raises(ValueError, match=r"decoder\.layer_norm.* and 1 more"):
        from_checkpoint(tmp_path)
    edit_config(tmp_path, normalize_before=True, add_final_layer_norm=True)
    with pytest.raises(ValueError, match=r'change it to "model_type": "mbart"'):
        from_checkpoint(tmp_path)


# Other files


def test_other_formats_beside_the_weights_are_left_alone(tmp_path):
    reference = save("bert", tmp_path)
    (tmp_path / "onnx").mkdir()
    for name in ("tf_model.h5", "rust_model.ot", "pytorch_model.bin", "training_args.bin", "onnx/model.onnx"):
        (tmp_path / name).write_bytes(b"not opened")
    assert largest_difference(reference, from_checkpoint(tmp_path)) <= 1e-5


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("weights.safetensors", r"weights\.safetensors.*Rename.*model\.safetensors"),
        ("adapter_model.safetensors", "adapter.*merge"),
        ("model-00001-of-00002.safetensors", r"no model\.safetensors\.index\.json"),
    ],
)
def test_weights_of_another_name(name, message, tmp_path):
    save("gpt2", tmp_path)
    (tmp_path / "model.safetensors").rename(tmp_path / name)
    with pytest.raises(ValueError, match=message):
        from_checkpoint(tmp_path)


@pytest.mark.parametrize("place", ["0_BERT", "snapshots/0123", "package/data/embeddings/user__model"])
def test_a_model_in_a_folder_of_the_given_one(place, tmp_path):
    save("bert", tmp_path / place)
    with pytest.raises(FileNotFoundError, match=rf"no config\.json, but its folder .*{place} has one"):
        from_checkpoint(tmp_path)


def test_the_nearest_model_is_named_and_hidden_folders_are_not_searched(tmp_path):
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling" / "config.json").write_text('{"pooling_mode_mean_tokens": true}')
    save("bert", tmp_path / ".cache" / "model")
    with pytest.raises(FileNotFoundError, match=r"has no config\.json\. Give a folder"):
        from_checkpoint(tmp_path)
    for place in ("a/deep/model", "b/model"):
        save("bert", tmp_path / place)
    with pytest.raises(FileNotFoundError, match=r"its folder .*b/model has one"):
        from_checkpoint(tmp_path)


@pytest.mark.parametrize("name", ["model.zip", "model-1.0-py3-none-any.whl", "model.tar.gz"])
def test_an_archive_must_be_unpacked(name, tmp_path, capsys):
    (tmp_path / name).write_bytes(b"not opened")
    for source in (tmp_path, tmp_path / name):
        assert main(["convert", str(source), "--output", str(tmp_path / "out")]) == 2
        message = capsys.readouterr().err
        assert message.count("\n") == 1 and name in message and "unpack it" in message and "config.json" in message


def test_a_pipeline_of_spacy(tmp_path):
    for name in ("meta.json", "config.cfg", "tokenizer"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(ValueError, match=r"pipeline of spaCy.*model\.transformer\.save_pretrained"):
        from_checkpoint(tmp_path)


def test_files_that_belong_to_no_model_are_not_copied(tmp_path):
    """Packages ship a model with the caches of the Hub client, training scripts and notes of its training data."""
    source = tmp_path / "source"
    save("bert", source, "BertModel")
    write_vocabulary(source)
    others = {
        "train_script.py",
        "data_config.json",
        ".gitattributes",
        ".cache/huggingface/download/config.json.metadata",
    }
    for name in others:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text("{}")
    assert main(["convert", str(source), "--output", str(tmp_path / "ours")]) == 0
    copied = {path.relative_to(tmp_path / "ours").as_posix() for path in (tmp_path / "ours").rglob("*")}
    assert not copied & others and ".cache" not in copied
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= copied


def test_generation_settings_in_the_configuration_of_the_model(tmp_path):
    save("marian", tmp_path)
    (tmp_path / "generation_config.json").unlink()
    edit_config(tmp_path, num_beams=6, max_length=51, bad_words_ids=[[5]])
    settings = from_checkpoint(tmp_path).generation_config
    assert (settings.num_beams, settings.max_length, settings.bad_words_ids) == (6, 51, [[5]])


def test_damaged_generation_settings_are_not_ignored(tmp_path):
    save("gpt2", tmp_path)
    (tmp_path / "generation_config.json").write_text('{"num_beams": 4,')
    with pytest.raises(ValueError, match=r"generation_config\.json is not valid JSON"):
        from_checkpoint(tmp_path)


def test_a_configuration_field_of_the_wrong_type(tmp_path):
    save("bert", tmp_path)
    edit_config(tmp_path, num_hidden_layers="two")
    with pytest.raises(ValueError, match=r"config\.json.*num_hidden_layers"):
        from_checkpoint(tmp_path)


# Tokenizers


def write_vocabulary(folder, **other_files):
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    for name, content in other_files.items():
        (folder / f"{name}.json").write_text(content)


@pytest.mark.parametrize(
    "other_files",
    [
        {},
        {"tokenizer_config": "{}"},
        {"tokenizer_config": '{"do_lower_case": true, "model_max_length": 512}'},
        {"tokenizer_config": '{"tokenizer_class": "BertTokenizerFast", "special_tokens_map_file": null}'},
        {"special_tokens_map": '{"unk_token": "[UNK]", "mask_token": "[MASK]"}', "added_tokens": "{}"},
    ],
    ids=["vocab.txt only", "empty settings", "settings without a class", "old class", "special tokens"],
)
def test_old_files_of_a_tokenizer(other_files, tmp_path):
    save("bert", tmp_path)
    write_vocabulary(tmp_path, **other_files)
    tokenizer = load_tokenizer(CheckpointSource(str(tmp_path)))
    expected = BertTokenizer(vocab={word: index for index, word in enumerate(WORDS)})
    assert tokenizer("Abc h, x").input_ids == expected("Abc h, x").input_ids
    assert tokenizer.mask_token_id == WORDS.index("[MASK]")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"tokenizer_config.json": "{}"}, r"no vocabulary.*vocab\.txt"),
        ({"tokenizer_config.json": "null", "vocab.txt": "a"}, r"tokenizer_config\.json must contain a JSON object"),
        ({"tokenizer.json": "{"}, r"tokenizer\.json is not valid JSON"),
        ({"tokenizer.json": '{"version": "1.0"}'}, "cannot be loaded.*save the tokenizer again"),
        ({"vocab.json": '{"a": 0}'}, r"vocab\.json, but no merges\.txt"),
    ],
)
def test_a_damaged_or_incomplete_tokenizer(files, message, tmp_path):
    save("bert", tmp_path)
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=message):
        load_tokenizer(CheckpointSource(str(tmp_path)))


@pytest.mark.parametrize(
    ("family", "name"), [("xlm-roberta", "sentencepiece.bpe.model"), ("marian", "source.spm"), ("xglm", "spiece.model")]
)
def test_sentencepiece_without_its_package(family, name, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    save(family, tmp_path)
    (tmp_path / name).write_bytes(b"a model of SentencePiece")
    with pytest.raises(ValueError, match=rf"{name}.*hf_vanilla_transformer\[sentencepiece\]"):
        load_tokenizer(CheckpointSource(str(tmp_path)))


def test_only_the_mask_token_may_lie_beyond_the_embeddings(tmp_path):
    """The tokenizer of facebook/bart-large-cnn has a mask token that its model lacks."""
    write_vocabulary(tmp_path)
    tokenizer = BertTokenizer.from_pretrained(tmp_path)
    tokenizer.add_special_tokens({"mask_token": "<mask>"})
    save("bart", tmp_path / "bart", vocab_size=len(WORDS))
    model = from_checkpoint(tmp_path / "bart")
    export_folder(model, tokenizer, tmp_path / "published")
    assert load_tokenizer(CheckpointSource(str(tmp_path / "published"))).mask_token_id == len(WORDS)

    save("bert", tmp_path / "bert", vocab_size=len(WORDS))
    with pytest.raises(ValueError, match=rf"<mask>.*vocab_size={len(WORDS)}\b"):
        export_folder(from_checkpoint(tmp_path / "bert"), tokenizer, tmp_path / "masked")
    tokenizer.add_tokens(["word"])
    with pytest.raises(ValueError, match=rf"'word'.*vocab_size={len(WORDS)}\b"):
        export_folder(model, tokenizer, tmp_path / "word")


def test_half_precision_and_an_old_name_of_its_field(tmp_path):
    save("bert", tmp_path, dtype=torch.float16)
    config = json.loads((tmp_path / "config.json").read_text())
    config["torch_dtype"] = config.pop("dtype")
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert from_checkpoint(tmp_path).dtype == torch.float16
