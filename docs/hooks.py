"""For the site (mkdocs.yml names this file): no page asks for anything outside of the site."""

from __future__ import annotations

from typing import Any

_ELSEWHERE = "https://unpkg.com/iframe-worker/shim"
_OURS = "assets/iframe-worker.js"


def on_post_page(output: str, page: Any, **_: Any) -> str:
    """Takes the search's helper script of the offline plugin from the site itself."""
    return output.replace(_ELSEWHERE, "../" * page.url.count("/") + _OURS)
