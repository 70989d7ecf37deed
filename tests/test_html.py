"""Pages: escaped text, one file that loads nothing, parts that hold what they are given."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from glrg_cli.html import parts
from glrg_cli.html.markup import Html, join, page, tag
from glrg_cli.html.pictures import film, jpeg_uri


def test_text_is_escaped_and_markup_is_not():
    assert tag("p", "a < b & c", Html("<b>x</b>"), class_="n") == '<p class="n">a &lt; b &amp; c<b>x</b></p>'
    assert tag("img", alt='"><script>', src="x") == '<img alt="&quot;&gt;&lt;script&gt;" src="x">'
    assert tag("details", None, ["a", ["b", 1]], open=True, hidden=False) == "<details open>ab1</details>"
    assert join("\x00\x1b", "\ud800") == "  ?"


def test_a_page_is_one_file_whose_browser_may_fetch_and_run_nothing():
    text = page("a <title>", tag("p", "body"), lead="lead")
    assert text.startswith("<!doctype html>")
    assert "default-src &#x27;none&#x27;" in text and "viewport" in text
    assert "<title>a &lt;title&gt;</title>" in text
    assert not re.search(r"(https?:)?//|<script|<link|@import|url\(", text)
    text.encode("utf-8")


def test_parts_hold_what_they_are_given():
    assert "width:50.0%" in parts.bars([("man", 0.5)]) and "0.50" in parts.bars([("man", 0.5)])
    assert "width:100.0%" in parts.bars([("x", 7.0)]) and "width:0.0%" in parts.bars([("x", -1.0)])
    found = parts.sentences(["one", "two", "three"], 2)
    assert found.index("two") < found.index("1 more") < found.index("three")
    assert "details" not in parts.sentences(["one"], 2)
    assert parts.notes([]) is None
    assert '<td class="number">1.50</td>' in parts.table(["a", "b"], [["x", 1.5]])
    assert "<h2>" in parts.section("head", "text") and parts.facts({"a": 1}).count("<dt>") == 1
    assert parts.grid([parts.card("x", kind="failed")]).count("card failed") == 1


@pytest.mark.parametrize(("shape", "columns"), [((60, 90), 2), ((90, 60), 3)])
def test_pictures_lie_inside_the_page(shape, columns):
    images = [np.full((*shape, 3), 40 * i, np.uint8) for i in range(3)]
    markup = film(images, "a clip")
    assert markup.count("data:image/jpeg;base64,") == 3 and f"repeat({columns},1fr)" in markup
    data = base64.b64decode(jpeg_uri(np.zeros((500, 1000, 3), np.uint8), side=100).split(",")[1])
    assert Image.open(io.BytesIO(data)).size == (100, 50)
