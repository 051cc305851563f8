"""Folders of other people: whatever they contain, no command runs it, unpickles it, or asks on standard input."""

import io
import json
import pickle
import shutil
import sys
import zipfile
from pathlib import Path

import pytest

import hf_vanilla_transformer as vanilla
from hf_vanilla_transformer.commands.main import main
from hf_vanilla_transformer.training.checksums import CHECKSUMS_FILE

from ..conversion.saved import save
from ..tiny_models import tiny_folder
from ..training.toy import write_texts

# Command: its arguments, with the folder of other people, a folder to write to, and a folder of pairs. The classifier
# is a folder of its own because its head is another.
COMMANDS = {
    name: words.split()
    for name, words in {
        "translate": "{seq2seq} --device cpu",
        "generate": "{decoder} --device cpu --max-new-tokens 2",
        "fill": "{encoder} --device cpu",
        "explain": "{seq2seq} text --output {out}/page.html --device cpu",
        "classify": "{classifier} --device cpu",
        "evaluate": "{seq2seq}",
        "export": "{encoder} --output {out}/exported",
        "publish": "{seq2seq} me/tiny --dry-run --output {out}/published --license mit",
        "card": "{seq2seq} --output {out}/card.md --license mit",
        "convert": "{bert} --output {out}/converted --without-tokenizer",
        "finetune": "{encoder} --task classification --data.path {rows} --output {out}/tuned --dry-run",
        "adapt": "{encoder} --data.path {texts} --output {out}/adapted --dry-run",
        "train": "--recipe {recipe} --model.start_from {seq2seq} --tokenizer.path {seq2seq} --output {out}/trained",
    }.items()
}
RECIPE = """\
task: translation
model: {preset: tiny}
data: {path: PAIRS, source: en, target: de}
training: {max_steps: 1, tokens_per_batch: 64}
evaluation: {predict_with_generate: false}
output: {plot: false}
"""


class Opens:
    """An object that leaves a trace when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self):
        return open, (str(self.trace), "w")


def plant(folder: Path, trace: Path) -> None:
    """Adds to the folder of a model what would leave a trace if it ran, beside files that load."""
    code = f"open({str(trace)!r}, 'w').close()\nclass Own: pass\ndef generate(*a, **k): pass\n"
    pickled = pickle.dumps(Opens(trace))
    for name in (
        "own_code.py",
        "custom_generate/generate.py",
        "configuration_vanilla.py",
        "modeling_vanilla_encoder.py",
    ):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(code)
    for name in ("pytorch_model.bin", "training_args.bin", "adapter_model.bin", "vocab.pkl", "optimizer.pt"):
        (folder / name).write_bytes(pickled)
    with zipfile.ZipFile(folder / "model.pt", "w") as archive:  # the format of torch.save
        archive.writestr("archive/data.pkl", pickled)
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {
        "AutoConfig": "own_code.Own",
        "AutoModel": "own_code.Own",
        "AutoModelForMaskedLM": "own_code.Own",
    }
    config["custom_pipelines"] = {"fill-mask": {"impl": "own_code.Own", "pt": ["AutoModelForMaskedLM"], "type": "text"}}
    (folder / "config.json").write_text(json.dumps(config))
    path = folder / "tokenizer_config.json"
    if path.is_file():
        tokenizer = json.loads(path.read_text())
        tokenizer["auto_map"] = {"AutoTokenizer": ["own_code.Own", "own_code.Own"]}
        tokenizer["chat_template"] = "{{ ''.__class__.__mro__[1].__subclasses__() }}"
        path.write_text(json.dumps(tokenizer))


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """The folders before anything is planted in them."""
    root = tmp_path_factory.mktemp("originals")
    tiny_folder(root / "encoder", "encoder")
    tiny_folder(root / "decoder", "decoder")
    tiny_folder(root / "seq2seq", "seq2seq")
    tiny_folder(root / "classifier", vanilla.VanillaEncoderForSequenceClassification)
    save("bert", root / "bert")
    write_texts(root / "texts")
    for folder in (root, root / "seq2seq"):
        (folder / "recipe.yaml").write_text(RECIPE.replace("PAIRS", str(root / "texts" / "pairs")))
    rows = "".join(f'{{"text": "a man {n}", "label": "{"ab"[n % 2]}"}}\n' for n in range(20))
    (root / "rows").mkdir()
    for split in ("train", "validation"):
        (root / "rows" / f"{split}.jsonl").write_text(rows)
    return root


@pytest.fixture
def places(originals, tmp_path):
    """The arguments for the commands, each model in a folder of its own, and the file that planted code would write."""
    trace = tmp_path / "trace"
    found = {"out": tmp_path / "out", "pairs": originals / "texts" / "pairs", "recipe": originals / "recipe.yaml"}
    found |= {name: originals / name for name in ("texts", "rows")}
    for name in ("encoder", "decoder", "seq2seq", "classifier", "bert"):
        shutil.copytree(originals / name, tmp_path / name)
        found[name] = tmp_path / name
        plant(found[name], trace)
    return found, trace


def call(name, places, monkeypatch, capsys):
    """The exit status and the error output of a command, whose standard input agrees to everything."""
    text = io.TextIOWrapper(io.BytesIO(b"y\nyes\n1\n"))
    monkeypatch.setattr(sys, "stdin", text)
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("the command asked on standard input"))
    status = main([name, *(word.format(**places) for word in COMMANDS[name])])
    return status, capsys.readouterr()


@pytest.mark.parametrize("name", COMMANDS)
def test_nothing_that_a_folder_contains_runs(name, places, monkeypatch, capsys):
    found, trace = places
    status, printed = call(name, found, monkeypatch, capsys)
    assert not trace.exists()
    assert "Traceback" not in printed.err
    assert status in (0, 2), printed.err
    if status == 2:
        assert printed.err.count(f"hf-vanilla {name}: ") == 1


@pytest.mark.parametrize("name", COMMANDS)
def test_pickled_weights_are_not_loaded_when_there_are_no_others(name, places, monkeypatch, capsys):
    found, trace = places
    for model in ("encoder", "decoder", "seq2seq", "classifier", "bert"):
        (found[model] / "model.safetensors").unlink()
    status, printed = call(name, found, monkeypatch, capsys)
    assert not trace.exists()
    assert status == 2 and "pytorch_model.bin" in printed.err and "are pickled" in printed.err, printed.err


@pytest.mark.parametrize("name", ["fill", "translate", "convert", "finetune"])
def test_a_kernel_that_the_configuration_names_is_refused(name, places, monkeypatch, capsys):
    found, _ = places
    for model in ("encoder", "seq2seq", "bert"):
        config = json.loads((found[model] / "config.json").read_text())
        (found[model] / "config.json").write_text(json.dumps(config | {"attn_implementation": "someone/kernel"}))
    status, printed = call(name, found, monkeypatch, capsys)
    assert status == 2 and "attn_implementation='someone/kernel', which is code on the Hub" in printed.err


@pytest.mark.parametrize("shard", ["../other/model.safetensors", "/etc/passwd", "sub/model.safetensors", 3])
def test_an_index_names_files_of_its_folder_only(shard, places, monkeypatch, capsys):
    found, _ = places
    for model in ("encoder", "bert"):
        (found[model] / "model.safetensors").unlink()
        (found[model] / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": shard}}))
    for name in ("fill", "convert"):
        status, printed = call(name, found, monkeypatch, capsys)
        assert status == 2 and "model.safetensors.index.json" in printed.err


@pytest.mark.parametrize("name", ["optimizer.pt", "scheduler.pt", "rng_state.pth", "run_state.pt", "training_args.bin"])
def test_a_resumed_run_unpickles_only_tensors_and_plain_values(name, trained, tmp_path, capsys):
    run, trace = tmp_path / "run", tmp_path / "trace"
    shutil.copytree(trained, run)
    for checkpoint in (run / "checkpoints").glob("checkpoint-*"):
        for checksums in checkpoint.glob(CHECKSUMS_FILE):  # somebody who changes a file can change its checksum
            checksums.unlink()
        shutil.copyfile(checkpoint / "optimizer.pt", tmp_path / "original.pt")
        with zipfile.ZipFile(tmp_path / "original.pt") as original, zipfile.ZipFile(checkpoint / name, "w") as changed:
            for entry in original.namelist():
                pickled = pickle.dumps(Opens(trace), protocol=2)
                changed.writestr(entry, pickled if entry.endswith("data.pkl") else original.read(entry))
    status = main(["train", "--resume", str(run), "--training.max_steps", "13"])
    assert not trace.exists()
    printed = capsys.readouterr().err
    assert "Traceback" not in printed, printed
    if name == "training_args.bin":
        assert status == 0, printed
    else:
        assert status in (1, 2) and printed.count("hf-vanilla train: ") == 1, printed
