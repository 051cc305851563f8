"""Help and errors import nothing heavy; our models are registered as soon as transformers can be asked for them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hf_vanilla_transformer import VanillaEncoderForSequenceClassification

from .tiny_models import tiny_folder, tiny_model

HEAVY = "torch transformers datasets accelerate tokenizers numpy pandas matplotlib evaluate sacrebleu sklearn scipy"

# The steps share one process, because each start takes time: nothing heavy is imported until the last.
FIRST_STEPS = f"""
import contextlib, io, sys
import hf_vanilla_transformer

def heavy():
    return sorted(set({HEAVY!r}.split()) & sys.modules.keys())

assert not heavy(), f"the package imports {{heavy()}}"

from hf_vanilla_transformer.commands.main import COMMANDS, main

def ends(arguments, status):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            ended = main(arguments)
        except SystemExit as end:
            ended = end.code
    assert ended == status, f"{{arguments}} ends with {{ended}}"
    assert not heavy(), f"{{arguments}} imports {{heavy()}}"

for arguments in (["--help"], ["--version"], *([command, "--help"] for command in COMMANDS)):
    ends(arguments, 0)
for arguments in sys.argv[1:]:
    ends(arguments.split(), 2)
"""
WRONG = [  # in a folder with what `wrong_models` writes
    "no-such-command",
    "train",
    "train --recipe no-such-recipe",
    "train --recipe multi30k-en-de-tiny --training.max_steps three",
    "finetune no/such/model --task no-such-task --output x",
    "train --recipe multi30k-en-de-tiny --data.path no/such/corpus --output new",
    "train --recipe multi30k-en-de-tiny --output decoder",
    "train --resume decoder",
    "pretrain --objective masked --output new",
    "adapt mistyped/name --data.path text.txt --output new",
    "adapt decoder --data.path no/such/text --output new",
    "adapt decoder --data.path text.txt --no.such_field 1 --output new",
    "finetune mistyped/name --task classification --data.path text.txt --output new",
    "finetune decoder --task classification --data.path no/such/text --output new",
    "evaluate mistyped/name",
    "evaluate decoder",
    "translate mistyped/name",
    "translate mistyped",
    "translate damaged",
    "translate empty",
    "translate text.txt",
    "translate decoder",
    "fill decoder",
    "classify unfinished",
    "generate decoder --prompt x --max-new-tokens 64",
    "generate mistyped/name --prompt x",
    "explain mistyped/name x",
    "average mistyped --output new",
    "average decoder --output text.txt",
    "card mistyped --output new.md",
    "card empty --output new.md",
    "publish mistyped user/name",
    "publish decoder no/such/name",
    "convert mistyped/name --output new",
    "convert empty --output new",
    "convert decoder --output text.txt",
    "export mistyped --to onnx --output new",
    "export decoder --to onnx --output text.txt",
    "export decoder --to onnx --output new --verify-with no-such-file",
    "demo mistyped/name",
    "demo --output decoder",
    "doctor --recipe no-such-recipe",
    "translate no/such/model --num-beams 0",
    "translate no/such/model --no-such-option",
    "translate no/such/model --input no-such-file",
    "generate no/such/model --max-new-tokens 0",
]
LOADS = """
from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM
assert type(AutoConfig.from_pretrained(sys.argv[1])).__name__ == "VanillaEncoderConfig"
assert type(AutoModelForMaskedLM.from_pretrained(sys.argv[1])).__name__ == "VanillaEncoderForMaskedLM"
assert type(AutoModel.from_config(AutoConfig.from_pretrained(sys.argv[1]))).__name__ == "VanillaEncoderModel"
"""


# What only training, evaluation and drawing need; transformers itself imports scipy.
NOT_FOR_ANSWERS = "datasets evaluate pandas pyarrow matplotlib sklearn sacrebleu peft"
ANSWERS = f"""
import contextlib, io, os, sys
from hf_vanilla_transformer.commands.main import main

for line in sys.argv[1:]:
    with contextlib.redirect_stdout(io.StringIO()):
        assert main(line.split()) == 0, line
    found = sorted(set({NOT_FOR_ANSWERS!r}.split()) & sys.modules.keys())
    assert not found, f"{{line}} imports {{found}}"
"""


def wrong_models(folder: Path) -> None:
    """Writes what the wrong commands are about: models whose files say at once what is wrong."""
    config = {
        "model_type": "vanilla_decoder",
        "max_position_embeddings": 64,
        "auto_map": {
            "AutoConfig": "configuration_vanilla.VanillaDecoderConfig",
            "AutoModelForCausalLM": "modeling_vanilla_decoder.VanillaDecoderForCausalLM",
        },
    }
    for name, file, text in [
        ("decoder", "config.json", json.dumps(config)),
        ("damaged", "config.json", "{"),
        ("unfinished", "recipe.yaml", "task: translation"),
        (".", "text.txt", "A text."),
    ]:
        (folder / name).mkdir(exist_ok=True)
        (folder / name / file).write_text(text, encoding="utf-8")
    (folder / "empty").mkdir()


def run(code: str, *arguments: str, folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_help_and_errors_of_the_command_line_import_nothing_heavy(tmp_path):
    wrong_models(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    run(FIRST_STEPS, *WRONG, folder=tmp_path)
    assert sorted(tmp_path.rglob("*")) == before


def test_answers_import_nothing_of_training(tmp_path):
    """One process for all commands, because each waits for torch."""
    for name, model in [
        ("seq2seq", "seq2seq"),
        ("decoder", "decoder"),
        ("encoder", "encoder"),
        ("classifier", VanillaEncoderForSequenceClassification),
    ]:
        tiny_folder(tmp_path / name, model)
    for name, text in [("text", "The old man reads."), ("masked", "The old [MASK] reads.")]:
        (tmp_path / f"{name}.txt").write_text(text + "\n", encoding="utf-8")
    # As in the folder of a run, where `translate` reads how to search.
    recipe = {
        "task": "translation",
        "training": {"max_steps": 1},
        "generation": {"num_beams": 2, "max_extra_tokens": 3},
    }
    (tmp_path / "seq2seq" / "recipe.yaml").write_text(json.dumps(recipe), encoding="utf-8")
    run(
        ANSWERS,
        "translate seq2seq --input text.txt --n-best 2 --scores",
        "generate decoder --input text.txt --max-new-tokens 3 --json",
        "fill encoder --input masked.txt",
        "classify classifier --input text.txt",
        folder=tmp_path,
    )


# Each of them is the first that a process does with transformers and with our package.
ORDERS = [
    "import hf_vanilla_transformer",
    "import transformers; import hf_vanilla_transformer",
    "from transformers import AutoModel; import hf_vanilla_transformer",
    "import hf_vanilla_transformer; from transformers import Trainer",
    "import hf_vanilla_transformer; from transformers import pipeline",
    "import hf_vanilla_transformer; import transformers.modeling_layers",
    "from hf_vanilla_transformer import VanillaEncoderForMaskedLM; import hf_vanilla_transformer",
    "import hf_vanilla_transformer.models.stack_vanilla",
    "import hf_vanilla_transformer.models.modeling_vanilla_parsing",
    "import hf_vanilla_transformer.pipelines.text_to_text",
    "from hf_vanilla_transformer.pipelines import TranslationPipeline; import hf_vanilla_transformer",
    "import hf_vanilla_transformer.models.registration",
]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")
def test_the_auto_classes_know_our_models_in_every_order_of_imports(tmp_path):
    """The processes share the import of torch, which takes most of the time."""
    tiny_model("encoder").save_pretrained(tmp_path / "tiny")
    run(
        "import os, sys, torch\n"
        f"for first in {ORDERS!r}:\n"
        "    if os.fork() == 0:\n"
        f"        exec(first)\n        exec({LOADS!r})\n        os._exit(0)\n"
        "    assert os.wait()[1] == 0, first\n",
        str(tmp_path / "tiny"),
        folder=tmp_path,
    )


@pytest.mark.slow
def test_an_error_of_the_first_import_does_not_spoil_the_second(tmp_path):
    """Python forgets a module whose import fails; so must the hook."""
    run(
        "import sys, hf_vanilla_transformer\n"
        "sys.modules['transformers.models.auto.auto_mappings'] = None\n"
        "try:\n    from transformers import AutoConfig\n"
        "except Exception: pass\nelse: sys.exit('imported without a module that it needs')\n"
        "del sys.modules['transformers.models.auto.auto_mappings']\n"
        "from transformers import AutoConfig\n"
        "assert 'vanilla_encoder' in AutoConfig.__init__.__globals__['CONFIG_MAPPING']\n",
        folder=tmp_path,
    )
