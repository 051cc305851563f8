"""The page in a real browser without a network: type, press a button, read; choose a layer and a head."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

from hf_vanilla_transformer import VanillaDecoderForCausalLM
from hf_vanilla_transformer.web import PageModel, build_page, launch_page

from ..tiny_models import SENTENCES, tiny_folder

pytest.importorskip("gradio")
pytest.importorskip("selenium")

from .browser import CHROMIUM, DRIVER, choose, start_browser, type_and_press, wait_for

pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no chromium with a chromedriver in the PATH")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    driver = start_browser(tmp_path_factory.mktemp("profile"))
    yield driver
    driver.quit()


@contextmanager
def opened(browser, page_model: PageModel, **options) -> Iterator[None]:
    """Opens the page of a model in the browser; checks at the end that it made no request to another machine."""
    page = build_page(page_model, **options)
    _, address, _ = launch_page(page, server_name="127.0.0.1", prevent_thread_lock=True, quiet=True, ssr_mode=False)
    try:
        browser.get(address)
        yield
        messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
        hosts = {
            urlsplit(event["params"]["request"]["url"]).hostname
            for event in messages
            if event["method"] == "Network.requestWillBeSent"
            and event["params"]["request"]["url"].startswith(("http", "ws"))
        }
        assert hosts == {"127.0.0.1"}, "the page made a request to another machine"
    finally:
        browser.get("about:blank")
        page.close(verbose=False)


def test_a_translation_has_a_ranking_and_attention_maps_of_each_head(browser, seq2seq):
    page_model = PageModel.load(str(seq2seq), name="A translator", device="cpu")
    with opened(browser, page_model, examples=SENTENCES[:2]):
        type_and_press(browser, SENTENCES[1])
        table = wait_for(browser, "#attention table.attention")
        expected = page_model.translations(SENTENCES[1], 4)
        rows = browser.find_elements("css selector", "#ranking tbody tr")
        assert [row.find_elements("tag name", "td")[1].get_attribute("textContent") for row in rows] == [
            answer.text for answer in expected
        ]
        assert wait_for(browser, "#best textarea").get_attribute("value") == expected[0].text
        attention = page_model.attention(SENTENCES[1], expected[0].text)["cross-attention"]
        names = [th.get_attribute("textContent") for th in table.find_elements("tag name", "th")]
        assert names == [*attention.source_tokens, *attention.target_tokens]

        choose(browser, "layer", "1")
        choose(browser, "head", "0")
        wait_for(browser, '#attention table[data-layer="1"][data-head="0"]')
        cell = browser.find_element("css selector", "#attention tbody td")
        assert float(cell.get_attribute("title").rsplit(": ", 1)[1]) == pytest.approx(
            attention.weights[1, 0, 0, 0].item(), abs=0.006
        )
        choose(browser, "head", "side by side")
        wait_for(browser, "#attention figure")
        assert len(browser.find_elements("css selector", "#attention figure")) == 2
        choose(browser, "kind", "self-attention")
        wait_for(browser, '#attention td[title^="Two → Two"]')


def test_predictions_for_masks_are_drawn_as_bars(browser, masked_lm):
    page_model = PageModel.load(str(masked_lm), device="cpu")
    with opened(browser, page_model):
        type_and_press(browser, "The [MASK] man.")
        wait_for(browser, "#bars .bar")
        words = [word.get_attribute("textContent") for word in browser.find_elements("css selector", "#bars code")]
        assert words == [word for word, _ in page_model.masked_tokens("The [MASK] man.", 10)[0]]
        wait_for(browser, "#attention table.attention")
        type_and_press(browser, "No mask.")
        wait_for(browser, '[class*="toast"]', lambda toast: "no [MASK]" in toast.get_attribute("textContent"))


def test_next_tokens_are_drawn_as_bars_and_the_text_is_continued(browser, tmp_path):
    # Each random byte becomes a replacement character of three bytes, so the text has more tokens the next time.
    folder = tiny_folder(tmp_path, VanillaDecoderForCausalLM, max_position_embeddings=256)
    page_model = PageModel.load(str(folder), device="cpu")
    with opened(browser, page_model):
        type_and_press(browser, "The old man")
        wait_for(browser, "#bars .bar")
        assert len(browser.find_elements("css selector", "#bars .bar")) == 10
        browser.find_element("css selector", "#longer").click()
        longer = page_model.continuation("The old man", 20)
        wait_for(browser, "#source textarea", lambda field: field.get_attribute("value") == longer)
        tokens = page_model.attention(longer)["self-attention"].source_tokens

        def shows_all_tokens(table):
            headers = table.find_elements("css selector", "thead th")
            return [header.get_attribute("textContent") for header in headers] == [*tokens]

        wait_for(browser, "#attention table.attention", shows_all_tokens)


def test_generated_text_stays_on_the_page_if_it_is_too_long_for_a_prediction(browser, causal_lm):
    page_model = PageModel.load(str(causal_lm), device="cpu")
    longer = page_model.continuation("The old man", 20)
    with pytest.raises(ValueError, match=r"\b64 positions"):
        page_model.next_tokens(longer, 10)
    with opened(browser, page_model):
        type_and_press(browser, "The old man")
        wait_for(browser, "#bars .bar")
        browser.find_element("css selector", "#longer").click()
        wait_for(browser, '[class*="toast"]', lambda toast: "cannot be continued" in toast.get_attribute("textContent"))
        wait_for(browser, "#source textarea", lambda field: field.get_attribute("value") == longer)
        assert not browser.find_elements("css selector", "#bars .bar, #attention table")
