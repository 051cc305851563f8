import os
from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerFast

from hf_vanilla_transformer.tokenization import train_tokenizer

ENGLISH = [
    f"the {a} {n} {v} ." for a in ("small", "old", "green") for n in ("dog", "house", "river") for v in ("is", "was")
]
GERMAN = [
    f"das {a} {n} {v} ." for a in ("kleine", "alte", "grüne") for n in ("tier", "haus", "kind") for v in ("ist", "war")
]


@pytest.fixture(scope="session")
def pairs() -> list[tuple[str, str]]:
    return list(zip(ENGLISH, GERMAN))


@pytest.fixture(scope="session")
def translation_tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer(ENGLISH + GERMAN, kind="bpe", vocab_size=120, template="seq2seq", pretokenized=True)


@pytest.fixture(scope="session")
def encoder_tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer(ENGLISH + GERMAN, kind="wordpiece", vocab_size=120, template="encoder")


@pytest.fixture(scope="session")
def decoder_tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer(ENGLISH + GERMAN, kind="byte_bpe", vocab_size=320, template="decoder")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data; tests that need it are skipped where it is not."""
    folder = Path(os.environ.get("HF_VANILLA_DATA", Path(__file__).parents[3] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set HF_VANILLA_DATA")
    return folder
