"""Tiny configurations and inputs for the mixins: one tester a stack, for our classes and transformers' own."""

from __future__ import annotations

from typing import Any

import torch


class StackTester:
    """What the mixins ask of a model tester. Subclasses say which classes and fields a stack has.

    Class attributes to set:
        config_class: the configuration.
        settings: its fields, for the tiny model without dropout.
        dropout: fields to add where the mixins train without comparing with another run.
        causal_lm_class: the class that `TrainingTesterMixin` teaches one batch.
        tensor_parallel_class: the class that `TensorParallelTesterMixin` cuts.
        fsdp_settings: fields to change where `FSDPTesterMixin` compares weights after training.
    """

    config_class: Any = None
    settings: dict[str, Any] = {}
    dropout: dict[str, Any] = {}
    causal_lm_class: Any = None
    tensor_parallel_class: Any = None
    fsdp_settings: dict[str, Any] = {}

    is_training = True
    batch_size = 5
    seq_length = 7
    hidden_size = 32
    num_attention_heads = 4
    num_hidden_layers = 2
    intermediate_size = 64
    vocab_size = 99
    num_labels = 3
    num_choices = 4
    pad_token_id = 0

    def __init__(self, parent: Any) -> None:
        self.parent = parent

    @property
    def config_tester_arguments(self) -> dict[str, Any]:
        """Keywords for `ConfigTester`: fields of the config with values other than the defaults."""
        return {"hidden_size": 36, "num_attention_heads": 4}

    @classmethod
    def make_config(cls) -> Any:
        """The tiny config, without dropout."""
        return cls.config_class(**cls.settings)

    def get_config(self) -> Any:
        """The same, where the mixins look for it."""
        return self.make_config()

    def ids(self, length: int) -> torch.Tensor:
        """Random tokens `(batch, length)` without any special one."""
        return torch.randint(5, self.vocab_size, (self.batch_size, length))

    def prepare_config_and_inputs_for_common(self) -> tuple[Any, dict[str, torch.Tensor]]:
        """A config with dropout, and inputs in which one row is padded."""
        ids = self.ids(self.seq_length)
        mask = torch.ones_like(ids)
        mask[1, -2:] = 0
        inputs = {"input_ids": ids.masked_fill(mask == 0, self.pad_token_id), "attention_mask": mask}
        return self.config_class(**{**self.settings, **self.dropout}), inputs

    def training_batch(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """What `TrainingTesterMixin` trains on, from the `input_ids` and equal `labels` that it proposes."""
        return batch


class EncoderDecoderTester(StackTester):
    """For models that read one sequence and write another."""

    seq_length = 7
    encoder_seq_length = 7
    decoder_seq_length = 7
    eos_token_id = 2

    def prepare_config_and_inputs_for_common(self) -> tuple[Any, dict[str, torch.Tensor]]:
        config, inputs = super().prepare_config_and_inputs_for_common()
        decoder_ids = self.ids(self.decoder_seq_length)
        inputs["decoder_input_ids"] = decoder_ids
        inputs["decoder_attention_mask"] = torch.ones_like(decoder_ids)
        return config, inputs

    def training_batch(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Teach it to write the whole sequence after reading its first token.

        `TrainingTesterMixin` then generates from the first token and expects the whole sequence: with the other source
        tokens masked, and that token as the decoder's start (`decoder_start_token_id` is 1), that is what was trained.
        """
        ids = batch["input_ids"]
        mask = torch.zeros_like(ids)
        mask[:, 0] = 1
        return {"input_ids": ids, "attention_mask": mask, "labels": ids[:, 1:].contiguous()}
