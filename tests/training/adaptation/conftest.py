import os
import random
from pathlib import Path

import pytest

from hf_vanilla_transformer.training import run_training

from ..toy import causal_lm_recipe, masked_lm_recipe

GENERAL = ["a", "bad", "cab", "dab", "face", "gag", "had", "beg", "ice", "jade"]
# Words of the domain, spelled with letters of the general text, so that its tokenizer knows all characters.
DOMAIN = ["cabbage", "headache", "facade", "beached", "babied", "a", "bad", "had"]


def write_lines(path: Path, words: list[str], rows: int, seed: int) -> None:
    """Sentences of three to eight words, the same at each call."""
    numbers = random.Random(seed)
    lines = [" ".join(numbers.choice(words) for _ in range(numbers.randint(3, 8))) for _ in range(rows)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture(scope="session")
def general(tmp_path_factory) -> Path:
    """Folder of the text that the base models are trained on."""
    folder = tmp_path_factory.mktemp("general")
    write_lines(folder / "train.txt", GENERAL, 80, 0)
    write_lines(folder / "validation.txt", GENERAL, 12, 1)
    return folder


@pytest.fixture(scope="session")
def domain(tmp_path_factory) -> Path:
    """Folder of the text of a domain, without a validation split."""
    folder = tmp_path_factory.mktemp("domain")
    write_lines(folder / "train.txt", DOMAIN, 100, 2)
    return folder


@pytest.fixture(scope="session")
def causal_base(general, tmp_path_factory) -> Path:
    """Folder of the run of a causal language model."""
    folder = tmp_path_factory.mktemp("base_models") / "causal"
    run_training(causal_lm_recipe(general, folder, "data.max_length=24", "training.max_steps=20"))
    return folder


@pytest.fixture(scope="session")
def masked_base(general, tmp_path_factory) -> Path:
    """Folder of the run of a masked language model."""
    folder = tmp_path_factory.mktemp("base_models") / "masked"
    run_training(masked_lm_recipe(general, folder, "training.max_steps=20"))
    return folder


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data; tests that need it are skipped if it does not exist."""
    folder = Path(os.environ.get("HF_VANILLA_DATA", Path(__file__).parents[4] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set HF_VANILLA_DATA")
    return folder
