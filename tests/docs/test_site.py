"""The docs site in a real browser, at desktop and phone width: no console errors, nothing asked for elsewhere.

The site is what `make docs` built last (build/docs).
"""

from __future__ import annotations

import os
import re
import warnings

import pytest

from tests.browser import asked, chromium
from tests.docs import pages

SITE = pages.ROOT / "build" / "docs"
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
    phone = {"width": width, "height": height, "pixelRatio": 2} if width < 500 else {}
    with chromium(**phone) as driver:
        driver.set_window_size(width, height)
        for page in built():
            driver.get(f"file://{SITE}/{page}")
            assert driver.get_log("browser") == [], page
            requests = asked(driver)
            elsewhere = [url for url in requests if not url.startswith((f"file://{SITE}/", "data:", "blob:"))]
            assert requests and elsewhere == [], page
            beyond = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
            assert driver.execute_script(beyond) <= 1, f"{page} is wider than {width} pixels"
