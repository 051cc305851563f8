"""The parser of the command line: errors in one line, with the nearest option or command, and help that fits."""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Sequence
from typing import Any, NoReturn

from ..wording import did_you_mean
from .option_types import path_or_name

# The longest line of text that reads well.
_WIDTH = 120
# Names of outputs, as examples in messages.
_EXAMPLES = {"average": "averaged", "card": "card.md", "convert": "converted", "export": "exported"}


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Breaks the paragraphs of a description to the width of the terminal; indented lines, such as examples, stay."""

    def __init__(self, prog: str, **options: Any) -> None:
        super().__init__(prog, **options)
        self._width = min(self._width, _WIDTH)
        self._action_max_length = 13  # argparse forgets that the names of commands are indented

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        """What argparse calls for descriptions and examples."""
        paragraphs = textwrap.dedent(text).strip().split("\n\n")
        return "\n\n".join(
            textwrap.indent(paragraph, indent)
            if "\n " in paragraph
            else textwrap.fill(" ".join(paragraph.split()), width, initial_indent=indent, subsequent_indent=indent)
            for paragraph in paragraphs
        )


class CommandParser(argparse.ArgumentParser):
    """A parser whose errors are one line on standard error: what is wrong, and how to see the options."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"formatter_class": HelpFormatter, **options})

    def error(self, message: str) -> NoReturn:
        """Prints the error and exits with status 2."""
        if message.endswith("expected one argument"):
            message += " (--OPTION=VALUE for a value that begins with a dash)"
        end = "" if message.endswith("?") else "."
        self.exit(2, f"{self.prog}: {message}{end} {self.prog} --help lists the options.\n")

    def options(self) -> list[str]:
        """The names of all options, such as `--output`."""
        return [option for action in self._actions for option in action.option_strings]

    def check_no_rest(self, rest: Sequence[str]) -> None:
        """Exits with an error that names the nearest option if arguments are left that are no options.

        Args:
            rest: what `parse_known_args` did not understand.
        """
        if rest:
            name = rest[0].partition("=")[0]
            hint = did_you_mean(name, _alike(self.options(), name)) if name.startswith("-") else ""
            self.error(f"{rest[0]!r} is not understood. {hint}".rstrip(" ."))

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """What argparse calls for a command, or an option, with a list of choices."""
        if action.choices is not None and value not in action.choices:
            choices = list(map(str, action.choices))
            hint = did_you_mean(str(value), choices)
            raise argparse.ArgumentError(action, f"there is no {value!r}. {hint}Valid: {', '.join(choices)}")


def _alike(options: Sequence[str], name: str) -> list[str]:
    """The options with as many dashes as a name."""
    return [option for option in options if option.startswith("--") == name.startswith("--")]


def add_output_option(parser: argparse._ActionsContainer, metavar: str, help: str) -> None:
    """Adds `--output`, the name of the results of every command.

    Args:
        parser: of the command, or one of its groups.
        metavar: ``FILE`` or ``FOLDER``.
        help: what is written there, and where it is written without the option.
    """
    parser.add_argument("-o", "--output", metavar=metavar, type=path_or_name, help=help)


def required_output(arguments: argparse.Namespace, what: str) -> str:
    """The value of `--output` of a command that cannot do without it.

    Args:
        arguments: of the command.
        what: is written there, such as ``the new folder``.

    Raises:
        ValueError: it is not given.
    """
    if arguments.output is None:
        raise ValueError(f"--output is missing: name {what}, such as --output runs/{_EXAMPLES[arguments.command]}.")
    return arguments.output


def take_output(command: str, parsed: argparse.Namespace, rest: list[str]) -> list[str]:
    """Takes an output that was given by its place, as in former versions: `hf-vanilla export runs/tiny tiny-marian`.

    Args:
        command: name of the command.
        parsed: its arguments, of which `output` is set.
        rest: what is left of the command line.

    Returns:
        The arguments that are still left.
    """
    if len(rest) != 1 or not rest[0] or rest[0].startswith("-") or parsed.output is not None:
        return rest
    parsed.output = path_or_name(rest[0])
    print(f"hf-vanilla {command}: the output is named with --output now: --output {rest[0]}", file=sys.stderr)
    return []
