"""How to use a model: its task on the Hub, the Auto class that loads it, and a Python example."""

from __future__ import annotations

from dataclasses import dataclass, replace

from transformers import PreTrainedModel


@dataclass(frozen=True)
class ModelUse:
    """Usage of one head.

    Attributes:
        pipeline_tag: name of the task on the Hub; None if the Hub has no such task.
        auto_class: the Auto class that loads the head; None if there is none.
        lines: Python code that follows the loading of `model` and `tokenizer`; `{example}` stands for a sentence.
        own_class: for a head without an Auto class, its file and class in the published folder.
        pipeline: for a head without an Auto class, the name of our pipeline.
        library: the library that the Hub shows for the model.
        tags: tags for the Hub that follow from the use.
    """

    pipeline_tag: str | None
    auto_class: str | None
    lines: str
    own_class: str | None = None
    pipeline: str | None = None
    library: str = "transformers"
    tags: tuple[str, ...] = ()


_INPUTS = 'inputs = tokenizer("{example}", return_tensors="pt")\n'
_GENERATE = _INPUTS + (
    "print(tokenizer.decode(model.generate(**inputs, max_new_tokens={length})[0], skip_special_tokens=True))"
)
# By suffix of the class name. Base models have none of these suffixes.
_USES = {
    "ForConditionalGeneration": ModelUse("translation", "AutoModelForSeq2SeqLM", _GENERATE.replace("{length}", "100")),
    "ForCausalLM": ModelUse("text-generation", "AutoModelForCausalLM", _GENERATE.replace("{length}", "40")),
    "ForMaskedLM": ModelUse(
        "fill-mask",
        "AutoModelForMaskedLM",
        _INPUTS + "scores = model(**inputs).logits[inputs.input_ids == tokenizer.mask_token_id]\n"
        "print(tokenizer.convert_ids_to_tokens(scores[0].topk(5).indices))",
    ),
    "ForPreTraining": ModelUse(
        None, "AutoModelForPreTraining", _INPUTS + "print(model(**inputs).prediction_logits.shape)"
    ),
    "ForSequenceClassification": ModelUse(
        "text-classification",
        "AutoModelForSequenceClassification",
        _INPUTS + "print(model(**inputs).logits.softmax(-1))",
    ),
    "ForTokenClassification": ModelUse(
        "token-classification",
        "AutoModelForTokenClassification",
        _INPUTS + "print([model.config.id2label[label] for label in model(**inputs).logits.argmax(-1)[0].tolist()])",
    ),
    "ForQuestionAnswering": ModelUse(
        "question-answering",
        "AutoModelForQuestionAnswering",
        'inputs = tokenizer("What is it?", "{example}", return_tensors="pt")\n'
        "spans = model(**inputs)\n"
        "print(spans.start_logits.argmax(), spans.end_logits.argmax())",
    ),
    "ForMultipleChoice": ModelUse(
        None,
        "AutoModelForMultipleChoice",
        'choices = tokenizer(["{example}", "{example}"], padding=True, return_tensors="pt")\n'
        "print(model(**{name: tensor[None] for name, tensor in choices.items()}).logits)",
    ),
    "ForDependencyParsing": ModelUse(
        None,
        None,
        'words = "{example}".split()\n'
        'inputs = tokenizer(words, is_split_into_words=True, return_tensors="pt")\n'
        "word_ids = torch.tensor([[-1 if word is None else word for word in inputs.word_ids()]])\n"
        "tree = model.parse(inputs.input_ids, inputs.attention_mask, word_ids)[0]\n"
        "labels = [model.config.id2label[label] for label in tree.labels]\n"
        "print(list(zip(words, tree.heads, labels)))  # heads count words from 1; 0 is the root",
        own_class="modeling_vanilla_parsing.VanillaEncoderForDependencyParsing",
        pipeline="dependency-parsing",
    ),
}
_BASE = ModelUse("feature-extraction", "AutoModel", _INPUTS + "print(model(**inputs).last_hidden_state.shape)")
# A base model with the files of sentence-transformers: vectors of texts.
_EMBEDDING = replace(
    _BASE,
    pipeline_tag="sentence-similarity",
    library="sentence-transformers",
    tags=("sentence-transformers", "feature-extraction"),
)
# An encoder-decoder without a head needs the decoder's input too.
_BASE_ENCODER_DECODER = ModelUse(
    "feature-extraction",
    "AutoModel",
    _INPUTS + "print(model(**inputs, decoder_input_ids=inputs.input_ids).last_hidden_state.shape)",
)


def use_of(model: PreTrainedModel, embedding: bool = False) -> ModelUse:
    """The use of a model of this package; `embedding` if its folder has the files of sentence-transformers."""
    for ending, use in _USES.items():
        if type(model).__name__.endswith(ending):
            return use
    if model.config.is_encoder_decoder:
        return _BASE_ENCODER_DECODER
    return _EMBEDDING if embedding else _BASE


def example_for(use: ModelUse, example: str, mask_token: str | None) -> str:
    """The example sentence for a head.

    Its last word is masked for a masked language model; its final punctuation becomes a word for a parser.

    Args:
        use: usage of the head.
        example: a sentence.
        mask_token: the tokenizer's mask token, or None.
    """
    if use.pipeline == "dependency-parsing":
        end = len(example.rstrip(".!?…。"))
        return f"{example[:end].rstrip()} {example[end:]}".rstrip()
    if use.pipeline_tag != "fill-mask" or mask_token is None or mask_token in example:
        return example
    words = example.split()
    ending = words[-1][len(words[-1].rstrip(".!?…。")) :] if words else ""
    return " ".join([*words[:-1], mask_token + ending])
