"""The files of sentence-transformers accompany a model through conversion, publication and export."""

import json
import shutil

import pytest
import torch
from huggingface_hub import ModelCard
from safetensors.torch import save_file
from transformers import AutoModelForSequenceClassification, BertConfig, BertForSequenceClassification

from benchmarks.parity import SMALL_CONFIGS
from hf_vanilla_transformer import from_transformers, to_transformers
from hf_vanilla_transformer.commands.main import main
from hf_vanilla_transformer.conversion.checkpoint_files import CheckpointSource
from hf_vanilla_transformer.conversion.embedding_files import embedding_files, embedding_files_of_source

from .saved import save
from .test_folders_of_others import write_vocabulary

MODEL, POOLING, DENSE, NORMALIZE = (
    f"sentence_transformers.models.{name}" for name in ("Transformer", "Pooling", "Dense", "Normalize")
)
FILES = {
    "modules.json",
    "config_sentence_transformers.json",
    "sentence_bert_config.json",
    "1_Pooling/config.json",
    "2_Dense/config.json",
    "2_Dense/model.safetensors",
}


def write_modules(folder, *modules):
    """`modules.json` with pairs of a type and a path."""
    entries = [
        {"idx": index, "name": str(index), "path": path, "type": kind} for index, (kind, path) in enumerate(modules)
    ]
    (folder / "modules.json").write_text(json.dumps(entries))


def write_embedder(folder):
    """A small BERT as sentence-transformers saves it: pooling, a linear layer, normalization (without a folder)."""
    save("bert", folder, "BertModel")
    write_vocabulary(folder)
    write_modules(folder, (MODEL, ""), (POOLING, "1_Pooling"), (DENSE, "2_Dense"), (NORMALIZE, "3_Normalize"))
    (folder / "config_sentence_transformers.json").write_text('{"prompts": {}}')
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 20, "do_lower_case": false}')
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(
        '{"word_embedding_dimension": 32, "pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false}'
    )
    (folder / "2_Dense").mkdir()
    tanh = "torch.nn.modules.activation.Tanh"
    dense = {"in_features": 32, "out_features": 8, "bias": False, "activation_function": tanh}
    (folder / "2_Dense" / "config.json").write_text(json.dumps(dense))
    weight = torch.randn(8, 32, generator=torch.Generator().manual_seed(1))
    save_file({"linear.weight": weight}, folder / "2_Dense" / "model.safetensors")
    (folder / "README.md").write_text("---\nlicense: apache-2.0\nlanguage: en\n---\n# An embedder\n")


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    write_embedder(folder)
    return folder


def names_of_embedding(folder):
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    return {name for name in names if name in FILES}


def test_conversion_publication_and_export_keep_them(source, tmp_path, capsys):
    ours, published, exported = tmp_path / "ours", tmp_path / "published", tmp_path / "exported"
    assert main(["convert", str(source), str(ours)]) == 0
    printed = capsys.readouterr().out
    assert "sentence-transformers: Pooling, Dense, Normalize" in printed and "license apache-2.0" in printed
    arguments = ["publish", str(ours), "me/embedder", "--dry-run", str(published), "--set", "base_model=you/embedder"]
    assert main(arguments) == 0
    assert main(["export", str(ours), str(exported)]) == 0
    for folder in (ours, published, exported):
        assert names_of_embedding(folder) == FILES
        for name in FILES:
            assert (folder / name).read_bytes() == (source / name).read_bytes()
    card = ModelCard.load(published / "README.md")
    assert (card.data.library_name, card.data.pipeline_tag) == ("sentence-transformers", "sentence-similarity")
    assert (card.data.license, card.data.language, card.data.base_model) == ("apache-2.0", ["en"], "you/embedder")
    assert 'SentenceTransformer("me/embedder", trust_remote_code=True)' in card.text
    assert "\n\n\n" not in card.text


def test_an_export_of_states_says_what_is_missing(source, tmp_path, capsys):
    pytest.importorskip("ctranslate2")
    assert main(["convert", str(source), str(tmp_path / "ours")]) == 0
    assert main(["export", str(tmp_path / "ours"), str(tmp_path / "exported"), "--to", "ctranslate2"]) == 0
    assert "one vector of them by Pooling, Dense, Normalize" in capsys.readouterr().out


def test_a_folder_in_the_cache_of_the_hub_client(source, tmp_path):
    snapshot = tmp_path / "hub" / "models--someone--embedder" / "snapshots" / ("0" * 40)
    shutil.copytree(source, snapshot)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("0" * 40)
    found = embedding_files_of_source(
        CheckpointSource("someone/embedder", cache_dir=tmp_path / "hub", local_files_only=True)
    )
    assert set(found.names) == FILES and found.modules == ("Pooling", "Dense", "Normalize")


def test_a_folder_without_modules(tmp_path):
    save("bert", tmp_path)
    assert embedding_files(tmp_path) is None


def pickle_dense(folder):
    (folder / "2_Dense" / "model.safetensors").rename(folder / "2_Dense" / "pytorch_model.bin")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (pickle_dense, r"2_Dense/pytorch_model\.bin is pickled.*save it"),
        (lambda folder: write_modules(folder, ("my_code.Transformer", "")), "my_code.Transformer.*never run"),
        (lambda folder: write_modules(folder, (MODEL, ""), (POOLING, "../x")), r"path='\.\./x'"),
        (lambda folder: write_modules(folder, (MODEL, "0_BERT")), "Transformer in '0_BERT'.*save it again"),
        (lambda folder: (folder / "modules.json").write_text("{}"), r"modules\.json must contain a list"),
        (
            lambda folder: (folder / "1_Pooling" / "config.json").write_text("secret"),
            r"1_Pooling/config\.json is damaged",
        ),
    ],
)
def test_what_is_not_copied_is_said(damage, message, source, tmp_path, capsys):
    damage(source)
    with pytest.raises(ValueError, match=message):
        embedding_files(source)
    assert main(["convert", str(source), str(tmp_path / "ours")]) == 0
    assert "gives other vectors than the original" in capsys.readouterr().out
    assert not names_of_embedding(tmp_path / "ours")


@pytest.mark.parametrize(
    "note",
    [
        {"sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity", "version": "5.0.0"}},
        {"sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity"},
    ],
)
def test_the_activation_of_a_cross_encoder_is_kept(note, tmp_path):
    config = BertConfig(**SMALL_CONFIGS["bert"] | {"num_labels": 1}, **note)
    ours = from_transformers(BertForSequenceClassification(config).eval())
    ours.save_pretrained(tmp_path)
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    for model in (ours, again, to_transformers(again)):
        assert {name: getattr(model.config, name) for name in note} == note
