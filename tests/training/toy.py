"""A toy language pair, and recipes that train on it in a second."""

from __future__ import annotations

import random
from pathlib import Path

from hf_vanilla_transformer.training.recipes.training_recipe import Recipe, load_recipe

ENGLISH = ["a", "bad", "cab", "dab", "face", "gag", "had", "beg", "ice", "jade"]
GERMAN = ["ab", "fad", "gab", "hac", "ed", "gig", "dah", "feg", "eic", "daj"]

MODEL = (
    "{hidden_size: 16, intermediate_size: 32, num_attention_heads: 2, encoder_layers: 1, decoder_layers: 1, "
    "dropout: 0.1, label_smoothing: 0.1, max_position_embeddings: 64}"
)
STACK = (
    "{hidden_size: 16, intermediate_size: 32, num_attention_heads: 2, num_hidden_layers: 1, "
    "max_position_embeddings: 64}"
)


def write_pairs(folder: Path, rows: int = 60) -> Path:
    """Writes sentences of two to seven words with word-for-word translations, the same at each call."""
    folder.mkdir(parents=True, exist_ok=True)
    random_numbers = random.Random(0)
    for split, count in (("train", rows), ("validation", 8), ("test", 8)):
        lines = []
        for _ in range(count):
            words = [random_numbers.randrange(len(ENGLISH)) for _ in range(random_numbers.randint(2, 7))]
            lines.append(" ".join(ENGLISH[word] for word in words) + "\t" + " ".join(GERMAN[word] for word in words))
        (folder / f"{split}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def write_texts(folder: Path) -> Path:
    """Writes the source sides as texts."""
    pairs = write_pairs(folder / "pairs")
    for split in ("train", "validation"):
        lines = [line.split("\t")[0] for line in (pairs / f"{split}.tsv").read_text(encoding="utf-8").splitlines()]
        (folder / f"{split}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def toy_recipe(data: Path, output: Path, *overrides: str) -> Recipe:
    """A translation recipe of 12 updates; later overrides take precedence."""
    defaults = [
        "model.preset=tiny",
        f"model.config={MODEL}",
        "tokenizer={kind: bpe, vocab_size: 60, pretokenized: true}",
        f"data.path={data}",
        "training={max_steps: 12, tokens_per_batch: 64, warmup_steps: 4, logging_steps: 2}",
        "training.lr_scheduler_type=inverse_sqrt",
        "training.learning_rate=5e-3",
        "evaluation={predict_with_generate: false}",
        "generation={num_beams: 2, max_extra_tokens: 4}",
        "output.plot=false",
        f"output.output_dir={output}",
    ]
    return load_recipe(None, [*defaults, *overrides])


def masked_lm_recipe(data: Path, output: Path, *overrides: str) -> Recipe:
    """`toy_recipe` for a masked language model."""
    changes = [
        "task=masked_lm",
        "model.preset=bert_base",
        f"model.config={STACK}",
        "data.max_length=32",
        "tokenizer={kind: wordpiece, vocab_size: 60}",
    ]
    return toy_recipe(data, output, *changes, *overrides)


def causal_lm_recipe(data: Path, output: Path, *overrides: str) -> Recipe:
    """`toy_recipe` for a causal language model."""
    changes = [
        "task=causal_lm",
        "model.preset=gpt2",
        f"model.config={STACK}",
        "data.max_length=32",
        "tokenizer={kind: byte_bpe, vocab_size: 280}",
    ]
    return toy_recipe(data, output, *changes, *overrides)
