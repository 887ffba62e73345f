"""A page in Chromium, without the report around it, for tests of the scripts that solve in the browser."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files

import pytest
from playwright.sync_api import Page, sync_playwright
from waiting import HANG

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine; Debian and Ubuntu: apt-get install chromium")


@contextmanager
def empty_page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.set_default_timeout(1000 * HANG)
        yield page
        browser.close()


def script(name: str) -> str:
    """Read a script of the report."""
    return files("taskonomy.report").joinpath("templates", name).read_text(encoding="utf-8")
