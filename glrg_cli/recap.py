"""`glrg recap`: captions of long video, level by level (Video ReCap): train, evaluate, pseudo, run."""

from __future__ import annotations

import argparse
import importlib
import importlib.util

from glrg_cli.common import Console

HELP = "caption long video: clips, segments of minutes, a summary"
DESCRIPTION = """\
Captions of hour-long video in three levels (Video ReCap, arXiv 2402.13250): clips of a few seconds, segments of a few
minutes, one summary. Each level reads a feature vector a clip, and the texts written one level below."""
EXAMPLES = """\
examples:
  glrg recap train --data data/stories --features features --out runs/recap
  glrg recap evaluate runs/recap --data data/stories --features features --split test
  glrg recap run runs/recap hour.mp4 --out hour
`glrg recap ACTION --help` teaches one action."""
# action -> (module, one line); one whose module is not part of this version is not listed
ACTIONS = {
    "features": ("glrg_cli.recap_features", "look at every clip of long videos once, for training"),
    "train": ("glrg_cli.recap_train", "clips, then segments, then summaries, each from what the one below wrote"),
    "evaluate": ("glrg_cli.recap_evaluate", "CIDEr, ROUGE-L and METEOR of each level"),
    "pseudo": ("glrg_cli.recap_pseudo", "let a teacher that reads texts alone write what records lack"),
    "run": ("glrg_cli.recap_run", "caption a long video: chapters, summary, searchable timeline"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the actions."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, (module_name, summary) in ACTIONS.items():
        if importlib.util.find_spec(module_name) is None:
            continue
        module = importlib.import_module(module_name)
        action = actions.add_parser(
            name,
            help=summary,
            description=getattr(module, "DESCRIPTION", summary),
            epilog=getattr(module, "EXAMPLES", None),
        )
        module.add_arguments(action)


def run(args: argparse.Namespace, console: Console) -> int:
    """Runs the chosen action."""
    return int(importlib.import_module(ACTIONS[args.action][0]).run(args, console))
