"""The files of a recap, each whole or not at all: JSON, markdown, WebVTT chapters and subtitles, SRT."""

from __future__ import annotations

from pathlib import Path

from glrg_tf.io import atomic
from glrg_tf.recap.markdown import to_markdown
from glrg_tf.recap.recursion import RECAP_JSON, RECAP_MD
from glrg_tf.recap.subtitles import srt, webvtt
from glrg_tf.recap.timeline import Recap

CHAPTERS, CHAPTERS_SRT, SUBTITLES, SRT = "chapters.vtt", "chapters.srt", "clips.vtt", "clips.srt"


def write_texts(recap: Recap, folder: Path) -> list[Path]:
    """Writes every file of texts into an existing folder; returns their paths."""
    files = {
        CHAPTERS: webvtt(recap.segments, recap.summary.text if recap.summary else ""),
        CHAPTERS_SRT: srt(recap.segments),
        SUBTITLES: webvtt(recap.clips),
        SRT: srt(recap.clips),
    }
    for name, text in files.items():
        atomic.write_text(folder / name, text)
    # These two last: their checks tell edits from what was written, file by file.
    atomic.write_text(folder / RECAP_MD, to_markdown(recap))
    atomic.write_json(folder / RECAP_JSON, recap.to_json())
    return [folder / name for name in (*files, RECAP_MD, RECAP_JSON)]
