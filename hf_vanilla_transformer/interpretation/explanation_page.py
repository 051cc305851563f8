"""The page of a forward pass: HTML without scripts and without anything from elsewhere."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Sequence
from html import escape
from itertools import groupby

import torch

from ..wording import counted
from .forward_trace import ForwardTrace, Prediction, StackTrace, Step

_STYLE = """
:root { color-scheme: light dark; --ink: 37, 99, 235; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 76rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; font-size: 13px; margin: .5rem 0 1rem; }
th, td { padding: 2px 6px; text-align: right; white-space: nowrap; }
th { font-weight: normal; } thead th { vertical-align: bottom; }
th.name, td.name { text-align: left; } code { font-size: 12px; }
.wide { overflow-x: auto; } summary { cursor: pointer; font-weight: 600; margin: .6rem 0; }
figure { display: inline-block; margin: 0 .8rem .8rem 0; } figcaption { font-size: 12px; }
img { image-rendering: pixelated; border: 1px solid rgba(128, 128, 128, .5); display: block; }
.up { writing-mode: vertical-rl; transform: rotate(180deg); text-align: left; }
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
# Width of the picture of one head.
_PIXELS = 120


def explanation_page(trace: ForwardTrace) -> str:
    """The page of a forward pass: a table of norms for each sublayer, and the attention of every head.

    All text is escaped; the page has neither scripts nor links, so it can be sent and opened anywhere.
    """
    order = "before each sublayer (pre-norm)" if trace.norm_first else "after each residual sum (post-norm)"
    parts = [
        f"<h1>{escape(trace.model)}, one sentence</h1>",
        f"<p>{counted(trace.parameters, 'parameter')}; {counted(trace.heads, 'attention head')} a layer; the "
        f"normalisation stands {order}.</p>",
        "<p>Each row of a table is one tensor on the way, in the order of the computation: what it is, the equation, "
        "the code that makes it, its shape (the batch has one row), and the Euclidean norm of the vector of each "
        "token. A darker cell is a larger norm within the table. In a table of attention, a row is the token that "
        "attends, a column the token attended to, and each row sums to 1.</p>",
    ]
    for stack in trace.stacks:
        parts += _stack(stack)
    if trace.predictions:
        parts += [
            "<h2>Output</h2>",
            _predictions(trace.predictions, "after" if trace.stacks[-1].name == "decoder" else "at"),
        ]
    title = escape(f"{trace.model}: {' '.join(trace.stacks[0].tokens)}")
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body>\n</html>\n"
    )


def _stack(stack: StackTrace) -> list[str]:
    parts = [f"<h2>The {stack.name}</h2>", "<h3>Tokens</h3>", _tokens(stack), "<h3>Embedding</h3>"]
    parts.append(_norms(stack.embedding))
    for number, steps in enumerate(stack.layers):
        opened = " open" if number == 0 else ""
        parts.append(f"<details{opened}><summary>Layer {number}</summary>")
        parts.append(_norms(steps))
        parts += [_attention(step, number) for step in steps if step.weights is not None]
        parts.append("</details>")
    if stack.final:
        parts += ["<h3>Final normalisation</h3>", _norms(stack.final)]
    return parts


def _tokens(stack: StackTrace) -> str:
    rows = [
        ("position", [str(position) for position in range(len(stack.tokens))]),
        ("token", stack.tokens),
        ("id", [str(number) for number in stack.ids]),
    ]
    body = "".join(
        f'<tr><th class="name">{name}</th>' + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"
        for name, cells in rows
    )
    return _table("", body)


def _norms(steps: Sequence[Step]) -> str:
    """The steps of one part. Keys and values of cross-attention have other positions, hence tables of their own."""
    most = max(float(step.norms.max()) for step in steps) or 1.0
    tables = []
    for tokens, group in groupby(steps, key=lambda step: step.tokens):
        head = '<tr><th class="name">step</th><th class="name">equation</th><th class="name">code</th><th>shape</th>'
        head += "".join(f'<th><div class="up">{escape(token)}</div></th>' for token in tokens) + "</tr>"
        body = "".join(
            f'<tr><td class="name">{escape(step.name)}</td><td class="name">{escape(step.equation)}</td>'
            f'<td class="name"><code>{escape(step.code)}</code></td><td>{_shape(step.shape)}</td>'
            + "".join(_cell(norm, norm / most) for norm in step.norms.tolist())
            + "</tr>"
            for step in group
        )
        tables.append(_table(head, body))
    return "".join(tables)


def _attention(step: Step, layer: int) -> str:
    """The mean over the heads as a table with numbers, and each head as a picture."""
    assert step.weights is not None
    kind = step.name.partition(":")[0]
    head = "<tr><th></th>" + "".join(f'<th><div class="up">{escape(key)}</div></th>' for key in step.keys) + "</tr>"
    body = "".join(
        f'<tr><th class="name">{escape(token)}</th>' + "".join(_cell(weight, weight) for weight in row) + "</tr>"
        for token, row in zip(step.tokens, step.weights.mean(0).tolist())
    )
    pictures = "".join(
        f'<figure><img alt="weights of head {number}" width="{_PIXELS}" src="{_picture(weights)}">'
        f"<figcaption>head {number}</figcaption></figure>"
        for number, weights in enumerate(step.weights)
    )
    shape = _shape((1, *step.weights.shape))
    return (
        f"<h4>Layer {layer}, {kind}: mean over the heads of the weights {shape}</h4>{_table(head, body)}"
        f"<div>{pictures}</div>"
    )


def _predictions(predictions: Sequence[Prediction], preposition: str) -> str:
    """The best answers of the head: `at` a token, or `after` it where the next token is predicted."""
    count = max(len(prediction.candidates) for prediction in predictions)
    head = f'<tr><th class="name">{preposition}</th>' if predictions[0].place else "<tr>"
    head += "".join(f'<th class="name">{number + 1}</th>' for number in range(count)) + "</tr>"
    body = ""
    for prediction in predictions:
        body += "<tr>" + (f'<th class="name">{escape(prediction.place)}</th>' if prediction.place else "")
        body += "".join(
            f'<td class="name" style="background: rgba(var(--ink), {probability:.3f})">{escape(name)} '
            f"{probability:.3f}</td>"
            for name, probability in prediction.candidates
        )
        body += "</tr>"
    return _table(head, body)


def _table(head: str, body: str) -> str:
    return f'<div class="wide"><table><thead>{head}</thead><tbody>{body}</tbody></table></div>'


def _cell(value: float, share: float) -> str:
    # The darkest cell stays light enough for its text.
    return f'<td style="background: rgba(var(--ink), {0.6 * share:.3f})" title="{value:.6g}">{value:.2f}</td>'


def _shape(shape: Sequence[int]) -> str:
    return f"({', '.join(map(str, shape))})"


def _picture(weights: torch.Tensor) -> str:
    """A grayscale PNG of (rows, columns) with one pixel for each weight, as the address of an image: white is 1."""
    rows = (weights * 255).round().clamp(0, 255).to(torch.uint8)
    height, width = rows.shape
    # Each line of a PNG begins with the number of its filter; 0 is none.
    lines = b"".join(b"\0" + bytes(row) for row in rows.tolist())
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(lines)),
        (b"IEND", b""),
    ]
    png = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )
    return "data:image/png;base64," + base64.b64encode(png).decode()


__all__ = ["explanation_page"]
