"""Takes the screenshot in docs/using.md: `python -m tests.web.screenshot runs/demo/model docs/images/page.png`.

It needs Gradio, selenium, chromium and chromedriver, and a model that `hf-vanilla demo` has trained.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from hf_vanilla_transformer.web import PageModel, build_page

from .browser import choose, start_browser, type_and_press, wait_for


def main() -> None:
    """Translates a sentence on the page and takes a screenshot with the attention map of the chosen layer and head."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder of a translation model")
    parser.add_argument("picture", type=Path, help="the .png file to write")
    parser.add_argument("--text", default="The old teacher reads a green book.", help="sentence to translate")
    parser.add_argument("--layer", default="mean", help="layer of the attention map (default: mean)")
    parser.add_argument("--head", default="mean", help="head of the attention map (default: mean)")
    parser.add_argument("--name", default="English to French, after three minutes", help="title of the page")
    arguments = parser.parse_args()

    page = build_page(PageModel.load(arguments.model, name=arguments.name))
    _, address, _ = page.launch(server_name="127.0.0.1", prevent_thread_lock=True, quiet=True, ssr_mode=False)
    with tempfile.TemporaryDirectory() as profile:
        browser = start_browser(Path(profile), width=1000)
        try:
            browser.get(address)
            type_and_press(browser, arguments.text)
            wait_for(browser, "#attention table.attention")
            for menu in ("layer", "head"):
                choice = getattr(arguments, menu)
                if choice != "mean":
                    choose(browser, menu, choice)
            wait_for(browser, f'#attention table[data-layer="{arguments.layer}"]')
            wait_for(browser, "#best textarea", lambda field: field.get_attribute("value"))
            # The entire page, without a scroll bar.
            browser.set_window_size(1000, browser.execute_script("return document.body.scrollHeight") + 150)
            arguments.picture.parent.mkdir(parents=True, exist_ok=True)
            browser.save_screenshot(str(arguments.picture))
        finally:
            browser.quit()
            page.close(verbose=False)
    print(arguments.picture)


if __name__ == "__main__":
    main()
