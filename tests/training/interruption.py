"""Interrupts a run in the middle of an update, for tests of resuming."""

import os
import signal

from hf_vanilla_transformer.training.trainer import RecipeTrainer


def interrupt_at(monkeypatch, step, number=signal.SIGINT):
    """Sends a signal once, during update `step`."""
    original = RecipeTrainer.training_step
    sent = []

    def training_step(self, *arguments, **keywords):
        loss = original(self, *arguments, **keywords)
        if self.state.global_step == step - 1 and not sent:
            sent.append(number)
            os.kill(os.getpid(), number)
        return loss

    monkeypatch.setattr(RecipeTrainer, "training_step", training_step)
