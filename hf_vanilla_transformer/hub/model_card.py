"""The model card: README.md with metadata for the Hub and text for readers.

Sections without content are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData
from transformers import PreTrainedModel

from ..files import write_text
from ..hub_names import is_hub_name
from .local_paths import strip_command, strip_path, strip_recipe
from .model_use import ModelUse, example_for, use_of
from .run_record import HUB_METRICS, Score, scores, training_facts

_TEMPLATE = "model_card_template.md"


@dataclass(frozen=True)
class ModelCardText:
    """The part of a card that only the author of a model knows.

    Attributes:
        name: title of the card: the name on the Hub (`user/model`) once the model has one.
        summary: one or two sentences about what the model does.
        languages: ISO codes, source first.
        license: license of the weights by the Hub's identifier (`apache-2.0`); None if unknown. It is never guessed.
        license_name, license_link: name and URL of a license without an identifier on the Hub (`license="other"`).
        example: a sentence for the usage example and the widget.
        data: the training data and their license.
        datasets: names of the training data sets on the Hub.
        command: the training command.
        hardware: training hardware, if results.json does not contain it.
        test_data: the test data of the scores. Without it, the metadata contain no score.
        date: date of the scores (`2026-11-21`), if results.json does not contain it.
        limitations: known limitations.
        base_model: the model that the training started from.
        tags: further tags for the Hub.
        citation: how to cite the model, in Markdown.
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
    base_model: str | None = None
    tags: tuple[str, ...] = ()
    license_name: str | None = None
    license_link: str | None = None
    hardware: str = ""
    date: str | None = None
    citation: str = ""


def write_card(
    path: str | Path,
    model: PreTrainedModel,
    text: ModelCardText,
    *,
    recipe: str | None = None,
    metrics: Mapping[str, Any] | None = None,
    plots: Mapping[str, str] | None = None,
    exported: PreTrainedModel | None = None,
    padding_note: str = "",
    tokenizer: bool = True,
    mask_token: str | None = None,
    embedding: bool = False,
) -> Path:
    """Writes the card of `model` to `path` from the Jinja template `model_card_template.md` of the package.

    Args:
        path: the file to write, usually README.md in the model's folder.
        model: the model; the card shows its size and architecture.
        text: the author's part of the card.
        recipe: the training recipe as YAML; local paths are stripped.
        metrics: content of results.json: scores with their signatures, and facts about the training.
        plots: file names of pictures beside the card, by caption.
        exported: the model of transformers, if the folder contains it instead of ours.
        padding_note: note on inputs for which `exported` gives other results.
        tokenizer: whether the folder has a tokenizer.
        mask_token: the tokenizer's mask token, for the example of a masked language model.
        embedding: whether the folder has the files of sentence-transformers.

    Returns:
        `path`.
    """
    path = Path(path)
    use = use_of(model, embedding)
    metrics = metrics or {}
    example = example_for(use, text.example, mask_token)
    quoted = example.replace("\\", "\\\\").replace('"', '\\"')
    date = text.date or metrics.get("finished")
    transformers_class = type(exported).__name__ if exported is not None else None
    card = ModelCard.from_template(
        _metadata(model, text, use, scores(metrics), example, date, transformers_class),
        template_str=resources.files(__package__).joinpath(_TEMPLATE).read_text(encoding="utf-8"),
        name=text.name,
        summary=text.summary or f"A {type(model).__name__}.",
        transformers_class=transformers_class,
        padding_note=padding_note,
        auto_class=use.auto_class,
        own_class=use.own_class,
        own_pipeline=use.pipeline,
        has_tokenizer=tokenizer,
        embedding=embedding,
        location=text.name if "/" in text.name else f"path/to/{text.name}",
        trust="" if transformers_class else ", trust_remote_code=True",
        lines_of_use=use.lines.replace("{example}", quoted),
        example=quoted,
        architecture=_architecture(model, exported),
        data=text.data,
        base_model=f"`{strip_path(text.base_model)}`" if text.base_model else "",
        training=_table(("", ""), training_facts(metrics, text.hardware).items()),
        command=strip_command(text.command),
        recipe=strip_recipe(recipe).strip() if recipe else "",
        results=_results(scores(metrics), date),
        measured_on=text.test_data if scores(metrics) else "",
        plots=dict(plots or {}),
        limitations=text.limitations,
        license=_license(text),
        citation=text.citation,
        package_version=metadata.version("hf_vanilla_transformer"),
        transformers_version=metadata.version("transformers"),
    )
    write_text(path, str(card).rstrip() + "\n")
    return path


def _metadata(
    model: PreTrainedModel,
    text: ModelCardText,
    use: ModelUse,
    measured: list[Score],
    example: str,
    date: str | None,
    transformers_class: str | None,
) -> ModelCardData:
    """The metadata. They contain test scores only, and only if the test data are known."""
    results = [
        EvalResult(
            task_type=use.pipeline_tag,
            dataset_type=text.datasets[0] if text.datasets else "other",
            dataset_name=text.test_data.replace("`", ""),
            dataset_split=score.split or None,
            metric_type=score.name,
            metric_value=score.value,
            metric_args={
                name: value for name, value in (("signature", score.signature), ("date", date)) if value is not None
            }
            or None,
        )
        for score in measured
        if text.test_data and use.pipeline_tag and score.name in HUB_METRICS and score.split != "validation"
    ]
    our_tags = [] if transformers_class else [model.config.model_type]
    return ModelCardData(
        language=list(text.languages) or None,
        license=text.license,
        license_name=text.license_name,
        license_link=text.license_link,
        library_name=use.library,
        tags=["vanilla-transformer", *our_tags, *use.tags, *text.tags],
        base_model=text.base_model if is_hub_name(text.base_model) else None,
        datasets=list(text.datasets) or None,
        metrics=sorted({result.metric_type for result in results}) or None,
        pipeline_tag=use.pipeline_tag,
        # The widget for vectors needs sentences to compare with.
        widget=[{"text": example}] if use.pipeline_tag and use.library == "transformers" else None,
        model_name=text.name if results else None,
        eval_results=results or None,
    )


def _architecture(model: PreTrainedModel, exported: PreTrainedModel | None) -> str:
    config = model.config
    if config.is_encoder_decoder:
        layers = f"{config.encoder_layers} encoder and {config.decoder_layers} decoder layers"
    else:
        layers = f"{config.num_hidden_layers} layer{'s' if config.num_hidden_layers > 1 else ''}"
    name = f"`{type(model).__name__}`"
    if not hasattr(config, "norm_first"):  # a predecessor
        kind = f"{config.cell}, attention {config.attention}" if config.architecture == "recurrent" else "convolutions"
        rows = {
            "class": name,
            "parameters": f"{model.num_parameters():,}",
            "architecture": f"{config.architecture}: {kind}",
            "layers": layers,
            "width": f"{config.hidden_size}",
            "vocabulary": f"{config.vocab_size:,}",
            "precision of the weights": str(model.dtype).removeprefix("torch."),
        }
        return _table(("", ""), rows.items())
    norm = "before" if config.norm_first else "after"
    rows = {
        "class": name if exported is None else f"`{type(exported).__name__}`, exported from {name}",
        "parameters": f"{(exported or model).num_parameters():,}",
        "layers": layers,
        "width, heads, feed-forward": f"{config.hidden_size}, {config.num_attention_heads}, {config.intermediate_size}",
        "vocabulary": f"{config.vocab_size:,}",
        "positions": f"{config.position_embedding_type}, at most {config.max_position_embeddings:,}",
        "layer normalization": f"{norm} each sublayer",
        "precision of the weights": str(model.dtype).removeprefix("torch."),
    }
    return _table(("", ""), rows.items())


def _results(measured: list[Score], date: str | None) -> str:
    """Markdown table with metric, split, value, signature and date, without empty columns."""
    if not measured:
        return ""
    header, cells = ["metric"], [[score.name for score in measured]]
    header.append("value")
    cells.append([f"{score.value:,.6g}" for score in measured])
    if any(score.split for score in measured):
        header.insert(1, "split")
        cells.insert(1, [score.split for score in measured])
    if any(score.signature for score in measured):
        header.append("signature")
        # A bare | would end the cell of a Markdown table.
        cells.append([f"`{score.signature}`".replace("|", "\\|") if score.signature else "" for score in measured])
    if date is not None:
        header.append("date")
        cells.append([date] * len(measured))
    return _table(header, zip(*cells))


def _license(text: ModelCardText) -> str:
    if text.license is None:
        return "The license of these weights is unknown: ask their author before you use them."
    if text.license_link:
        return f"[{text.license_name or text.license}]({text.license_link})."
    return f"`{text.license_name or text.license}`."


def _table(header: Any, rows: Any) -> str:
    rows = list(rows)
    if not rows:
        return ""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)
