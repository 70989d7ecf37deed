"""The page of `glrg report clips`: a card a video."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from glrg_cli.html import parts
from glrg_cli.html.markup import Html, Part, page, tag
from glrg_cli.html.pictures import film

if TYPE_CHECKING:
    from glrg_cli.report_clip import Clip
    from glrg_tf.captioner.captioner import Caption, VideoCaptioner
    from glrg_tf.video.reader import VideoProbe

_SHOWN_REFERENCES = 4
_METRICS = {"Bleu_4": "BLEU-4", "METEOR": "METEOR", "ROUGE_L": "ROUGE-L", "CIDEr": "CIDEr"}


def render(
    title: str,
    captioner: VideoCaptioner,
    clips: Sequence[Clip],
    scores: dict[str, float] | None,
    seconds: float,
    notes: Sequence[str],
) -> str:
    """The whole page.

    Args:
        title: its head.
        captioner: who captioned.
        clips: the videos, in order.
        scores: of the best captions against what people wrote, 0..1.
        seconds: the work took.
        notes: paragraphs under the head.
    """
    return page(title, parts.grid(_card(clip) for clip in clips), lead=_lead(captioner, clips, scores, seconds, notes))


def _lead(
    captioner: VideoCaptioner,
    clips: Sequence[Clip],
    scores: dict[str, float] | None,
    seconds: float,
    notes: Sequence[str],
) -> list[Part]:
    captioned = [clip for clip in clips if clip.captions]
    different = len({clip.captions[0].text for clip in captioned})
    streams = ", ".join(f"{name} ({width})" for name, width in captioner.config.streams)
    facts: dict[str, Part] = {
        "captioned": f"{len(captioned)} of {len(clips)}",
        "different captions": different,
        "vocabularies": streams,
        "words it knows": f"{captioner.config.vocabulary_size:,}",
        "time": f"{seconds:.0f} s",
    }
    per_word = captioner.decoding.length_normalization > 0
    meaning = f"Behind a caption stands the natural logarithm of its probability{', a word' if per_word else ''}."
    lead: list[Part] = [*(tag("p", note) for note in notes), parts.facts(facts), tag("p", meaning)]
    if scores is not None:
        judged = [clip for clip in captioned if clip.references]
        sentences = sum(len(clip.references) for clip in judged)
        shown = {name: f"{100 * scores[key]:.1f}" for key, name in _METRICS.items() if key in scores}
        lead += [
            parts.facts(shown),
            tag("p", f"Scores of coco-caption in percent, over {len(judged)} videos with {sentences} sentences."),
        ]
    return lead


def _card(clip: Clip) -> Html:
    name = clip.item.path.name
    if clip.error is not None:
        refusal = "; ".join(filter(None, (clip.error.what, clip.error.remedy)))
        return parts.card(
            tag("p", name, class_="name"), parts.notes([refusal], "error"), _people(clip.references), kind="failed"
        )
    best, others = (clip.captions[0], clip.captions[1:]) if clip.captions else (None, [])
    frames = film(list(clip.frames.images), name) if clip.frames is not None and len(clip.frames.images) else None
    return parts.card(
        frames,
        tag("p", name, class_="name"),
        tag("p", best.text or "(no words)", " ", _score(best), class_="caption") if best else None,
        [tag("h3", "also"), tag("ul", [tag("li", c.text, " ", _score(c)) for c in others], class_="sentences")]
        if others
        else None,
        clip.saliency,
        _people(clip.references),
        [[tag("h3", stream.replace("_", " ")), parts.bars(words)] for stream, words in clip.words.items()],
        parts.facts(_facts(clip)),
        parts.notes(clip.warnings),
    )


def _people(references: Sequence[str]) -> list[Part] | None:
    if not references:
        return None
    return [tag("h3", "people"), parts.sentences(references, _SHOWN_REFERENCES)]


def _score(caption: Caption) -> Html:
    return tag("span", f"{caption.score:.2f}", class_="score")


def _facts(clip: Clip) -> dict[str, Part]:
    expected, decoded, used = clip.counts
    counted = f"{decoded}" if decoded == expected else f"{decoded} of {expected}"
    facts: dict[str, Part] = {"frames": f"{counted}, {used} looked at"}
    return {**_file_facts(clip.frames.probe), **facts} if clip.frames is not None else facts


def _file_facts(probe: VideoProbe) -> dict[str, Part]:
    rate = f"{probe.frame_rate:.3g} frames/s" + (", varying" if probe.variable_frame_rate else "")
    size = f"{probe.width}×{probe.height}" + (f", turned {probe.rotation}°" if probe.rotation else "")
    return {"codec": probe.codec, "size": size, "length": f"{probe.duration:.1f} s", "rate": rate}
