"""The sides of the training benchmark compute equal losses on the same rows, and the command records them."""

import pytest
import torch

from benchmarks import training
from benchmarks.records import read_json
from benchmarks.training_rows import IGNORED, make
from benchmarks.training_sides import SETTINGS, build, choose
from benchmarks.training_worker import losses

# A minimal GPT-2 with the interface and the parameter names of nanoGPT.
NANOGPT = """
from dataclasses import dataclass
import torch
from torch import nn
from torch.nn import functional as F


@dataclass
class GPTConfig:
    block_size: int
    vocab_size: int
    n_layer: int
    n_head: int
    n_embd: int
    dropout: float
    bias: bool


class Attention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.heads = c.n_head
        self.c_attn, self.c_proj = nn.Linear(c.n_embd, 3 * c.n_embd), nn.Linear(c.n_embd, c.n_embd)

    def forward(self, x):
        q, k, v = (t.unflatten(-1, (self.heads, -1)).transpose(1, 2) for t in self.c_attn(x).chunk(3, -1))
        return self.c_proj(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2))


class MLP(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c_fc, self.c_proj = nn.Linear(c.n_embd, 4 * c.n_embd), nn.Linear(4 * c.n_embd, c.n_embd)

    def forward(self, x):
        return self.c_proj(F.gelu(self.c_fc(x)))


class Block(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.ln_1, self.attn, self.ln_2, self.mlp = nn.LayerNorm(c.n_embd), Attention(c), nn.LayerNorm(c.n_embd), MLP(c)

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class GPT(nn.Module):
    def __init__(self, c):
        super().__init__()
        print("number of parameters: few")
        self.transformer = nn.ModuleDict(
            dict(
                wte=nn.Embedding(c.vocab_size, c.n_embd),
                wpe=nn.Embedding(c.block_size, c.n_embd),
                h=nn.ModuleList(Block(c) for _ in range(c.n_layer)),
                ln_f=nn.LayerNorm(c.n_embd),
            )
        )
        self.lm_head = nn.Linear(c.n_embd, c.vocab_size, bias=False)
        self.lm_head.weight = self.transformer.wte.weight

    def forward(self, idx, targets):
        x = self.transformer.wte(idx) + self.transformer.wpe(torch.arange(idx.shape[1]))
        for block in self.transformer.h:
            x = block(x)
        logits = self.lm_head(self.transformer.ln_f(x))
        return logits, F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-1)
"""


@pytest.fixture
def nanogpt(tmp_path):
    """A folder with the part of nanoGPT that the benchmark uses."""
    (tmp_path / "model.py").write_text(NANOGPT, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("name", [name for name, setting in SETTINGS.items() if setting.precision == "float32"])
def test_sides_have_equal_losses(name, toy_data, nanogpt):
    setting = SETTINGS[name]
    rows = make(setting.rows, 2, toy_data)
    values = []
    for side in setting.sides:
        built = build(setting, side, rows["vocab_size"], dropout=False, nanogpt=nanogpt)
        values.append(losses(built, rows, steps=2)["losses"])
    for value in values[1:]:
        assert value == pytest.approx(values[0], rel=training.TOLERANCE["float32"])


def test_sides_have_equal_losses_in_bf16(toy_data):
    setting = SETTINGS["translation_bf16_loss"]
    rows = make(setting.rows, 1, toy_data)
    values = [
        losses(build(setting, side, rows["vocab_size"], dropout=False), rows)["losses"][0] for side in setting.sides
    ]
    assert values[1:] == pytest.approx([values[0]] * (len(values) - 1), rel=training.TOLERANCE["bf16_loss"])


@pytest.mark.parametrize("name", ["translation", "masked_padded"])
def test_packing_keeps_all_labels(name, toy_data):
    setting = SETTINGS[name]
    rows = make(setting.rows, 1, toy_data)
    for side in setting.sides:
        batch = build(setting, side, rows["vocab_size"]).collate(rows["batches"][0])
        assert int((batch["labels"] != IGNORED).sum()) == rows["labels"][0]


def test_dropout_is_equal_on_both_sides(toy_data):
    setting = choose("masked_full", dropout=0.3, attention_dropout=0.0)
    peer, ours = (build(setting, side, 300).model.config for side in setting.sides)
    assert (peer.hidden_dropout_prob, peer.attention_probs_dropout_prob) == (ours.dropout, ours.attention_dropout)
    assert (ours.dropout, ours.attention_dropout) == (0.3, 0.0)
    with pytest.raises(ValueError, match=r"dropout=1\.5"):
        choose("masked_full", dropout=1.5)


def test_rows_are_reproducible(toy_data):
    assert make("masked_padded", 2, toy_data) == make("masked_padded", 2, toy_data)


@pytest.mark.slow
def test_command_measures_each_side_in_its_own_process(toy_data, nanogpt, tmp_path):
    arguments = "--settings causal_nanogpt --dropout 0.1 --repeats 2 --batches 1 --allocators tuned --threads 1"
    paths = ["--nanogpt", str(nanogpt), "--data", str(toy_data), "--output", str(tmp_path)]
    training.main([*arguments.split(), *paths])
    record = read_json(tmp_path / "training_causal_nanogpt.json")
    assert record["dropout"] == 0.1 and record["threads"] == 1 and record["labels"] == 12 * 63
    assert record["losses"]["ours"] == pytest.approx(record["losses"]["nanogpt"], rel=1e-4)
    assert record["allocators"]["tuned"]["ours"]["ratio"]["median"] > 0
    assert "| ours | tuned |" in training.table([record])


def test_a_setting_that_cannot_run_has_a_reason(tmp_path):
    training.main(["--settings", "causal_nanogpt", "--output", str(tmp_path)])
    record = read_json(tmp_path / "training_causal_nanogpt.json")
    assert "--nanogpt" in record["not_run"]
    assert "not run: no --nanogpt" in training.table([record])


@pytest.mark.slow
def test_the_error_of_a_failed_worker_has_its_output(toy_data, tmp_path):
    torch.save({"batches": [], "vocab_size": 10, "labels": []}, tmp_path / "rows.pt")
    options = training.parse(["--data", str(toy_data)])
    with (
        training.Worker("losses", "causal_gpt2", "bert", tmp_path / "rows.pt", "default", options) as worker,
        pytest.raises(RuntimeError, match="side='bert'"),
    ):
        worker.result()


def test_errors_name_the_remedy(tmp_path, nanogpt):
    with pytest.raises(FileNotFoundError, match="HF_VANILLA_DATA"):
        make("masked_full", 1, tmp_path)
    with pytest.raises(ValueError, match="kind='speech'"):
        make("speech", 1, tmp_path)
    with pytest.raises(ValueError, match="batches=0"):
        make("causal", 0, tmp_path)
    with pytest.raises(ValueError, match="--nanogpt"):
        build(SETTINGS["causal_nanogpt"], "nanogpt", 65)
    with pytest.raises(FileNotFoundError, match="karpathy/nanoGPT"):
        build(SETTINGS["causal_nanogpt"], "nanogpt", 65, nanogpt=tmp_path / "nowhere.py")
