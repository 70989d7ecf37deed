"""The `glrg` command: finds the subcommand, loads only its module, and turns errors into exit codes.

Exit codes: 0 done · 1 unexpected failure (a bug) · 2 bad usage or configuration · 3 done, but some inputs failed ·
4 input data refused · 5 checkpoint or artefact refused · 130 interrupted (state saved where the command says so).
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import importlib.util
import signal
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence

from glrg_cli.common import Console, OutputClosedError
from glrg_cli.parser import Parser, add_common_options, fill_common_defaults, nearest
from glrg_cli.quiet import hush_tensorflow
from glrg_tf.errors import ConfigError, DataError, GlrgError

EXIT_BUG = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130

# group -> command -> (module, one line). A command whose module is not part of this version is not listed.
GROUPS: dict[str, dict[str, tuple[str, str]]] = {
    "Data": {
        "data": ("glrg_cli.data", "import, verify and download caption datasets"),
        "extract": ("glrg_cli.extract", "turn videos into features"),
        "world": ("glrg_cli.world", "render the sample world: clips, captions and the truth about them"),
    },
    "Train": {
        "train": ("glrg_cli.train", "train a captioner: XE or DXE seeding, then DR boosting"),
        "train-encoder": ("glrg_cli.train_encoder", "train an encoder: words, actions or classes of videos"),
        "train-s2vt": ("glrg_cli.train_s2vt", "train an S2VT captioner: reads position after position"),
        "plus": ("glrg_cli.plus", "better captions from a trained captioner, nothing trained"),
        "glove": ("glrg_cli.glove", "Visual GloVe: semantics of clips without labels, as a stream"),
        "recap": ("glrg_cli.recap", "caption long video: clips, segments of minutes, a summary"),
    },
    "Use and measure": {
        "caption": ("glrg_cli.caption", "write captions for videos and feature files"),
        "evaluate": ("glrg_cli.evaluate", "score a captioner on a dataset (BLEU, METEOR, ROUGE-L, CIDEr)"),
        "explain": ("glrg_cli.explain", "show where and when each word of a caption looked"),
        "report": ("glrg_cli.report", "write an HTML page: captioned videos, runs"),
        "score": ("glrg_cli.score", "score any system's captions"),
        "export": ("glrg_cli.export", "write a captioner as SavedModel, ONNX or LiteRT files"),
        "serve": ("glrg_cli.serve", "caption over HTTP: TF Serving's REST interface, and a page"),
    },
    "Bring in and look around": {
        "convert": ("glrg_cli.convert", "turn PyTorch weights into a captioner or a backbone"),
        "zoo": ("glrg_cli.zoo", "reproduce the published table from the original release"),
        "ablate": ("glrg_cli.ablate", "the paper's ablation tables on any dataset"),
        "bench": ("glrg_cli.bench", "measure our speed against the plain form"),
        "checks": ("glrg_cli.checks", "what is installed and works on this machine, and what to do about the rest"),
        "completion": ("glrg_cli.completion", "let the shell complete commands and options (bash, zsh, fish)"),
        "demo": ("glrg_cli.demo", "the whole path on a small made-up dataset, in minutes"),
    },
}

EXAMPLES = """\
From captions to a captioner:
  glrg data import msrvtt ../shared/data/msrvtt --out data/msrvtt
  glrg train --data data/msrvtt --out runs/a --recipe glrg
  glrg evaluate runs/a --data data/msrvtt --split val
  glrg caption runs/a ../shared/data/msrvtt/val/gl_feats.h5 --n 3"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one `glrg` command line and returns its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    console = Console(debug="--debug" in words, quiet="--quiet" in words, json_output="--json" in words)
    try:
        with _interruptible():
            code = _dispatch(words, console)
            console.flush()
            return code
    except OutputClosedError:
        return 0  # the reader (`| head`) has seen enough
    except KeyboardInterrupt:
        console.error("interrupted" + (f": {console.interrupt_note}" if console.interrupt_note else ""))
        return EXIT_INTERRUPTED
    except GlrgError as error:
        return _refuse(error, console)
    except OSError as error:
        known = _explain(error, words)
        return _refuse(known, console) if known else _bug(error, console)
    except Exception as error:
        return _bug(error, console)


def commands() -> dict[str, tuple[str, str]]:
    """The commands of this version: name -> (module, one line)."""
    return {name: entry for group in GROUPS.values() for name, entry in group.items() if _exists(entry[0])}


def build_parser(name: str) -> Parser:
    """The full parser of one command; imports that command's module and no other."""
    module_name, summary = commands()[name]
    module = importlib.import_module(module_name)
    parser = Parser(prog=f"glrg {name}", description=getattr(module, "DESCRIPTION", getattr(module, "HELP", summary)))
    module.add_arguments(parser)
    if parser.epilog is None:
        parser.epilog = getattr(module, "EXAMPLES", None)
    add_common_options(parser)
    parser.set_defaults(_run=module.run)
    return parser


def help_text() -> str:
    """What `glrg --help` prints."""
    available = commands()
    width = max(map(len, available))
    lines = ["GL-RG on TensorFlow: learns to caption videos, and captions them.", "", "usage: glrg COMMAND [options]"]
    for group, entries in GROUPS.items():
        rows = [f"  {name:{width}s}  {entry[1]}" for name, entry in entries.items() if name in available]
        if rows:
            lines += ["", group, *rows]
    lines += ["", EXAMPLES, "", "`glrg COMMAND --help` teaches one command. Every command takes"]
    lines += ["--seed N, --json (one JSON document on standard output), --quiet and --debug.", ""]
    lines += ["Exit codes: 0 done · 1 a bug · 2 bad usage or settings · 3 some inputs failed"]
    lines += ["· 4 input data refused · 5 checkpoint refused · 130 interrupted"]
    return "\n".join(lines)


def _dispatch(words: list[str], console: Console) -> int:
    # Shared options may come before the command: `glrg --json evaluate ...`.
    leading = []
    while words and words[0] in ("--json", "--quiet", "--debug"):
        leading.append(words.pop(0))
    if not words:
        console.error("no command given\n\n" + help_text())
        return EXIT_USAGE
    name, rest = words[0], words[1:] + leading
    if name == "help" and rest:
        name, rest = rest[0], [*rest[1:], "--help"]
    if name in ("-h", "--help", "help"):
        console.write(help_text())
        return 0
    if name in ("-V", "--version"):
        console.write(_version())
        return 0
    if name not in commands():
        near = nearest(name, commands())
        what = f"unknown option '{name}'" if name.startswith("-") else f"there is no command '{name}'"
        raise ConfigError(what, remedy=f"did you mean `glrg {near}`?" if near else "`glrg --help` lists the commands")
    return run_command(name, rest, console)


def run_command(name: str, rest: list[str], console: Console) -> int:
    """Runs one command with its arguments.

    Raises:
        GlrgError: bad usage, or what the command refuses.
    """
    if not console.debug:
        hush_tensorflow()
        warnings.simplefilter("ignore")
    parser = build_parser(name)
    try:
        args = parser.parse_strictly(rest)
    except SystemExit as leave:  # argparse's --help: printed, done
        return int(leave.code or 0)
    fill_common_defaults(args)
    with console.only_results_on_stdout():
        return int(args._run(args, console) or 0)


def _exists(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _version() -> str:
    from importlib import metadata

    try:
        version = metadata.version("glrg-tf")
    except metadata.PackageNotFoundError:
        version = "(not installed)"
    return f"glrg {version}, Python {sys.version.split()[0]}"


def _refuse(error: GlrgError, console: Console) -> int:
    if console.debug:
        console.error(traceback.format_exc().rstrip())
    lines = [error.what]
    if error.where:
        lines.append(f"where: {error.where}")
    if error.remedy:
        lines.append(f"what to do: {error.remedy}")
    console.error("\n  ".join(lines))
    return error.exit_code


def _bug(error: BaseException, console: Console) -> int:
    if console.debug:
        console.error(traceback.format_exc().rstrip())
        return EXIT_BUG
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or ["no message"]
    summary = (lines[-1] if lines[0].endswith(":") else lines[0])[:300]  # TensorFlow puts the cause last
    console.error(f"unexpected failure: {type(error).__name__}: {summary} (run again with --debug to see where)")
    return EXIT_BUG


def _explain(error: OSError, words: list[str]) -> GlrgError | None:
    """Names the operating system's refusals that a user can mend; None for what looks like our own mistake."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ConfigError("the disk is full", where=error.filename, remedy="free some space and run again")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return ConfigError("no permission", where=error.filename, remedy="choose another place, or change its rights")
    named = isinstance(error.filename, str) and any(word and error.filename.startswith(word) for word in words)
    if named and error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EISDIR):
        return DataError((error.strerror or "no such file").lower(), where=error.filename, remedy="check the path")
    return None


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Makes a polite kill (SIGTERM, a closed terminal) the same as Ctrl-C, so that commands save their state."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    previous = {}
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        # Not the main thread: signals are somebody else's. Ignored (nohup): it stays so.
        with contextlib.suppress(ValueError):
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                previous[number] = signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


__all__ = ["build_parser", "commands", "help_text", "main"]
