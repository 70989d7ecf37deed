"""`glrg explain --pointing-game`: how well the maps of words lie on what the words name."""

from __future__ import annotations

import argparse
import dataclasses
from typing import TYPE_CHECKING

from glrg_cli.common import Console

if TYPE_CHECKING:
    from glrg_tf.explain.captioners import Captioner
    from glrg_tf.explain.pointing_game import Score


def play(captioner: Captioner, args: argparse.Namespace, console: Console) -> int:
    """Plays on a world, or on Flickr30k Entities."""
    from glrg_tf.explain.cells import OTHERS
    from glrg_tf.explain.explanation import TOLERANCE

    others, tolerance = args.others or OTHERS[0], 0.0 if args.exact else TOLERANCE
    if (args.video / "truth.jsonl").is_file():
        from glrg_tf.explain.world_game import GameSettings, play_world

        settings = GameSettings(
            split=args.split,
            clips=args.clips or 0,
            mode=args.mode,
            others=others,
            fine=args.fine,
            tolerance=tolerance,
        )
        with console.progress(None, "playing", "clips") as bar:
            found = play_world(captioner, args.video, settings, bar.update)
        _table({**found.phrases, "nouns alone": found.nouns}, console)
        if found.mass_pairs:
            console.line(f"motion words inside their motion's interval: {found.mass:.3f} of {found.mass_pairs} maps")
        mass = {"motion_mass": found.mass, "motion_maps": found.mass_pairs} if found.mass_pairs else {}
        console.result({"phrases": _plain(found.phrases), "nouns": dataclasses.asdict(found.nouns), **mass})
        return 0
    from glrg_tf.explain.entities import play_entities
    from glrg_tf.explain.explanation import ExplainSettings

    how = ExplainSettings(mode=args.mode, others=others, fine=args.fine, tolerance=tolerance)
    with console.progress(None, "playing", "images") as bar:
        scores = play_entities(captioner, args.video, args.clips or 0, how, bar.update)
    _table(scores, console)
    console.result({"phrases": _plain(scores)})
    return 0


def _table(scores: dict[str, Score], console: Console) -> None:
    rows = [
        (name, one.plays, *(f"{value:.3f}" for value in (one.accuracy, one.centre, one.random, one.correctness)))
        for name, one in scores.items()
    ]
    console.table("Pointing game", ("phrases of", "plays", "hits", "centre", "random", "mass inside"), rows)


def _plain(scores: dict[str, Score]) -> dict[str, dict[str, float]]:
    return {name: dataclasses.asdict(one) for name, one in scores.items()}
