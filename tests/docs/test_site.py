"""The docs site in a real browser, at desktop and phone width: no console errors, nothing asked for elsewhere.

The site is what `make docs` built last (build/docs).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import warnings

import pytest

from tests.docs import pages

SITE = pages.ROOT / "build" / "docs"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
ALL = os.environ.get("GLRG_DOCS") == "all"
SOME = ("index.html", "extending.html", "performance.html", "api/captioner.html")


def test_every_page_is_in_the_navigation():
    text = (pages.ROOT / "mkdocs.yml").read_text("utf-8")
    listed = re.findall(r"[\w/-]+\.md", text.partition("nav:")[2])
    named = set(listed)
    assert len(listed) == len(named), "a page stands in the navigation twice"
    there = {str(path.relative_to(pages.ROOT / "docs")) for path in (pages.ROOT / "docs").rglob("*.md")}
    assert named <= there, f"mkdocs.yml names what is not there: {sorted(named - there)}"
    if there - named:
        warnings.warn(f"not in the navigation of mkdocs.yml: {sorted(there - named)}", stacklevel=1)


def built() -> list[str]:
    found = sorted(str(path.relative_to(SITE)) for path in SITE.rglob("*.html") if path.name != "404.html")
    return found if ALL else [page for page in found if page in SOME]


@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844)])
def test_the_site_in_a_browser(width, height):
    if not built():
        pytest.skip("no site in build/docs: `make docs` builds it")
    if not CHROMIUM or not DRIVER:
        pytest.skip("no chromium and chromedriver here (Debian: apt-get install chromium chromium-driver)")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    if width < 500:
        metrics = {"width": width, "height": height, "pixelRatio": 2}
        options.add_experimental_option("mobileEmulation", {"deviceMetrics": metrics})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    try:
        driver.set_window_size(width, height)
        for page in built():
            driver.get(f"file://{SITE}/{page}")
            assert driver.get_log("browser") == [], page
            events = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
            asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
            assert asked and [a for a in asked if not a.startswith((f"file://{SITE}/", "data:", "blob:"))] == [], page
            beyond = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
            assert driver.execute_script(beyond) <= 1, f"{page} is wider than {width} pixels"
    finally:
        driver.quit()
