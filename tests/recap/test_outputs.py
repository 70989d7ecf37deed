"""Files of texts: WebVTT, SRT, markdown that comes back as it went, and the page in a real browser."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest

from glrg_cli.html.recap import recap_page
from glrg_tf.recap.hierarchy import CLIP, SEGMENT, VIDEO, Hierarchy, Window
from glrg_tf.recap.markdown import edited_lines, to_markdown
from glrg_tf.recap.subtitles import srt, webvtt
from glrg_tf.recap.thumbnails import jpeg
from glrg_tf.recap.timeline import Recap, Told, check_of, clock, most_frequent
from tests.browser import asked, chromium
from tests.recap.made import numbered_video

NASTY = '<img src=x onerror=alert(1)> & "a" --> *b* [c](d) <!--clip 0 00000000-->'


def made_recap() -> Recap:
    """Twelve minutes of four segments, with texts nobody should trust."""
    hierarchy = Hierarchy()
    told = {level: [] for level in (CLIP, SEGMENT, VIDEO)}
    for level, entries in told.items():
        for window in hierarchy.windows(level, 708.03):
            text = f"a {('dog', 'cat', 'cow')[window.index % 3]} in {level} {window.index}"
            entries.append(
                Told(window, NASTY if window.index == 2 else text, "user" if window.index == 2 else "captioner")
            )
    video = {"name": "a <b> film.mp4", "bytes": 1, "sha256": "0", "duration": 708.03, "frames": 9, "frame_rate": 25.0}
    captioner = {"name": "fake", "fingerprint": "0", "levels": [CLIP, SEGMENT, VIDEO]}
    members = tuple(hierarchy.clips_of_segments(708.03))
    return Recap(
        video, captioner, {}, tuple(told[CLIP]), tuple(told[SEGMENT]), told[VIDEO][0], members, ("a note <i>",)
    )


def test_webvtt():
    text = webvtt(made_recap().segments, "about -->\nall")
    assert text.startswith(
        "WEBVTT\n\nNOTE about --&gt; all\n\nsegment-1\n00:00:00.000 --> 00:03:00.000\na dog in segment 0\n"
    )
    assert text.count(" --> ") == 4 and "00:09:00.000 --> 00:11:48.030" in text
    assert "&lt;img src=x onerror=alert(1)&gt; &amp;" in text


def test_srt():
    told = [Told(Window(CLIP, 0, 999_600, 3_600_000_000), "a", "user"), Told(Window(CLIP, 1, 0, 1), "", "user")]
    assert srt(told) == "1\n00:00:01,000 --> 01:00:00,000\na\n"
    body = srt(made_recap().clips)
    assert body.count(" --> ") == 177 and "<" not in body


def test_markdown_comes_back_as_it_went():
    recap = made_recap()
    found = list(edited_lines(to_markdown(recap)))
    assert len(found) == 1 + 4 + 177
    texts = {(told.window.level, told.window.index): told.text for told in recap.told()}
    assert {(level, index): text for level, index, text, _ in found} == texts
    assert all(check_of(text) == check for _, _, text, check in found)
    assert not re.search(r"<(?!!--(clip|segment|video) \d+ [0-9a-f]{8}-->$)", to_markdown(recap), re.M)


def test_small_things():
    assert [clock(seconds) for seconds in (0, 59.99, 3600, 36_061)] == ["0:00:00", "0:00:59", "1:00:00", "10:01:01"]
    assert most_frequent(["a", "b", "", "", "", "b", "a"]) == "a" and most_frequent([""]) == ""
    picture = np.zeros((100, 300, 3), np.uint8)
    assert jpeg(picture) == jpeg(picture) != b""


def test_the_page_escapes_and_loads_nothing():
    page = recap_page(made_recap(), lambda index: b"jpeg" if index % 2 else b"")
    assert "<img src=x" not in page and "a &lt;b&gt; film.mp4" in page and "by hand" in page
    assert not re.search(r'(src|href)="(?!data:image/jpeg;base64,|#)', page)
    assert "script-src &#x27;sha256-" in page and page.count("<script>") == 1 and page.count("<details") == 4
    bare = dataclasses.replace(made_recap(), summary=None)
    assert 'class="summary"' not in recap_page(bare, lambda index: b"")


@pytest.fixture(scope="module", params=[1280, 390])
def browser(request, tmp_path_factory):
    """The page in a headless Chromium of the given width."""
    file = tmp_path_factory.mktemp("page") / "recap.html"
    thumbnail = jpeg(np.full((48, 64, 3), 90, np.uint8))
    file.write_text(recap_page(made_recap(), lambda index: thumbnail), "utf-8")
    with chromium(width=request.param, height=800) as driver:
        driver.get(file.as_uri())
        yield driver


def test_search_levels_and_playing_in_a_browser(browser, tmp_path):
    from selenium.webdriver.support.ui import WebDriverWait

    shown = "return [...document.querySelectorAll('%s')].filter(e => e.checkVisibility()).length"
    assert browser.execute_script(shown % "ol.clips li") == 0  # closed: the chapters stand alone
    browser.find_elements("css selector", "details.segment summary")[1].click()
    assert browser.execute_script(shown % "ol.clips li") == 45
    box = browser.find_element("id", "find")
    box.send_keys("DOG 99")
    assert browser.find_element("id", "found").text == "1 clip and 0 chapters found"
    assert browser.execute_script(shown % "ol.clips li") == 1 and browser.execute_script(shown % "details.segment") == 1
    marked = [mark.text for mark in browser.find_elements("css selector", "mark") if mark.is_displayed()]
    assert marked == ["dog", "dog", "99"]  # the first in the summary
    browser.execute_script("arguments[0].value = ''; arguments[0].dispatchEvent(new Event('input'))", box)
    assert browser.execute_script(shown % "details.segment") == 4
    assert browser.execute_script(shown % "ol.clips li") == 45  # as it was before the search
    box.send_keys("(.*")
    assert browser.find_element("id", "found").text == "0 clips and 0 chapters found"
    browser.execute_script("arguments[0].value = ''; arguments[0].dispatchEvent(new Event('input'))", box)
    browser.execute_script("document.querySelectorAll('.bar-time a')[3].click()")
    browser.execute_script("location.hash = '#c170'")
    assert browser.execute_script("return document.getElementById('s3').open") is True
    assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth") is True
    film = browser.find_element("id", "film")
    assert not film.is_displayed()
    browser.find_element("id", "pick").send_keys(str(numbered_video(tmp_path / "film.mp4", 120)))
    assert film.is_displayed()
    browser.execute_script("document.querySelectorAll('ol.clips li a.when')[2].click()")
    WebDriverWait(browser, 10, 0.05).until(lambda b: b.find_elements("css selector", "li.now#c2"))
    assert 8 <= browser.execute_script("return document.getElementById('film').currentTime") < 12
    assert browser.get_log("browser") == []
    assert [url for url in asked(browser) if not url.startswith(("file://", "data:", "blob:"))] == []
