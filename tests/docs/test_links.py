"""Links between the pages, to headings and to files lead somewhere; files that the text names exist."""

from __future__ import annotations

import re

import pytest

from tests.docs import pages

PAGES = pages.pages()
# Files that the text names in passing: ours, unless they belong to a run or to somebody else.
_NAMED = re.compile(r"`((?:glrg_tf|training|export|glrg_cli|benchmarks|tests|examples|docs|notebooks)/[\w./-]+)`")


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    wrong = []
    for line, target in pages.links(page):
        if re.match(r"(https?|mailto):", target):
            continue
        path, _, anchor = target.partition("#")
        file = (pages.ROOT / page).parent / path if path else pages.ROOT / page
        if not file.exists():
            wrong.append(f"{page}:{line}: there is no {path}")
        elif (
            anchor and file.suffix == ".md" and anchor not in pages.anchors(str(file.resolve().relative_to(pages.ROOT)))
        ):
            wrong.append(f"{page}:{line}: {path} has no heading #{anchor}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("page", [page for page in PAGES if page != "docs/LOG.md"])
def test_files_named_in_the_text_exist(page):
    wrong = []
    for name in _NAMED.findall(pages.text_of(page)):
        found = name.endswith("/") or (pages.ROOT / name).exists()
        if not found:
            wrong.append(name)
    assert not wrong, f"{page}: {wrong}"
