"""transformers' own Trainer with model, tokenizer and collators of this package, without its training code."""

import subprocess
import sys

import pytest
import torch
from transformers import (
    DataCollatorForLanguageModeling,
    DataCollatorForSeq2Seq,
    Seq2SeqTrainer,
    Seq2SeqTrainingArguments,
    Trainer,
    TrainingArguments,
)

from hf_vanilla_transformer import (
    VanillaDecoderConfig,
    VanillaDecoderForCausalLM,
    VanillaEncoderConfig,
    VanillaEncoderForMaskedLM,
    VanillaTransformerConfig,
    VanillaTransformerForConditionalGeneration,
)
from hf_vanilla_transformer.data import TranslationCollator, load_pairs
from hf_vanilla_transformer.tokenization import train_tokenizer

SIZE = {"hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2, "max_position_embeddings": 64}


@pytest.fixture(scope="module")
def rows(pairs):
    return load_pairs(pairs, split="train")[0]


def special_tokens(tokenizer):
    return {
        "vocab_size": len(tokenizer),
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }


def arguments(cls, folder, **more):
    return cls(
        output_dir=str(folder), max_steps=6, per_device_train_batch_size=8, learning_rate=1e-2, logging_steps=1,
        save_strategy="no", disable_tqdm=True, use_cpu=True, **more,
    )  # fmt: skip


def losses(trainer):
    return [record["loss"] for record in trainer.state.log_history if "loss" in record]


@pytest.mark.usefixtures("both_losses")
@pytest.mark.parametrize("collator", ["transformers", "ours", "ours, packed"])
def test_seq2seq_trainer_trains_and_generates(rows, collator, tmp_path):
    tokenizer = train_tokenizer(rows, kind="bpe", vocab_size=60, template="seq2seq", pretokenized=True)
    torch.manual_seed(0)
    config = VanillaTransformerConfig.tiny(
        **SIZE, encoder_layers=1, decoder_layers=1, decoder_start_token_id=tokenizer.bos_token_id,
        **special_tokens(tokenizer),
    )  # fmt: skip
    model = VanillaTransformerForConditionalGeneration(config)
    encoded = rows.map(
        lambda row: {
            "input_ids": tokenizer(row["source"])["input_ids"],
            "labels": tokenizer(row["target"])["input_ids"],
        },
        remove_columns=rows.column_names,
    )
    if collator == "transformers":
        collate = DataCollatorForSeq2Seq(tokenizer, model=model)
    else:
        collate = TranslationCollator(tokenizer, packing="packed" in collator)
    trainer = Seq2SeqTrainer(
        model,
        arguments(Seq2SeqTrainingArguments, tmp_path, predict_with_generate="packed" not in collator),
        train_dataset=encoded,
        eval_dataset=encoded.select(range(4)),
        data_collator=collate,
        processing_class=tokenizer,
    )
    trainer.train()
    assert losses(trainer)[-1] < losses(trainer)[0]
    assert trainer.evaluate()["eval_loss"] > 0
    trainer.save_model(tmp_path / "model")
    VanillaTransformerForConditionalGeneration.from_pretrained(tmp_path / "model")


@pytest.mark.usefixtures("both_losses")
@pytest.mark.parametrize("objective", ["masked", "causal"])
def test_trainer_trains_language_models(rows, objective, tmp_path):
    masked = objective == "masked"
    tokenizer = train_tokenizer(
        rows, kind="wordpiece" if masked else "byte_bpe", vocab_size=60 if masked else 280,
        template="encoder" if masked else "decoder",
    )  # fmt: skip
    torch.manual_seed(0)
    config_class, model_class = (
        (VanillaEncoderConfig, VanillaEncoderForMaskedLM)
        if masked
        else (VanillaDecoderConfig, VanillaDecoderForCausalLM)
    )
    model = model_class(config_class(**SIZE, num_hidden_layers=1, **special_tokens(tokenizer)))
    encoded = rows.map(lambda row: tokenizer(row["source"]), remove_columns=rows.column_names)
    trainer = Trainer(
        model,
        arguments(TrainingArguments, tmp_path, gradient_accumulation_steps=2),
        train_dataset=encoded,
        data_collator=DataCollatorForLanguageModeling(tokenizer, mlm=masked),
        processing_class=tokenizer,
    )
    trainer.train()
    assert losses(trainer)[-1] < losses(trainer)[0]


def test_models_do_not_import_the_training_code():
    code = (
        "import sys, hf_vanilla_transformer as package; package.VanillaTransformerForConditionalGeneration;"
        "assert not [name for name in sys.modules if name.startswith('hf_vanilla_transformer.training')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_label_smoothing_of_the_trainer_teaches_a_decoder_the_next_token(tmp_path):
    """Trainer smooths labels itself, and has to know that those of a causal language model are shifted."""
    torch.manual_seed(0)
    config = VanillaDecoderConfig(
        vocab_size=50, num_hidden_layers=1, bos_token_id=1, eos_token_id=2, dropout=0.0, attention_dropout=0.0, **SIZE
    )
    model = VanillaDecoderForCausalLM(config)
    row = torch.arange(4, 24)
    dataset = [{"input_ids": row, "labels": row}] * 8
    settings = TrainingArguments(
        output_dir=str(tmp_path), max_steps=40, learning_rate=2e-2, label_smoothing_factor=0.1, save_strategy="no",
        disable_tqdm=True, use_cpu=True,
    )  # fmt: skip
    Trainer(model, settings, train_dataset=dataset).train()
    with torch.no_grad():
        predicted = model.eval()(row[None]).logits.argmax(-1)[0]
    assert torch.equal(predicted[:-1], row[1:])
