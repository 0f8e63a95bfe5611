"""The exporter as it is really served: what reaches a client, and how it stops."""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
import socket
import sqlite3
import sys
import time
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection

from tests.support.processes import eventually, free_port, running
from tests.support.serving import COMMANDS, Serving, environment, exporter

pytestmark = pytest.mark.slow

ENDS = {"serve": 0, "uvicorn": -signal.SIGTERM, "uvicorn --loop asyncio": -signal.SIGTERM}
"""Exit codes on SIGTERM. Uvicorn's own command lets the signal end it once it has shut down."""


def closed_with(connection: ClientConnection) -> int:
    with pytest.raises(ConnectionClosed) as closed:
        connection.recv(timeout=10.0)
    assert closed.value.rcvd is not None
    return closed.value.rcvd.code


@pytest.mark.parametrize("by", COMMANDS)
def test_serves_and_stops(tmp_path: Path, by: str) -> None:
    """A worker comes alive; SIGTERM lets its request finish, tells its socket and changes no status."""
    with exporter(tmp_path, by) as serving:
        assert serving.register("w")["websocket_path"] == "/ws/w"
        with serving.connect("w") as connection, _half_a_registration(serving, "late") as request:
            connection.send('{"type":"heartbeat","seq":1,"ack":true}')
            assert json.loads(connection.recv(timeout=10.0))["seq"] == 1
            assert serving.metric('heartbeat_worker_up{worker_id="w",worker="W",group="default"}') == 1.0

            started = time.monotonic()
            serving.process.send_signal(signal.SIGTERM)
            assert closed_with(connection) == 1012
            request.sendall(b"}")
            answer = b"".join(iter(lambda: request.recv(4096), b""))
            assert answer.startswith(b"HTTP/1.1 201 Created\r\n")
            assert serving.process.wait(10.0) == ENDS[by]
            assert time.monotonic() - started < 5.0
        assert serving.complaints() == []
    assert _stored(tmp_path) == {"w": "alive", "late": "registered"}


def _half_a_registration(serving: Serving, worker_id: str) -> socket.socket:
    """A request that is in flight until its last byte, a closing brace, is sent."""
    body = f'{{"name":"Late","host":"h","port":1,"worker_id":"{worker_id}"}}'
    request = socket.create_connection(("127.0.0.1", serving.port), timeout=10.0)
    head = f"POST /register HTTP/1.1\r\nHost: exporter\r\nContent-Length: {len(body)}\r\n"
    request.sendall(f"{head}Content-Type: application/json\r\n\r\n{body[:-1]}".encode())
    return request


def _stored(directory: Path) -> dict[str, str]:
    with sqlite3.connect(directory / "registry.db") as database:
        rows = database.execute("SELECT worker_id, record FROM workers").fetchall()
    database.close()
    return {worker_id: json.loads(record)["status"] for worker_id, record in rows}


@pytest.mark.parametrize(
    ("host", "reached_by"),
    [("", "127.0.0.1"), *([("", "[::1]"), ("[::1]", "[::1]")] if socket.has_dualstack_ipv6() else [])],
)
def test_serves_where_it_is_told(tmp_path: Path, host: str, reached_by: str) -> None:
    """On every interface if no host is named, IPv6 included."""
    port = free_port()
    with running(
        [sys.executable, "-m", "exporter", "serve", f"--web.listen-address={host}:{port}"],
        log=tmp_path / "exporter.log",
        ready=f"http://{reached_by}:{port}/-/ready",
        env=environment(SQLITE_PATH=tmp_path / "registry.db"),
        cwd=tmp_path,
    ) as process:
        process.terminate()
        assert process.wait(10.0) == 0


def test_ctrl_c_is_an_orderly_end(tmp_path: Path) -> None:
    """SIGINT ends it as SIGTERM does."""
    with exporter(tmp_path) as serving:
        assert serving.end(signal.SIGINT) == 0
        assert serving.complaints() == []
        assert "Application shutdown complete." in serving.said("info")


def test_head_is_get_without_a_body(tmp_path: Path) -> None:
    """As health checks of load balancers ask; the headers are those of GET."""
    with exporter(tmp_path) as serving:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", serving.port)) as connection:
            for path in ("/", "/health/ready", "/metrics", "/workers"):
                connection.request("HEAD", path)
                answer = connection.getresponse()
                assert (answer.status, answer.read()) == (200, b"")
                assert int(answer.headers["Content-Length"]) > 0
        assert serving.complaints() == []


def test_a_peer_that_never_hangs_up_does_not_hold_up_the_end(tmp_path: Path) -> None:
    """A request whose rest never comes is given up after the grace that it has."""
    with exporter(tmp_path) as serving, _half_a_registration(serving, "never"):
        eventually(lambda: serving.get("/health"), within=10)
        assert serving.end() == 0
    assert _stored(tmp_path) == {}


@pytest.mark.parametrize("by", COMMANDS)
def test_frames_are_limited(tmp_path: Path, by: str) -> None:
    """4096 bytes are taken, one more closes with 1009; each is counted once."""
    frame = '{"type":"heartbeat","x":"%s"}'
    with exporter(tmp_path, by) as serving:
        serving.register("w")
        with serving.connect("w") as connection:
            connection.send(frame % ("x" * (4096 - len(frame) + 2)))
            eventually(lambda: serving.status() == "alive", within=10)
            connection.send(frame % ("x" * (4097 - len(frame) + 2)))
            assert closed_with(connection) == 1009
        closed = 'heartbeat_connections_closed_total{reason="size"}'
        eventually(lambda: serving.metric(closed) == 1.0, within=10)
        assert serving.metric('heartbeat_messages_rejected_total{reason="size"}') == 1.0
        assert serving.status() == "disconnected"
        assert serving.complaints() == []


def test_frames_are_not_compressed(tmp_path: Path) -> None:
    """A client that offers compression, as most do, is not taken up on it."""
    with exporter(tmp_path) as serving:
        serving.register("w")
        with serving.connect("w", compression="deflate") as connection:
            assert connection.request is not None
            assert connection.response is not None
            assert "permessage-deflate" in connection.request.headers["Sec-WebSocket-Extensions"]
            assert "Sec-WebSocket-Extensions" not in connection.response.headers


@pytest.mark.parametrize("by", COMMANDS)
def test_refusals_reach_the_client(tmp_path: Path, by: str) -> None:
    """Instead of the handshake, with a status and a reason to read; they are no errors of ours."""
    with exporter(tmp_path, by) as serving:
        assert _refusal(serving, "nobody") == (404, None, {"detail": "unknown worker: register first"})
        assert serving.metric('heartbeat_connections_refused_total{reason="unknown"}') == 1.0
        assert serving.complaints() == []


@pytest.mark.parametrize("by", COMMANDS)
def test_nobody_is_unknown_while_the_registry_is_loading(tmp_path: Path, by: str) -> None:
    """With its Redis away, the exporter asks workers to wait rather than to register anew."""
    with exporter(tmp_path, by, wait=False, REDIS_HOST="127.0.0.1", REDIS_PORT=free_port()) as serving:
        assert _refusal(serving, "w") == (503, "1", {"detail": "the registry is loading"})
        assert serving.metric('heartbeat_connections_refused_total{reason="loading"}') == 1.0
        assert serving.complaints() == []


def _refusal(serving: Serving, worker_id: str) -> tuple[int, str | None, object]:
    with pytest.raises(InvalidStatus) as refused, serving.connect(worker_id):
        pass
    response = refused.value.response
    return response.status_code, response.headers.get("Retry-After"), json.loads(response.body)
