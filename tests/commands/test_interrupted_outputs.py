"""Whatever file operation a command dies at: nothing half-written has a finished name, and the next run is as if the
first had never been. Whatever file operation fails on a full disk: one line, and no trace."""

import shutil
import sys
from pathlib import Path

import pytest

from hf_vanilla_transformer.commands.main import main

from .. import faults
from ..conversion.exports.small import small_folder
from ..tiny_models import tiny_folder

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the harness reads /proc")

# Command: its arguments. `{work}` is the folder that it writes into; the others are its inputs.
COMMANDS = {
    "average": ["average", "{run}", "--last", "2", "--output", "{work}/average"],
    "convert": ["convert", "{gpt2}", "--output", "{work}/ours", "--without-tokenizer"],
    "export-transformers": ["export", "{encoder}", "--output", "{work}/bert"],
    "export-ctranslate2": ["export", "{encoder}", "--output", "{work}/ct2", "--to", "ctranslate2"],
    "export-gguf": ["export", "{decoder}", "--output", "{work}/gguf", "--to", "gguf"],
    "publish": ["publish", "{run}", "me/tiny", "--dry-run", "--output", "{work}/to-publish", "--license", "mit"],
    "card": ["card", "{run}", "--output", "{work}/card.md", "--license", "mit"],
    "translate": ["translate", "{model}", "--input", "{text}", "--output", "{work}/out.txt", "--device", "cpu"],
    "evaluate": ["evaluate", "{run}", "--output", "{work}/scores.txt", "--translations", "{work}/out.txt"],
}


@pytest.fixture(scope="module")
def inputs(trained, tmp_path_factory):
    """The folders and files that the commands read."""
    from transformers import GPT2Config, GPT2LMHeadModel

    folder = tmp_path_factory.mktemp("inputs")
    sizes = {"vocab_size": 20, "n_embd": 8, "n_layer": 1, "n_head": 2, "n_positions": 16}
    GPT2LMHeadModel(GPT2Config(**sizes, bos_token_id=0, eos_token_id=0)).save_pretrained(folder / "gpt2")
    (folder / "text").write_text("a man\n", encoding="utf-8")
    return {
        "run": trained,
        "gpt2": folder / "gpt2",
        "model": tiny_folder(folder / "model", "seq2seq", layers=1),
        "decoder": small_folder(folder / "decoder", "decoder", layers=1),
        "encoder": small_folder(folder / "encoder", "encoder", layers=1),
        "text": folder / "text",
    }


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def command(request, inputs, capsys):
    """Calls a command that writes into a given folder; returns its exit status and what it printed as errors."""

    def call(work: Path) -> tuple[int, str]:
        arguments = [argument.format(**inputs, work=work) for argument in COMMANDS[request.param]]
        status = main(arguments)
        return status, capsys.readouterr().err

    return call


@pytest.mark.parametrize("command", COMMANDS, indirect=True)
def test_a_kill_at_any_file_operation_is_made_good_by_the_same_command(command, tmp_path):
    work = tmp_path / "work"
    work.mkdir()
    states = faults.states(work, lambda: command(work), tmp_path / "states")
    result = contents(work)
    assert len(states) > 3 and result
    for state in states:
        for name, content in contents(state).items():
            assert ".partial/" in name or content == result[name], f"{name} is half-written in {state}"
        assert command(state)[0] == 0
        assert contents(state) == result


# The others write with the same functions.
_QUICK = ("average", "card", "export-ctranslate2")


@pytest.mark.parametrize(
    "command",
    [pytest.param(name, marks=() if name in _QUICK else pytest.mark.slow) for name in COMMANDS],
    indirect=True,
)
def test_a_full_disk_is_one_line_and_leaves_no_trace(command, request, tmp_path):
    work = tmp_path / "work"

    def reset() -> None:
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()

    reset()
    command(work)
    result = contents(work)
    name = request.node.callspec.params["command"].partition("-")[0]
    count = 0
    for operation, (status, errors) in faults.failures(work, lambda: command(work), reset):
        assert status == 1 and "No space left on device" in errors, operation
        assert "free some space" in errors and "Traceback" not in errors, operation
        assert errors.count(f"hf-vanilla {name}: ") == 1, errors
        left = contents(work)
        assert all(content == result.get(name) for name, content in left.items()), operation
        count += 1
    assert count > 3
    assert command(work)[0] == 0
    assert contents(work) == result
