"""The page in Gradio: its components and their events."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from ..interpretation import AttentionMap
from .drawings import all_heads_html, attention_html, bars_html, ranking_html
from .gradio_library import import_gradio
from .page_model import PageModel
from .request_limits import MOST_CHARACTERS, MOST_WAITING

if TYPE_CHECKING:
    import gradio

_T = TypeVar("_T")
_MEAN = "mean"
_SIDE_BY_SIDE = "side by side"
_BARS = 10
# One request at a time: attention weights need another attention implementation, which is switched on in the model.
_ONE_AT_A_TIME = {"concurrency_id": "model", "concurrency_limit": 1}
_INTRODUCTIONS = {
    "translation": "Type a sentence to see its best translations and the attention weights.",
    "fill-mask": "Type a sentence with {mask} in place of a word to see the most probable words.",
    "text-generation": "Type the beginning of a text to see the most probable next tokens.",
}


def build_page(model: PageModel, *, examples: list[str] | None = None) -> gradio.Blocks:
    """Builds the page of a model; start it with `launch_page`, or use `serve_page`.

    The page loads nothing from other servers: attention maps are HTML, the fonts are those of Gradio and the browser,
    and Gradio's analytics are off.

    Args:
        model: the model.
        examples: texts to choose from below the text field.

    Raises:
        ImportError: Gradio is not installed.
    """
    gradio = import_gradio()
    add_components = {"translation": _translation, "fill-mask": _fill_mask, "text-generation": _text_generation}
    with gradio.Blocks(title=model.name, analytics_enabled=False) as page:
        gradio.Markdown(f"# {model.name}\n{_INTRODUCTIONS[model.task].format(mask=model.tokenizer.mask_token)}")
        add_components[model.task](gradio, model, examples or [])
    return page.queue(max_size=MOST_WAITING)


def _translation(gradio: Any, model: PageModel, examples: list[str]) -> None:
    source = gradio.Textbox(label="Source", lines=2, max_length=MOST_CHARACTERS, elem_id="source")
    count = gradio.Slider(1, 10, value=4, step=1, label="Translations")
    button = gradio.Button("Translate", variant="primary", elem_id="run")
    best = gradio.Textbox(label="Translation", lines=2, interactive=False, elem_id="best")
    ranking = gradio.HTML(label="Best translations", elem_id="ranking")
    if examples:
        gradio.Examples(examples, source)
    attention = _AttentionView(gradio, model)

    def translate(text: str, n_best: float) -> tuple[Any, ...]:
        text = _one_line(gradio, text)
        translations = _show_errors(gradio, lambda: model.translations(text, int(n_best)))
        best_text = translations[0].text
        table = ranking_html([(one.text, one.log_probability or 0.0) for one in translations])
        return best_text, table, *attention.show(model.attention(text, best_text))

    for event in (button.click, source.submit):
        event(translate, [source, count], [best, ranking, *attention.outputs], **_ONE_AT_A_TIME)


def _fill_mask(gradio: Any, model: PageModel, examples: list[str]) -> None:
    mask = model.tokenizer.mask_token
    source = gradio.Textbox(label=f"Text with {mask}", lines=2, max_length=MOST_CHARACTERS, elem_id="source")
    button = gradio.Button("Fill in", variant="primary", elem_id="run")
    bars = gradio.HTML(label="Most probable words", elem_id="bars")
    if examples:
        gradio.Examples(examples, source)
    attention = _AttentionView(gradio, model)

    def fill(text: str) -> tuple[Any, ...]:
        text = _one_line(gradio, text)
        of_masks = _show_errors(gradio, lambda: model.masked_tokens(text, _BARS))
        titles = [mask if len(of_masks) == 1 else f"{mask} number {number}" for number in range(1, len(of_masks) + 1)]
        html = "".join(bars_html(title, tokens) for title, tokens in zip(titles, of_masks))
        return html, *attention.show(model.attention(text))

    for event in (button.click, source.submit):
        event(fill, [source], [bars, *attention.outputs], **_ONE_AT_A_TIME)


def _text_generation(gradio: Any, model: PageModel, examples: list[str]) -> None:
    source = gradio.Textbox(label="Text", lines=4, max_length=MOST_CHARACTERS, elem_id="source")
    with gradio.Row():
        button = gradio.Button("Predict the next token", variant="primary", elem_id="run")
        longer = gradio.Button("Generate 20 tokens", elem_id="longer")
    bars = gradio.HTML(label="Most probable next tokens", elem_id="bars")
    if examples:
        gradio.Examples(examples, source)
    attention = _AttentionView(gradio, model)

    def predict(text: str) -> tuple[Any, ...]:
        _check_text(gradio, text)
        next_tokens = _show_errors(gradio, lambda: model.next_tokens(text, _BARS))
        # Makes spaces and line breaks visible.
        tokens = [(token.replace(" ", "␣").replace("\n", "⏎"), probability) for token, probability in next_tokens]
        return bars_html("next token", tokens), *attention.show(model.attention(text))

    def generate(text: str) -> tuple[Any, ...]:
        _check_text(gradio, text)
        text = _show_errors(gradio, lambda: model.continuation(text, 20))
        try:
            return text, *predict(text)
        except gradio.Error as error:
            # Generated text may have more tokens when it is tokenized again, and then be too long for a prediction.
            gradio.Warning(f"The generated text cannot be continued: {error.message}")
            return text, "", *attention.clear()

    button.click(predict, [source], [bars, *attention.outputs], **_ONE_AT_A_TIME)
    longer.click(generate, [source], [source, bars, *attention.outputs], **_ONE_AT_A_TIME)


class _AttentionView:
    """The lower half of the page: menus for the kind of attention, the layer and the head, and the map."""

    def __init__(self, gradio: Any, model: PageModel) -> None:
        self.gradio = gradio
        self.maps = gradio.State({})
        gradio.Markdown(
            "## Attention\nEach row is a token that attends to the tokens in the columns. Point at a cell to see "
            "its weight."
        )
        names = ["cross-attention", "self-attention"] if model.task == "translation" else ["self-attention"]
        with gradio.Row():
            self.kind = gradio.Dropdown(names, value=names[0], label="Attention", elem_id="kind", scale=2)
            self.layer = gradio.Dropdown([_MEAN], value=_MEAN, label="Layer", elem_id="layer")
            self.head = gradio.Dropdown([_MEAN, _SIDE_BY_SIDE], value=_MEAN, label="Head", elem_id="head")
        self.html = gradio.HTML(elem_id="attention")
        self.outputs = [self.maps, self.kind, self.layer, self.head, self.html]
        for choice in (self.kind, self.layer, self.head):
            choice.input(self.draw, [self.maps, self.kind, self.layer, self.head], [self.html])

    def show(self, maps: dict[str, AttentionMap]) -> tuple[Any, ...]:
        """Values of `outputs` for new maps, drawn as the mean over layers and heads."""
        kind = next(iter(maps))
        layers, heads = maps[kind].weights.shape[:2]
        layer_choices = [_MEAN, *(str(number) for number in range(layers))]
        head_choices = [_MEAN, _SIDE_BY_SIDE, *(str(number) for number in range(heads))]
        return (
            maps,
            self.gradio.update(choices=list(maps), value=kind),
            self.gradio.update(choices=layer_choices, value=_MEAN),
            self.gradio.update(choices=head_choices, value=_MEAN),
            self.draw(maps, kind, _MEAN, _MEAN),
        )

    def clear(self) -> tuple[Any, ...]:
        """Values of `outputs` without a map."""
        return ({}, *(self.gradio.skip() for _ in (self.kind, self.layer, self.head)), "")

    def draw(self, maps: dict[str, AttentionMap], kind: str, layer: str, head: str) -> str:
        """The HTML of the chosen map; empty before the first prediction."""
        if kind not in maps:
            return ""
        # Encoder and decoder may differ in the number of layers and heads; a number that is too large means the last.
        layers, heads = maps[kind].weights.shape[:2]
        of_layer = None if layer == _MEAN else min(int(layer), layers - 1)
        if head == _SIDE_BY_SIDE:
            return all_heads_html(maps[kind], layer=of_layer)
        return attention_html(maps[kind], layer=of_layer, head=None if head == _MEAN else min(int(head), heads - 1))


def _check_text(gradio: Any, text: str) -> None:
    """Shows an error for an empty text, and for a long one: a request need not come from the text field."""
    if not text.strip():
        raise gradio.Error("The text is empty.", print_exception=False)
    if len(text) > MOST_CHARACTERS:
        raise gradio.Error(
            f"The text has {len(text):,} characters, but may have {MOST_CHARACTERS:,}: shorten it.",
            print_exception=False,
        )


def _one_line(gradio: Any, text: str) -> str:
    _check_text(gradio, text)
    return " ".join(text.split())


def _show_errors(gradio: Any, predict: Callable[[], _T]) -> _T:
    """The prediction; the page shows the message of a ValueError."""
    try:
        return predict()
    except ValueError as error:
        raise gradio.Error(str(error), print_exception=False) from error
