"""The site that `make docs` builds, opened from disk in a real browser without a network."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

SITE = Path(__file__).parents[1] / "build" / "site"
PAGES = [page.relative_to(SITE).as_posix() for page in sorted(SITE.rglob("*.html"))]
PHONE, DESKTOP = 360, 1440


def missing(what: str) -> None:
    """Skip for want of something, or fail where it is required."""
    if os.environ.get("COALIGN_REQUIRE_BROWSER"):
        pytest.fail(f"COALIGN_REQUIRE_BROWSER is set; {what}")
    pytest.skip(what)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium without a window, for which other hosts do not exist."""
    programs = [shutil.which("chromium"), shutil.which("chromedriver")]
    try:
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service
    except ImportError:
        programs.append(None)
    if not all(programs):
        missing("expected chromium, chromedriver and selenium")
    if not PAGES:
        missing("expected the site that `make docs` builds")
    options = webdriver.ChromeOptions()
    options.binary_location = programs[0]
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--host-resolver-rules=MAP * ~NOTFOUND",
    ):
        options.add_argument(argument)
    driver = webdriver.Chrome(options, Service(programs[1]))
    yield driver
    driver.quit()


def show(browser: Any, page: str, width: int) -> None:
    """Open a page in a window of a width, with an empty console."""
    metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width == PHONE}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get_log("browser")
    browser.get(f"{SITE.as_uri()}/{page}")


@pytest.fixture(params=PAGES or [None])
def page(request: pytest.FixtureRequest) -> str:
    """Each page."""
    return request.param


# The theme lets the article scroll sideways on a phone, so the document alone shows nothing.
WIDEST = """
let widest = 0;
for (let box = document.querySelector("article"); box; box = box.parentElement)
  widest = Math.max(widest, box.scrollWidth);
return widest;
"""


@pytest.mark.parametrize("width", [PHONE, 1280, DESKTOP])
def test_a_page_fits_its_window(browser: Any, page: str, width: int) -> None:
    show(browser, page, width)
    assert browser.execute_script(WIDEST) <= width


def test_a_page_loads_whole_and_without_errors(browser: Any, page: str) -> None:
    show(browser, page, DESKTOP)
    images = "return [...document.images].map(i => [i.src, i.complete && i.naturalWidth > 0])"
    assert [source for source, loaded in browser.execute_script(images) if not loaded] == []
    assert browser.get_log("browser") == []


def test_links_lead_somewhere(browser: Any, page: str) -> None:
    show(browser, page, DESKTOP)
    links = browser.execute_script("return [...document.links].map(link => link.href)")
    assert len(links) >= 10
    broken = [link for link in set(links) if link.startswith("file:") and not exists(link)]
    assert broken == []


def exists(link: str) -> bool:
    """Whether a link leads to a page of the site, and to something on it."""
    parts = urlsplit(link)
    target = Path(unquote(parts.path))
    if not target.is_file() or SITE not in target.parents:
        return False
    names = re.findall(r'\bid="([^"]+)"', target.read_text(encoding="utf-8"))
    return parts.fragment == "" or unquote(parts.fragment) in names


def test_a_search_finds_a_function(browser: Any) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    show(browser, "search.html?q=dtw_cdist", DESKTOP)
    results = "return [...document.querySelectorAll('#search-results li a')].map(a => a.href)"
    found = WebDriverWait(browser, 10).until(lambda driver: driver.execute_script(results))
    assert any(link.endswith("api/warping.html#coalign.dtw_cdist") for link in found)
