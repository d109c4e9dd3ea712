"""One real Chromium for all tests that want one, and contexts in it."""

import os
import shutil
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext

CHROMIUM_OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def chromium() -> str | None:
    """Return where Chromium is, or None."""
    return os.environ.get("KEYSTEAD_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="session")
def browser() -> "Iterator[Browser]":
    from playwright.sync_api import sync_playwright

    path = chromium()
    if path is None:
        sentence = "There is no Chromium: apt-get install chromium, or set KEYSTEAD_CHROMIUM to its path."
        if os.environ.get("KEYSTEAD_REQUIRE_BROWSER"):
            pytest.fail(sentence)
        pytest.skip(sentence)
    with sync_playwright() as playwright:
        instance = playwright.chromium.launch(executable_path=path, args=CHROMIUM_OPTIONS)
        yield instance
        instance.close()


@pytest.fixture
def open_context(browser: "Browser") -> "Iterator[Callable[..., BrowserContext]]":
    contexts: list[BrowserContext] = []

    def open_one(**options: object) -> "BrowserContext":
        context = browser.new_context(**options)  # type: ignore[arg-type]
        context.set_default_timeout(10_000)
        contexts.append(context)
        return context

    yield open_one
    for context in contexts:
        context.close()
