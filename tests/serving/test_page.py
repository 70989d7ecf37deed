"""The page in a real browser: captions, errors, token; no console errors, no request to anywhere else."""

from __future__ import annotations

import json
import pathlib
import re

import pytest

from tests.browser import asked, chromium
from tests.serving.live import WIDTH, LiveServer, PlainReader

PAGE = pathlib.Path(__file__).resolve().parents[2] / "export" / "demo"
TOKEN = "correct-horse-battery-staple"


class HostileReader(PlainReader):
    """Labels that would run in a page that trusted them."""

    labels = {"long_range": ("<img src=x onerror=alert(1)>", "dog", "guitar")}


def test_the_page_names_nothing_elsewhere():
    for file in PAGE.glob("*.*"):
        text = file.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"(https?:)?//[a-z0-9.-]+\.[a-z]{2,}", text), file.name
        assert "innerHTML =" not in text and "eval(" not in text
    html = (PAGE / "index.html").read_text("utf-8")
    assert "style=" not in html and not re.search(r"\son\w+=", html)  # what the content security policy forbids


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium that remembers console messages and requests."""
    with chromium() as driver:
        driver.implicitly_wait(0)
        yield driver


@pytest.fixture
def page(browser, server):
    """The page, ready; afterwards: no error in the console, no request to another server."""
    url = f"http://127.0.0.1:{server.port}"
    browser.get_log("browser"), browser.get_log("performance")
    browser.get(url + "/")
    wait(browser, lambda: text(browser, "state") == "ready")
    yield browser
    assert [entry for entry in browser.get_log("browser") if "status of 422" not in entry["message"]] == []
    requests = asked(browser)
    # data: addresses are Chromium's own pictures for the video's buttons.
    assert requests and [a for a in requests if not a.startswith((url + "/", f"blob:{url}/", "data:"))] == []


def wait(browser, condition):
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(browser, 10, poll_frequency=0.03).until(lambda _: condition())


def element(browser, name):
    return browser.find_element("id", name)


def text(browser, name):
    return element(browser, name).text


def choose(browser, path, data):
    path.write_bytes(data)
    element(browser, "file").send_keys(str(path))


def test_a_video_gets_captions_alternatives_words_and_times(page, tmp_path):
    choose(page, tmp_path / "clip.mp4", bytes([1, 2, 3, 4, 5, 9]))
    wait(page, lambda: element(page, "found").is_displayed())
    assert text(page, "best-text").split() == ["a", "sum", "of", "15"]
    assert "or a sum of 15" in text(page, "others") and "-16.00" in text(page, "others")
    assert "Long range" in text(page, "vocabularies") and "guitar" in text(page, "vocabularies")
    assert "decode" in text(page, "timing-list") and "ms" in text(page, "timing-list")
    assert not element(page, "saliency").is_displayed()
    assert not element(page, "progress").is_displayed()
    widths = page.execute_script(
        "return [...document.querySelectorAll('#vocabulary-list .hue1 .bar i')].map(e => e.style.width)"
    )
    assert widths[0] == "100%" and len(widths) == 3
    element(page, "again").click()
    wait(page, lambda: element(page, "again").is_enabled())
    assert text(page, "best-text")


def test_features_a_bad_file_and_an_empty_one(page, tmp_path):
    choose(page, tmp_path / "features.json", json.dumps({"features": [1] * WIDTH}).encode())
    wait(page, lambda: "5" in text(page, "best-text"))
    choose(page, tmp_path / "bad.mp4", b"bad file")
    wait(page, lambda: element(page, "problem").is_displayed())
    assert text(page, "problem-what") == "Not a video."
    assert text(page, "problem-remedy") == "Send another file."
    assert not element(page, "found").is_displayed()
    choose(page, tmp_path / "empty.mp4", b"")
    wait(page, lambda: "empty" in text(page, "problem-what"))
    choose(page, tmp_path / "wrong.json", b"{")
    wait(page, lambda: "not JSON" in text(page, "problem-what"))
    choose(page, tmp_path / "clip.mp4", bytes([1, 2, 3, 4, 5]))
    wait(page, lambda: element(page, "found").is_displayed())
    assert not element(page, "problem").is_displayed()


def test_dropping_a_file_is_choosing_it(page):
    page.execute_script(
        "const data = new DataTransfer(); data.items.add(new File([new Uint8Array([1,1,1,1,1])], 'dropped.mkv'));"
        "document.body.dispatchEvent(new DragEvent('drop', {dataTransfer: data, bubbles: true, cancelable: true}));"
    )
    wait(page, lambda: "5" in text(page, "best-text"))
    assert "dropped.mkv" in text(page, "file-name")


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_it_fits_phones_and_desktops_and_everything_has_a_name(page, tmp_path, width):
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        choose(page, tmp_path / ("a-rather-long-name-of-a-clip" * 4 + ".mp4"), bytes([1, 2, 3, 4, 5]))
        wait(page, lambda: element(page, "found").is_displayed())
        assert page.execute_script("return document.documentElement.scrollWidth") <= width
        controls = page.find_elements("css selector", "button, input, select, progress, section")
        assert all(control.accessible_name for control in controls if control.is_displayed())
        buttons = [e for e in page.find_elements("css selector", "button, select") if e.is_displayed()]
        assert buttons and all(button.size["height"] >= 44 for button in buttons)  # large enough for a finger
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_a_token_is_asked_for_and_labels_are_only_text(browser, tmp_path):
    with LiveServer(videos=HostileReader(), token=TOKEN) as server:
        browser.get(f"http://127.0.0.1:{server.port}/")
        wait(browser, lambda: element(browser, "token-form").is_displayed())
        element(browser, "token").send_keys("wrong" * 5 + "\n")
        wait(browser, lambda: element(browser, "token").get_attribute("value") == "")
        wait(browser, lambda: element(browser, "token-form").is_displayed())
        element(browser, "token").send_keys(TOKEN + "\n")
        wait(browser, lambda: text(browser, "state") == "ready")
        choose(browser, tmp_path / "clip.mp4", bytes([9, 2, 3, 4, 5]))
        wait(browser, lambda: element(browser, "found").is_displayed())
        assert "<img src=x onerror=alert(1)>" in text(browser, "vocabularies")
        assert not browser.find_elements("css selector", "#vocabularies img")
        assert TOKEN not in browser.execute_script("return JSON.stringify({...localStorage, ...sessionStorage})")


def test_a_server_without_encoders_takes_features_only(browser, tmp_path):
    with LiveServer() as server:
        browser.get(f"http://127.0.0.1:{server.port}/")
        wait(browser, lambda: text(browser, "state") == "ready")
        assert text(browser, "source-title") == "Features" and str(WIDTH) in text(browser, "drop-hint")
        choose(browser, tmp_path / "clip.mp4", b"12345")
        wait(browser, lambda: "no encoders" in text(browser, "problem-what"))


def test_the_saliency_panel_waits_for_pictures(page, tmp_path):
    choose(page, tmp_path / "clip.mp4", bytes([1, 2, 3, 4, 5]))
    wait(page, lambda: element(page, "found").is_displayed())
    assert not element(page, "saliency").is_displayed()
    dot = "data:image/gif;base64,R0lGODlhAQABAIAAAP///wAAACH5BAAAAAAALAAAAAABAAEAAAICRAEAOw=="
    page.execute_script(
        f"renderSaliency([{{word: 'man', image: '{dot}'}}, {{word: 'dog', image: '{dot}'}},"
        " {word: 'bad', image: 'http://example.org/x.png'}])"
    )
    assert [button.text for button in page.find_elements("css selector", "#saliency-words button")] == ["man", "dog"]
    page.find_elements("css selector", "#saliency-words button")[1].click()
    assert "dog" in element(page, "saliency-image").get_attribute("alt")
