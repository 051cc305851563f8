"""Updates that are not made, because their loss or gradient is NaN or infinite, or because their loss has exploded.

The run stops, or leaves the update out and goes on. The batch of such an update is kept for inspection.
"""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors.torch import save

from ..files import file_aside, write_text
from .callbacks import RunCallback
from .checkpoints import checkpoints
from .sharding import whole_tensor
from .trainer import RecipeTrainer

logger = logging.getLogger(__name__)

BAD_UPDATES_FOLDER = "bad_updates"
# Of a run that skips many updates, the batches of only the first ones are kept.
_MOST_BATCHES = 20


class BadUpdates(RunCallback):
    """Looks at the loss and the gradient of each update before the weights change.

    Args:
        folder: the output folder of the run.
    """

    def __init__(self, trainer: RecipeTrainer, folder: Path) -> None:
        super().__init__(trainer)
        self.folder = folder

    def on_pre_optimizer_step(self, args, state, control, **kwargs):
        """Stops the run, or skips the update, if it is bad.

        Raises:
            ValueError: the update is bad, and the recipe does not skip it, or too many before it were bad.
        """
        trainer, training = self.trainer, self.recipe.training
        loss, norm = self._of_all_processes(trainer.update_loss(), trainer.gradient_norm)
        problem = trainer.losses.problem(loss, norm, training.loss_limit)
        if problem is None:
            trainer.losses.accept(loss)
            return
        trainer.losses.in_a_row += 1
        update = state.global_step + 1
        kept = self._keep_batch(update, {"problem": problem, "loss": loss, "gradient_norm": norm})
        if training.on_bad_loss == "skip" and trainer.losses.in_a_row < training.max_bad_losses:
            logger.warning("The %s at update %s, which is skipped.%s", problem, f"{update:,}", kept)
            trainer.skip_update()
            return
        trainer.losses.in_a_row -= 1  # in the checkpoint, the update was not tried yet
        trainer.save_before_update()
        raise ValueError(self._reason_to_stop(update, problem) + kept)

    def _reason_to_stop(self, update: int, problem: str) -> str:
        found = checkpoints(Path(self.trainer.args.output_dir))
        weights = f"The weights of before are in {found[-1]}." if found else "There is no checkpoint yet."
        training = self.recipe.training
        if training.on_bad_loss == "skip":
            return (
                f"The {problem} at update {update}, and training.max_bad_losses={training.max_bad_losses} updates in a "
                f"row were bad: the run stops. {weights} Start again with a lower learning rate or more warm-up."
            )
        return (
            f"The {problem} at update {update}: the run stops before it. {weights} Resume with other data or with "
            "training.on_bad_loss=skip, or start again with a lower learning rate, more warm-up or "
            "training.max_grad_norm=1."
        )

    def _of_all_processes(self, loss: torch.Tensor, norm: torch.Tensor | None) -> tuple[float, float | None]:
        """The mean loss of all processes, and the norm of the gradient, which is the same in all of them."""
        loss, norm = whole_tensor(loss), None if norm is None else whole_tensor(norm)
        values = torch.stack([loss.double(), torch.zeros_like(loss.double()) if norm is None else norm.double()])
        if self.trainer.args.world_size > 1:
            dist.all_reduce(values, op=dist.ReduceOp.SUM)
            values /= self.trainer.args.world_size
        both = values.tolist()
        return both[0], None if norm is None else both[1]

    def _keep_batch(self, update: int, facts: dict[str, Any]) -> str:
        """Writes the rows of this process in an update as text and numbers and as tensors; says where."""
        args = self.trainer.args
        folder = self.folder / BAD_UPDATES_FOLDER
        name = f"update-{update}" + (f"-process-{args.process_index}" if args.world_size > 1 else "")
        if folder.is_dir() and len(list(folder.glob("*.json"))) >= _MOST_BATCHES * args.world_size:
            return ""
        inputs = self.trainer.update_inputs
        rows = self.trainer.batches.rows_of(update, args.process_index)
        batches = [
            {"rows": None if rows is None else rows[number], "texts": self._texts(batch)}
            for number, batch in enumerate(inputs)
        ]
        record = {"update": update, **facts, "learning_rate": self.trainer._get_learning_rate(), "batches": batches}
        tensors = {
            f"{number}.{key}": value.detach().cpu().contiguous()
            for number, batch in enumerate(inputs)
            for key, value in batch.items()
            if isinstance(value, torch.Tensor)
        }
        with file_aside(folder / f"{name}.safetensors") as aside:
            aside.write_bytes(save(tensors))
        write_text(folder / f"{name}.json", json.dumps(_finite(record), indent=2, ensure_ascii=False) + "\n")
        return f" Its rows are in {folder / name}.json, as tensors in {name}.safetensors."

    def _texts(self, batch: dict[str, Any]) -> dict[str, list[str]]:
        """The columns of token ids of a batch as texts, one a row."""
        decode = getattr(self.trainer.processing_class, "batch_decode", None)
        texts = {}
        for name, value in batch.items():
            if decode is not None and name in ("input_ids", "labels", "decoder_input_ids") and value.dim() >= 2:
                if value.is_floating_point():
                    continue
                texts[name] = decode([[i for i in row if i >= 0] for row in value.flatten(0, -2).tolist()])
        return texts


def _finite(value: Any) -> Any:
    """A value for JSON, which has no NaN and no infinity: they become text."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return {name: _finite(one) for name, one in value.items()} if isinstance(value, dict) else value
