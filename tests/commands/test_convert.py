"""`hf-vanilla convert`: a complete model folder, or a one-line error."""

import json

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    BertTokenizer,
    GPT2Tokenizer,
    MarianTokenizer,
)

from hf_vanilla_transformer.commands.main import main

from ..conversion.saved import save
from ..conversion.test_originals import WORDS, transformers_model, write_bert

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def bert_tokenizer(folder):
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS, *(f"##{letter}" for letter in LETTERS)]
    BertTokenizer(vocab={word: index for index, word in enumerate(words)}).save_pretrained(folder)


def gpt2_tokenizer(folder):
    letters = ["<|endoftext|>", "Ġ", *LETTERS, "ab", "cd"]
    GPT2Tokenizer(
        vocab={letter: index for index, letter in enumerate(letters)}, merges=[("a", "b"), ("c", "d")]
    ).save_pretrained(folder)


def marian_tokenizer(folder):
    sentencepiece = pytest.importorskip("sentencepiece")
    text = folder / "text"
    text.write_text("\n".join(f"{a}{b} {b}{a}{a} {a}" for a in LETTERS for b in LETTERS), encoding="utf-8")
    for name in ("source", "target"):
        sentencepiece.SentencePieceTrainer.train(
            input=str(text), model_prefix=str(folder / name), vocab_size=45, model_type="unigram", minloglevel=2
        )
        (folder / f"{name}.model").rename(folder / f"{name}.spm")
    pieces = [line.split("\t")[0] for line in (folder / "source.vocab").read_text(encoding="utf-8").splitlines()]
    words = ["</s>", "<unk>", *(piece for piece in pieces if piece not in ("</s>", "<unk>", "<s>")), "<pad>"]
    (folder / "vocab.json").write_text(json.dumps({word: index for index, word in enumerate(words)}))
    MarianTokenizer(str(folder / "source.spm"), str(folder / "target.spm"), str(folder / "vocab.json")).save_pretrained(
        folder
    )


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    folder.mkdir()
    return folder


@pytest.mark.parametrize(
    ("family", "make_tokenizer", "auto_class"),
    [
        ("bert", bert_tokenizer, AutoModelForMaskedLM),
        ("gpt2", gpt2_tokenizer, AutoModelForCausalLM),
        ("marian", marian_tokenizer, AutoModelForSeq2SeqLM),
    ],
)
def test_a_folder_that_auto_classes_load(family, make_tokenizer, auto_class, source, tmp_path, capsys):
    make_tokenizer(source)
    reference = save(family, source)
    output = tmp_path / "ours"
    assert main(["convert", str(source), "--output", str(output)]) == 0
    printed = capsys.readouterr().out
    assert f"{type(reference).__name__}, float32: outputs for random tokens differ by at most" in printed
    assert f"{output}: README.md" in printed and "model.safetensors" in printed and "norm_first=" in printed

    ours = auto_class.from_pretrained(output)
    tokenizer = AutoTokenizer.from_pretrained(output)
    batch = tokenizer("ab cda", return_tensors="pt")
    assert (
        batch.input_ids.tolist()
        == AutoTokenizer.from_pretrained(source)("ab cda", return_tensors="pt").input_ids.tolist()
    )
    extra = {"decoder_input_ids": torch.tensor([[1, 5, 6]])} if family == "marian" else {}
    with torch.no_grad():
        torch.testing.assert_close(ours(**batch, **extra).logits, reference(**batch, **extra).logits, rtol=0, atol=1e-5)
    if reference.can_generate():
        arguments = {"max_new_tokens": 8, "do_sample": False}
        assert torch.equal(ours.generate(**batch, **arguments), reference.generate(**batch, **arguments))
    assert str(tmp_path) not in (output / "README.md").read_text()


def test_head_dtype_and_another_tokenizer(source, tmp_path):
    (tmp_path / "tokenizer").mkdir()
    bert_tokenizer(tmp_path / "tokenizer")
    save("bert", source)
    output = tmp_path / "ours"
    arguments = ["convert", str(source), "--output", str(output), "--head", "base", "--dtype", "bfloat16"]
    assert main([*arguments, "--tokenizer", str(tmp_path / "tokenizer")]) == 0
    config = json.loads((output / "config.json").read_text())
    assert (config["architectures"], config["dtype"]) == (["VanillaEncoderModel"], "bfloat16")
    assert main([*arguments, "--without-tokenizer"]) == 2  # the folder exists already
    assert main([*arguments, "--without-tokenizer", "--overwrite"]) == 0
    assert not (output / "tokenizer.json").exists()


def test_an_original_bert(source, tmp_path, capsys):
    write_bert(source, transformers_model("bert", "BertForPreTraining", pad_token_id=0))
    output = tmp_path / "ours"
    assert main(["convert", str(source), "--output", str(output), "--format", "bert-tf", "--head", "masked-lm"]) == 0
    assert "bert-tf: all tensors" in capsys.readouterr().out
    assert len(AutoTokenizer.from_pretrained(output)) == len(WORDS)
    assert type(AutoModelForMaskedLM.from_pretrained(output)).__name__ == "VanillaEncoderForMaskedLM"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere/at/all", "--output", "out"], "source='nowhere/at/all'"),
        (["source", "--output", "source"], "source is not empty"),
        (["source", "--output", "out"], "has no tokenizer (tokenizer.json"),
        (["source", "--output", "out", "--dtype", "int8"], "--dtype int8 "),
        (["source", "--output", "out", "--head", "causal-lm"], "head='causal-lm' "),
        (["source", "--output", "out", "--format", "fairseq", "--without-tokenizer"], "encoder_embed_dim"),
        (["someone/model", "--output", "out", "--format", "bert-tf"], "someone/model is not a local folder"),
    ],
)
def test_mistakes_give_a_one_line_error_and_write_nothing(arguments, message, source, tmp_path, monkeypatch, capsys):
    save("bert", source)
    (source / "args.json").write_text("{}")
    capsys.readouterr()  # progress bars
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert main(["convert", *arguments]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("hf-vanilla convert: ") and message in printed and "Traceback" not in printed
    assert sorted(tmp_path.rglob("*")) == before
