"""Every command and Python block of the pages is run as it stands there, smaller where it would take long.

`make test-docs` (GLRG_DOCS=all) runs those too that plan.SLOW names; what never runs here, and why: plan.NOT_RUN.
"""

from __future__ import annotations

import os
import re
import warnings

import pytest

from tests.docs import desk, pages, plan, runner

EVERYTHING = os.environ.get("GLRG_DOCS") == "all"
RUN = ("run", "slow") if EVERYTHING else ("run",)


def chosen(page):
    return [step for step in runner.steps(page) if step.verdict in RUN]


@pytest.mark.parametrize("page", [page for page in plan.PAGES if chosen(page)])
def test_the_page_does_what_it_says(page, prepared, tmp_path, monkeypatch):
    monkeypatch.setenv("GLRG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("GLRG_RELEASE", str(tmp_path / "release"))
    todo, names, folder = chosen(page), {"__name__": page}, tmp_path / "desk"
    desk.copy(prepared, folder, plan.CALLED.get(page, {}))
    worker, wrong = runner.Runner(folder, names), []
    if EVERYTHING:
        todo = [*(runner.Step(page, 0, text, False, "run", "") for text in plan.BEFORE.get(page, ())), *todo]
    for step in todo:
        said = worker.run(step)
        if said:
            wrong.append(f"{page}:{step.line}: {step.text.splitlines()[0]}\n  {said}")
    assert not wrong, "\n".join(wrong)


def test_no_rule_is_forgotten():
    """Every rule of the plan speaks about at least one command, and every page of the plan exists."""
    steps = [
        (page, "python:" + step.text if step.python else step.text)
        for page in pages.pages()
        for step in runner.steps(page)
    ]
    for rule in (*plan.NOT_RUN, *plan.SLOW, *plan.ASKS):
        assert any(rule.matches(page, text) for page, text in steps), f"nothing matches {rule}"
    for page, there, _ in plan.INSTEAD:
        found = any(re.search(there, step.text, re.MULTILINE) for step in runner.steps(page))
        assert found, f"{page} no longer has '{there}'"
    assert set(plan.PAGES) <= set(pages.pages())


def test_pages_that_nobody_planned():
    for page in pages.pages():
        if page not in plan.PAGES and runner.steps(page):
            warnings.warn(f"{page} is checked but not run: add it to tests/docs/plan.py", stacklevel=1)
