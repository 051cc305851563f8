"""Go on from prompts, one a line, from a file or standard input; or from the one that --prompt gives.

On a terminal, and with --stream, the text appears token by token as the model writes it. MODEL is a folder or a name
on the Hub, of this package or of any other causal language model of transformers.

An answer is printed as it is, so one that has line breaks takes several lines; --json keeps it on one. With --scores,
the log probability of what follows the prompt and a tab come first; with --n-best, the number of the prompt.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import Any

from .lines import Answer, add_line_arguments, answer_writer, check_line_arguments, load_for_lines, windows_of_lines
from .pictures import draw_self_attention

EXAMPLES = """\
examples:
  hf-vanilla generate runs/gpt --prompt "Once upon a time" --max-new-tokens 100
  hf-vanilla generate runs/gpt --input prompts.txt --output stories.txt --temperature 0.8 --seed 1
  echo "The cat" | hf-vanilla generate openai-community/gpt2 --num-beams 4 --n-best 4 --scores
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which model, which prompts, and how to choose the next token."""
    add_line_arguments(parser, "prompts", "continuations", "the log probability of what follows the prompt")
    parser.add_argument("--prompt", help="one prompt, instead of --input")
    parser.add_argument("--stream", action="store_true", help="show each token as soon as it is there")
    parser.add_argument("--max-new-tokens", type=int, default=100, help="most tokens of an answer (default: 100)")
    parser.add_argument("--num-beams", type=int, default=1, help="beam search of this width instead of sampling")
    parser.add_argument("--temperature", type=float, help="above 1 bolder, below 1 tamer; 0 always takes the likeliest")
    parser.add_argument("--top-k", type=int, help="choose among so many tokens only")
    parser.add_argument("--top-p", type=float, help="choose among the likeliest tokens with this much probability")
    parser.add_argument("--seed", type=int, help="the same seed, the same text")
    parser.add_argument("--only-new", action="store_true", help="print what follows the prompt, without the prompt")


def run(arguments: argparse.Namespace) -> int:
    """Answers all prompts."""
    from transformers import set_seed

    check_line_arguments(arguments)
    options = _choice(arguments)
    streams = _streams(arguments)
    if arguments.prompt is not None and arguments.input is not None:
        raise ValueError("--prompt and --input both say what to go on from: give one of them.")
    windows = iter([[arguments.prompt]]) if arguments.prompt is not None else windows_of_lines(arguments.input)
    model, tokenizer = load_for_lines(arguments, "AutoModelForCausalLM")
    if arguments.seed is not None:
        set_seed(arguments.seed)
    with answer_writer(arguments) as writer:
        for prompt in _each(windows):
            if streams:
                _continue(prompt, model, tokenizer, arguments, options, stream=True)
                continue
            writer.write(prompt, _continue(prompt, model, tokenizer, arguments, options))
            writer.flush()
            draw_self_attention(arguments, writer.lines, model, tokenizer, prompt)
    return 0


def _choice(arguments: argparse.Namespace) -> dict[str, Any]:
    """The options for `generate`: the likeliest token, sampling, or a beam."""
    sampling = {name: getattr(arguments, name) for name in ("temperature", "top_k", "top_p")}
    sampling = {name: value for name, value in sampling.items() if value is not None}
    if arguments.max_new_tokens < 1:
        raise ValueError(f"--max-new-tokens {arguments.max_new_tokens} leaves nothing to write: give at least 1.")
    if sampling.get("temperature", 1) < 0:
        raise ValueError(f"--temperature {arguments.temperature} must not be negative; 0 takes the likeliest token.")
    n_best = arguments.n_best or 1
    options = {"max_new_tokens": arguments.max_new_tokens, "num_return_sequences": n_best}
    if arguments.num_beams > 1:
        if sampling:
            raise ValueError(f"--num-beams {arguments.num_beams} does not sample: leave out {_options(sampling)}.")
        if n_best > arguments.num_beams:
            raise ValueError(f"--n-best {n_best} needs --num-beams {n_best} at least, not {arguments.num_beams}.")
        return {**options, "num_beams": arguments.num_beams, "do_sample": False}
    if sampling.get("temperature") == 0:
        if n_best > 1:
            raise ValueError(f"--temperature 0 has one answer, not {n_best}: raise it, or give --num-beams {n_best}.")
        return {**options, "num_beams": 1, "do_sample": False}
    return {**options, "num_beams": 1, "do_sample": True, **sampling}


def _options(names: dict[str, Any]) -> str:
    return ", ".join(f"--{name.replace('_', '-')}" for name in names)


def _streams(arguments: argparse.Namespace) -> bool:
    """Whether tokens are shown as they come.

    Raises:
        ValueError: that was asked for, with options that need the whole answer first.
    """
    needs_all = {
        "--n-best": arguments.n_best is not None,
        "--scores": arguments.scores,
        "--json": arguments.json,
        "--output": arguments.output is not None,
        "--attention": arguments.attention is not None,
        "--num-beams": arguments.num_beams > 1,
    }
    if arguments.stream and any(needs_all.values()):
        raise ValueError(
            f"--stream shows tokens before {', '.join(name for name, given in needs_all.items() if given)} can have "
            "its answer: leave one of them out."
        )
    return arguments.stream or (sys.stdout.isatty() and not any(needs_all.values()))


def _each(windows: Iterator[list[str]]) -> Iterator[str]:
    for lines in windows:
        yield from lines


def _continue(
    prompt: str,
    model: Any,
    tokenizer: Any,
    arguments: argparse.Namespace,
    options: dict[str, Any],
    *,
    stream: bool = False,
) -> list[Answer]:
    """The continuations of a prompt, the best first if they are ranked; printed as they come if `stream`."""
    from transformers import TextStreamer

    from ..generation import continuation_log_probabilities

    inputs = tokenizer(prompt, return_tensors="pt").to(model.device)
    ids, mask = inputs["input_ids"], inputs["attention_mask"]
    if not ids.shape[1]:
        raise ValueError(f"The prompt {prompt!r} has no tokens, and {arguments.model} does not begin by itself.")
    room = getattr(model.config, "max_position_embeddings", None)
    if room is not None and ids.shape[1] + options["max_new_tokens"] > room:
        raise ValueError(
            f"The prompt has {ids.shape[1]} tokens, and {options['max_new_tokens']} more are asked for, but the model "
            f"has positions for {room}: shorten it, or lower --max-new-tokens."
        )
    streamer = None
    if stream:
        streamer = TextStreamer(tokenizer, skip_prompt=arguments.only_new, skip_special_tokens=True)
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    sequences = model.generate(input_ids=ids, attention_mask=mask, pad_token_id=pad, streamer=streamer, **options)
    if stream:
        return []
    scores = [0.0] * len(sequences)
    if arguments.scores or arguments.json or arguments.n_best is not None:
        masks = mask.expand(len(sequences), -1)
        scores = continuation_log_probabilities(model, sequences, masks, ids.shape[1]).tolist()
    shown = sequences[:, ids.shape[1] :] if arguments.only_new else sequences
    texts = tokenizer.batch_decode(shown, skip_special_tokens=True)
    answers = [Answer(text, score) for text, score in zip(texts, scores)]
    # Samples come in no order.
    return answers if options["num_beams"] > 1 else sorted(answers, key=lambda answer: -answer.score)
