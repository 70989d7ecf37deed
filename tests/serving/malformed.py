"""Requests of many kinds, all of them wrong; also what `glrg bench serve` sends."""

from __future__ import annotations

import json
import random

from tests.serving.live import form

PREDICT = "/v1/models/captioner:predict"


def malformed(rng: random.Random, width: int) -> list[tuple[str, bytes, dict[str, str]]]:
    """Requests of many kinds, all of them wrong."""
    as_json, found = {"Content-Type": "application/json"}, []
    good = json.dumps({"instances": [{"features": [0.5] * width}]})
    bodies = [
        "",
        "{",
        "null",
        "[]",
        "3",
        '"x"',
        "{}",
        "\0",
        "NaN",
        '{"instances": []}',
        '{"instances": {}}',
        "[" * 9999,
    ]
    bodies += ['{"instances": null}', '{"inputs": null}', '{"instances": [1], "inputs": [1]}', '{"inputs": {"x": 1}}']
    bodies += ['{"instances": [{"features": [1]}]}', '{"instances": [{"features": "x"}]}', '{"instances": [[]]}']
    bodies += [
        good.replace("0.5", word, 1) for word in ("NaN", "Infinity", "1e999", '"a"', "null", "{}", "[]", "true2")
    ]
    bodies += [good[:-1] + f', "signature_name": {name}}}' for name in ("3", "[]", '"x"', "{}", '"' + "y" * 5000 + '"')]
    bodies += ["9" * 5000, good.replace("0.5", "9" * 5000, 1), '{"instances": ' + "[" * 100 + "1" + "]" * 100 + "}"]
    bodies += [good[: rng.randrange(1, len(good) - 1)] for _ in range(60)]
    found += [(PREDICT, body.encode(), as_json) for body in bodies]
    found += [(PREDICT, bytes(rng.randrange(256) for _ in range(rng.randrange(1, 300))), as_json) for _ in range(40)]
    for n in ('"x"', "0", "99", "-1", "1.5", "null", "true", "[]"):
        found.append(("/v1/caption", f'{{"features": {[0] * width}, "n": {n}}}'.encode(), as_json))
    for features in (
        "1",
        "{}",
        '{"long_range": [1, 2, 3]}',
        '{"long_range": [1], "keyframe": [1, 2]}',
        "[[1]]",
        "[1e39]",
    ):
        found.append(("/v1/caption", f'{{"features": {features}}}'.encode(), as_json))
    found += [
        ("/v1/caption", b"x", {"Content-Type": kind}) for kind in ("", "text/plain", "video/mp4", "multipart/x", "\t")
    ]
    body, headers = form(b"abcdefgh", n="1")
    found += [("/v1/caption", body[: rng.randrange(len(body) - 8)], headers) for _ in range(40)]
    boundaries = ("", "; boundary=", "; boundary=" + "x" * 300, "; boundary=other", '; boundary="')
    found += [("/v1/caption", body, {"Content-Type": f"multipart/form-data{boundary}"}) for boundary in boundaries]
    wrong_forms = [form(b""), form(b"bad file"), form(b"abcdefgh", field="film"), form(b"abcdefgh", n="9")]
    found += [("/v1/caption", body, headers) for body, headers in wrong_forms]
    twice = body.replace(b"--b--", b"--b") + body
    found += [("/v1/caption", twice, headers), ("/v1/caption", *form(b"abcdefgh", n="1" * 5000))]
    found += [("/v1/caption", *form(b"abcdefgh", **{f"f{i}": "x" for i in range(20)}))]
    found += [("/nowhere", b"x", {}), ("/healthz", b"x", {}), ("/v1/caption/", b"{}", as_json), ("/%00", b"", {})]
    return found
