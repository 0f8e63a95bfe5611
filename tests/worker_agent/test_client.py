"""The client against a real WebSocket server, on a loop whose seconds are short."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest

from tests.worker_agent.fake_exporter import (
    Behaviour,
    FakeExporter,
    Refuse,
    abort,
    answer,
    close,
    ignore,
    say,
)
from tests.worker_agent.fast_loop import run_fast
from worker_agent.actions import Refusal, Registration
from worker_agent.client import Client
from worker_agent.lag import LoopLag
from worker_agent.protocol import Checks, CheckState
from worker_agent.session import Session
from worker_agent.statistics import Statistics

LIMIT = 200.0
"""Fast seconds: what has not happened by then does not happen."""


class Run:
    """One client on one fake exporter, until something is seen; then stopped."""

    def __init__(self, script: Sequence[Refuse | Behaviour], *, checks: Checks | None = None) -> None:
        self.checks = checks
        self.exporter = FakeExporter(script)
        self.statistics = Statistics()
        self.registered: list[float] = []
        self.took_to_stop = 0.0
        self.answers: list[Registration | Refusal | Exception] = []

    def until(self, seen: Callable[[Run], object]) -> Run:
        run_fast(self._main(seen))
        return self

    async def _main(self, seen: Callable[[Run], object]) -> None:
        loop = asyncio.get_running_loop()

        def register() -> Registration | Refusal:
            self.registered.append(loop.time())
            if self.answers and isinstance(planned := self.answers.pop(0), Exception):
                raise planned
            return Registration("w1", self.exporter.url, heartbeat_interval=5.0, heartbeat_timeout=15.0)

        async with self.exporter.running():
            session = Session(self.statistics, lambda low, high: low)
            client = Client(session, register, lag=LoopLag(loop), checks=lambda: self.checks)
            running = asyncio.create_task(client.run())
            deadline = loop.time() + LIMIT
            while not seen(self):
                assert loop.time() < deadline, f"never seen; {self.statistics}, {self.exporter}"
                await asyncio.sleep(0.2)
            stopped = loop.time()
            client.stop(leave=False)
            await running
            self.took_to_stop = loop.time() - stopped

    @property
    def gaps(self) -> list[float]:
        """Seconds between the dials."""
        return [later - earlier for earlier, later in pairwise(self.exporter.dialled)]


def beats(run: Run, connection: int) -> list[object]:
    return [frame["seq"] for frame in run.exporter.frames[connection] if frame["type"] == "heartbeat"]


def test_register_connect_beat_goodbye() -> None:
    """It registers, connects without compression, beats at once and each interval, and says goodbye."""
    run = Run([answer]).until(lambda run: run.exporter.frames and len(run.exporter.frames[0]) == 3)
    [frames] = run.exporter.frames
    assert [frame["type"] for frame in frames] == ["heartbeat", "heartbeat", "heartbeat", "goodbye"]
    assert [(frame["seq"], frame.get("ack", False)) for frame in frames[:3]] == [
        (1, True),
        (2, False),
        (3, False),
    ]
    assert "rtt" in frames[1]
    assert "rtt" not in frames[2]
    assert frames[3] == {"type": "goodbye", "leave": False}
    assert run.exporter.closed == [1000]
    [request] = run.exporter.requests
    assert "Sec-WebSocket-Extensions" not in request.headers
    assert request.headers["User-Agent"] == "heartbeat-worker"
    assert run.statistics.heartbeats_sent == 3
    assert sum(run.statistics.round_trip_counts) == 1


def test_readings() -> None:
    """Health checks go with the first heartbeat and with one after a change, the loop's lag with each."""
    run = Run([answer], checks=(("db", CheckState.HEALTHY),))

    def seen(run: Run) -> bool:
        frames = run.exporter.frames[0] if run.exporter.frames else []
        if len(frames) >= 2:
            run.checks = (("db", CheckState.UNHEALTHY),)
        return bool(frames) and "checks" in frames[-1] and len(frames) > 1

    run.until(seen)
    beats = [frame for frame in run.exporter.frames[0] if frame["type"] == "heartbeat"]
    assert [frame["checks"] for frame in beats if "checks" in frame] == [
        {"db": "healthy"},
        {"db": "unhealthy"},
    ]
    assert "checks" in beats[0]
    assert all("loop_lag" in frame for frame in beats[1:])


@pytest.mark.parametrize("step", [close(1000), close(1012), close(4004), abort, Refuse(500), Refuse(404)])
def test_storm(step: Refuse | Behaviour) -> None:
    """A server that accepts and closes, or refuses, is never dialled twice within a second."""
    run = Run([step]).until(lambda run: len(run.exporter.dialled) == 4)
    assert all(gap >= 1.0 for gap in run.gaps), run.gaps


def test_forgotten() -> None:
    """After 4004 it registers again, and goes on with a sequence of its own."""
    run = Run([close(4004), answer]).until(lambda run: run.exporter.frames[1:] and run.exporter.frames[1])
    assert len(run.registered) == 2
    assert beats(run, 1) == [1]


def test_replaced(caplog: pytest.LogCaptureFixture) -> None:
    """After 4001 it waits the largest delay, says what is probably wrong, and registers again."""
    run = Run([close(4001), answer]).until(lambda run: run.exporter.frames[1:] and run.exporter.frames[1])
    assert len(run.registered) == 2
    assert run.gaps[0] >= 15.0
    [warning] = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "another process registers as this same worker" in warning.getMessage()
    assert vars(warning)["reason"] == "replaced"


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (close(1012), "the exporter closed the connection with 1012; trying again in 1.0 s (it restarts)"),
        (
            close(4004, "forgotten"),
            "the exporter closed the connection with 4004: forgotten; trying again in",
        ),
        (abort, "the connection broke off; trying again in 1.0 s"),
        (say("x" * 5000), "the connection was closed on this side with 1009: "),
    ],
)
def test_ending_is_told(step: Behaviour, said: str, caplog: pytest.LogCaptureFixture) -> None:
    """The log says who ended a connection and how, in one line."""
    Run([step, answer]).until(lambda run: run.exporter.frames[1:] and run.exporter.frames[1])
    [warning] = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert warning.getMessage().startswith(f"no heartbeats: {said}")


def test_restart() -> None:
    """After 1012 it comes back to the same address without registering."""
    run = Run([close(1012), answer]).until(lambda run: run.exporter.frames[1:] and run.exporter.frames[1])
    assert len(run.registered) == 1


def test_unknown_worker() -> None:
    """A 404 at the handshake makes it register again."""
    run = Run([Refuse(404), answer]).until(lambda run: run.exporter.frames and run.exporter.frames[0])
    assert len(run.registered) == 2


def test_retry_after(caplog: pytest.LogCaptureFixture) -> None:
    """A 503 with Retry-After is obeyed, and the log says what the server said."""
    refusal = Refuse(503, {"Retry-After": "7"}, '{"detail":"the registry is loading"}')
    run = Run([refusal, answer]).until(lambda run: run.exporter.frames and run.exporter.frames[0])
    assert len(run.registered) == 1
    assert run.gaps[0] >= 7.0
    assert "answered 503: the registry is loading; trying again in 7.0 s" in caplog.text


def test_dead_path() -> None:
    """Two heartbeats without the answer they asked for end the connection, and another is opened."""
    run = Run([ignore, answer]).until(lambda run: len(run.exporter.frames) == 2 and run.exporter.frames[1])
    assert beats(run, 0) == [1, 2]
    assert run.gaps[0] >= 8.0
    assert len(run.registered) == 1


def test_nonsense_from_the_server() -> None:
    """Frames that mean nothing to it are ignored, text or binary."""
    step = say("", "[]", b"\xff\x00", '{"type":"tomorrow"}', '{"type":"ack","seq":99}')
    run = Run([step]).until(lambda run: run.exporter.frames and len(run.exporter.frames[0]) == 2)
    assert len(run.exporter.dialled) == 1
    assert "rtt" in run.exporter.frames[0][1]


def test_frame_too_large() -> None:
    """A frame above 4 KiB ends the connection; memory is not the server's to fill."""
    run = Run([say("x" * 5000), answer]).until(
        lambda run: len(run.exporter.frames) == 2 and run.exporter.frames[1]
    )
    assert run.exporter.closed[0] == 1009


def test_registration_that_raises() -> None:
    """Even a defect in the registration only delays the next attempt."""
    run = Run([answer])
    run.answers = [LookupError("a defect"), TimeoutError()]
    run.until(lambda run: run.exporter.frames and run.exporter.frames[0])
    assert len(run.registered) == 3


def test_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """The same problem is a warning once and a debug line after that; success makes it news again."""
    caplog.set_level(logging.DEBUG, "worker_agent.client")
    Run([Refuse(503), Refuse(503), answer]).until(lambda run: run.exporter.frames and run.exporter.frames[0])
    levels = [record.levelno for record in caplog.records if "no heartbeats" in record.getMessage()]
    assert levels == [logging.WARNING, logging.DEBUG]


def test_one_line_a_connection(caplog: pytest.LogCaptureFixture) -> None:
    """At INFO, where to; each heartbeat is for debugging, and all of it says who this worker is."""
    caplog.set_level(logging.DEBUG, "worker_agent.client")
    run = Run([answer]).until(lambda run: run.exporter.frames and len(run.exporter.frames[0]) == 2)
    told = [(record.levelname, record.getMessage().split(" {")[0]) for record in caplog.records]
    assert told == [
        ("INFO", "registered as w1"),
        ("INFO", f"connected to {run.exporter.url}"),
        *[("DEBUG", "sent")] * 3,
        ("DEBUG", "the heartbeat client has ended"),
    ]
    assert {vars(record)["worker_id"] for record in caplog.records[:-1]} == {"w1"}
    assert vars(caplog.records[1])["url"] == run.exporter.url


async def _stop_while_dialling() -> tuple[float, bool]:
    """Against a server that takes the connection and says nothing; how long, and whether it hung up."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.setblocking(False)
        url = f"ws://127.0.0.1:{silent.getsockname()[1]}/ws/w1"
        client = Client(Session(Statistics()), lambda: Registration("w1", url, 5.0, 15.0))
        running = asyncio.create_task(client.run())
        peer, _ = await loop.sock_accept(silent)
        with contextlib.closing(peer):
            peer.setblocking(False)
            handshake = await loop.sock_recv(peer, 4096)
            assert handshake.startswith(b"GET /ws/w1 ")
            asked = loop.time()
            client.stop(leave=False)
            await running
            took = loop.time() - asked
            return took, await loop.sock_recv(peer, 4096) == b""


def test_stopped_while_dialling() -> None:
    """A handshake under way does not hold up the end."""
    took, hung_up = run_fast(_stop_while_dialling())
    assert took < 10.0
    assert hung_up


def test_nobody_there(unused_tcp_port: int) -> None:
    """A refused connection is one more attempt to come, named with its address."""

    async def main() -> str | None:
        statistics = Statistics()
        url = f"ws://127.0.0.1:{unused_tcp_port}/ws/w1"
        client = Client(Session(statistics), lambda: Registration("w1", url, 5.0, 15.0))
        running = asyncio.create_task(client.run())
        while statistics.problem is None:
            await asyncio.sleep(0.1)
        problem = statistics.problem
        client.stop(leave=False)
        await running
        return problem

    problem = run_fast(main())
    assert problem is not None
    assert f"ws://127.0.0.1:{unused_tcp_port}/ws/w1: " in problem


def test_a_dial_that_times_out() -> None:
    """A dial without an answer in time is told in seconds and not as an empty message."""

    async def never(url: str) -> None:
        raise TimeoutError

    async def main() -> str | None:
        statistics = Statistics()
        registration = Registration("w1", "ws://x/ws/w1", 5.0, 15.0)
        client = Client(Session(statistics), lambda: registration, dial=never)  # type: ignore[arg-type]
        running = asyncio.create_task(client.run())
        while statistics.problem is None:
            await asyncio.sleep(0.1)
        problem = statistics.problem
        client.stop(leave=False)
        await running
        return problem

    assert run_fast(main()) == "ws://x/ws/w1: no answer within 20 s"
