"""Chromium without a window, for the tests of pages."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from shutil import which
from typing import Any

import pytest

CHROMIUM = which("chromium") or which("chromium-browser") or which("google-chrome")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
PATIENCE = 120_000  # milliseconds


@contextmanager
def chromium() -> Iterator[Any]:
    """Start the browser. Skips the test where it, or Playwright, is not installed."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: make venv")
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine (Debian's package: chromium)")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS, timeout=PATIENCE)
        yield browser
        browser.close()


def new_page(browser: Any, complaints: list[str], **context: Any) -> Any:
    """Return an empty page, which adds what the console shows to ``complaints``."""
    page = browser.new_page(**{"viewport": {"width": 1366, "height": 850}, **context})
    page.set_default_timeout(PATIENCE)
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    return page


def drawn(page: Any) -> int:
    """Wait until every chart in view is drawn, and return their number."""
    shown = "[...document.querySelectorAll('[data-chart]')].filter((chart) => chart.offsetParent)"
    counts = f"[{shown}.length, {shown}.filter((chart) => chart.querySelector('.main-svg .trace')).length]"
    end = time.monotonic() + PATIENCE / 1000
    while True:  # wait_for_function needs eval, which the page of a study forbids
        in_view, done = page.evaluate(counts)
        if in_view == done:
            return int(done)
        assert time.monotonic() < end, f"{done} of {in_view} charts drawn"
        time.sleep(0.1)
