"""Every command that reads a model, with files that are damaged or do not belong together: one line, exit status 2."""

import io
import shutil
import sys

import pytest

import hf_vanilla_transformer as vanilla
from hf_vanilla_transformer.commands.main import main

from ..conversion.damages import DAMAGES
from ..conversion.saved import save
from ..tiny_models import tiny_folder
from ..training.toy import write_texts

RECIPE = """\
task: translation
model: {preset: tiny}
data: {path: PAIRS, source: en, target: de}
training: {max_steps: 1, tokens_per_batch: 64}
evaluation: {predict_with_generate: false}
output: {plot: false}
"""
# Command: the model that is damaged, and the arguments.
COMMANDS = {
    "translate": ("seq2seq", "{model} --device cpu"),
    "generate": ("decoder", "{model} --device cpu --max-new-tokens 2"),
    "fill": ("encoder", "{model} --device cpu"),
    "classify": ("classifier", "{model} --device cpu"),
    "evaluate": ("seq2seq", "{model}"),
    "export": ("encoder", "{model} --output {out}"),
    "publish": ("seq2seq", "{model} me/tiny --dry-run --output {out} --license mit"),
    "card": ("seq2seq", "{model} --output {out}.md --license mit"),
    "convert": ("bert", "{model} --output {out} --without-tokenizer"),
    "average": ("run", "{model} --last 1 --output {out}"),
    "finetune": ("encoder", "{model} --task classification --data.path {rows} --output {out}"),
    "adapt": ("encoder", "{model} --data.path {texts} --output {out}"),
    "train": ("seq2seq", "--recipe {recipe} --model.start_from {model} --output {out}"),
}


def cases():
    """Each command with some of the damages, such that each damage has some commands; the others are slow."""
    for place, command in enumerate(COMMANDS):
        for number, damage in enumerate(DAMAGES):
            marks = [] if (number + place) % 7 == 0 else [pytest.mark.slow]
            yield pytest.param(command, damage, marks=marks, id=f"{command}-{damage}")


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """The folders before they are damaged."""
    root = tmp_path_factory.mktemp("originals")
    tiny_folder(root / "encoder", "encoder")
    tiny_folder(root / "decoder", "decoder")
    tiny_folder(root / "seq2seq", "seq2seq")
    tiny_folder(root / "classifier", vanilla.VanillaEncoderForSequenceClassification)
    save("bert", root / "bert")
    write_texts(root / "texts")
    for folder in (root, root / "seq2seq"):
        (folder / "recipe.yaml").write_text(RECIPE.replace("PAIRS", str(root / "texts" / "pairs")))
    (root / "rows").mkdir()
    for split in ("train", "validation"):
        rows = [f'{{"text": "a man {number}", "label": "{"ab"[number % 2]}"}}\n' for number in range(20)]
        (root / "rows" / f"{split}.jsonl").write_text("".join(rows))
    return root


@pytest.mark.parametrize(("command", "damage"), cases())
def test_a_damaged_model_ends_a_command_in_one_line(command, damage, originals, tmp_path, monkeypatch, capsys):
    kind, words = COMMANDS[command]
    model = folder = tmp_path / "model"
    if kind == "run":  # whose last checkpoint is damaged
        folder = model / "checkpoints" / "checkpoint-2"
        folder.parent.mkdir(parents=True)
        shutil.copytree(originals / "encoder", model / "checkpoints" / "checkpoint-1")
        (model / "checkpoints" / "checkpoint-1" / "trainer_state.json").write_text('{"global_step": 1}')
    DAMAGES[damage].applied(originals / ("encoder" if kind == "run" else kind), folder)
    if kind == "run":
        (folder / "trainer_state.json").write_text('{"global_step": 2}')
    places = {name: originals / name for name in ("rows", "texts")}
    places |= {"model": model, "out": tmp_path / "out", "recipe": originals / "recipe.yaml"}
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a man\n")))
    status = main([command, *(word.format(**places) for word in words.split())])
    printed = capsys.readouterr()
    assert status == 2 and printed.out == ""
    assert printed.err.count("\n") == 1 and printed.err.startswith(f"hf-vanilla {command}: "), printed.err
    assert str(folder) in printed.err
    assert not list(tmp_path.glob("out*"))
