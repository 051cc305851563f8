"""Load published folders with and without this package: `python -m tests.hub.clean_environment`.

The command creates a virtual environment with all installed packages except ours. In it, and in the current
environment, it loads each stack by every Auto class: from the folder, from a local Hub, from the client's cache, and
from a folder that was saved again without our package. It prints the matrix of results; its exit status is 1 if a cell
is wrong.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hf_vanilla_transformer.hub import auto_map, export_folder

from .loopback import LoopbackHub
from .tiny import HEADS, STACKS, inputs_and_logits, model_for, tokenizer_for

OURS = "hf_vanilla_transformer"
# Column of the matrix (with or without our package, source of the model, trust in its code): expected result.
COLUMNS = {
    "without, folder, no trust": "refused",
    "without, folder, trust=False": "refused",
    "without, folder, trusted": "loads",
    "without, Hub, no trust": "refused",
    "without, Hub, trusted": "loads",
    "without, cache, trusted": "loads",
    "without, saved from folder, trusted": "loads",
    "without, saved from Hub, trusted": "loads",
    "with, folder, no trust": "loads",
    "with, Hub, no trust": "loads",
    "with, cache, no trust": "loads",
}

# Runs in its own process and gets its input from standard input.
LOADER = """
import importlib.util, json, pathlib, sys
told = json.loads(sys.stdin.readline())
there = importlib.util.find_spec(told["ours"]) is not None
assert there == (told["how"] == "with"), f"is {told['ours']} there? {there}"
if there:
    import hf_vanilla_transformer
import torch, transformers
transformers.logging.set_verbosity_error()

def load(stack, auto, column):
    how, where, trust = column.split(", ")
    arguments = {"trusted": {"trust_remote_code": True}, "trust=False": {"trust_remote_code": False}}.get(trust, {})
    if where == "cache":
        arguments["local_files_only"] = True
    source = stack["folder"] if where == "folder" else stack["name"]
    if where.startswith("saved"):
        source = saved(stack, stack["folder"] if where == "saved from folder" else stack["name"])
    try:
        loaded = getattr(transformers, auto).from_pretrained(source, **arguments)
    except ValueError as error:
        if "trust_remote_code" in str(error):
            return "refused"
        raise
    if auto == "AutoTokenizer":
        assert loaded("the dog sees")["input_ids"] == stack["inputs"]["input_ids"][0]
        return "loads"
    assert type(loaded).__name__ == stack["auto_map"][auto].split(".")[1], type(loaded)
    assert type(loaded).__module__.startswith(told["ours"] if there else "transformers_modules"), type(loaded)
    if auto == stack["head"]:
        inputs = {name: torch.tensor(value) for name, value in stack["inputs"].items()}
        with torch.no_grad():
            torch.testing.assert_close(loaded.eval()(**inputs).logits, torch.tensor(stack["logits"]))
    return "loads"

def saved(stack, source):
    target = pathlib.Path(stack["stack"] + (" from folder" if source == stack["folder"] else " from Hub")).resolve()
    if not target.exists():
        getattr(transformers, stack["head"]).from_pretrained(source, trust_remote_code=True).save_pretrained(target)
        transformers.AutoTokenizer.from_pretrained(source, trust_remote_code=True).save_pretrained(target)
        assert json.loads((target / "config.json").read_text())["auto_map"] == stack["auto_map"]
    return str(target)

rows = []
for stack in told["stacks"]:
    for auto in ["AutoTokenizer", *stack["auto_map"]]:
        for column in told["columns"]:
            try:
                result = load(stack, auto, column)
            except Exception as error:
                result = f"{type(error).__name__}: {error}"[:300]
            rows.append([stack["stack"], auto, column, result])
# On a new line, because transformers' question about trust is printed without a line break.
print()
print(json.dumps(rows))
"""


@dataclass(frozen=True)
class Cell:
    """One attempt to load: `result` is `loads`, `refused`, or an error."""

    stack: str
    auto_class: str
    column: str
    result: str

    @property
    def expected(self) -> bool:
        """Whether the result is the expected one. A tokenizer has no code, so it may load without trust."""
        return self.result == COLUMNS[self.column] or (self.auto_class == "AutoTokenizer" and self.result == "loads")


def make_environment(folder: Path) -> Path:
    """Creates a virtual environment with all installed packages except ours, and returns its Python.

    The packages are linked, which takes a second and needs no network.
    """
    venv.create(folder, with_pip=False, symlinks=os.name != "nt")
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    asked = [python, "-I", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    site = Path(subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip())
    for place in map(Path, sys.path):
        if place.name not in ("site-packages", "dist-packages") or not place.is_dir():
            continue
        for entry in place.iterdir():
            # .pth files add other folders, such as that of an editable installation of our package.
            if OURS in entry.name or entry.suffix == ".pth" or (site / entry.name).exists():
                continue
            (site / entry.name).symlink_to(entry, target_is_directory=entry.is_dir())
    return python


def matrix(folder: Path) -> list[Cell]:
    """Publishes the three stacks and loads them in all ways.

    Args:
        folder: an empty folder for models, environments and caches.

    Raises:
        RuntimeError: a process failed.
    """
    stacks = [_publish(stack, folder) for stack in STACKS]
    clean = make_environment(folder / "environment")
    cells = []
    with LoopbackHub() as hub:
        for stack in stacks:
            hub.add(stack["name"], Path(stack["folder"]))
        for how, python in (("without", [str(clean), "-I"]), ("with", [sys.executable])):
            columns = [column for column in COLUMNS if column.startswith(f"{how},")]
            told = {"ours": OURS, "how": how, "stacks": stacks, "columns": columns}
            cells += [Cell(*row) for row in _run(python, told, hub.url, folder / how)]
    return cells


def _publish(stack: str, folder: Path) -> dict[str, Any]:
    tokenizer = tokenizer_for(stack)
    model = model_for(stack, tokenizer)
    # Dot and dash: not a valid module name in Python.
    name = f"someone/tiny-{stack}.v1"
    return {
        "stack": stack,
        "name": name,
        "folder": str(export_folder(model, tokenizer, folder / name)),
        "head": HEADS[stack],
        "auto_map": auto_map(model.config),
        **inputs_and_logits(stack, model, tokenizer),
    }


def _run(python: list[str], told: dict[str, Any], endpoint: str, home: Path) -> list[list[str]]:
    home.mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TRANSFORMERS_"))}
    environment |= {
        "HF_HOME": str(home / "huggingface"),
        "HF_ENDPOINT": endpoint,
        # The local Hub does not support Xet.
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "NO_PROXY": "127.0.0.1",
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [*python, "-c", LOADER], input=json.dumps(told), env=environment, cwd=home, capture_output=True, text=True
    )
    if done.returncode != 0:
        raise RuntimeError(f"{told['how']} the package: {done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def table(cells: list[Cell]) -> str:
    """The matrix as a Markdown table with a row for each stack and Auto class."""
    found = {(cell.stack, cell.auto_class, cell.column): cell for cell in cells}
    lines = ["| stack | Auto class | " + " | ".join(COLUMNS) + " |", "| --- " * (len(COLUMNS) + 2) + "|"]
    for stack, auto_class in dict.fromkeys((cell.stack, cell.auto_class) for cell in cells):
        results = [found[stack, auto_class, column] for column in COLUMNS]
        shown = [cell.result if cell.expected else f"WRONG: {cell.result}" for cell in results]
        lines.append(f"| {stack} | `{auto_class}` | " + " | ".join(shown) + " |")
    return "\n".join(lines)


def main() -> int:
    """Prints the matrix."""
    with tempfile.TemporaryDirectory() as folder:
        cells = matrix(Path(folder))
    print(table(cells))
    wrong = [cell for cell in cells if not cell.expected]
    print(f"\n{len(cells) - len(wrong)} of {len(cells)} as expected")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
