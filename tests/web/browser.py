"""A headless browser without a network, and functions that use a page as a person does."""

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
    # Requests to other machines fail at once, as without a network.
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
)


def start_browser(profile: Path, width: int = 1100, height: int = 1400) -> webdriver.Chrome:
    """Starts Chromium with a new profile in a folder and a log of the requests that pages make."""
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*_FLAGS, f"--window-size={width},{height}", f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=DRIVER))
    driver.set_page_load_timeout(SECONDS)
    return driver


def wait_for(browser: webdriver.Chrome, css: str, found: Callable[[Any], bool] = lambda element: True) -> Any:
    """Waits for an element of a selector that satisfies `found`, and returns it."""

    def look(driver: webdriver.Chrome) -> Any:
        return next((element for element in driver.find_elements("css selector", css) if found(element)), False)

    ignored = [StaleElementReferenceException]
    return WebDriverWait(browser, SECONDS, ignored_exceptions=ignored).until(look, f"no {css} satisfies the condition")


def type_and_press(browser: webdriver.Chrome, text: str) -> None:
    """Types a text into the text field and presses the main button."""
    field = wait_for(browser, "#source textarea")
    field.clear()
    field.send_keys(text)
    wait_for(browser, "#run").click()


def choose(browser: webdriver.Chrome, menu: str, choice: str) -> None:
    """Selects an option of one of Gradio's menus."""
    option = f'#{menu} [role="option"]'

    def opened(driver: webdriver.Chrome) -> bool:
        # A prediction that arrives at this moment closes the menu again.
        if not driver.find_elements("css selector", option):
            driver.find_element("css selector", "h1").click()
            driver.find_element("css selector", f"#{menu} input").click()
        return any(found.text.strip().endswith(choice) for found in driver.find_elements("css selector", option))

    WebDriverWait(browser, SECONDS, 2, [StaleElementReferenceException]).until(opened, f"no {choice} in {menu}")
    wait_for(browser, option, lambda found: found.text.strip().endswith(choice)).click()
