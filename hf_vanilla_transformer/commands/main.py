"""`hf-vanilla COMMAND`: imports the module of the command and runs it."""

from __future__ import annotations

import argparse
import codecs
import contextlib
import errno
import importlib
import io
import logging
import os
import sys
from collections.abc import Sequence
from types import ModuleType

from .. import __version__
from .glibc_allocator import restart_with_tuned_allocator
from .parser import CommandParser, take_output
from .recipe_options import check_no_rest, split_fields
from .signals import Terminated, handled_signals

# Name: summary. Each is a module of this folder with `add_arguments(parser)` and `run(arguments) -> exit status`.
COMMANDS = {
    "train": "train a model with a recipe",
    "pretrain": "pretrain a language model on text of any size",
    "adapt": "continue pretraining on the text of a domain",
    "finetune": "fine-tune a trained model for a task",
    "evaluate": "evaluate a trained model on a test set",
    "translate": "translate lines of text",
    "generate": "continue prompts",
    "fill": "fill in masked words",
    "classify": "classify lines of text, or label their words",
    "explain": "follow a sentence through every sublayer of a model",
    "average": "average the last checkpoints of a run",
    "publish": "publish a model on the Hugging Face Hub in one commit",
    "card": "write the card of a model to a file",
    "convert": "convert a published checkpoint to a model of this package",
    "export": "export a model to transformers, CTranslate2, ONNX or GGUF",
    "doctor": "examine machine, processes and folder before a run",
    "demo": "train a translation model in three minutes, or show a MODEL in the browser",
}

EXAMPLES = """\
examples:
  # train a small model, with no data and no network, and use it
  hf-vanilla demo --output runs/demo
  echo "The old woman reads a book." | hf-vanilla translate runs/demo

  # train with a recipe of the package
  hf-vanilla train --recipe multi30k-en-de-tiny --output runs/tiny

  # options and examples of one command
  hf-vanilla train --help

exit status:
  0    done
  1    the request is right but failed, for example because the disk is full
  2    the request is wrong; one line on standard error says what, and what to do
  130  interrupted by Ctrl-C
  143  ended by SIGTERM
"""

# How streams write what UTF-8 cannot encode.
_AS_IT_WAS = "hf_vanilla_transformer.as_it_was"
# Set to 1, this environment variable shows the traceback of every error.
DEBUG = "HF_VANILLA_DEBUG"

# These commands run a model, so the allocator matters to them.
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
    """Runs one command and returns its exit status.

    Errors are reported in one line. With the environment variable `HF_VANILLA_DEBUG=1` they have their traceback.
    """
    program_arguments = list(sys.argv[1:] if arguments is None else arguments)
    _prepare_streams()
    with handled_signals(then_exit=arguments is None) as signals:
        try:
            return _run(program_arguments, restart=arguments is None)
        except (Exception, KeyboardInterrupt, Terminated) as error:
            if os.environ.get(DEBUG, "0") not in ("", "0"):
                raise
            # After a signal, another error is its consequence: an import that was interrupted, or a process that ended.
            return signals.exit_status or _exit_status(_command_of(program_arguments), error)


def _run(program_arguments: list[str], *, restart: bool) -> int:
    """Parses the arguments, imports the module of the command and runs it.

    The modules of commands import torch and transformers inside functions only. So help and errors of the command line
    do not wait for them, and a process that restarts has not imported them.
    """
    # The progress bars and hints of transformers are for notebooks; our commands report their own progress.
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "warning")
    # Our own messages, and the warnings of libraries. The HTTP library would log each request with its whole address.
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("hf_vanilla_transformer").setLevel(logging.INFO)

    module, parsed = parse(program_arguments)
    if restart and parsed.command in _HEAVY:
        restart_with_tuned_allocator(program_arguments)
    status = module.run(parsed)
    if sys.stdout is not None:
        sys.stdout.flush()  # here, where an error such as a full disk can still be reported
    _leave_process_group(status)
    return status


def parse(arguments: Sequence[str]) -> tuple[ModuleType, argparse.Namespace]:
    """The module of the command that a command line names, and the values of its options.

    Raises:
        SystemExit: the command line asks for help, or it is wrong.
        ValueError: a field of a recipe has no value, or does not exist.
    """
    chosen = _command_of(arguments)
    module = importlib.import_module(f".{chosen}", __package__) if chosen in COMMANDS else None
    parser = CommandParser(
        prog="hf-vanilla",
        description="Train, fine-tune, use and publish the Transformer of 'Attention Is All You Need'.",
        epilog=EXAMPLES,
    )
    parser.add_argument("--version", action="version", version=f"hf-vanilla {__version__}")
    commands = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND", required=True)
    command = parser
    for name, summary in COMMANDS.items():
        if module is None or name != chosen:
            commands.add_parser(name, help=summary)
            continue
        command = commands.add_parser(
            name, help=summary, description=module.__doc__, epilog=getattr(module, "EXAMPLES", None)
        )
        module.add_arguments(command)
    if not arguments:
        parser.print_help(sys.stderr)
        parser.exit(2)
    takes_fields = getattr(module, "TAKES_OVERRIDES", False)
    others, fields = split_fields(arguments) if takes_fields else (list(arguments), [])
    parsed, rest = parser.parse_known_args(others)
    if takes_fields:
        check_no_rest(chosen, rest, command.options())
        parsed.overrides = fields
    elif getattr(module, "OUTPUT_BY_PLACE", False):
        rest = take_output(chosen, parsed, rest)
    command.check_no_rest(rest)
    assert module is not None  # the parser has refused what is no command
    return module, parsed


def _command_of(arguments: Sequence[str]) -> str:
    return next((argument for argument in arguments if not argument.startswith("-")), "")


def _exit_status(command: str, error: BaseException) -> int:
    """Reports what ended a command, in one line where the user can mend it, and returns the exit status.

    2: the request is wrong. 1: the request is right but failed, for example because the disk is full. 130: Ctrl-C.
    """
    if isinstance(error, KeyboardInterrupt):
        return 130
    if isinstance(error, BrokenPipeError):  # the reader of our output, such as `head`, has closed the pipe
        _discard_output()
        return 0
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EPIPE):
        _discard_output()
    message = str(error).strip()
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        first = message.splitlines()[0] if message else ""
        message = f"not enough memory: use a smaller model, smaller batches or another --device. {first}".strip()
    elif isinstance(error, ImportError):
        message = f"a package is missing: {message}"
    elif not isinstance(error, (ValueError, OSError)):
        first = message.splitlines()[0] if message else ""
        message = f"unexpected {type(error).__name__}: {first} ({DEBUG}=1 shows where it happened.)"
    _complain(f"hf-vanilla {command}: {message}")
    return 2 if isinstance(error, (ValueError, FileNotFoundError, ImportError)) else 1


def _complain(message: str) -> None:
    try:
        print(message, file=sys.stderr)
    except OSError:  # standard error is closed; the exit status remains
        _discard_output()


def _discard_output() -> None:
    """Sends the rest of the output nowhere; otherwise the interpreter fails once more when it flushes at the end."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _as_it_was(error: UnicodeError) -> tuple[bytes, int]:
    """Writes the bytes of a file name that is not UTF-8 as they are, and a question mark for half a character."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    numbers = [ord(character) - 0xDC00 for character in error.object[error.start : error.end]]
    return bytes(number if 0x80 <= number <= 0xFF else ord("?") for number in numbers), error.end


def _prepare_streams() -> None:
    """Writes UTF-8 wherever the output goes, and keeps the first descriptors from becoming files of a command."""
    codecs.register_error(_AS_IT_WAS, _as_it_was)
    for stream in (sys.stdout, sys.stderr):
        # A pipe on Windows has the code page of the machine, and the locale C has ASCII.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors=_AS_IT_WAS)
    if None in (sys.stdin, sys.stdout, sys.stderr):
        # Closed by the caller (`>&-`): the next file to be opened would get its descriptor, and output of libraries.
        while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
            pass
        os.close(descriptor)


def _leave_process_group(status: int) -> None:
    """Ends the process group of `accelerate launch`; all processes but the first exit here.

    The interpreter's normal exit sometimes aborts in one of several processes ("terminate called without an active
    exception", from a thread of a library). The launcher then kills the others. At this point no work is left.
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


if __name__ == "__main__":
    sys.exit(main())
