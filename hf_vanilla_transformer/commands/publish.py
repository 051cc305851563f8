"""Publish a trained or converted model on the Hugging Face Hub: weights, configuration, code, tokenizer, card, run.

Everything goes in one commit, so that the model is there as a whole or not at all; after a failure the same command
goes on. The licence is asked for, never guessed. What the card says is in card.yaml of the folder, or in the recipe;
`--set FIELD=VALUE` changes it. `--dry-run` writes exactly what would be published, and sends nothing.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from .card import add_card_arguments, card_text

EXAMPLES = """\
examples:
  hf-vanilla publish runs/tiny me/tiny-en-de --dry-run
  hf-vanilla publish runs/tiny me/tiny-en-de --license cc-by-4.0 --private
  hf-vanilla publish runs/tiny me/tiny-en-de --transformers-class    a MarianMTModel, which needs no code of ours
  hf-vanilla publish runs/tiny me/tiny-en-de --set hardware="one RTX 4090" --set "limitations=Captions only."
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to publish, where, and as what."""
    parser.add_argument("folder", help="folder of a model: of hf-vanilla train, demo, convert, average")
    parser.add_argument("repository", help="name on the Hub: user/model")
    parser.add_argument("--private", action="store_true", help="only you see the new repository")
    parser.add_argument(
        "--dry-run",
        nargs="?",
        const="",
        metavar="DIR",
        help="write what would be published to DIR (default: FOLDER-to-publish), and send nothing",
    )
    parser.add_argument(
        "--transformers-class",
        action="store_true",
        help="publish the class of transformers that computes the same, without code",
    )
    parser.add_argument("--card", metavar="FILE", help="a finished card, instead of one that is written")
    parser.add_argument("--message", default="Publish the model", help="of the commit (default: %(default)s)")
    add_card_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Writes the folder, and publishes it unless this is a dry run."""
    import transformers

    from ..hub import push_folder, read_card_text, read_publication
    from ..hub.push import check_repository_name

    check_repository_name(arguments.repository)
    card = None
    if arguments.card is not None:
        if not Path(arguments.card).is_file():
            raise FileNotFoundError(f"There is no card {arguments.card}.")
        card = Path(arguments.card).read_text(encoding="utf-8")
    text = read_card_text(arguments.folder)
    if card is None:
        # The licence is asked for before a large model is read, not after.
        text = card_text(text, arguments.repository, arguments.license, arguments.set)
    # One bar for each file read and written says less than the lines below.
    transformers.utils.logging.disable_progress_bar()
    publication = read_publication(arguments.folder)
    if arguments.dry_run is not None:
        folder = Path(arguments.folder).resolve()
        target = Path(arguments.dry_run or folder.with_name(f"{folder.name}-to-publish"))
        publication.write(target, text, card=card, transformers_class=arguments.transformers_class)
        print(_table(target))
        print(f"\n{target}: what would be published as {arguments.repository}; nothing was sent")
        return 0
    with tempfile.TemporaryDirectory(prefix="hf-vanilla-publish-") as aside:
        target = Path(aside) / arguments.repository.rpartition("/")[2]
        publication.write(target, text, card=card, transformers_class=arguments.transformers_class)
        print(_table(target))
        pushed = push_folder(target, arguments.repository, private=arguments.private, message=arguments.message)
    if pushed.removed:
        print(f"removed files of an earlier version: {', '.join(pushed.removed)}")
    print(f"\n{pushed.url}: {'published' if pushed.changed else 'was published already'}, commit {pushed.commit[:8]}")
    return 0


_KINDS = {
    ".safetensors": "weights",
    ".py": "code of the model",
    ".png": "picture",
    "config.json": "configuration",
    "generation_config.json": "how it generates",
    "tokenizer.json": "tokenizer",
    "tokenizer_config.json": "tokenizer",
    "README.md": "card",
    "card.yaml": "what the card says",
    "recipe.yaml": "recipe",
    "results.json": "scores",
    "metrics.jsonl": "course of the training",
}


def _table(folder: Path) -> str:
    """One line a file: name, bytes, what it is."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    rows = [
        (path.name, f"{path.stat().st_size:,}", _KINDS.get(path.name) or _KINDS.get(path.suffix, "")) for path in files
    ]
    rows.append((f"{len(files)} files", f"{sum(path.stat().st_size for path in files):,}", ""))
    wide, long = (max(len(row[column]) for row in rows) for column in (0, 1))
    return "\n".join(f"{name:{wide}}  {size:>{long}}  {kind}".rstrip() for name, size, kind in rows)
