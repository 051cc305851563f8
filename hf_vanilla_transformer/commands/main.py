"""`hf-vanilla COMMAND`: finds the command and runs it."""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import sys
from collections.abc import Sequence

from .allocator import restart_with_tuned_allocator

# Name: what it does. Each is a module here with `add_arguments(parser)` and `run(arguments) -> exit status`.
COMMANDS = {
    "train": "train a model by a recipe",
    "pretrain": "train a language model on running text, of any size",
    "adapt": "go on training a language model on the text of a domain",
    "finetune": "fine-tune a trained model for a task",
    "evaluate": "score a trained model on a test set",
    "translate": "translate lines of text",
    "generate": "go on from prompts",
    "fill": "fill in masked words",
    "classify": "label lines of text, or their words",
    "average": "average the last checkpoints of a run",
    "publish": "publish a model on the Hugging Face Hub, in one commit",
    "card": "write the card of a model to a file",
    "convert": "convert a published model of a vanilla family into ours",
    "export": "export a model to transformers' own classes, CTranslate2, ONNX or GGUF",
    "demo": "learn to translate in three minutes, or show a MODEL in the browser",
}

# Commands that compute; the others need no allocator.
_HEAVY = {
    "train",
    "pretrain",
    "adapt",
    "finetune",
    "evaluate",
    "translate",
    "generate",
    "fill",
    "classify",
    "export",
    "demo",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit status."""
    program_arguments = list(sys.argv[1:] if arguments is None else arguments)
    if (
        arguments is None
        and program_arguments
        and program_arguments[0] in _HEAVY
        and not _asks_for_help(program_arguments)
    ):
        restart_with_tuned_allocator(program_arguments)
    # transformers' progress bars and advice are for notebooks; our commands say themselves what they do.
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "warning")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    for chatty in ("httpx", "datasets", "absl", "filelock"):
        logging.getLogger(chatty).setLevel(logging.WARNING)

    parser = argparse.ArgumentParser(
        prog="hf-vanilla",
        description="The Transformer of 'Attention Is All You Need' as Hugging Face models.",
    )
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    chosen = next((argument for argument in program_arguments if not argument.startswith("-")), None)
    modules = {}
    for name, summary in COMMANDS.items():
        if name == chosen:
            modules[name] = importlib.import_module(f".{name}", __package__)
            command = commands.add_parser(
                name,
                help=summary,
                description=modules[name].__doc__,
                epilog=getattr(modules[name], "EXAMPLES", None),
                formatter_class=argparse.RawDescriptionHelpFormatter,
            )
            modules[name].add_arguments(command)
        else:
            commands.add_parser(name, help=summary)
    parsed, rest = parser.parse_known_args(program_arguments)
    module = modules[parsed.command]
    if rest and not getattr(module, "TAKES_OVERRIDES", False):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    parsed.overrides = rest
    try:
        status = module.run(parsed)
        _leave_process_group(status)
        return status
    except BrokenPipeError:  # whoever read our output has had enough
        return 0
    except (ValueError, OSError) as error:
        print(f"hf-vanilla {parsed.command}: {error}", file=sys.stderr)
        # 2 is what was asked for, 1 is what happened on the way, such as a full disk.
        return 2 if isinstance(error, (ValueError, FileNotFoundError)) else 1


def _leave_process_group(status: int) -> None:
    """Ends what `accelerate launch` began.

    The interpreter's exit aborts now and then in a process that others outlive ("terminate called without an active
    exception", from a thread of a library), and the launcher then stops them all. Nothing is left to do there.
    """
    torch = sys.modules.get("torch")
    if torch is None or not torch.distributed.is_available() or not torch.distributed.is_initialized():
        return
    rank = torch.distributed.get_rank()
    torch.distributed.destroy_process_group()
    if rank > 0:
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _asks_for_help(arguments: list[str]) -> bool:
    return "-h" in arguments or "--help" in arguments


def _version() -> str:
    from importlib.metadata import version

    return f"hf-vanilla {version('hf_vanilla_transformer')}"


if __name__ == "__main__":
    sys.exit(main())
