"""Starts the workers of a run: `TF_CONFIG` for each, one end for all.

    python -m training.launch --workers 2 -- glrg train --data data/a --out runs/a --strategy multiworker
    python -m training.launch --hosts a:12345,b:12345 --index 0 -- glrg train …      on each machine, its own index

The first worker, the chief, talks on this terminal; each other one writes a file, which is shown when it fails. Ctrl-C
and SIGTERM go to all of them. When one fails the others are stopped, for they would wait for it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

GRACE = 20.0  # seconds between asking a worker to stop and ending it
_POLL = 0.1  # seconds
_SHOWN = 20  # last lines of a worker that failed


def tf_config(addresses: Sequence[str], index: int) -> str:
    """`TF_CONFIG` of worker `index` of those at `addresses` (host:port)."""
    return json.dumps({"cluster": {"worker": list(addresses)}, "task": {"type": "worker", "index": index}})


def local_addresses(workers: int) -> list[str]:
    """Addresses on this machine at which nobody listens now."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(workers)]
        for one in sockets:
            one.bind(("localhost", 0))
        return [f"localhost:{one.getsockname()[1]}" for one in sockets]


def launch(command: Sequence[str], addresses: Sequence[str], indices: Sequence[int], logs: Path) -> int:
    """Runs workers of a run on this machine and waits for all of them.

    Args:
        command: of every worker.
        addresses: of all workers of the run.
        indices: the workers to start here; the first talks on this terminal.
        logs: folder for what the others say.

    Returns:
        0, or the exit code of the worker that failed first.
    """
    with contextlib.ExitStack() as held:
        processes: list[subprocess.Popen[bytes]] = []
        held.callback(_end, processes)  # from the first worker on: a second that cannot start leaves nobody behind
        for place, index in enumerate(indices):
            out = held.enter_context(open(logs / f"worker-{index}.log", "wb")) if place else None
            environment = {**os.environ, "TF_CONFIG": tf_config(addresses, index)}
            # A session of its own: Ctrl-C comes to each worker once, from here.
            processes.append(subprocess.Popen(command, env=environment, stdout=out, stderr=out, start_new_session=True))
        with _forwarded(processes):
            code, failed = _wait(processes)
    if failed:
        path = logs / f"worker-{indices[failed]}.log"
        lines = path.read_text("utf-8", "replace").splitlines()[-_SHOWN:]
        sys.stderr.write("\n".join([f"worker {indices[failed]} ended with {code}; the end of {path}:", *lines, ""]))
    return code


def main(words: Sequence[str] | None = None) -> int:
    """Reads the arguments and launches; returns the exit code."""
    args, command = parse(sys.argv[1:] if words is None else list(words))
    addresses = args.hosts.split(",") if args.hosts else local_addresses(args.workers)
    indices = range(len(addresses)) if args.index is None else [args.index]
    logs = Path(args.logs or tempfile.mkdtemp(prefix="glrg-workers-"))
    logs.mkdir(parents=True, exist_ok=True)
    try:
        return launch(command, addresses, indices, logs)
    except OSError as error:
        sys.stderr.write(f"{command[0]} cannot be started ({error.strerror})\n")
        return 127  # as shells answer


def parse(words: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """The options, and the command after `--`."""
    parser = argparse.ArgumentParser(
        prog="python -m training.launch", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--workers", type=int, metavar="N", help="so many workers on this machine")
    where.add_argument("--hosts", metavar="HOST:PORT,…", help="addresses of all workers, the same list everywhere")
    parser.add_argument("--index", type=int, metavar="N", help="with --hosts: start only this worker, counted from 0")
    parser.add_argument("--logs", metavar="DIR", help="folder for what the other workers say (default: a new one)")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="-- COMMAND", help="what every worker runs")
    args = parser.parse_args(words)
    command = args.command[1:] if args.command[:1] == ["--"] else args.command
    hosts = args.hosts.split(",") if args.hosts else []
    if not command:
        parser.error("no command after --")
    if (args.workers if args.workers is not None else len(hosts)) < 2:
        parser.error("a run has two workers or more")
    if not all(_is_address(host) for host in hosts):
        parser.error(f"--hosts {args.hosts}: every one is HOST:PORT")
    if args.index is not None and not 0 <= args.index < len(hosts):
        parser.error(f"--index {args.index}: --hosts names workers 0 to {len(hosts) - 1}")
    return args, command


def _is_address(text: str) -> bool:
    host, _, port = text.rpartition(":")
    return bool(host) and port.isdecimal() and 0 < int(port) < 65536


def _wait(processes: list[subprocess.Popen[bytes]]) -> tuple[int, int]:
    """The exit code and place of the first worker that fails; 0, 0 when all end well."""
    while True:
        codes = [process.poll() for process in processes]
        for place, code in enumerate(codes):
            if code:
                return (code if code > 0 else 128 - code), place
        if all(code == 0 for code in codes):
            return 0, 0
        time.sleep(_POLL)


def _end(processes: list[subprocess.Popen[bytes]]) -> None:
    """Asks the workers that are left to stop, then ends them."""
    for process in processes:
        if process.poll() is None:
            process.terminate()
    limit = time.monotonic() + GRACE
    for process in processes:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, limit - time.monotonic()))
        if process.poll() is None:
            process.kill()
            process.wait()


@contextlib.contextmanager
def _forwarded(processes: list[subprocess.Popen[bytes]]) -> Iterator[None]:
    """Hands Ctrl-C and SIGTERM to the workers, which save and stop, while the block runs."""

    def forward(number: int, frame: object) -> None:
        for process in processes:
            if process.poll() is None:
                process.send_signal(number)

    before = {number: signal.signal(number, forward) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    sys.exit(main())
