"""The page itself, in Gradio: what is on it, and what happens when somebody types."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ..interpretation import AttentionMap
from .answers import ModelOnPage
from .drawings import all_heads_html, attention_html, bars_html, ranking_html

if TYPE_CHECKING:
    import gradio

_MEAN = "mean"
_SIDE_BY_SIDE = "side by side"
_BARS = 10
# The visitors of a page ask one after the other: while attention is looked at, the model runs another implementation.
_IN_TURN = {"concurrency_id": "model", "concurrency_limit": 1}
_TITLES = {
    "translation": "Type a sentence: the translation, the runners-up, and what the model looked at.",
    "masked words": "Type a sentence with {mask} where a word is missing: what the model would put there.",
    "next token": "Type the beginning of a text: what the model expects next.",
}


def build_page(shown: ModelOnPage, *, examples: list[str] | None = None) -> gradio.Blocks:
    """A page for a model; start it with `.launch()`.

    Nothing on it is fetched from elsewhere: the pictures are HTML, the fonts those of Gradio and of the browser, and
    Gradio's reports home are off.

    Args:
        shown: the model.
        examples: texts to choose from under the text field.

    Raises:
        ImportError: Gradio is not installed.
    """
    gradio = import_gradio()
    with gradio.Blocks(title=shown.name, analytics_enabled=False) as page:
        gradio.Markdown(f"# {shown.name}\n{_TITLES[shown.kind].format(mask=shown.tokenizer.mask_token)}")
        {"translation": _translation, "masked words": _masked_words, "next token": _next_token}[shown.kind](
            gradio, shown, examples or []
        )
    return page


def import_gradio() -> Any:
    """Gradio, told not to report home.

    Raises:
        ImportError: it is not installed.
    """
    # Read when it is imported, and again when a page starts.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    try:
        import gradio
    except ImportError as error:
        raise ImportError("The page needs Gradio: pip install 'hf_vanilla_transformer[web]'.") from error
    return gradio


def _translation(gradio: Any, shown: ModelOnPage, examples: list[str]) -> None:
    source = gradio.Textbox(label="Source", lines=2, elem_id="source")
    count = gradio.Slider(1, 10, value=4, step=1, label="Translations")
    button = gradio.Button("Translate", variant="primary", elem_id="run")
    best = gradio.Textbox(label="Translation", lines=2, interactive=False, elem_id="best")
    ranking = gradio.HTML(label="The best translations", elem_id="ranking")
    if examples:
        gradio.Examples(examples, source)
    attention = _AttentionPart(gradio, shown)

    def translate(text: str, n_best: float) -> tuple[Any, ...]:
        text = _one_line(gradio, text)
        found = _answered(gradio, lambda: shown.translations(text, int(n_best)))
        first = found[0].text
        ranked = ranking_html([(answer.text, answer.log_probability or 0.0) for answer in found])
        return first, ranked, *attention.show(shown.attention(text, first))

    for event in (button.click, source.submit):
        event(translate, [source, count], [best, ranking, *attention.outputs], **_IN_TURN)


def _masked_words(gradio: Any, shown: ModelOnPage, examples: list[str]) -> None:
    mask = shown.tokenizer.mask_token
    source = gradio.Textbox(label=f"Text with {mask}", lines=2, elem_id="source")
    button = gradio.Button("Fill in", variant="primary", elem_id="run")
    bars = gradio.HTML(label="What could stand there", elem_id="bars")
    if examples:
        gradio.Examples(examples, source)
    attention = _AttentionPart(gradio, shown)

    def fill(text: str) -> tuple[Any, ...]:
        text = _one_line(gradio, text)
        found = _answered(gradio, lambda: shown.masked_words(text, _BARS))
        titles = [f"{mask}" if len(found) == 1 else f"{mask} number {number}" for number in range(1, len(found) + 1)]
        drawn = "".join(bars_html(title, words) for title, words in zip(titles, found))
        return drawn, *attention.show(shown.attention(text))

    for event in (button.click, source.submit):
        event(fill, [source], [bars, *attention.outputs], **_IN_TURN)


def _next_token(gradio: Any, shown: ModelOnPage, examples: list[str]) -> None:
    source = gradio.Textbox(label="Text", lines=4, elem_id="source")
    with gradio.Row():
        button = gradio.Button("What comes next?", variant="primary", elem_id="run")
        longer = gradio.Button("Write 20 tokens", elem_id="longer")
    bars = gradio.HTML(label="The next token", elem_id="bars")
    if examples:
        gradio.Examples(examples, source)
    attention = _AttentionPart(gradio, shown)

    def guess(text: str) -> tuple[Any, ...]:
        _something(gradio, text)
        found = _answered(gradio, lambda: shown.next_tokens(text, _BARS))
        # Spaces and line breaks are tokens too, and must be seen.
        words = [(word.replace(" ", "␣").replace("\n", "⏎"), probability) for word, probability in found]
        return bars_html("the next token", words), *attention.show(shown.attention(text))

    def write(text: str) -> tuple[Any, ...]:
        _something(gradio, text)
        text = _answered(gradio, lambda: shown.continuation(text, 20))
        try:
            return text, *guess(text)
        except gradio.Error as error:
            # Read again, a text may have more tokens than it was written in; what was written is shown all the same.
            gradio.Warning(f"What was written cannot be read on: {error.message}")
            return text, "", *attention.show_nothing()

    button.click(guess, [source], [bars, *attention.outputs], **_IN_TURN)
    longer.click(write, [source], [source, bars, *attention.outputs], **_IN_TURN)


class _AttentionPart:
    """The lower half of the page: which attention, of which layer and head, and its picture."""

    def __init__(self, gradio: Any, shown: ModelOnPage) -> None:
        self.gradio = gradio
        self.maps = gradio.State({})
        gradio.Markdown("## Attention\nRows look at columns: the darker, the more. Point at a cell for its weight.")
        names = ["between the words"]
        if shown.kind == "translation":
            names = ["from the translation to the source", "within the source"]
        with gradio.Row():
            self.which = gradio.Dropdown(names, value=names[0], label="Attention", elem_id="which", scale=2)
            self.layer = gradio.Dropdown([_MEAN], value=_MEAN, label="Layer", elem_id="layer")
            self.head = gradio.Dropdown([_MEAN, _SIDE_BY_SIDE], value=_MEAN, label="Head", elem_id="head")
        self.picture = gradio.HTML(elem_id="attention")
        self.outputs = [self.maps, self.which, self.layer, self.head, self.picture]
        for choice in (self.which, self.layer, self.head):
            choice.input(self.draw, [self.maps, self.which, self.layer, self.head], [self.picture])

    def show(self, maps: dict[str, AttentionMap]) -> tuple[Any, ...]:
        """New maps, drawn as the mean over layers and heads: values for `outputs`."""
        which = next(iter(maps))
        layers, heads = maps[which].weights.shape[:2]
        choices = [_MEAN, *(str(number) for number in range(layers))]
        of_heads = [_MEAN, _SIDE_BY_SIDE, *(str(number) for number in range(heads))]
        return (
            maps,
            self.gradio.update(choices=list(maps), value=which),
            self.gradio.update(choices=choices, value=_MEAN),
            self.gradio.update(choices=of_heads, value=_MEAN),
            self.draw(maps, which, _MEAN, _MEAN),
        )

    def show_nothing(self) -> tuple[Any, ...]:
        """No map, and no picture: values for `outputs`."""
        return ({}, *(self.gradio.skip() for _ in (self.which, self.layer, self.head)), "")

    def draw(self, maps: dict[str, AttentionMap], which: str, layer: str, head: str) -> str:
        """The picture of one choice; nothing before the first sentence."""
        if which not in maps:
            return ""
        # Encoder and decoder may differ in depth and heads: what one of them does not have is drawn as its last.
        layers, heads = maps[which].weights.shape[:2]
        of_layer = None if layer == _MEAN else min(int(layer), layers - 1)
        if head == _SIDE_BY_SIDE:
            return all_heads_html(maps[which], layer=of_layer)
        return attention_html(maps[which], layer=of_layer, head=None if head == _MEAN else min(int(head), heads - 1))


def _something(gradio: Any, text: str) -> None:
    if not text.strip():
        raise gradio.Error("Type something first.", print_exception=False)


def _one_line(gradio: Any, text: str) -> str:
    _something(gradio, text)
    return " ".join(text.split())


def _answered(gradio: Any, ask: Any) -> Any:
    """The model's answer, or what is wrong with the question, in the words of the error."""
    try:
        return ask()
    except ValueError as error:
        raise gradio.Error(str(error), print_exception=False) from error
