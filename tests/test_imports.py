"""Help and errors import nothing heavy; our models are registered as soon as transformers can be asked for them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .tiny_models import tiny_model

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
WRONG = [
    "no-such-command",
    "train",
    "train --recipe no-such-recipe",
    "train --recipe multi30k-en-de-tiny --training.max_steps three",
    "finetune no/such/model --task no-such-task --output x",
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


def run(code: str, *arguments: str, folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_help_and_errors_of_the_command_line_import_nothing_heavy(tmp_path):
    run(FIRST_STEPS, *WRONG, folder=tmp_path)
    assert not list(tmp_path.iterdir())


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
