"""A real browser without a display and without a network, and what a person does in it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.support.ui import WebDriverWait

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
SECONDS = 120

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    # Whatever the page asks of another machine fails at once, as without a network.
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
)


def start_browser(profile: Path, width: int = 1100, height: int = 1400) -> webdriver.Chrome:
    """Chromium with a fresh profile in a folder, which keeps a log of what pages ask for."""
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*_FLAGS, f"--window-size={width},{height}", f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=DRIVER))
    driver.set_page_load_timeout(SECONDS)
    return driver


def wait_for(browser: webdriver.Chrome, css: str, found: Callable[[Any], bool] = lambda element: True) -> Any:
    """The first element of a selector that is as it should be, as soon as there is one."""

    def look(driver: webdriver.Chrome) -> Any:
        return next((element for element in driver.find_elements("css selector", css) if found(element)), False)

    ignored = [StaleElementReferenceException]
    return WebDriverWait(browser, SECONDS, ignored_exceptions=ignored).until(look, f"no {css} as it should be")


def type_and_press(browser: webdriver.Chrome, text: str) -> None:
    """Puts a text into the page's field and presses its main button."""
    field = wait_for(browser, "#source textarea")
    field.clear()
    field.send_keys(text)
    wait_for(browser, "#run").click()


def choose(browser: webdriver.Chrome, menu: str, choice: str) -> None:
    """Picks a choice of one of Gradio's menus."""
    option = f'#{menu} [role="option"]'

    def opened(driver: webdriver.Chrome) -> bool:
        # An answer that arrives just now closes the menu again.
        if not driver.find_elements("css selector", option):
            driver.find_element("css selector", "h1").click()
            driver.find_element("css selector", f"#{menu} input").click()
        return any(found.text.strip().endswith(choice) for found in driver.find_elements("css selector", option))

    WebDriverWait(browser, SECONDS, 2, [StaleElementReferenceException]).until(opened, f"no {choice} in {menu}")
    wait_for(browser, option, lambda found: found.text.strip().endswith(choice)).click()
