"""Asks a server many times at once and says how it did. Needs Python only.

    python load_generator.py features.json --url http://localhost:8501 --requests 20000 --clients 32

The features are a .json file with a list of lists, one row a video; requests take the rows in turn. Each client keeps
one connection and asks again as soon as it has its answer. `run` is the same for programs.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import http.client
import itertools
import json
import sys
import threading
import time
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

Check = Callable[[int, bytes], bool]


@dataclasses.dataclass
class Load:
    """What came of it."""

    seconds: float = 0.0  # wall time of all
    latencies: list[float] = dataclasses.field(default_factory=list)  # seconds of each answer with status 200
    statuses: collections.Counter = dataclasses.field(
        default_factory=collections.Counter
    )  # status or "broken" -> times
    wrong: int = 0  # answers with status 200 that the check refused
    refusals: list[float] = dataclasses.field(default_factory=list)  # seconds until a 429 or 503

    def percentile(self, share: float) -> float:
        """Seconds within which this share of the good answers came; NaN without any."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


def run(
    url: str,
    bodies: Sequence[bytes],
    requests: int,
    clients: int,
    path: str = "/v1/models/captioner:predict",
    check: Check = lambda number, answer: True,
    headers: dict[str, str] | None = None,
    progress: Callable[[int], None] = lambda count: None,
) -> Load:
    """Sends `requests` requests from `clients` connections at once.

    Args:
        url: the server.
        bodies: JSON bodies; request i sends number i modulo their count.
        requests: how many in all.
        clients: connections that ask at once.
        path: what is asked.
        check: told the number of the body and the answer; False counts it as wrong.
        headers: sent with each request.
        progress: told the requests that were answered, now and then.
    """
    address, load, lock, numbers = urlsplit(url), Load(), threading.Lock(), itertools.count()

    def ask() -> None:
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=120)
        while (number := next(numbers)) < requests:
            body, started = bodies[number % len(bodies)], time.perf_counter()
            try:
                connection.request("POST", path, body, {"Content-Type": "application/json", **(headers or {})})
                response = connection.getresponse()
                answer, status = response.read(), response.status
            except (OSError, http.client.HTTPException):
                connection.close()
                answer, status = b"", "broken"
            spent = time.perf_counter() - started
            wrong = status == 200 and not check(number % len(bodies), answer)
            with lock:
                load.statuses[status] += 1
                load.wrong += wrong
                if status == 200:
                    load.latencies.append(spent)
                elif status in (429, 503):
                    load.refusals.append(spent)
                done = sum(load.statuses.values())
            if done % 50 == 0:
                progress(50)
        connection.close()

    threads = [threading.Thread(target=ask) for _ in range(clients)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    load.seconds = time.perf_counter() - started
    return load


def main() -> None:
    """Runs the load that the command line asks for and writes one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("features")
    parser.add_argument("--url", default="http://localhost:8501")
    parser.add_argument("--model", default="captioner")
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--clients", type=int, default=8)
    args = parser.parse_args()
    with open(args.features, encoding="utf-8") as file:
        bodies = [json.dumps({"instances": [{"features": row}]}).encode() for row in json.load(file)]
    load = run(args.url, bodies, args.requests, args.clients, f"/v1/models/{args.model}:predict")
    found = {f"p{round(100 * share)}_ms": round(1000 * load.percentile(share), 2) for share in (0.5, 0.95, 0.99)}
    found |= {"requests_per_s": round(args.requests / load.seconds, 1), "statuses": dict(load.statuses)}
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
