"""The timeline of one long video: summary, chapters, clips with pictures, a search box; one file, nothing loaded."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from glrg_cli.html.markup import Html, Part, page, tag
from glrg_cli.html.parts import facts, notes
from glrg_cli.html.recap_look import CSS, SCRIPT

if TYPE_CHECKING:
    from glrg_tf.recap.timeline import Recap, Told

Picture = Callable[[int], bytes]  # the JPEG of a clip; empty without one


def recap_page(recap: Recap, picture: Picture) -> str:
    """The page of a recap.

    Args:
        recap: its texts.
        picture: the small JPEG of each clip.
    """
    from glrg_tf.recap.timeline import clock

    title = str(recap.video["name"])
    counts: dict[str, Part] = {
        "length": clock(math.ceil(recap.video["duration"])),
        "chapters": len(recap.segments),
        "clips": len(recap.clips),
        "captioner": str(recap.captioner["name"]),
    }
    summary = tag("p", _told(recap.summary), _by_hand(recap.summary), class_="summary") if recap.summary else None
    lead = [summary, facts(counts), notes(recap.notes)]
    segments = [
        _segment(recap, number, picture, only=len(recap.segments) == 1) for number in range(len(recap.segments))
    ]
    return page(title, _finder(recap.segments), segments, lead=lead, css=CSS, script=SCRIPT, policy="media-src blob:")


def _finder(segments: Iterable[Told]) -> Html:
    """The search box and the bar of chapters, which stay in sight."""
    from glrg_tf.recap.timeline import clock

    blocks = []
    for told in segments:
        when = clock(told.window.start)
        name = f"{when} {told.text}"
        style = f"flex:{1000 * told.window.duration:.0f} 1 0"
        blocks.append(tag("a", when, href=f"#s{told.window.index}", title=name, aria_label=name, style=style))
    label = "search all texts"
    box = tag("input", type="search", id="find", placeholder=f"{label}  ( / )", aria_label=label, autocomplete="off")
    button = tag("button", "unfold", type="button", id="all", title="open or close all chapters")
    # The reader's own file, which the page shows and sends nowhere.
    pick = tag("input", type="file", id="pick", accept="video/*", aria_label="open the video to play along")
    play = tag("label", "play along", pick, class_="pick", title="open the video file to play along")
    row = tag("div", box, button, play, class_="row script", hidden=True)
    film = tag("video", id="film", controls=True, hidden=True)
    found = tag("output", id="found", aria_live="polite", class_="script", hidden=True)
    return tag("div", film, row, found, tag("nav", blocks, class_="bar-time", aria_label="chapters"), class_="find")


def _segment(recap: Recap, number: int, picture: Picture, *, only: bool) -> Html:
    from glrg_tf.recap.timeline import clock

    told, own = recap.segments[number], recap.members[number]
    image = _image(picture(own[len(own) // 2]))
    count = f"{len(own)} clip" + ("s" if len(own) != 1 else "")
    when = tag("span", f"{clock(told.window.start)} – {clock(math.ceil(told.window.end))}", class_="when")
    text = tag("div", when, " ", tag("span", count, class_="count"), _by_hand(told), tag("div", _told(told)))
    head = tag("summary", image, text, class_=None if image else "bare")
    clips = [_clip(recap.clips[index], picture(index)) for index in own]
    return tag("details", head, tag("ol", clips, class_="clips"), "\n", class_="segment", id=f"s{number}", open=only)


def _clip(told: Told, data: bytes) -> Html:
    from glrg_tf.recap.timeline import clock

    image = _image(data)
    when = tag("a", clock(told.window.start), class_="when", href=f"#c{told.window.index}")
    text = tag("span", _told(told), " ", _by_hand(told))
    start = f"{told.window.start:.3f}"
    return tag(
        "li", image, when, text, id=f"c{told.window.index}", class_="pictured" if image else None, data_start=start
    )


def _told(told: Told) -> Html:
    """The text, and once more as an attribute, from which the script marks what is found."""
    return tag("span", told.text, class_="told", data_text=told.text)


def _by_hand(told: Told) -> Html | None:
    return tag("span", "by hand", class_="hand") if told.source == "user" else None


def _image(data: bytes) -> Html | None:
    if not data:
        return None
    uri = "data:image/jpeg;base64," + base64.b64encode(data).decode("ascii")
    return tag("img", src=uri, alt="", loading="lazy")
