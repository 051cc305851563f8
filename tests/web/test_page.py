"""The page in a real browser, without a network: type, press, read; pick a layer and a head."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

from hf_vanilla_transformer import VanillaDecoderForCausalLM
from hf_vanilla_transformer.web import ModelOnPage, build_page

from ..tiny_folders import SENTENCES, save_tiny

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
def opened(browser, shown: ModelOnPage, **options) -> Iterator[None]:
    """The page of a model, in the browser."""
    page = build_page(shown, **options)
    _, address, _ = page.launch(server_name="127.0.0.1", prevent_thread_lock=True, quiet=True, ssr_mode=False)
    try:
        browser.get(address)
        yield
        asked = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
        hosts = {
            urlsplit(event["params"]["request"]["url"]).hostname
            for event in asked
            if event["method"] == "Network.requestWillBeSent"
            and event["params"]["request"]["url"].startswith(("http", "ws"))
        }
        assert hosts == {"127.0.0.1"}, "the page asked another machine for something"
    finally:
        browser.get("about:blank")
        page.close(verbose=False)


def test_translation_with_its_ranking_and_attention_head_by_head(browser, seq2seq):
    shown = ModelOnPage.load(str(seq2seq), name="A translator", device="cpu")
    with opened(browser, shown, examples=SENTENCES[:2]):
        type_and_press(browser, SENTENCES[1])
        table = wait_for(browser, "#attention table.attention")
        expected = shown.translations(SENTENCES[1], 4)
        rows = browser.find_elements("css selector", "#ranking tbody tr")
        assert [row.find_elements("tag name", "td")[1].get_attribute("textContent") for row in rows] == [
            answer.text for answer in expected
        ]
        assert wait_for(browser, "#best textarea").get_attribute("value") == expected[0].text
        attention = shown.attention(SENTENCES[1], expected[0].text)["from the translation to the source"]
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
        choose(browser, "which", "within the source")
        wait_for(browser, '#attention td[title^="Two → Two"]')


def test_masked_words_are_bars(browser, masked_lm):
    shown = ModelOnPage.load(str(masked_lm), device="cpu")
    with opened(browser, shown):
        type_and_press(browser, "The [MASK] man.")
        wait_for(browser, "#bars .bar")
        words = [word.get_attribute("textContent") for word in browser.find_elements("css selector", "#bars code")]
        assert words == [word for word, _ in shown.masked_words("The [MASK] man.", 10)[0]]
        wait_for(browser, "#attention table.attention")
        type_and_press(browser, "No mask.")
        wait_for(browser, '[class*="toast"]', lambda toast: "There is no [MASK]" in toast.get_attribute("textContent"))


def test_next_tokens_are_bars_and_the_text_goes_on(browser, tmp_path):
    # Of random bytes each is a sign that is read as three, so the text grows when it is read again.
    folder = save_tiny(tmp_path, "decoder", VanillaDecoderForCausalLM, max_position_embeddings=256)
    shown = ModelOnPage.load(str(folder), device="cpu")
    with opened(browser, shown):
        type_and_press(browser, "The old man")
        wait_for(browser, "#bars .bar")
        assert len(browser.find_elements("css selector", "#bars .bar")) == 10
        browser.find_element("css selector", "#longer").click()
        longer = shown.continuation("The old man", 20)
        wait_for(browser, "#source textarea", lambda field: field.get_attribute("value") == longer)
        written = shown.attention(longer)["between the words"].source_tokens

        def is_of_all(table):
            return [th.get_attribute("textContent") for th in table.find_elements("css selector", "thead th")] == [
                *written
            ]

        wait_for(browser, "#attention table.attention", is_of_all)


def test_what_was_written_stays_where_there_is_no_room_to_read_on(browser, causal_lm):
    shown = ModelOnPage.load(str(causal_lm), device="cpu")
    longer = shown.continuation("The old man", 20)
    with pytest.raises(ValueError, match="the model has room for 64"):
        shown.next_tokens(longer, 10)
    with opened(browser, shown):
        type_and_press(browser, "The old man")
        wait_for(browser, "#bars .bar")
        browser.find_element("css selector", "#longer").click()
        wait_for(browser, '[class*="toast"]', lambda toast: "cannot be read on" in toast.get_attribute("textContent"))
        wait_for(browser, "#source textarea", lambda field: field.get_attribute("value") == longer)
        assert not browser.find_elements("css selector", "#bars .bar, #attention table")
