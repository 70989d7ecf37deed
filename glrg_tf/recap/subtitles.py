"""Timed text for players: WebVTT chapters and subtitles, and SRT."""

from __future__ import annotations

from collections.abc import Iterable

from glrg_tf.recap.timeline import Told, one_line

MICROSECONDS_A_MILLISECOND = 1000


def webvtt(told: Iterable[Told], note: str = "") -> str:
    """A WebVTT file, one cue a text; empty texts are left out.

    Args:
        told: in order of time.
        note: a comment at its head; one line.
    """
    parts = ["WEBVTT\n"]
    if note:
        parts.append(f"NOTE {_escaped(note)}\n")
    for entry in told:
        if entry.text:
            window = entry.window
            times = f"{_time(window.start_us, '.')} --> {_time(window.end_us, '.')}"
            parts.append(f"{window.level}-{window.index + 1}\n{times}\n{_escaped(entry.text)}\n")
    return "\n".join(parts)


def srt(told: Iterable[Told]) -> str:
    """A SubRip file, one numbered subtitle a text; empty texts are left out."""
    cues: list[str] = []
    for entry in told:
        if entry.text:
            window = entry.window
            times = f"{_time(window.start_us, ',')} --> {_time(window.end_us, ',')}"
            # Players read <i> and the like as styles, and "-->" as times: neither may come out of a text.
            text = one_line(entry.text).replace("<", "‹").replace(">", "›")
            cues.append(f"{len(cues) + 1}\n{times}\n{text}\n")
    return "\n".join(cues)


def _time(microseconds: int, point: str) -> str:
    milliseconds = (microseconds + MICROSECONDS_A_MILLISECOND // 2) // MICROSECONDS_A_MILLISECOND
    seconds, milliseconds = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{point}{milliseconds:03d}"


def _escaped(text: str) -> str:
    return one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
