"""One exporter per store, with real processes: who comes second, and who was away too long."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from redis import Redis

from tests.support.processes import eventually, free_port, redis_server
from tests.support.serving import COMMANDS, command, environment, exporter

pytestmark = pytest.mark.slow

STORE_IN_USE = 4


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("redis", marks=pytest.mark.servers("redis-server"))])
def test_a_second_exporter_is_refused(tmp_path: Path, kind: str) -> None:
    """Whatever the command: one sentence that names the holder, exit code 4, and the first lives on."""
    with ExitStack() as stack:
        if kind == "sqlite":
            store: dict[str, object] = {"SQLITE_PATH": tmp_path / "registry.db"}
            where = f"SQLite file {tmp_path}/registry.db"
        else:
            port = stack.enter_context(redis_server(tmp_path))
            store = {"REDIS_URL": f"redis://:secret@127.0.0.1:{port}/3"}
            where = f"Redis at 127.0.0.1:{port}/3"
            with Redis(port=port) as redis:
                redis.config_set("requirepass", "secret")
        first = stack.enter_context(exporter(tmp_path, **store))
        seconds = [
            subprocess.Popen(
                command(by, free_port()),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                env=environment(LOG_FORMAT="json", **store),
                cwd=tmp_path,
            )
            for by in COMMANDS
        ]
        for process in seconds:
            lines = [json.loads(line) for line in process.communicate(timeout=60)[0].splitlines()]
            assert process.returncode == STORE_IN_USE
            last = lines[-1]
            assert (last["level"], last["component"]) == ("critical", "manager")
            assert last["event"].startswith(
                f"{where} is in use by another exporter (pid {first.process.pid} on "
            )
            assert [line["event"] for line in lines if line["level"] in ("error", "critical")] == [
                last["event"]
            ]
            assert "secret" not in str(lines)
        first.register("w")
        assert first.metric("heartbeat_store_up") == 1.0


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("redis", marks=pytest.mark.servers("redis-server"))])
def test_what_was_answered_survives_kill_9_and_a_successor_has_it(tmp_path: Path, kind: str) -> None:
    """The successor waits until the dead holder's lease is over, and knows every worker of before."""
    with ExitStack() as stack:
        store: dict[str, object] = {"SQLITE_PATH": tmp_path / "registry.db"}
        if kind == "redis":
            store = {"REDIS_HOST": "127.0.0.1", "REDIS_PORT": stack.enter_context(redis_server(tmp_path))}
        first = stack.enter_context(exporter(tmp_path, **store))
        for number in range(20):
            first.register(f"w{number}")
        first.end(signal.SIGKILL)
        second = stack.enter_context(exporter(tmp_path, name="second", **store))
        assert {worker["worker_id"] for worker in second.get("/workers")} == {f"w{n}" for n in range(20)}
        assert second.metric("heartbeat_stall_seconds_total") < 5.0  # waiting for a lease is no stall
        assert second.complaints() == []


@pytest.mark.servers("redis-server")
def test_an_exporter_that_was_frozen_too_long_gives_way(tmp_path: Path) -> None:
    """Its successor took the store meanwhile: it writes nothing more and ends with exit code 4."""
    with ExitStack() as stack:
        store = {"REDIS_HOST": "127.0.0.1", "REDIS_PORT": stack.enter_context(redis_server(tmp_path))}
        first = stack.enter_context(exporter(tmp_path, **store))
        first.register("w")
        first.process.send_signal(signal.SIGSTOP)
        second = stack.enter_context(exporter(tmp_path, name="second", **store))
        second.register("w", name="Renamed")
        first.process.send_signal(signal.SIGCONT)
        assert first.process.wait(20.0) == STORE_IN_USE
        assert first.complaints()[-1].startswith(
            f"Redis at 127.0.0.1:{store['REDIS_PORT']}/0 is in use by another exporter "
            f"(pid {second.process.pid} on "
        )
        assert second.get("/workers/w")["name"] == "Renamed"
        assert second.complaints() == []


@pytest.mark.servers("redis-server")
@pytest.mark.parametrize("by", COMMANDS)
def test_a_lost_lease_ends_the_exporter_in_one_sentence(tmp_path: Path, by: str, redis_port: int) -> None:
    """Exit code 4 with sockets and requests open, and no traceback for any of them."""
    with exporter(tmp_path, by, REDIS_HOST="127.0.0.1", REDIS_PORT=redis_port) as serving:
        serving.register("w")
        with serving.connect("w") as connection, Redis(port=redis_port) as redis:
            connection.send('{"type":"heartbeat"}')
            eventually(lambda: serving.status() == "alive", within=10)
            redis.set("heartbeat:lease", '{"host": "elsewhere", "pid": 7, "token": "another"}')
            assert serving.process.wait(20.0) == STORE_IN_USE
        assert len(serving.complaints()) == 1
        assert "is in use by another exporter (pid 7 on elsewhere)" in serving.complaints()[0]
        assert "Traceback" not in serving.text()


@pytest.mark.parametrize("by", COMMANDS)
def test_who_waits_for_a_store_can_be_stopped(tmp_path: Path, by: str) -> None:
    """At once, not when the ten seconds of a lease are over; and that is no failure."""
    with exporter(tmp_path) as first, ExitStack() as stack:
        log = stack.enter_context((tmp_path / "second.log").open("w+"))
        second = stack.enter_context(
            subprocess.Popen(
                command(by, free_port()),
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment(LOG_FORMAT="json", SQLITE_PATH=tmp_path / "registry.db"),
                cwd=tmp_path,
            )
        )
        stack.callback(second.kill)
        eventually(lambda: "is held by another exporter" in Path(log.name).read_text(), within=30)
        started = time.monotonic()
        second.send_signal(signal.SIGTERM)
        assert second.wait(20.0) in (0, -signal.SIGTERM)
        assert time.monotonic() - started < 5.0
        lines = [json.loads(line) for line in Path(log.name).read_text().splitlines()]
        assert [line["event"] for line in lines if line["level"] not in ("info", "warning")] == []
        first.register("w")
