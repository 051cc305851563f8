"""Methods of fine-tuning in transformers' own Trainer, without a recipe of this package."""

import datasets
import pytest
import torch
from torch.optim.lr_scheduler import LambdaLR
from transformers import Trainer, TrainerCallback, TrainingArguments

import hf_vanilla_transformer as vanilla
from hf_vanilla_transformer.training.finetuning.parameter_groups import discriminative_groups
from hf_vanilla_transformer.training.finetuning.unfreezing import (
    GradualUnfreezing,
    TrainableRecord,
    read_trainable,
    trainable_table,
)
from hf_vanilla_transformer.training.schedules import slanted_triangular

STEPS = 12  # three epochs of four


def classifier():
    torch.manual_seed(0)
    config = vanilla.VanillaEncoderConfig(
        vocab_size=30, hidden_size=8, num_attention_heads=2, intermediate_size=16, num_hidden_layers=2,
        max_position_embeddings=8,
    )  # fmt: skip
    return vanilla.VanillaEncoderForSequenceClassification(config)


def rows():
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(5, 30, (16, 6), generator=generator)
    return datasets.Dataset.from_dict({"input_ids": ids.tolist(), "labels": (ids[:, 0] % 2).tolist()})


def arguments(folder, **options):
    settings = {"per_device_train_batch_size": 4, "num_train_epochs": 3, "logging_steps": 1, "report_to": "none"}
    return TrainingArguments(str(folder), use_cpu=True, disable_tqdm=True, **{**settings, **options})


class Watch(TrainerCallback):
    """Records which weights changed in each update, and the rates."""

    def __init__(self):
        self.moved, self.rates, self.before = [], [], None

    def on_step_begin(self, args, state, control, model=None, **kwargs):
        self.before = {name: value.detach().clone() for name, value in model.named_parameters()}

    def on_step_end(self, args, state, control, model=None, optimizer=None, **kwargs):
        now = dict(model.named_parameters())
        self.moved.append({name for name in now if not torch.equal(now[name], self.before[name])})
        self.rates.append([group["lr"] for group in optimizer.param_groups])


def test_discriminative_rates_with_a_slanted_triangular_schedule(tmp_path):
    model, watch = classifier(), Watch()
    groups = discriminative_groups(model, learning_rate=1e-2, layerwise_lr_decay=2.6, weight_decay=0.01)
    optimizer = torch.optim.AdamW(groups)
    schedule = LambdaLR(optimizer, slanted_triangular(STEPS, cut_fraction=0.25, ratio=32))
    Trainer(
        model, arguments(tmp_path, save_strategy="no"), train_dataset=rows(), optimizers=(optimizer, schedule),
        callbacks=[watch],
    ).train()  # fmt: skip
    assert len(watch.rates) == STEPS
    for rates in watch.rates:  # the proportions hold all the time
        for group, rate in zip(groups, rates):
            depth = ["head", "layer 1", "layer 0", "embeddings"].index(group["name"])
            assert rate == pytest.approx(rates[0] / 2.6**depth)
    # The scheduler has stepped when a step ends.
    heads = [1e-2 / 32, *(rates[0] for rates in watch.rates)]
    assert max(heads) == pytest.approx(1e-2) and heads.index(max(heads)) == 3
    assert heads[-1] == pytest.approx(1e-2 / 32)


def test_layers_are_unfrozen_from_the_top_down(tmp_path):
    model, watch, record = classifier(), Watch(), TrainableRecord(tmp_path / "trainable.json")
    Trainer(
        model, arguments(tmp_path, save_strategy="no", weight_decay=0.1), train_dataset=rows(),
        callbacks=[GradualUnfreezing(every_epochs=1), record, watch],
    ).train()  # fmt: skip

    def parts(moved):
        return {
            "embeddings" if "embed" in name else name.split(".")[2] if ".layers." in name else "head" for name in moved
        }

    assert all(parts(moved) == {"head"} for moved in watch.moved[:4])
    assert all(parts(moved) == {"head", "1"} for moved in watch.moved[4:8])
    assert all(parts(moved) == {"head", "1", "0"} for moved in watch.moved[8:])
    assert [(entry.step, entry.parts[-1]) for entry in record.history] == [(0, "head"), (4, "layer 1"), (8, "layer 0")]
    assert read_trainable(tmp_path / "trainable.json") == record.history
    counted = sum(value.numel() for name, value in model.named_parameters() if "embed" not in name)
    assert record.history[-1].parameters == counted
    table = trainable_table(record.history)
    assert "layer 1" in table and f"{counted:,} of {model.num_parameters():,}" in table


def test_a_resumed_training_continues_with_the_unfrozen_parts(tmp_path):
    whole = classifier()
    Trainer(
        whole, arguments(tmp_path / "whole", save_strategy="steps", save_steps=6), train_dataset=rows(),
        callbacks=[GradualUnfreezing(every_epochs=1)],
    ).train()  # fmt: skip
    record = TrainableRecord()
    resumed = classifier()
    Trainer(
        resumed, arguments(tmp_path / "resumed", save_strategy="no"), train_dataset=rows(),
        callbacks=[GradualUnfreezing(every_epochs=1), record],
    ).train(resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-6"))  # fmt: skip
    assert [(entry.step, entry.parts[-1]) for entry in record.history] == [(6, "layer 1"), (8, "layer 0")]
    for name, value in whole.named_parameters():
        torch.testing.assert_close(resumed.get_parameter(name), value, msg=name)


def test_parameters_frozen_before_training_stay_frozen(tmp_path):
    model, record = classifier(), TrainableRecord()
    model.model.layers[0].requires_grad_(False)
    Trainer(
        model, arguments(tmp_path, save_strategy="no"), train_dataset=rows(),
        callbacks=[GradualUnfreezing(every_epochs=0.5), record],
    ).train()  # fmt: skip
    assert record.history[-1].parts == ("head", "layer 1", "embeddings")


def test_unfreezing_needs_positive_epochs_between_layers():
    with pytest.raises(ValueError, match=r"every_epochs.*0"):
        GradualUnfreezing(0)
