"""Continue prompts, one prompt a line, from a file or standard input, or the single prompt of --prompt.

On a terminal, and with --stream, the text appears token by token while the model generates it. MODEL is a causal
language model of this package or of transformers: a folder, or a name on the Hub.

A continuation that contains line breaks is printed on several lines; --json keeps it on one line. --scores prints the
log-probability of the tokens after the prompt, and --n-best the number of the prompt.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import Any

from .attention_images import AttentionImages
from .lines import (
    Answer,
    LongLines,
    add_line_arguments,
    answer_writer,
    check_line_arguments,
    load_for_lines,
    windows_of_lines,
)
from .option_types import beams, number, plain_text, seed, whole_number

EXAMPLES = """\
examples:
  hf-vanilla generate runs/gpt --prompt "Once upon a time" --max-new-tokens 100
  hf-vanilla generate runs/gpt --input prompts.txt --output stories.txt --temperature 0.8 --seed 1
  echo "The cat" | hf-vanilla generate openai-community/gpt2 --num-beams 4 --n-best 4 --scores
"""

# Tokens to generate where the user does not say how many.
_NEW_TOKENS = 100

# Logits that are divided by a lower temperature may be infinite.
_LOWEST_TEMPERATURE = 1e-3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add_line_arguments(parser, "prompts", "continuations", "log-probability")
    parser.add_argument("--prompt", metavar="TEXT", type=plain_text, help="a single prompt instead of --input")
    parser.add_argument("--only-new", action="store_true", help="print the continuation without the prompt")
    parser.add_argument(
        "--stream",
        action="store_true",
        help="print each token as soon as it is generated (default: on a terminal, where no other option forbids it)",
    )
    search = parser.add_argument_group("search")
    search.add_argument(
        "--max-new-tokens",
        type=whole_number(at_least=1),
        metavar="N",
        help=f"most tokens to generate (default: {_NEW_TOKENS}, or half of the positions of a model with few)",
    )
    search.add_argument(
        "--num-beams",
        type=beams,
        default=1,
        metavar="N",
        help="beam search of this width instead of sampling (default: 1, sampling)",
    )
    search.add_argument(
        "--temperature",
        type=number(at_least=0),
        metavar="T",
        help="sampling temperature (default: of the model's generation config, or 1); 0 takes the most probable token",
    )
    search.add_argument(
        "--top-k",
        type=whole_number(at_least=1),
        metavar="K",
        help="sample from the K most probable tokens (default: of the model's generation config)",
    )
    search.add_argument(
        "--top-p",
        type=number(above=0, at_most=1),
        metavar="P",
        help="sample from the most probable tokens whose probabilities add up to P (default: as for --top-k)",
    )
    search.add_argument(
        "--seed", type=seed, metavar="N", help="seed of the sampling, to get the same text again (default: none)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Continues all prompts."""
    from ..pipelines.model_source import check_task, find_model, number_in_config

    check_line_arguments(arguments)
    options = _generate_options(arguments)
    streams = _streams(arguments)
    if arguments.prompt is not None and arguments.input is not None:
        raise ValueError("--prompt and --input exclude each other: give one of them.")
    windows = iter([[arguments.prompt]]) if arguments.prompt is not None else windows_of_lines(arguments.input)
    source = find_model(arguments.model)
    check_task(source, ["AutoModelForCausalLM"], "hf-vanilla generate")
    _check_room(number_in_config(source, "max_position_embeddings"), arguments.max_new_tokens)
    model, tokenizer = load_for_lines(arguments, "AutoModelForCausalLM")
    if arguments.seed is not None:
        from transformers import set_seed

        set_seed(arguments.seed)
    positions = getattr(model.config, "max_position_embeddings", None)
    default = _NEW_TOKENS if positions is None else min(_NEW_TOKENS, max(1, positions // 2))
    options["max_new_tokens"] = arguments.max_new_tokens or default
    _check_room(positions, options["max_new_tokens"])
    treatment = f"not continued, because of --max-new-tokens {options['max_new_tokens']}"
    long_lines = LongLines("generate", positions, treatment)
    images = AttentionImages(arguments.attention, model, tokenizer)
    with answer_writer(arguments) as writer:
        for number, prompt in enumerate(_each(windows), start=1):
            if arguments.prompt is None:  # one line that cannot be continued does not stop the others
                tokens = len(tokenizer(prompt, verbose=False)["input_ids"])
                if not tokens or long_lines.is_long(number, tokens + options["max_new_tokens"]):
                    writer.write(prompt, [Answer("" if arguments.only_new else prompt, 0.0)])
                    writer.flush()
                    continue
            if streams:
                _continue(prompt, model, tokenizer, arguments, options, stream=True)
                continue
            writer.write(prompt, _continue(prompt, model, tokenizer, arguments, options))
            writer.flush()
            images.draw_self_attention(writer.lines, prompt)
    images.report()
    long_lines.report()
    return 0


def _check_room(positions: int | None, new_tokens: int | None) -> None:
    """Raises ValueError if a model with this number of positions has none left for a prompt."""
    if positions is not None and new_tokens is not None and new_tokens >= positions:
        raise ValueError(
            f"--max-new-tokens {new_tokens} leaves no room for a prompt, for the model has {positions} positions: give "
            f"at most {positions - 1}."
        )


def _generate_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """The options for `generate` but for the number of new tokens: greedy search, sampling, or beam search."""
    sampling = {name: getattr(arguments, name) for name in ("temperature", "top_k", "top_p")}
    sampling = {name: value for name, value in sampling.items() if value is not None}
    if 0 < sampling.get("temperature", 1) < _LOWEST_TEMPERATURE:
        raise ValueError(
            f"--temperature {arguments.temperature} must be at least {_LOWEST_TEMPERATURE}, or 0 for the most probable "
            "token."
        )
    n_best = arguments.n_best or 1
    options = {"num_return_sequences": n_best}
    if arguments.num_beams > 1:
        if sampling:
            raise ValueError(f"--num-beams {arguments.num_beams} does not sample: leave {_flags(sampling)} out.")
        if n_best > arguments.num_beams:
            raise ValueError(f"--n-best {n_best} needs --num-beams of at least {n_best}, not {arguments.num_beams}.")
        return {**options, "num_beams": arguments.num_beams, "do_sample": False}
    if sampling.get("temperature") == 0:
        if n_best > 1:
            raise ValueError(
                f"--temperature 0 has a single answer, not {n_best}: raise it, or give --num-beams {n_best}."
            )
        return {**options, "num_beams": 1, "do_sample": False}
    return {**options, "num_beams": 1, "do_sample": True, **sampling}


def _flags(names: dict[str, Any]) -> str:
    return ", ".join(f"--{name.replace('_', '-')}" for name in names)


def _streams(arguments: argparse.Namespace) -> bool:
    """Whether tokens are printed while they are generated.

    Raises:
        ValueError: `--stream` is given together with an option that needs the complete answer.
    """
    needs_complete_answer = {
        "--n-best": arguments.n_best is not None,
        "--scores": arguments.scores,
        "--json": arguments.json,
        "--output": arguments.output is not None,
        "--attention": arguments.attention is not None,
        "--num-beams": arguments.num_beams > 1,
    }
    given = [name for name, is_given in needs_complete_answer.items() if is_given]
    if arguments.stream and given:
        raise ValueError(f"--stream cannot be combined with {', '.join(given)}, which needs the complete answer.")
    return arguments.stream or (sys.stdout.isatty() and not given)


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
    """The continuations of a prompt, the best first; with `stream`, prints the only one and returns no answers."""
    from transformers import TextStreamer

    from ..generation import continuation_log_probabilities

    inputs = tokenizer(prompt, return_tensors="pt", verbose=False).to(model.device)
    ids, mask = inputs["input_ids"], inputs["attention_mask"]
    if not ids.shape[1]:
        raise ValueError(f"The prompt {prompt!r} has no tokens: give a prompt with text.")
    positions = getattr(model.config, "max_position_embeddings", None)
    if positions is not None and ids.shape[1] + options["max_new_tokens"] > positions:
        raise ValueError(
            f"A prompt of {ids.shape[1]} tokens and --max-new-tokens {options['max_new_tokens']} exceed the model's "
            f"{positions} positions: shorten the prompt, or lower --max-new-tokens."
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
    # Samples are not ranked.
    return answers if options["num_beams"] > 1 else sorted(answers, key=lambda answer: -answer.score)
