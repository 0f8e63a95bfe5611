"""Registering over HTTP, against a real server."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from worker_agent.actions import Refusal, Registration
from worker_agent.registration import describe, proxy_for, refused, register

TAKEN = {
    "worker_id": "w1",
    "websocket_path": "/ws/w1",
    "heartbeat_interval": 5,
    "heartbeat_timeout": 15.0,
    "protocol": 1,
}


@dataclass
class Server:
    """Gives every POST the same answer and keeps what it was sent."""

    status: int = 201
    body: bytes = json.dumps(TAKEN).encode()
    headers: Mapping[str, str] = field(default_factory=dict)
    broken: bool = False
    seen: list[tuple[str, str, object]] = field(default_factory=list)
    url: str = ""

    def says(self, status: int, body: object, **headers: str) -> None:
        self.status = status
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


@pytest.fixture
def server() -> Iterator[Server]:
    plan = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            plan.seen.append((self.path, self.headers["Content-Type"], sent))
            if plan.broken:
                self.wfile.write(b"SMTP ready\r\n")
                return
            self.send_response(plan.status)
            for name, value in {"Content-Length": str(len(plan.body)), **plan.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(plan.body)

        def do_GET(self) -> None:
            plan.seen.append((self.path, "", None))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    plan.url = f"http://127.0.0.1:{httpd.server_address[1]}"
    yield plan
    httpd.shutdown()
    httpd.server_close()
    thread.join()


@pytest.mark.parametrize("status", [200, 201])
def test_taken(server: Server, status: int) -> None:
    """New or known, the answer says where the heartbeats go: below the path of the exporter's own URL."""
    server.status = status
    answer = register(f"{server.url}/monitoring", {"name": "Worker 1", "port": 8001})
    websocket_url = f"{server.url.replace('http', 'ws')}/monitoring/ws/w1"
    assert answer == Registration("w1", websocket_url, heartbeat_interval=5.0, heartbeat_timeout=15.0)
    assert server.seen == [("/monitoring/register", "application/json", {"name": "Worker 1", "port": 8001})]


@pytest.mark.parametrize(
    ("given", "dialled"),
    [
        ("wss://other:1/ws/w1", "wss://other:1/ws/w1"),
        ("ws://other/ws/w1", "ws://other/ws/w1"),
        ("https://other/ws/w1", "wss://other/ws/w1"),
        ("http://other/http", "ws://other/http"),
    ],
)
def test_absolute_url(server: Server, given: str, dialled: str) -> None:
    """An absolute websocket_url is followed to whatever host, and beats the path."""
    server.says(201, {**TAKEN, "websocket_url": given})
    answer = register(server.url, {})
    assert isinstance(answer, Registration)
    assert answer.websocket_url == dialled


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"<html>welcome</html>", "JSONDecodeError: Expecting value: line 1 column 1 (char 0)"),
        (
            b"\xff",
            "UnicodeDecodeError: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte",
        ),
        ([], "TypeError: list indices must be integers or slices, not str"),
        ({}, "KeyError: 'worker_id'"),
        ({**TAKEN, "worker_id": 7}, "ValueError: expected a text"),
        ({**TAKEN, "worker_id": ""}, "ValueError: expected a text"),
        ({**TAKEN, "websocket_path": "ws/w1"}, "ValueError: websocket_path must begin with a slash"),
        ({**TAKEN, "websocket_url": "/ws"}, "ValueError: websocket_url must be ws:// or wss://"),
        ({**TAKEN, "websocket_url": "ftp://x"}, "ValueError: websocket_url must be ws:// or wss://"),
        ({**TAKEN, "heartbeat_interval": 0}, "ValueError: expected a number of seconds"),
        ({**TAKEN, "heartbeat_interval": True}, "ValueError: expected a number of seconds"),
        ({**TAKEN, "heartbeat_timeout": float("nan")}, "ValueError: expected a number of seconds"),
        ({**TAKEN, "heartbeat_timeout": "15"}, "ValueError: expected a number of seconds"),
    ],
)
def test_not_an_exporter(server: Server, body: object, complaint: str) -> None:
    """An answer that no exporter would give is a refusal, not an exception."""
    server.says(200, body)
    expected = f"{server.url}/register did not answer as a heartbeat exporter does ({complaint})"
    assert register(server.url, {}) == Refusal(expected, status=200)


def test_wrong_field(server: Server) -> None:
    """A 422 is told by field and expectation."""
    detail = [
        {"loc": ["body", "group"], "msg": "String should match pattern", "type": "x"},
        {"loc": ["body", "labels", 0], "msg": "too long"},
        {"loc": ["body", "port"]},
        "and so on",
    ]
    server.says(422, {"detail": detail})
    said = "group: String should match pattern; labels.0: too long; port: invalid; and so on"
    assert register(server.url, {}) == Refusal(f"{server.url}/register answered 422: {said}", status=422)


def test_full(server: Server) -> None:
    """A 503 brings its Retry-After along."""
    server.says(503, {"detail": "the registry\n is full"}, Retry_After="30")
    expected = f"{server.url}/register answered 503: the registry is full"
    assert register(server.url, {}) == Refusal(expected, status=503, retry_after=30.0)


def test_empty_error(server: Server) -> None:
    """An error without a body is told by its number."""
    server.says(502, b"")
    assert register(server.url, {}) == Refusal(f"{server.url}/register answered 502", status=502)


def test_redirect(server: Server) -> None:
    """A redirect is not followed, as the body would be lost, but told."""
    server.says(307, b"", Location="https://elsewhere/register")
    said = "it redirects to https://elsewhere/register; set MANAGER_URL to where the exporter is"
    assert register(server.url, {}) == Refusal(f"{server.url}/register answered 307: {said}", status=307)
    assert len(server.seen) == 1


def test_answer_breaks_off(server: Server) -> None:
    """An error whose body cannot be read keeps its status."""
    server.says(500, b"no chunk\r\n", Transfer_Encoding="chunked")
    expected = f"{server.url}/register answered 500: the answer broke off"
    assert register(server.url, {}) == Refusal(expected, status=500)


def test_another_protocol(server: Server) -> None:
    """A port where something else listens is as good as nobody there."""
    server.broken = True
    assert register(server.url, {}) == Refusal(f"{server.url}/register: SMTP ready")


def test_nobody_there(unused_tcp_port: int) -> None:
    """A refused connection has no status."""
    url = f"http://127.0.0.1:{unused_tcp_port}"
    assert register(url, {}) == Refusal(f"{url}/register: [Errno 111] Connection refused")


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("7", 7.0),
        ("0", 0.0),
        ("-1", None),
        ("1.5", None),
        ("", None),
        ("٣", None),
        ("Fri, 20 Nov 2026 07:28:00 GMT", None),
    ],
)
def test_retry_after(header: str | None, seconds: float | None) -> None:
    """Only whole seconds are understood."""
    assert refused("it", 503, "", header) == Refusal("it answered 503", status=503, retry_after=seconds)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", ""),
        (b"plain\n text", "plain text"),
        (b'"a text"', "a text"),
        (b'{"error":"x"}', '{"error": "x"}'),
        (b'{"detail":{"a":1}}', '{"a": 1}'),
        (b"null", "null"),
        (b"\xff\xfe", "��"),
        (b"x" * 1000, "x" * 297 + "..."),
    ],
)
def test_describe(body: bytes, said: str) -> None:
    """Whatever an error response holds becomes one short line."""
    assert describe(body) == said


@pytest.fixture
def proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """One proxy for http, another for https, written as people write them."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("HTTP_PROXY", "plain.example:3128")
    monkeypatch.setenv("HTTPS_PROXY", "http://secure.example:3128")
    monkeypatch.setenv("NO_PROXY", "inside.example")


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("http://exporter:8000/register", "http://plain.example:3128"),
        ("ws://exporter:8000/ws/w1", "http://plain.example:3128"),
        ("https://exporter/register", "http://secure.example:3128"),
        ("wss://exporter/ws/w1", "http://secure.example:3128"),
        ("ws://inside.example:8000/ws/w1", None),
        ("https://a.inside.example/register", None),
        ("http://localhost:8000/register", None),
        ("ws://127.0.0.2:8000/ws/w1", None),
        ("wss://[::1]:8000/ws/w1", None),
    ],
)
@pytest.mark.usefixtures("proxies")
def test_proxy_for(url: str, proxy: str | None) -> None:
    """Registration and WebSocket take the same way, and never a proxy to this very machine."""
    assert proxy_for(url) == proxy


@pytest.mark.usefixtures("proxies")
def test_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a variable for its scheme a URL is reached directly."""
    monkeypatch.delenv("HTTP_PROXY")
    assert proxy_for("ws://exporter:8000/ws/w1") is None


@pytest.mark.usefixtures("proxies")
def test_registers_through_the_proxy(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy is asked for the whole URL, and resolves the name itself."""
    monkeypatch.setenv("HTTP_PROXY", server.url)
    answer = register("http://exporter.invalid:8000", {"name": "Worker 1"})
    assert isinstance(answer, Registration)
    assert [path for path, _, _ in server.seen] == ["http://exporter.invalid:8000/register"]
