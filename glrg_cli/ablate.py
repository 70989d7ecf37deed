"""`glrg ablate`: the paper's ablation tables on any dataset, and the studies of other modules."""

from __future__ import annotations

import argparse
import importlib
import importlib.util

from glrg_cli import ablate_job, ablate_tables
from glrg_cli.common import Console

HELP = "the paper's ablation tables on any dataset"
DESCRIPTION = """\
Trains the same captioner with one thing changed at a time, several seeds each, and prints what each thing is worth.
Trainings that several tables need are shared, and an interrupted study goes on where it was: tables in one --out cost
little more than the longest."""

# Further studies: name -> module with SUMMARY, EXAMPLES, add_arguments and run. Those of other versions are not listed.
STUDIES = {"ingredients": "glrg_cli.ablate_ingredients"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the studies of this version."""
    studies = parser.add_subparsers(dest="study", metavar="STUDY", required=True)
    for name, summary in ablate_tables.SUMMARIES.items():
        child = studies.add_parser(name, help=summary, description=summary, epilog=ablate_tables.EXAMPLES)
        ablate_tables.add_arguments(child, name)
        child.set_defaults(_study=ablate_tables.run)
    for name, module_name in STUDIES.items():
        if importlib.util.find_spec(module_name) is not None:
            module = importlib.import_module(module_name)
            child = studies.add_parser(name, help=module.SUMMARY, description=module.SUMMARY, epilog=module.EXAMPLES)
            module.add_arguments(child)
            child.set_defaults(_study=module.run)
    summary = ablate_job.SUMMARY
    child = studies.add_parser("job", help=summary, description=summary, epilog=ablate_job.EXAMPLES)
    ablate_job.add_arguments(child)
    child.set_defaults(_study=ablate_job.run)


def run(args: argparse.Namespace, console: Console) -> int:
    """Runs the chosen study."""
    return int(args._study(args, console) or 0)
