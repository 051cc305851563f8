"""The report of a run is written from its folder alone."""

import json

import pytest

from hf_vanilla_transformer.training.finetuning.finetuning_report import write_run_report
from hf_vanilla_transformer.training.finetuning.finetuning_run import run_finetuning
from hf_vanilla_transformer.training.recipes.finetuning_recipe import load_finetune_recipe

from ...tiny_models import SENTENCES


@pytest.mark.parametrize("problem", ["single_label", "regression", "multi_label"])
def test_a_run_has_its_report(masked_lm, tmp_path, problem):
    label = {"single_label": lambda n: "pos" if n % 3 else "neg", "regression": float, "multi_label": None}[problem]
    rows = [
        {"text": f"{SENTENCES[n % 6]}\u2028\x85{n}", "label": ["a"] * (n % 2) + ["b"] if label is None else label(n)}
        for n in range(40)
    ]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = load_finetune_recipe(
        None,
        [
            f"base_model={masked_lm}",
            f"data.path={tmp_path / 'train.jsonl'}",
            "training.per_device_train_batch_size=8",
            "training.num_train_epochs=1",
            "training.logging_steps=1",
            "unfreezing.mode=gradual",
            "unfreezing.every_epochs=0.5",
            f"head.problem={problem}",
            f"output.output_dir={tmp_path / 'run'}",
        ],
    )
    run_finetuning(recipe)
    page = write_run_report(tmp_path / "run", notes=["three rows left out"], command="hf-vanilla finetune x")
    text = page.read_text(encoding="utf-8")
    assert (
        "## Learning curves" in text and "## Trainable parameters over time" in text and "three rows left out" in text
    )
    assert "`hf-vanilla finetune x`" in text and "36 training rows" in text and "`train.jsonl`" in text
    own = {"single_label": "## Confusion matrix", "regression": "scatter", "multi_label": "## Calibration"}[problem]
    assert (own if problem != "regression" else "report-numbers.png") in text
    # Again, without anything but the folder.
    assert "three rows left out" in write_run_report(tmp_path / "run").read_text(encoding="utf-8")
    (tmp_path / "run" / "results.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"results\.json"):
        write_run_report(tmp_path / "run")
