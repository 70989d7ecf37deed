"""The docs site in a real browser, at desktop and phone width: no console errors, nothing asked for elsewhere.

The site is what `make docs` built last (build/docs).
"""

from __future__ import annotations

import os
import re
import runpy
import warnings

import pytest

from tests.browser import asked, chromium
from tests.docs import pages

SITE = pages.ROOT / "build" / "docs"
ALL = os.environ.get("GLRG_DOCS") == "all"
# A paragraph with what was meant as items of a list or rows of a table.
UNMADE = r"""const text = [...document.querySelectorAll("article p")].map(p => p.textContent);
return text.find(t => /(^|\n)(- |\|)/.test(t)) ?? null"""
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


def test_lists_and_tables_need_no_empty_line():
    markdown = "Say:\n- a\n  more\n- b\n\nIn:\n| x |\n|---|\n```\n- as it is\n| too |\n```\n"
    expected = "Say:\n\n- a\n  more\n- b\n\nIn:\n\n| x |\n|---|\n```\n- as it is\n| too |\n```\n"
    hooks = runpy.run_path(str(pages.ROOT / "docs" / "hooks.py"))
    assert hooks["on_page_markdown"](markdown) == expected == hooks["on_page_markdown"](expected)


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
            assert driver.execute_script(UNMADE) is None, f"{page}: a list or a table that is none"
