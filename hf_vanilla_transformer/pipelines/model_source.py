"""What a command is given as MODEL: its folder or its name on the Hub, checked before torch is imported.

Importing torch and transformers takes seconds. A mistyped name, a damaged config.json or a model for another command
is reported before.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from ..conversion.config_values import CONFIG, read_config
from ..hub_names import check_hub_name
from ..model_folders import model_folder

# The command for models of each Auto class.
COMMANDS = {
    "AutoModelForSeq2SeqLM": "hf-vanilla translate",
    "AutoModelForCausalLM": "hf-vanilla generate",
    "AutoModelForMaskedLM": "hf-vanilla fill",
    "AutoModelForSequenceClassification": "hf-vanilla classify",
    "AutoModelForTokenClassification": "hf-vanilla classify",
}
# Files that make a repository on the Hub a model: the second is that of an adapter.
_MODEL_FILES = (CONFIG, "adapter_config.json")


def find_model(source: str, option: str = "MODEL") -> str:
    """The folder of a model (see `model_folder`), or its name on the Hub.

    The Hub is asked only if its cache has no such model, and gives no more than the configuration.

    Args:
        source: as it was given.
        option: name of the argument, for messages.

    Raises:
        FileNotFoundError: there is no such folder, and no such model on the Hub.
        ValueError: it is a file, or the folder of a run that is not finished, or its config.json is damaged.
    """
    if not Path(source).exists():
        check_hub_name(source, option)
        _check_on_hub(source)
        return source
    if not Path(source).is_dir():
        raise ValueError(f"{option} {source} is a file: give the folder of a model, or its name on the Hub.")
    folder = Path(model_folder(source))
    if not (folder / CONFIG).is_file():
        raise FileNotFoundError(
            f"The folder {source} has no model (neither config.json nor model/config.json): give the folder of a model "
            "or of a finished run."
        )
    read_config(folder / CONFIG)
    return str(folder)


def check_task(source: str, auto_classes: Collection[str], purpose: str) -> None:
    """Raises ValueError if a folder has a model of this package that none of these Auto classes loads.

    What a folder does not say without transformers, such as the tasks of other models, is left to `load_model`.

    Args:
        source: from `find_model`.
        auto_classes: names of Auto classes of transformers.
        purpose: name of the task for the message, such as ``hf-vanilla fill``.
    """
    path = Path(source) / CONFIG
    config = read_config(path) if path.is_file() else {}
    classes = config.get("auto_map") or {}
    file, _, name = str(classes.get("AutoConfig")).partition(".")
    if file == "configuration_vanilla" and not classes.keys() & set(auto_classes):
        raise unsupported(purpose, name, source, classes)


def unsupported(purpose: str, config: str, source: str, auto_classes: Collection[str]) -> ValueError:
    """The error for a model that a command does not support.

    Args:
        purpose: name of the task, such as ``hf-vanilla fill``.
        config: name of the model's configuration class.
        source: the model, as it was given.
        auto_classes: the Auto classes that support it, for a hint.
    """
    others = dict.fromkeys(command for name, command in COMMANDS.items() if name in auto_classes)
    return ValueError(
        f"{purpose} does not support the {config} of {source}" + (f"; use {' or '.join(others)}." if others else ".")
    )


def number_in_config(source: str, field: str) -> int | None:
    """A number in the config.json of a folder from `find_model`; None for a model on the Hub, or without the field."""
    path = Path(source) / CONFIG
    value = read_config(path).get(field) if path.is_file() else None
    return value if isinstance(value, int) else None


def _check_on_hub(name: str) -> None:
    from huggingface_hub import hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError, RepositoryNotFoundError

    if any(isinstance(try_to_load_from_cache(name, file), str) for file in _MODEL_FILES):
        return
    try:
        hf_hub_download(name, CONFIG)
    except (LocalEntryNotFoundError, RepositoryNotFoundError) as error:
        reason = next(line.strip() for line in str(error).splitlines() if line.strip())
        raise FileNotFoundError(
            f"There is no folder {name}, and the Hub does not give such a model: {reason} Check the spelling and the "
            "connection; private models need a login (`hf auth login`)."
        ) from error
    except (EntryNotFoundError, OSError):
        return  # such as an adapter: what loads the model knows best what to say about it
