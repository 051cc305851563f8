"""The trace of a forward pass is what the equations give, and its page is complete, escaped and self-contained."""

import base64
import html
import math
import re
import struct
import zlib

import pytest
import torch
from torch.nn.functional import gelu, layer_norm, relu
from transformers import BertConfig, BertForMaskedLM

import hf_vanilla_transformer
from hf_vanilla_transformer import explain
from hf_vanilla_transformer.commands.main import main
from hf_vanilla_transformer.interpretation import trace_forward

from ..tiny_models import SENTENCES, tiny_folder, tiny_model, tiny_tokenizer

TEXT = SENTENCES[0]
TARGET = SENTENCES[3]
SHAPES = [
    ("seq2seq", {}),
    ("seq2seq", {"norm_first": True, "layernorm_embedding": True, "decoder_layers": 1}),
    ("encoder", {"hidden_act": "gelu"}),
    ("decoder", {"hidden_act": "gelu", "norm_first": True}),
    ("decoder", {"hidden_act": "relu", "norm_first": False}),
]


@pytest.fixture(scope="module")
def tokenizers():
    return {stack: tiny_tokenizer(stack) for stack in ("seq2seq", "encoder", "decoder")}


class ByHand:
    """The equations of the paper with the weights of one stack, in float64; keeps each vector sequence in order."""

    def __init__(self, stack):
        self.config = stack.config
        self.weights = {name: value.double() for name, value in stack.state_dict().items()}
        self.table = stack.embed_positions.weight if "embed_positions.weight" in self.weights else None
        self.table = stack.embed_positions.table if self.table is None else self.table
        self.seen = []

    def keep(self, name, states, weights=None):
        self.seen.append((name, states, weights))
        return states

    def linear(self, name, states):
        return states @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def norm(self, name, states):
        weight, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        return layer_norm(states, states.shape[-1:], weight, bias, self.config.layer_norm_eps)

    def attention(self, kind, module, states, source, causal):
        query = self.keep(f"{kind}: query", self.linear(f"{module}.q_proj", states))
        key = self.keep(f"{kind}: key", self.linear(f"{module}.k_proj", source))
        value = self.keep(f"{kind}: value", self.linear(f"{module}.v_proj", source))
        width = self.config.hidden_size // self.config.num_attention_heads
        heads, weights = [], []
        for head in range(self.config.num_attention_heads):
            part = slice(head * width, (head + 1) * width)
            scores = query[:, part] @ key[:, part].T / math.sqrt(width)
            if causal:
                scores = scores.masked_fill(torch.ones_like(scores).triu(1).bool(), -torch.inf)
            weights.append(scores.softmax(-1))
            heads.append(weights[-1] @ value[:, part])
        joined = self.keep(f"{kind}: heads", torch.cat(heads, dim=-1), torch.stack(weights))
        return self.keep(f"{kind}: output", self.linear(f"{module}.o_proj", joined))

    def feed_forward(self, module, states):
        bend = {"relu": relu, "gelu": gelu}[self.config.hidden_act]
        inner = self.keep("feed-forward: inner", bend(self.linear(f"{module}.fc1", states)))
        return self.keep("feed-forward: output", self.linear(f"{module}.fc2", inner))

    def run(self, ids, causal, encoded=None):
        config, count = self.config, len(ids)
        tokens = self.keep("token embeddings", self.weights["embed_tokens.weight"][list(ids)])
        scale = math.sqrt(config.hidden_size) if config.scale_embedding else 1.0
        total = tokens * scale
        if scale != 1.0:
            self.keep("scaled", total)
        if config.type_vocab_size:
            segments = self.keep("segments", self.weights["embed_token_types.weight"][[0] * count])
            total = total + segments
        total = total + self.keep("positions", self.table[:count].double())
        if config.layernorm_embedding:
            self.keep("sum", total)
            total = self.keep("normalised", self.norm("embed_norm", total))
        states = self.keep("input of the first layer", total)
        layers = 1 + max(int(re.match(r"layers\.(\d+)", name)[1]) for name in self.weights if name[:6] == "layers")
        for layer in range(layers):
            prefix = f"layers.{layer}"
            self.keep("input", states)
            sublayers = [
                ("self-attention", "self_attn", lambda x, p=prefix: self.attention(
                    "self-attention", f"{p}.self_attn", x, x, causal)),
                ("cross-attention", "cross_attn", lambda x, p=prefix: self.attention(
                    "cross-attention", f"{p}.cross_attn", x, encoded, False)),
                ("feed-forward", "mlp", lambda x, p=prefix: self.feed_forward(f"{p}.mlp", x)),
            ]  # fmt: skip
            for kind, module, sublayer in sublayers:
                if kind == "cross-attention" and encoded is None:
                    continue
                norm = f"{prefix}.{module}_norm"
                if config.norm_first:
                    normalised = self.keep(f"{kind}: norm", self.norm(norm, states))
                    states = self.keep(f"{kind}: sum", states + sublayer(normalised))
                else:
                    total = self.keep(f"{kind}: sum", states + sublayer(states))
                    states = self.keep(f"{kind}: norm", self.norm(norm, total))
        return self.keep("output", self.norm("norm", states)) if config.norm_first else states


@pytest.mark.parametrize(("stack", "fields"), SHAPES)
def test_shapes_norms_and_attention_are_those_of_the_equations(stack, fields, tokenizers):
    model = tiny_model(stack, tokenizers[stack], **fields)
    trace = trace_forward(model, tokenizers[stack], TEXT, TARGET if stack == "seq2seq" else None)
    encoded = None
    parts = [model.get_encoder(), model.get_decoder()] if stack == "seq2seq" else [model.base_model]
    assert len(trace.stacks) == len(parts)
    for traced, part in zip(trace.stacks, parts):
        by_hand = ByHand(part)
        encoded = by_hand.run(traced.ids, traced.name == "decoder", encoded)
        assert [step.name for step in traced.steps] == [name for name, _, _ in by_hand.seen]
        for step, (name, states, weights) in zip(traced.steps, by_hand.seen):
            torch.testing.assert_close(step.norms.double(), states.norm(dim=-1), msg=name, rtol=1e-4, atol=1e-5)
            assert len(step.tokens) == len(states)
            expected = (1, *states.shape)
            if name.endswith((": query", ": key", ": value")):
                heads = part.config.num_attention_heads
                expected = (1, heads, len(states), states.shape[1] // heads)
            assert step.shape == expected, name
            if weights is not None:
                torch.testing.assert_close(step.weights.double(), weights, rtol=1e-4, atol=1e-6)
                assert step.weights.shape[1:] == (len(step.tokens), len(step.keys))


def test_predictions_are_those_of_the_model(tokenizers):
    model = tiny_model("seq2seq", tokenizers["seq2seq"])
    trace = trace_forward(model, tokenizers["seq2seq"], TEXT, TARGET)
    labels = tokenizers["seq2seq"](TARGET, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        logits = model(**tokenizers["seq2seq"](TEXT, return_tensors="pt"), labels=labels).logits[0]
    best = logits.softmax(-1).max(-1).values
    assert [one.candidates[0][1] for one in trace.predictions] == pytest.approx(best.tolist(), rel=1e-4)
    assert trace.stacks[1].ids == (model.config.decoder_start_token_id, *labels[0, :-1].tolist())
    assert all(len(one.candidates) == 5 for one in trace.predictions)


def test_without_a_target_the_decoder_reads_the_models_own_answer(tokenizers):
    model = tiny_model("seq2seq", tokenizers["seq2seq"])
    trace = trace_forward(model, tokenizers["seq2seq"], TEXT, max_new_tokens=6)
    generated = model.generate(**tokenizers["seq2seq"](TEXT, return_tensors="pt"), max_new_tokens=6)[0].tolist()
    assert trace.stacks[1].ids == tuple(generated[:-1])
    assert len(trace.predictions) == len(generated) - 1


@pytest.mark.parametrize(
    ("head", "places"),
    [("ForSequenceClassification", 1), ("ForTokenClassification", None), ("Model", 0), ("ForMultipleChoice", 0)],
)
def test_other_heads(head, places, tokenizers):
    tokenizer = tokenizers["encoder"]
    model = tiny_model(getattr(hf_vanilla_transformer, f"VanillaEncoder{head}"), tokenizer)
    trace = trace_forward(model, tokenizer, TEXT)
    assert len(trace.predictions) == (len(trace.stacks[0].tokens) if places is None else places)
    for prediction in trace.predictions:
        assert sorted(name for name, _ in prediction.candidates) == ["LABEL_0", "LABEL_1"]
        assert sum(probability for _, probability in prediction.candidates) == pytest.approx(1)


def test_the_model_is_as_before(tokenizers):
    model = tiny_model("decoder", tokenizers["decoder"]).train()
    trace_forward(model, tokenizers["decoder"], TEXT)
    with pytest.raises(ValueError, match="has no tokens"):
        trace_forward(model, tokenizers["decoder"], " ")
    assert model.training and model.config._attn_implementation == "sdpa"
    assert not any(module._forward_hooks for module in model.base_model.layers.modules())


def test_the_page_is_complete_escaped_and_self_contained(tmp_path, tokenizers):
    tokenizer = tokenizers["seq2seq"]
    model = tiny_model("seq2seq", tokenizer)
    text = 'The <script>alert(1)</script> & "man"'
    path = explain(model, text, tmp_path / "page.html", tokenizer=tokenizer, target=TARGET)
    page = path.read_text(encoding="utf-8")
    assert "<script" not in page and "&lt;" in page
    assert not re.search(r"""(https?:|src="(?!data:)|href=|@import|url\()""", page)
    trace = trace_forward(model, tokenizer, text, TARGET)
    shown = re.findall(r'<td style="background[^"]*" title="([^"]+)">', page)
    norms = [norm for stack in trace.stacks for step in stack.embedding for norm in step.norms.tolist()]
    assert {f"{norm:.6g}" for norm in norms} <= set(shown)
    for stack in trace.stacks:
        for step in stack.steps:
            assert f"({', '.join(map(str, step.shape))})" in page and html.escape(step.name) in page
    attentions = [step for stack in trace.stacks for step in stack.steps if step.weights is not None]
    pictures = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    assert len(pictures) == sum(len(step.weights) for step in attentions) == (2 + 2 * 2) * 2
    assert pixels(pictures[0]) == (attentions[0].weights[0] * 255).round().long().tolist()


def pixels(picture: str) -> list[list[int]]:
    """The gray values of a PNG without filters."""
    data = base64.b64decode(picture)
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, place = {}, 8
    while place < len(data):
        (size,) = struct.unpack(">I", data[place : place + 4])
        name, body = data[place + 4 : place + 8], data[place + 8 : place + 8 + size]
        assert struct.unpack(">I", data[place + 8 + size : place + 12 + size])[0] == zlib.crc32(name + body)
        chunks[name], place = body, place + 12 + size
    width, height, depth, color = struct.unpack(">IIBB", chunks[b"IHDR"][:10])
    assert (depth, color) == (8, 0)
    raw = zlib.decompress(chunks[b"IDAT"])
    lines = [raw[row * (width + 1) : (row + 1) * (width + 1)] for row in range(height)]
    assert all(line[0] == 0 for line in lines)
    return [list(line[1:]) for line in lines]


def test_impossible_requests_are_an_error(tmp_path, tokenizers):
    tokenizer = tokenizers["decoder"]
    model = tiny_model("decoder", tokenizer)
    with pytest.raises(ValueError, match="target='x' is for an encoder-decoder"):
        explain(model, TEXT, tmp_path / "page.html", tokenizer=tokenizer, target="x")
    with pytest.raises(ValueError, match="at most 64"):
        explain(model, TEXT * 20, tmp_path / "page.html", tokenizer=tokenizer)
    with pytest.raises(ValueError, match="give its tokenizer"):
        explain(model, TEXT, tmp_path / "page.html")
    config = BertConfig(vocab_size=50, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)
    with pytest.raises(ValueError, match="BertForMaskedLM: give a model of this package"):
        explain(BertForMaskedLM(config), TEXT, tmp_path / "page.html", tokenizer=tokenizer)
    both = tiny_model(hf_vanilla_transformer.VanillaTransformerModel, tokenizers["seq2seq"])
    with pytest.raises(ValueError, match="give the target"):
        trace_forward(both, tokenizers["seq2seq"], TEXT)
    assert len(trace_forward(both, tokenizers["seq2seq"], TEXT, TARGET).stacks) == 2
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("model", ["seq2seq", "encoder", "decoder", hf_vanilla_transformer.VanillaEncoderModel])
def test_the_command_writes_the_page(model, tmp_path, capsys):
    folder = tiny_folder(tmp_path / "model", model)
    output = tmp_path / "page.html"
    assert main(["explain", str(folder), TEXT, "--output", str(output)]) == 0
    name = model if isinstance(model, str) else "encoder"
    page = output.read_text(encoding="utf-8")
    assert "The decoder</h2>" in page if name != "encoder" else "The encoder</h2>" in page
    assert ("<h2>Output</h2>" in page) == isinstance(model, str)
    assert str(output) in capsys.readouterr().out
    assert main(["explain", str(folder), TEXT * 20, "--output", str(tmp_path / "other.html")]) == 2
    assert "at most 64" in capsys.readouterr().err and not (tmp_path / "other.html").exists()
