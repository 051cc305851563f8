"""TRL's trainer for language models takes our decoder as it is."""

import pytest
import torch
from datasets import Dataset

from hf_vanilla_transformer.conversion.exports.samples import SENTENCES
from tests.tiny_models import tiny_model, tiny_tokenizer

trl = pytest.importorskip("trl")


@pytest.mark.usefixtures("both_losses")
def test_the_decoder_learns(tmp_path):
    tokenizer = tiny_tokenizer("decoder", SENTENCES, vocab_size=300, min_frequency=1)
    model = tiny_model("decoder", tokenizer, noise=0.2, dropout=0.0, attention_dropout=0.0)
    settings = trl.SFTConfig(
        output_dir=str(tmp_path),
        max_steps=12,
        per_device_train_batch_size=4,
        gradient_accumulation_steps=3,
        learning_rate=3e-3,
        lr_scheduler_type="constant",
        max_length=48,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        use_cpu=True,
        bf16=False,
        seed=0,
    )
    texts = Dataset.from_dict({"text": list(SENTENCES)})
    trainer = trl.SFTTrainer(model=model, args=settings, train_dataset=texts, processing_class=tokenizer)

    # All texts make one step, so that the first loss is that of the model as it was.
    rows = [row[:48] for row in trainer.train_dataset["input_ids"]]
    with torch.no_grad():
        losses = [model.eval()(input_ids=torch.tensor([row]), labels=torch.tensor([row])).loss for row in rows]
    weights = torch.tensor([len(row) - 1.0 for row in rows])
    expected = float((torch.stack(losses) * weights).sum() / weights.sum())

    trainer.train()
    found = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert len(found) == 12
    assert found[0] == pytest.approx(expected, rel=1e-3)
    assert found[-1] < 0.9 * found[0]
