"""`glrg report`: HTML pages that need nothing beside themselves. Each form is a module of its own."""

from __future__ import annotations

import argparse
import importlib
import importlib.util

from glrg_cli.common import Console
from glrg_cli.parser import Parser

HELP = "write an HTML page: captioned videos, runs"
DESCRIPTION = """\
Writes one self-contained HTML file, which loads nothing from the network. Without a form's name `runs` is meant."""

# form -> (module with DESCRIPTION, EXAMPLES, add_arguments and run; one line). Those of other versions are not listed.
FORMS = {
    "clips": ("glrg_cli.report_clips", "captions of videos beside what people wrote about them"),
    "runs": ("glrg_cli.report_runs", "training runs: curves, scores, captions"),
}
DEFAULT_FORM = "runs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the forms of this version."""
    forms = parser.add_subparsers(dest="form", metavar="FORM", required=True)
    found = {name: entry for name, entry in FORMS.items() if importlib.util.find_spec(entry[0]) is not None}
    for name, (module_name, summary) in found.items():
        module = importlib.import_module(module_name)
        child = forms.add_parser(name, help=summary, description=module.DESCRIPTION, epilog=module.EXAMPLES)
        module.add_arguments(child)
        child.set_defaults(_form=module.run)
    if DEFAULT_FORM in found and isinstance(parser, Parser):
        parser.default_command = DEFAULT_FORM


def run(args: argparse.Namespace, console: Console) -> int:
    """Writes the page of the chosen form."""
    return int(args._form(args, console) or 0)
