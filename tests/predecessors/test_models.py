"""The predecessors compute the equations of their papers, and behave as the models of this package do."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import nn
from transformers import AutoModel, AutoModelForSeq2SeqLM

from hf_vanilla_transformer.predecessors.configuration_predecessor import PredecessorConfig
from hf_vanilla_transformer.predecessors.modeling_predecessor import PredecessorForConditionalGeneration

PRESETS = ["rnn", "lstm", "gru", "bahdanau", "luong", "convs2s", "bytenet"]
ATTENTIONS = ["none", "bahdanau", "luong_dot", "luong_general", "luong_concat"]


def tiny(preset: str = "gru", seed: int = 0, **fields) -> PredecessorForConditionalGeneration:
    """A model in float64 and evaluation mode."""
    torch.manual_seed(seed)
    sizes = {"vocab_size": 19, "hidden_size": 8, "encoder_layers": 2, "decoder_layers": 2, "dropout": 0.0}
    config = getattr(PredecessorConfig, preset)(**{**sizes, "max_position_embeddings": 32, **fields})
    return PredecessorForConditionalGeneration(config).double().eval()


def ids(rows: int = 2, length: int = 5, seed: int = 1) -> torch.Tensor:
    return torch.randint(3, 19, (rows, length), generator=torch.Generator().manual_seed(seed))


def cell_step(cell: nn.RNNBase, layer: int, x: torch.Tensor, h: torch.Tensor, c: torch.Tensor | None, suffix: str = ""):
    """One step of one layer, written out from the papers' equations in torch's order of the gates."""
    w_x, w_h, b_x, b_h = (
        getattr(cell, f"{name}_l{layer}{suffix}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    a, b = x @ w_x.T + b_x, h @ w_h.T + b_h
    if isinstance(cell, nn.LSTM):
        i, f, g, o = (a + b).chunk(4, -1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c
    if isinstance(cell, nn.GRU):
        (r, z, n), (r_h, z_h, n_h) = a.chunk(3, -1), b.chunk(3, -1)
        z = (z + z_h).sigmoid()
        return (1 - z) * (n + (r + r_h).sigmoid() * n_h).tanh() + z * h, None
    return (a + b).tanh(), None


def reference_encoder(model: PredecessorForConditionalGeneration, x: torch.Tensor) -> torch.Tensor:
    """The bidirectional encoder of one row, token by token; (source, hidden)."""
    cell = model.model.encoder.stack.cell
    for layer in range(cell.num_layers):
        directions = []
        for suffix in ("", "_reverse"):
            h = c = x.new_zeros(cell.hidden_size)
            outputs = []
            for token in x if suffix == "" else x.flip(0):
                h, c = cell_step(cell, layer, token, h, c, suffix)
                outputs.append(h)
            directions.append(torch.stack(outputs if suffix == "" else outputs[::-1]))
        x = torch.cat(directions, -1)
    return x


def reference_decoder(model: PredecessorForConditionalGeneration, y: torch.Tensor, memory: torch.Tensor):
    """The decoder of one row, token by token; (target, hidden) and the attention (target, source)."""
    stack, kind = model.model.decoder.stack, model.config.attention
    half = memory.shape[-1] // 2
    summary = torch.cat([memory[-1, :half], memory[0, half:]])
    begin = stack.start(summary).tanh().view(-1, stack.layers, 2 * half)
    h, c = list(begin[0]), list(begin[-1])

    def attend(query):
        attention = stack.attention
        if kind == "luong_dot":
            scores = torch.stack([query @ one for one in memory])
        elif kind == "luong_general":
            scores = torch.stack([query @ attention.k_proj.weight @ one for one in memory])
        else:
            w, u, v = attention.q_proj.weight, attention.k_proj.weight, attention.v.weight[0]
            scores = torch.stack([v @ (w @ query + u @ one).tanh() for one in memory])
        weights = scores.exp() / scores.exp().sum()
        return sum(weight * one for weight, one in zip(weights, memory)), weights

    def advance(x):
        for layer in range(stack.layers):
            h[layer], c[layer] = cell_step(stack.cell, layer, x, h[layer], c[layer])
            x = h[layer]
        return x

    fed, outputs, attention = torch.zeros_like(summary), [], []
    for token in y:
        if kind.startswith("luong"):
            s = advance(torch.cat([token, fed]))
            context, weights = attend(s)
            fed = stack.readout(torch.cat([context, s])).tanh()
            outputs.append(fed)
        else:
            context, weights = (summary, summary) if kind == "none" else attend(h[-1])
            s = advance(torch.cat([token, context]))
            outputs.append(stack.readout(torch.cat([s, token, context])).tanh())
        attention.append(weights)
    return torch.stack(outputs), torch.stack(attention)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("attention", ATTENTIONS)
def test_a_recurrent_model_computes_the_equations_written_out(cell, attention):
    model = tiny(cell=cell, attention=attention)
    written = copy.deepcopy(model)
    source, target = ids(1), ids(1, 4, seed=2)
    outputs = model(source, decoder_input_ids=target, output_attentions=True)

    table, scale = written.model.decoder.embed_tokens, math.sqrt(8)
    memory = reference_encoder(written, table(source[0]) * scale)
    states, weights = reference_decoder(written, table(target[0]) * scale, memory)
    expected = states @ table.weight.T
    torch.testing.assert_close(outputs.logits[0], expected)
    if attention != "none":
        torch.testing.assert_close(outputs.cross_attentions[0][0, 0], weights)

    direction = torch.randn(expected.shape, dtype=torch.float64)
    (outputs.logits[0] * direction).sum().backward()
    (expected * direction).sum().backward()
    for (name, ours), theirs in zip(model.named_parameters(), written.parameters()):
        torch.testing.assert_close(ours.grad, theirs.grad, msg=lambda text, name=name: f"{name}: {text}")


def glu(x: torch.Tensor) -> torch.Tensor:
    return x[..., : x.shape[-1] // 2] * torch.sigmoid(x[..., x.shape[-1] // 2 :])


def written_convolution(layer, x: torch.Tensor, causal: bool) -> torch.Tensor:
    """Sum over the taps of the kernel, position by position; (length, width)."""
    weight, bias, dilation = layer.conv.weight, layer.conv.bias, layer.conv.dilation[0]
    size, rows = weight.shape[-1], []
    for t in range(len(x)):
        total = bias
        for tap in range(size):
            place = t + (tap - (size - 1 if causal else size // 2)) * dilation
            if 0 <= place < len(x):
                total = total + weight[:, :, tap] @ x[place]
        rows.append(total)
    return torch.stack(rows)


def test_convs2s_computes_the_equations_written_out():
    model = tiny("convs2s")
    written = copy.deepcopy(model)
    source, target = ids(1), ids(1, 4, seed=2)
    outputs = model(source, decoder_input_ids=target, output_attentions=True)
    table, half = written.model.decoder.embed_tokens, math.sqrt(0.5)
    encoder, decoder = written.model.encoder.stack, written.model.decoder.stack

    e = h = table(source[0]) * math.sqrt(8) + encoder.embed_positions.table.weight[:5]
    for layer in encoder.layers:
        h = (glu(written_convolution(layer, h, causal=False)) + h) * half
    z, values = h, (h + e) * half
    g = h = table(target[0]) * math.sqrt(8) + decoder.embed_positions.table.weight[:4]
    for number, block in enumerate(decoder.layers):
        v = glu(written_convolution(block.conv, h, causal=True))
        d = (block.q_proj(v) + g) * half
        scores = torch.einsum("td,sd->ts", d, z)
        weights = scores.exp() / scores.exp().sum(-1, keepdim=True)
        torch.testing.assert_close(outputs.cross_attentions[number][0, 0], weights)
        context = block.o_proj(5 * math.sqrt(1 / 5) * torch.einsum("ts,sd->td", weights, values))
        h = ((v + context) * half + h) * half
    expected = h @ table.weight.T
    torch.testing.assert_close(outputs.logits[0], expected)
    outputs.logits.square().sum().backward()
    expected.square().sum().backward()
    for ours, theirs in zip(model.parameters(), written.parameters()):
        if theirs.grad is not None:
            torch.testing.assert_close(ours.grad, theirs.grad)


def test_bytenet_computes_the_equations_written_out():
    model = tiny("bytenet", encoder_layers=3, decoder_layers=3, dilation_cycle=2)
    source, target = ids(1, 4), ids(1, 6, seed=2)
    outputs = model(source, decoder_input_ids=target)
    table = model.model.decoder.embed_tokens
    encoder, decoder = model.model.encoder.stack, model.model.decoder.stack

    def norm(x, layer):
        centred = x - x.mean(-1, keepdim=True)
        return centred / (centred.square().mean(-1, keepdim=True) + layer.eps).sqrt() * layer.weight + layer.bias

    def block(layer, x, causal):
        h = layer.reduce(norm(x, layer.norms[0]).clamp(min=0))
        h = written_convolution(layer.conv, norm(h, layer.norms[1]).clamp(min=0), causal)
        return x + layer.expand(norm(h, layer.norms[2]).clamp(min=0))

    assert [layer.conv.conv.dilation[0] for layer in encoder.layers] == [1, 2, 1]
    s = table(source[0]) * math.sqrt(8)
    for layer in encoder.layers:
        s = block(layer, s, causal=False)
    # The target is longer than the source: there are zeros behind the last column.
    s = torch.cat([s, s.new_zeros(2, 8)])
    h = decoder.join(torch.cat([table(target[0]) * math.sqrt(8), s], -1))
    for layer in decoder.layers:
        h = block(layer, h, causal=True)
    expected = decoder.readout(norm(h, decoder.norm).clamp(min=0)) @ table.weight.T
    torch.testing.assert_close(outputs.logits[0], expected)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("training", [False, True])
def test_padding_on_either_side_changes_nothing(preset, training):
    model = tiny(preset).train(training)
    short, target = ids(1, 3), ids(1, 5, seed=2)
    alone = model(short, decoder_input_ids=target, output_attentions=True)
    for left in (0, 2, 4):
        padded = torch.zeros(1, 7, dtype=torch.long)
        mask = torch.zeros_like(padded)
        padded[:, left : left + 3], mask[:, left : left + 3] = short, 1
        # A longer row beside it, so that the short one really is padded.
        batch = torch.cat([padded, ids(1, 7, seed=3)])
        masks = torch.cat([mask, torch.ones_like(mask)])
        outputs = model(batch, attention_mask=masks, decoder_input_ids=target.expand(2, -1), output_attentions=True)
        torch.testing.assert_close(outputs.logits[:1], alone.logits)
        for ours, theirs in zip(outputs.cross_attentions, alone.cross_attentions):
            torch.testing.assert_close(ours[:1, ..., left : left + 3], theirs)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_decoder_does_not_see_what_comes_later(preset):
    model = tiny(preset)
    target = ids(1, 6, seed=2).requires_grad_(False)
    vectors = model.get_input_embeddings()(target).detach().requires_grad_()
    model(ids(1), decoder_inputs_embeds=vectors).logits[:, 3].sum().backward()
    reached = vectors.grad.abs().sum(-1)[0] > 0
    assert reached.tolist()[4:] == [False, False] and reached[3]


@pytest.mark.parametrize("preset", PRESETS)
def test_steps_with_a_state_equal_the_full_pass(preset):
    model = tiny(preset)
    source, target = ids(), ids(2, 9, seed=2)
    full = model(source, decoder_input_ids=target).logits
    state, steps = None, []
    for part in target.split([1, 3, 1, 4], dim=1):
        outputs = model(source, decoder_input_ids=part, past_key_values=state, use_cache=True)
        state = outputs.past_key_values
        steps.append(outputs.logits)
    torch.testing.assert_close(torch.cat(steps, 1), full)
    assert state.get_seq_length() == 9


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("num_beams", [1, 3])
def test_generation_with_and_without_a_state(preset, num_beams):
    model = tiny(preset)
    source, mask = ids(2, 5), torch.tensor([[1, 1, 1, 1, 1], [0, 0, 1, 1, 1]])
    options = {"attention_mask": mask, "num_beams": num_beams, "max_new_tokens": 7, "do_sample": False}
    with_state = model.generate(source, **options)
    assert torch.equal(with_state, model.generate(source, use_cache=False, **options))
    if num_beams == 1:
        logits = model(source, attention_mask=mask, decoder_input_ids=with_state[:, :-1]).logits
        best = logits.argmax(-1)
        ends = with_state[:, 1:].eq(2).cumsum(-1) - with_state[:, 1:].eq(2).int()
        assert torch.equal(best[ends == 0], with_state[:, 1:][ends == 0])


@pytest.mark.parametrize("preset", PRESETS)
def test_the_loss_of_parts_adds_up_and_padding_has_none(preset):
    model = tiny(preset, label_smoothing=0.1)
    source, labels = ids(4), ids(4, 6, seed=2)
    labels[1, 4:] = -100
    whole = model(source, labels=labels)
    parts = [model(source[i : i + 2], labels=labels[i : i + 2], num_items_in_batch=22).loss for i in (0, 2)]
    torch.testing.assert_close(whole.loss, sum(parts))
    kept = labels != -100
    expected = -whole.logits.log_softmax(-1)[kept].gather(-1, labels[kept][:, None]).mean()
    torch.testing.assert_close(whole.loss, expected)
    smoothed = model.train()(source, labels=labels)
    spread = -smoothed.logits.log_softmax(-1)[kept].mean()
    torch.testing.assert_close(smoothed.loss, 0.9 * expected + 0.1 * spread)


@pytest.mark.parametrize("preset", PRESETS)
def test_the_auto_classes_load_what_was_saved(preset, tmp_path):
    model = tiny(preset)
    model.save_pretrained(tmp_path)
    loaded = AutoModelForSeq2SeqLM.from_pretrained(tmp_path, dtype="float64")
    source, target = ids(), ids(2, 4, seed=2)
    torch.testing.assert_close(
        loaded(source, decoder_input_ids=target).logits, model(source, decoder_input_ids=target).logits
    )
    # The three tables of tokens are one, also after loading and resizing.
    loaded.resize_token_embeddings(25)
    assert loaded.lm_head.weight is loaded.model.encoder.embed_tokens.weight
    assert loaded(source, decoder_input_ids=target).logits.shape[-1] == 25
    assert type(AutoModel.from_pretrained(tmp_path)).__name__ == "PredecessorModel"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"hidden_size": 7}, "hidden_size must be even"),
        ({"kernel_size": 4}, "kernel_size must be odd"),
        ({"architecture": "bytenet", "attention": "bahdanau"}, "attention='bahdanau' is for architecture='recurrent'"),
        ({"dropout": 1.0}, "dropout must be"),
        ({"pad_token_id": 99_999_999}, "pad_token_id=99999999 is not a token"),
        ({"encoder_layer": 2}, "did you mean 'encoder_layers'"),
        ({"decoder_layers": 0}, "decoder_layers must be from 1"),
    ],
)
def test_a_wrong_field_is_named(fields, message):
    with pytest.raises(Exception) as raised:
        PredecessorConfig(**fields)
    assert message in str(raised.value) + str(raised.value.__cause__)


def test_wrong_inputs_are_named():
    model = tiny("convs2s", max_position_embeddings=4)
    with pytest.raises(ValueError, match="max_position_embeddings=4"):
        model(ids(1, 5), decoder_input_ids=ids(1, 2))
    with pytest.raises(ValueError, match="row without a token"):
        model(ids(1, 3), attention_mask=torch.zeros(1, 3), decoder_input_ids=ids(1, 2))
    with pytest.raises(ValueError, match="pad the target on the right"):
        model(ids(1, 3), decoder_input_ids=ids(1, 2), decoder_attention_mask=torch.tensor([[0, 1]]))
    with pytest.raises(ValueError, match="Pass decoder_input_ids"):
        model(ids(1, 3))
    with pytest.raises(ValueError, match="decoder_start_token_id is None"):
        tiny(decoder_start_token_id=None)(ids(1, 3), labels=ids(1, 2))
