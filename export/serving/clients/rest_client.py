"""Captions from TF Serving, or from `glrg serve`, over REST. Needs Python and numpy only.

    python rest_client.py features.npy --url http://localhost:8501
    python rest_client.py features.npy --captions 5          # all hypotheses of the search, best first

The features, (N, D), one row a video, are a .npy file or a .json file with a list of lists.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import urllib.error
import urllib.request

import numpy as np

BATCH = 32  # videos in one request
PATIENCE = 5  # times that a server which is busy is asked again


def predict(url: str, features: np.ndarray, signature: str, model: str = "captioner") -> dict[str, list]:
    """The outputs of a signature for features float32 (N, D): name -> one value a video.

    Raises:
        RuntimeError: the server refuses the request; with what it says.
    """
    # Column form: the outputs come named, whole batches each.
    body = json.dumps({"signature_name": signature, "inputs": {"features": features.tolist()}}).encode()
    headers = {"Content-Type": "application/json"}
    if token := os.environ.get("GLRG_SERVE_TOKEN"):
        headers["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(f"{url}/v1/models/{model}:predict", body, headers)  # noqa: S310
    for attempt in range(PATIENCE + 1):
        try:
            with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310
                return json.load(response)["outputs"]
        except urllib.error.HTTPError as error:
            said = error.read().decode("utf-8", "replace")
            if error.code not in (429, 503) or attempt == PATIENCE:
                raise RuntimeError(f"{error.code}: {said}") from None
            time.sleep(float(error.headers.get("Retry-After") or 1) * (1 + attempt))
    raise RuntimeError("unreachable")


def captions(url: str, features: np.ndarray, count: int, model: str) -> list[list[dict]]:
    """`count` captions of each video, best first: text and score."""
    found = []
    for start in range(0, len(features), BATCH):
        part = features[start : start + BATCH]
        if count == 1:
            outputs = predict(url, part, "serving_default", model)
            rows = [[pair] for pair in zip(outputs["caption"], outputs["score"], strict=True)]
        else:
            outputs = predict(url, part, "beam", model)
            pairs = zip(outputs["captions"], outputs["scores"], strict=True)
            rows = [list(zip(texts, scores, strict=True))[:count] for texts, scores in pairs]
        found += [[{"text": text, "score": score} for text, score in row] for row in rows]
    return found


def main() -> None:
    """Asks for captions and writes them as JSON lines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("features")
    parser.add_argument("--url", default="http://localhost:8501")
    parser.add_argument("--model", default="captioner")
    parser.add_argument("--captions", type=int, default=1, metavar="N")
    args = parser.parse_args()
    with open(args.features, "rb") as file:
        features = np.asarray(np.load(file) if args.features.endswith(".npy") else json.load(file), np.float32)
    for row in captions(args.url, features, args.captions, args.model):
        sys.stdout.write(json.dumps(row, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
