"""Publish a trained or converted model on the Hugging Face Hub: weights, code, tokenizer, card, run files.

All files are uploaded in one commit, so that the model is published completely or not at all. After a failure, the same
command resumes. The license is asked for and never guessed. The content of the card comes from card.yaml in the folder,
or from the recipe; `--set FIELD=VALUE` changes it. `--dry-run` writes the files to publish without uploading them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ..model_folders import model_folder
from ..wording import counted
from .card import MODEL_FOLDER_HELP, add_card_arguments, card_text
from .option_types import path_or_name, plain_text
from .parser import add_output_option

EXAMPLES = """\
examples:
  hf-vanilla publish runs/tiny me/tiny-en-de --dry-run --output runs/to-publish
  hf-vanilla publish runs/tiny me/tiny-en-de --license cc-by-4.0 --private
  hf-vanilla publish runs/tiny me/tiny-en-de --set hardware="one RTX 4090" --set "limitations=Captions only."

  # publish a MarianMTModel, which needs no code of ours
  hf-vanilla publish runs/tiny me/tiny-en-de --transformers-class
"""
# The folder of a dry run was the value of --dry-run before.
OUTPUT_BY_PLACE = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds model folder, repository and options of the upload."""
    parser.add_argument("folder", metavar="FOLDER", type=path_or_name, help=MODEL_FOLDER_HELP)
    parser.add_argument("repository", metavar="REPOSITORY", help="name on the Hub: user/model")
    parser.add_argument("--private", action="store_true", help="make the new repository private")
    parser.add_argument("--dry-run", action="store_true", help="write the files to publish without uploading them")
    add_output_option(parser, "FOLDER", "folder for the files of --dry-run (default: FOLDER-to-publish)")
    parser.add_argument(
        "--transformers-class",
        action="store_true",
        help="publish the class of transformers that computes the same function, without remote code",
    )
    parser.add_argument(
        "--card", metavar="FILE", type=path_or_name, help="publish this finished card (default: a generated one)"
    )
    parser.add_argument(
        "--message",
        metavar="TEXT",
        type=plain_text,
        default="Publish the model",
        help="commit message (default: %(default)s)",
    )
    add_card_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Writes the folder, and uploads it unless this is a dry run."""
    from ..conversion.config_values import saved_config
    from ..files import temporary_folder
    from ..hub_names import check_repository_name

    if arguments.output is not None and not arguments.dry_run:
        raise ValueError(f"--output {arguments.output} is only for --dry-run, which uploads nothing: add it.")
    check_repository_name(arguments.repository)
    folder = model_folder(arguments.folder)
    saved_config(folder)
    card = None
    if arguments.card is not None:
        if not Path(arguments.card).is_file():
            raise FileNotFoundError(f"There is no file --card {arguments.card}.")
        try:
            card = Path(arguments.card).read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(f"--card {arguments.card} is not UTF-8 ({error}): save it as UTF-8.") from error

    import transformers

    from ..hub import push_folder, read_card_text, read_publication

    text = read_card_text(folder)
    if card is None:
        # Ask for the license before loading a large model.
        text = card_text(text, arguments.repository, arguments.license, arguments.set)
    # Progress bars for every file would hide the lines below.
    transformers.utils.logging.disable_progress_bar()
    publication = read_publication(folder)
    if arguments.dry_run:
        given = Path(arguments.folder).resolve()
        target = Path(arguments.output or given.with_name(f"{given.name}-to-publish"))
        publication.write(target, text, card=card, transformers_class=arguments.transformers_class)
        print(_table(target))
        print(f"\n{target}: to be published as {arguments.repository}; nothing was uploaded")
        return 0
    with temporary_folder() as aside:
        target = aside / arguments.repository.rpartition("/")[2]
        publication.write(target, text, card=card, transformers_class=arguments.transformers_class)
        print(_table(target))
        pushed = push_folder(target, arguments.repository, private=arguments.private, message=arguments.message)
    if pushed.removed:
        print(f"removed files of an earlier version: {', '.join(pushed.removed)}")
    print(f"\n{pushed.url}: {'published' if pushed.changed else 'already published'}, commit {pushed.commit[:8]}")
    return 0


_EMBEDDING = "vectors by sentence-transformers"
_KINDS = {
    ".safetensors": "weights",
    ".py": "code of the model",
    ".png": "picture",
    "config.json": "configuration",
    "generation_config.json": "generation settings",
    "tokenizer.json": "tokenizer",
    "tokenizer_config.json": "tokenizer",
    "README.md": "card",
    "card.yaml": "content of the card",
    "recipe.yaml": "recipe",
    "results.json": "scores",
    "metrics.jsonl": "training history",
    **dict.fromkeys(["modules.json", "config_sentence_transformers.json", "sentence_bert_config.json"], _EMBEDDING),
}


def _table(folder: Path) -> str:
    """One line per file: name, bytes, kind."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    rows = []
    for path in files:
        name = path.relative_to(folder).as_posix()
        kind = _EMBEDDING if "/" in name else _KINDS.get(name) or _KINDS.get(path.suffix, "")
        rows.append((name, f"{path.stat().st_size:,}", kind))
    rows.append((counted(len(files), "file"), f"{sum(path.stat().st_size for path in files):,}", ""))
    wide, long = (max(len(row[column]) for row in rows) for column in (0, 1))
    return "\n".join(f"{name:{wide}}  {size:>{long}}  {kind}".rstrip() for name, size, kind in rows)
