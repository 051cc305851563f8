"""The card of a published model: README.md with metadata that the Hub reads and text that a person reads.

A card states what is known and leaves out what is not: a section without content does not appear.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata, resources
from pathlib import Path
from string import Template
from typing import Any

from huggingface_hub import EvalResult, ModelCardData
from transformers import PreTrainedModel

_TEMPLATE = "model_card_template.md"


@dataclass(frozen=True)
class _Use:
    """How a head is loaded and used: the task's name on the Hub, the Auto class, the lines after loading."""

    pipeline_tag: str | None
    auto_class: str
    lines: str


_PRINT_SHAPE = 'print(model(**tokenizer("{example}", return_tensors="pt")).{output}.shape)'
# By the end of the class name; the base models have none of these.
_USES = {
    "ForConditionalGeneration": _Use(
        "translation",
        "AutoModelForSeq2SeqLM",
        'print(tokenizer.decode(model.generate(**tokenizer("{example}", return_tensors="pt"), max_new_tokens=100)[0], '
        "skip_special_tokens=True))",
    ),
    "ForCausalLM": _Use(
        "text-generation",
        "AutoModelForCausalLM",
        'print(tokenizer.decode(model.generate(**tokenizer("{example}", return_tensors="pt"), max_new_tokens=40)[0], '
        "skip_special_tokens=True))",
    ),
    "ForMaskedLM": _Use("fill-mask", "AutoModelForMaskedLM", _PRINT_SHAPE.replace("{output}", "logits")),
    "ForPreTraining": _Use(None, "AutoModelForPreTraining", _PRINT_SHAPE.replace("{output}", "prediction_logits")),
    "ForSequenceClassification": _Use(
        "text-classification",
        "AutoModelForSequenceClassification",
        'print(model(**tokenizer("{example}", return_tensors="pt")).logits.softmax(-1))',
    ),
    "ForTokenClassification": _Use(
        "token-classification",
        "AutoModelForTokenClassification",
        'print(model(**tokenizer("{example}", return_tensors="pt")).logits.argmax(-1))',
    ),
    "ForQuestionAnswering": _Use(
        "question-answering", "AutoModelForQuestionAnswering", _PRINT_SHAPE.replace("{output}", "start_logits")
    ),
    "ForMultipleChoice": _Use(
        None,
        "AutoModelForMultipleChoice",
        'choices = tokenizer(["{example}", "{example}"], padding=True, return_tensors="pt")\n'
        "print(model(**{name: tensor[None] for name, tensor in choices.items()}).logits)",
    ),
}
_BASE_USE = _Use("feature-extraction", "AutoModel", _PRINT_SHAPE.replace("{output}", "last_hidden_state"))
# An encoder-decoder without a head needs the decoder's input too.
_BASE_SEQ2SEQ_USE = _Use(
    "feature-extraction",
    "AutoModel",
    'inputs = tokenizer("{example}", return_tensors="pt")\n'
    "print(model(**inputs, decoder_input_ids=inputs.input_ids).last_hidden_state.shape)",
)


@dataclass(frozen=True)
class ModelCardText:
    """What only its maker can say about a model.

    Attributes:
        name: the title; the name of the model on the Hub, `user/model`, once it has one.
        summary: one or two sentences: what the model does.
        languages: ISO codes, source first.
        license: of the weights.
        example: a sentence for the lines of use.
        data: what the model was trained on, and its licence.
        datasets: names of the data sets on the Hub.
        command: the command that trained it.
        test_data: what `metrics` were measured on; a score does not appear in the metadata without it.
        limitations: what the model cannot do.
        parent: the model that the training started from.
        tags: more tags for the Hub.
    """

    name: str
    summary: str = ""
    languages: tuple[str, ...] = ()
    license: str | None = None
    example: str = "This is an example."
    data: str = ""
    datasets: tuple[str, ...] = ()
    command: str = ""
    test_data: str = ""
    limitations: str = ""
    parent: str | None = None
    tags: tuple[str, ...] = field(default=())


def write_card(
    path: str | Path,
    model: PreTrainedModel,
    text: ModelCardText,
    *,
    recipe: str | None = None,
    metrics: Mapping[str, Any] | None = None,
    plots: Mapping[str, str] | None = None,
) -> Path:
    """Writes the card of `model` to `path`, from `model_card_template.md` in the package.

    Args:
        path: the file, usually README.md in the model's folder.
        model: the model; its size and shape are read from it.
        text: what only its maker can say.
        recipe: the recipe as YAML.
        metrics: scores; numbers are shown, anything else is not.
        plots: caption to file name, beside the card.

    Returns:
        `path`.
    """
    path = Path(path)
    template = Template(resources.files(__package__).joinpath(_TEMPLATE).read_text(encoding="utf-8"))
    use = _use_of(model)
    numbers = {name: value for name, value in (metrics or {}).items() if _is_number(value)}
    card = template.substitute(
        metadata=_metadata(model, text, use, numbers),
        name=text.name,
        summary=text.summary or f"A {type(model).__name__}.",
        auto_class=use.auto_class,
        location=text.name if "/" in text.name else f"path/to/{text.name}",
        use=use.lines.replace("{example}", text.example),
        architecture=_architecture(model),
        sections=_sections(text, recipe, numbers, plots or {}),
        package_version=metadata.version("hf_vanilla_transformer"),
        transformers_version=metadata.version("transformers"),
    )
    _write_aside(path, card)
    return path


def _use_of(model: PreTrainedModel) -> _Use:
    for ending, use in _USES.items():
        if type(model).__name__.endswith(ending):
            return use
    return _BASE_SEQ2SEQ_USE if model.config.is_encoder_decoder else _BASE_USE


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _metadata(model: PreTrainedModel, text: ModelCardText, use: _Use, numbers: Mapping[str, float]) -> str:
    """The YAML block. Scores appear in it only with the data they were measured on."""
    results = None
    if text.test_data and numbers and use.pipeline_tag:
        results = [
            EvalResult(
                task_type=use.pipeline_tag,
                dataset_type=text.datasets[0] if text.datasets else "other",
                dataset_name=text.test_data,
                metric_type=name.removeprefix("test_"),
                metric_value=value,
            )
            for name, value in numbers.items()
            if name.removeprefix("test_") in ("bleu", "chrf", "accuracy", "f1", "perplexity")
        ]
    data = ModelCardData(
        language=list(text.languages) or None,
        license=text.license,
        library_name="transformers",
        tags=["vanilla-transformer", model.config.model_type, *text.tags],
        base_model=text.parent,
        datasets=list(text.datasets) or None,
        pipeline_tag=use.pipeline_tag,
        model_name=text.name if results else None,
        eval_results=results or None,
    )
    return data.to_yaml()


def _architecture(model: PreTrainedModel) -> str:
    config = model.config
    if config.is_encoder_decoder:
        layers = f"{config.encoder_layers} encoder and {config.decoder_layers} decoder layers"
    else:
        layers = f"{config.num_hidden_layers} layers"
    norm = "before" if config.norm_first else "after"
    rows = {
        "class": f"`{type(model).__name__}`",
        "parameters": f"{model.num_parameters():,}",
        "layers": layers,
        "width, heads, feed-forward": f"{config.hidden_size}, {config.num_attention_heads}, {config.intermediate_size}",
        "vocabulary": f"{config.vocab_size:,}",
        "positions": f"{config.position_embedding_type}, at most {config.max_position_embeddings:,}",
        "layer normalization": f"{norm} each sublayer",
    }
    return _table(("", ""), rows.items())


def _sections(text: ModelCardText, recipe: str | None, numbers: Mapping[str, float], plots: Mapping[str, str]) -> str:
    training = []
    if text.parent:
        training.append(f"The training started from `{text.parent}`.")
    if text.command:
        training.append(f"```\n{text.command}\n```")
    if recipe:
        training.append(
            f"<details><summary>The recipe, as run</summary>\n\n```yaml\n{recipe.strip()}\n```\n\n</details>"
        )
    scores = []
    if numbers:
        scores.append(_table(("", "value"), ((name, f"{value:,.6g}") for name, value in numbers.items())))
        if text.test_data:
            scores.append(f"Measured on: {text.test_data}.")
    pictures = "\n\n".join(f"![{caption}]({name})\n\n{caption}" for caption, name in plots.items())
    sections = {
        "Training data": text.data,
        "Training": "\n\n".join(training),
        "Results": "\n\n".join(scores),
        "Pictures": pictures,
        "Limitations": text.limitations,
    }
    return "\n\n".join(f"## {title}\n\n{body.strip()}" for title, body in sections.items() if body.strip())


def _table(header: tuple[str, str], rows: Any) -> str:
    lines = [f"| {header[0]} | {header[1]} |", "| --- | --- |"]
    return "\n".join(lines + [f"| {name} | {value} |" for name, value in rows])


def _write_aside(path: Path, content: str) -> None:
    handle, aside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(content)
        os.chmod(aside, 0o644)
        os.replace(aside, path)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise
