"""Who may ask: names of the server, origins, tokens; and what every answer carries."""

from __future__ import annotations

import pytest

from export.serving.settings import ServeSettings, is_loopback
from glrg_tf.errors import ConfigError
from tests.serving.live import WIDTH, LiveServer, PlainEngine

BODY = {"instances": [[0] * WIDTH]}
PREDICT = "/v1/models/captioner:predict"
TOKEN = "correct-horse-battery-staple"


@pytest.mark.parametrize("host", ["localhost", "localhost:1", "127.0.0.1:8501", "[::1]:8501", "127.9.9.9", "LOCALHOST"])
def test_names_of_this_machine_pass(server, host):
    assert server.ask("POST", PREDICT, BODY, {"Host": host}).status == 200


@pytest.mark.parametrize(
    "host", ["", "evil.example", "evil.example:8501", "127.0.0.1.evil.example", "[::1", "10.0.0.7"]
)
def test_names_of_others_do_not(server, host):
    answer = server.ask("POST", PREDICT, BODY, {"Host": host})
    assert answer.status == 403 and "Host" in answer.error


def test_a_name_can_be_allowed():
    with LiveServer(allowed_hosts=("captions.example",)) as server:
        assert server.ask("POST", PREDICT, BODY, {"Host": "Captions.Example:80"}).status == 200
        assert server.ask("POST", PREDICT, BODY, {"Host": "other.example"}).status == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},  # another port is another origin
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_pages_of_other_origins_are_refused_and_cors_stays_closed(server, headers):
    for method, body in (("POST", BODY), ("OPTIONS", None)):
        answer = server.ask(method, PREDICT, body, headers)
        assert answer.status == 403
        assert not [name for name in answer.headers if name.startswith("access-control")]


def test_the_own_page_passes(server):
    own = f"127.0.0.1:{server.port}"
    headers = {"Host": own, "Origin": f"http://{own}", "Sec-Fetch-Site": "same-origin"}
    assert server.ask("POST", PREDICT, BODY, headers).status == 200


def test_a_token_is_asked_for_where_there_is_one():
    with LiveServer(token=TOKEN) as server:
        for path in (PREDICT, "/v1/caption"):
            wrong = [{}, {"Authorization": TOKEN}, {"Authorization": f"Bearer {TOKEN}x"}, {"Authorization": "Bearer "}]
            for headers in wrong:
                answer = server.ask("POST", path, BODY, headers)
                assert answer.status == 401 and answer.headers["www-authenticate"] == "Bearer"
                assert TOKEN not in answer.body.decode()
        assert server.ask("POST", PREDICT, BODY, {"Authorization": f"Bearer {TOKEN}"}).status == 200
        assert server.ask("GET", "/metrics").status == 401
        assert server.ask("GET", "/v1/models/captioner").status == 401
        assert server.ask("GET", "/healthz").status == server.ask("GET", "/readyz").status == 200
        assert server.ask("GET", "/").status == 200


def test_every_answer_carries_the_security_headers(server):
    answers = [server.ask("GET", path) for path in ("/", "/healthz", "/nothing", "/v1/models/captioner")]
    answers += [server.ask("POST", PREDICT, b"{"), server.ask("GET", "/", headers={"Host": "evil.example"})]
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "server" not in answer.headers


def test_websockets_and_other_methods_are_refused(server):
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "eA==",
    }
    assert server.ask("GET", "/v1/caption", headers=upgrade).status == 405
    assert server.ask("DELETE", PREDICT).status == 405
    assert server.ask("PUT", "/").status == 405


@pytest.mark.parametrize(
    "wrong",
    [
        {"token": "short"},
        {"token": "ä" * 20},
        {"name": "../x"},
        {"name": ""},
        {"port": -1},
        {"max_batch": 0},
        {"request_timeout_s": 0},
        {"max_wait_ms": 5000},
    ],
)
def test_settings_that_cannot_work_are_refused(wrong):
    with pytest.raises(ConfigError):
        ServeSettings(**wrong)
    assert TOKEN not in repr(ServeSettings(token=TOKEN))


def test_loopback_is_known_by_name_and_address():
    assert all(map(is_loopback, ["localhost", "127.0.0.1", "127.1.2.3", "::1", "[::1]"]))
    assert not any(map(is_loopback, ["0.0.0.0", "::", "10.0.0.1", "example.org", ""]))


def test_a_taken_port_is_told():
    from export.serving.server import open_socket

    with LiveServer(PlainEngine()) as server, pytest.raises(ConfigError) as caught:
        open_socket(ServeSettings(port=server.port))
    assert str(server.port) in caught.value.where
