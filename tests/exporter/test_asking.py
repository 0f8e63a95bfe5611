"""What commands ask of a running exporter, and what they say when it does not answer."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from exporter.asking import AskedExporter, NoAnswer, Refused
from exporter.errors import UsageError

NOW = 1_700_000_000
UNPROCESSABLE = HTTPStatus(422).phrase  # Python 3.13 has another one
ROW = {
    "worker_id": "a",
    "name": "A",
    "group": "shop",
    "status": "registered",
    "reason": "registered",
    "since": "2023-11-14T22:13:10.000Z",
    "last_heartbeat_timestamp": None,
    "more": 1,
}


class Answers:
    """A server that says what it is told to, and keeps what it was asked."""

    def __init__(self) -> None:
        self.status = 200
        self.body: bytes = b"[]"
        self.asked: list[str] = []
        answers = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                answers.asked.append(f"{self.command} {self.path}")
                self.send_response_only(answers.status)
                self.send_header("Date", "Tue, 14 Nov 2023 22:13:20 GMT")
                self.send_header("Content-Length", str(len(answers.body)))
                self.end_headers()
                self.wfile.write(answers.body)

            do_DELETE = do_GET

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def answers() -> Iterator[Answers]:
    served = Answers()
    yield served
    served.close()


def test_workers_come_with_the_exporters_time(answers: Answers) -> None:
    """By its own clock it is told how long ago something was; filters that are empty are left out."""
    answers.body = json.dumps([ROW]).encode()
    found = AskedExporter(answers.url).workers({"status": ["alive", "connected"], "group": "", "q": "a b"})
    assert found == ([ROW], NOW)
    assert answers.asked == ["GET /workers?status=alive&status=connected&q=a+b"]


def test_a_path_prefix_is_kept(answers: Answers) -> None:
    """The exporter may live behind a proxy, below a path, with or without a slash at its end."""
    for url in (f"{answers.url}/heartbeat", f"{answers.url}/heartbeat/"):
        AskedExporter(url).ready(1.0)
    assert answers.asked == ["GET /heartbeat/health/ready"] * 2


def test_an_id_is_whatever_a_worker_says(answers: Answers) -> None:
    """Slashes and question marks of an id are part of it."""
    AskedExporter(answers.url).forget("a/b?c ü")
    assert answers.asked == ["DELETE /workers/a%2Fb%3Fc%20%C3%BC"]


@pytest.mark.parametrize(("status", "body", "text"), [
    (404, b'{"detail": "unknown worker: a"}', "the exporter says: unknown worker: a"),
    (503, b'{"error": "the registry is loading"}', "the exporter says: the registry is loading"),
    (502, b"<html>Bad Gateway</html>", "the exporter says: 502 Bad Gateway"),
    (422, b'{"detail": [{"loc": ["query", "limit"]}]}', f"the exporter says: 422 {UNPROCESSABLE}"),
    (500, b"[1]", "the exporter says: 500 Internal Server Error"),
])  # fmt: skip
def test_a_refusal_is_in_the_exporters_words(answers: Answers, status: int, body: bytes, text: str) -> None:
    """If they are an exporter's; a proxy in between is quoted by its status."""
    answers.status, answers.body = status, body
    with pytest.raises(Refused) as refused:
        AskedExporter(answers.url).forget("a")
    assert str(refused.value) == text
    assert refused.value.status == status


@pytest.mark.parametrize(("status", "gone"), [(204, True), (404, True), (503, False)])
def test_who_is_not_known_is_forgotten(answers: Answers, status: int, gone: bool) -> None:
    """Raises nothing, for those who have thousands to forget."""
    answers.status, answers.body = status, b""
    exporter = AskedExporter(answers.url)
    assert exporter.forgets("a") is gone
    answers.close()
    assert exporter.forgets("a") is False


ASK: dict[str, Callable[[AskedExporter], object]] = {
    "workers": lambda exporter: exporter.workers({}),
    "forget": lambda exporter: exporter.forget("a"),
    "ready": lambda exporter: exporter.ready(1.0),
}


@pytest.mark.parametrize("ask", list(ASK.values()), ids=list(ASK))
def test_nobody_there_is_said(ask: Callable[[AskedExporter], object]) -> None:
    """With the address that was asked, and the flag for another one."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with pytest.raises(NoAnswer) as nobody:
        ask(AskedExporter(url))
    assert str(nobody.value) == (
        f"no answer from {url}: connection refused (--exporter.url names another exporter)"
    )
    assert nobody.value.exit_code == 1


def test_silence_is_said_too() -> None:
    """Something listens and says nothing for as long as was given."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(NoAnswer, match="timed out"):
            AskedExporter(url).ready(0.1)


@pytest.mark.parametrize(
    "body",
    [
        b"<html>hello</html>",
        b"\xff",
        b'{"workers": []}',
        b'[{"worker_id": "a"}]',
        json.dumps([ROW | {"status": "asleep"}]).encode(),
        b"[" * 200_000,
    ],
    ids=["page", "binary", "object", "part of a row", "status", "depth"],
)
def test_what_is_no_exporter_is_said(answers: Answers, body: bytes) -> None:
    """A server of something else answers with something else."""
    answers.body = body
    with pytest.raises(NoAnswer, match="what answers there is no exporter"):
        AskedExporter(answers.url).workers({})


@pytest.mark.parametrize(("said", "text"), [
    (b"SSH-2.0-OpenSSH_9\r\n", "what answers there is no exporter"),
    (b"HTTP/1.1 200 OK\r\n\r\n[]", "what answers there is no exporter"),  # without a date
    (b"HTTP/1.1 302 Found\r\nLocation: http://a..b/\r\n\r\n", "what answers there is no exporter"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n[", "the answer broke off"),
    (b"", "remote end closed connection"),
], ids=["other protocol", "no date", "redirection", "part", "nothing"])  # fmt: skip
def test_rubbish_is_said(said: bytes, text: str) -> None:
    """What does not even speak HTTP properly ends in a sentence, too."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(said)

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(NoAnswer, match=text):
            AskedExporter(f"http://127.0.0.1:{server.getsockname()[1]}").workers({})
        thread.join()


@pytest.mark.parametrize("url", [
    "localhost:8000", "ftp://localhost", "http://", "http://host:port", "", "http://[::1", "http://a..b",
    "http://localhost:0", "http://localhost/a b", "http://localhost/?a=b", "http://user:secret@localhost",
])  # fmt: skip
def test_only_urls_are_taken(url: str) -> None:
    """What is expected is said, and no password is repeated."""
    with pytest.raises(UsageError, match="must be http://host:port or https://host:port/path") as wrong:
        AskedExporter(url)
    assert "secret" not in str(wrong.value)


def test_no_proxy_is_asked_for_what_is_here(answers: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy of the environment is for the world outside."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    AskedExporter(answers.url).ready(1.0)
    with pytest.raises(NoAnswer):
        AskedExporter("http://exporter.example:8000").ready(1.0)
