"""HTML of attention maps and bars: it contains every weight, escapes every token and loads nothing."""

import re
from html.parser import HTMLParser

import pytest
import torch

from hf_vanilla_transformer.interpretation import AttentionMap
from hf_vanilla_transformer.web import attention_html, bars_html
from hf_vanilla_transformer.web.drawings import all_heads_html, ranking_html


@pytest.fixture
def attention():
    weights = torch.rand(2, 3, 2, 4, generator=torch.Generator().manual_seed(0))
    return AttentionMap(("a", "<b>", "c", "</s>"), ("x", '"y"'), weights / weights.sum(-1, keepdim=True))


class Page(HTMLParser):
    """The open tags, the titles of cells, the text of headers and the number of figures."""

    def __init__(self, html):
        super().__init__()
        self.open, self.titles, self.headers, self.figures = [], [], [], 0
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        assert not {"src", "href", "onclick"} & attributes.keys() and tag not in ("script", "link", "img", "iframe")
        self.open.append(tag)
        self.figures += tag == "figure"
        if "title" in attributes:
            self.titles.append((attributes["title"], attributes["style"]))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        if "th" in self.open:
            self.headers.append(text)


@pytest.mark.parametrize(("layer", "head"), [(None, None), (1, None), (None, 2), (0, 1)])
def test_a_map_contains_every_token_and_weight(attention, layer, head):
    page = Page(attention_html(attention, layer=layer, head=head))
    assert page.headers == [*attention.source_tokens, *attention.target_tokens]
    weights = attention.weights.mean(0) if layer is None else attention.weights[layer]
    weights = weights.mean(0) if head is None else weights[head]
    shown = [float(title.rsplit(": ", 1)[1]) for title, _ in page.titles]
    assert shown == pytest.approx(weights.flatten().tolist(), abs=0.006)
    painted = [float(re.search(r"rgba\(37, 99, 235, ([\d.]+)\)", style).group(1)) for _, style in page.titles]
    assert painted == pytest.approx(weights.flatten().tolist(), abs=0.001)
    assert page.titles[1][0].startswith("x → <b>: ")


def test_all_heads_are_drawn_side_by_side(attention):
    page = Page(all_heads_html(attention, layer=1))
    assert page.figures == 3 and len(page.titles) == 3 * 8
    assert float(page.titles[8][0].rsplit(": ", 1)[1]) == pytest.approx(attention.weights[1, 1, 0, 0].item(), abs=0.006)


def test_bars_and_rankings_escape_their_text():
    html = bars_html("what <next>", [("<s>", 0.75), ("b", 0.25)])
    Page(html)
    assert "&lt;s&gt;" in html and "width: 75.00%" in html and "25.00 %" in html and "what &lt;next&gt;" in html
    html = ranking_html([("a < b", -0.5)])
    assert Page(html) and "a &lt; b" in html and "-0.50" in html


def test_a_layer_or_head_that_does_not_exist_is_rejected(attention):
    with pytest.raises(ValueError, match=r"layer=2\b.*\b0 to 1"):
        attention_html(attention, layer=2)
    with pytest.raises(ValueError, match=r"head=3\b.*\b0 to 2"):
        attention_html(attention, head=3)
