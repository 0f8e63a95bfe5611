"""The WebSocket: heartbeats, goodbyes, acks, refusals and close codes."""

from __future__ import annotations

import pytest
from starlette.types import Message

from tests.support.application import Exporter, running
from tests.support.asgi import Refused, Socket
from tests.support.stores import MemoryStore


@pytest.fixture(autouse=True, params=[False, True], ids=["by messages", "by calls"])
def way_of_frames(request: pytest.FixtureRequest, exporter: Exporter) -> None:
    """Everything holds whichever way the server hands frames over."""
    exporter.direct = request.param


async def status(exporter: Exporter, worker_id: str = "w") -> tuple[str, str]:
    worker = await exporter.worker(worker_id)
    return worker["status"], worker["reason"]


async def test_a_worker_is_alive_from_its_first_heartbeat(exporter: Exporter) -> None:
    """registered, connected, alive: each by what happened."""
    await exporter.register(worker_id="w")
    assert await status(exporter) == ("registered", "registered")
    socket = await exporter.connect("w")
    assert await status(exporter) == ("connected", "connected")
    await socket.send({"type": "heartbeat"})
    assert await status(exporter) == ("alive", "heartbeat")
    await socket.drop()


async def test_a_goodbye_tells_a_stop_from_a_crash(exporter: Exporter) -> None:
    """Disconnected at once, by shutdown; not responding after the timeout, still by shutdown."""
    await exporter.register(worker_id="w")
    socket = await exporter.connect("w")
    await socket.send({"type": "heartbeat"})
    await socket.send({"type": "goodbye"})
    await socket.drop(1000)
    assert await status(exporter) == ("disconnected", "shutdown")
    await exporter.clock.jump(15.1)
    assert await status(exporter) == ("not_responding", "shutdown")
    assert await exporter.metric('heartbeat_connections_closed_total{reason="goodbye"}') == [
        'heartbeat_connections_closed_total{reason="goodbye"} 1.0'
    ]
    assert await exporter.metric('heartbeat_messages_rejected_total{reason="stale_connection"}') == [
        'heartbeat_messages_rejected_total{reason="stale_connection"} 0.0'
    ]


async def test_a_goodbye_is_answered_by_closing(exporter: Exporter) -> None:
    """1000 from our side: a worker that is stuck in its own end keeps no socket open."""
    await exporter.register(worker_id="w")
    socket = await exporter.connect("w")
    await socket.send({"type": "goodbye"})
    assert await socket.closed_with() == 1000
    assert await exporter.metric("heartbeat_connections ") == ["heartbeat_connections 0.0"]


async def test_what_is_no_text_to_the_server_is_counted_here(exporter: Exporter) -> None:
    """The server ends the connection by itself, and only its code gets here."""
    await exporter.register(worker_id="w")
    socket = await exporter.connect("w")
    await socket.drop(1007)
    assert await exporter.metric('heartbeat_messages_rejected_total{reason="json"}') == [
        'heartbeat_messages_rejected_total{reason="json"} 1.0'
    ]


async def test_a_worker_that_leaves_is_forgotten(exporter: Exporter) -> None:
    """Goodbye with leave: gone from the registry, and its socket closed."""
    await exporter.register(worker_id="w")
    socket = await exporter.connect("w")
    await socket.send({"type": "goodbye", "leave": True})
    await socket.drop(1000)
    assert (await exporter.http.get("/workers/w")).status_code == 404


async def test_a_lost_socket_is_a_lost_connection_whatever_the_code(exporter: Exporter) -> None:
    """Also with a code that says all is well: only a goodbye is a goodbye."""
    await exporter.register(worker_id="w")
    for code in (1000, 1006, 1012):
        socket = await exporter.connect("w")
        await socket.send({"type": "heartbeat"})
        await socket.drop(code)
        assert await status(exporter) == ("disconnected", "connection_lost")


async def test_answers_a_heartbeat_that_asks(exporter: Exporter) -> None:
    """With its number and the exporter's times, for the agent's clock offset and round trip."""
    await exporter.register(worker_id="w")
    socket = await exporter.connect("w")
    await socket.send({"type": "heartbeat", "seq": 7, "ack": True})
    now = pytest.approx(exporter.clock.now().wall, abs=1e-6)
    assert await socket.receive() == {"type": "ack", "seq": 7, "received_at": now, "sent_at": now}
    await socket.send({"type": "heartbeat", "seq": 8})
    assert socket.nothing_sent()
    await socket.drop()


async def test_the_older_of_two_sockets_is_closed_as_replaced(exporter: Exporter) -> None:
    """4001, without a change of status; what it still says is counted and harms nobody."""
    await exporter.register(worker_id="w")
    older = await exporter.connect("w")
    await older.send({"type": "heartbeat"})
    newer = await exporter.connect("w")
    assert await older.closed_with() == 4001
    assert await status(exporter) == ("alive", "heartbeat")
    await newer.drop()


async def test_a_forgotten_worker_is_told_so(exporter: Exporter) -> None:
    """DELETE closes its socket with 4004, so that its agent registers again."""
    await exporter.register(worker_id="w")
    socket = await exporter.connect("w")
    deleted = await exporter.during(exporter.http.delete("/workers/w"))
    assert deleted.status_code == 204
    assert await socket.closed_with() == 4004


async def test_an_unknown_worker_is_refused_before_it_is_accepted(exporter: Exporter) -> None:
    """404, which sends the agent back to register."""
    with pytest.raises(Refused) as refused:
        await exporter.connect("nobody")
    assert refused.value.status == 404
    assert await exporter.metric('heartbeat_connections_refused_total{reason="unknown"}') == [
        'heartbeat_connections_refused_total{reason="unknown"} 1.0'
    ]


class MuteSocket(Socket):
    """A peer that does not answer the closing handshake: to the server its connection stays."""

    async def _sent(self, message: Message) -> None:
        await self._from_app.put(message)


async def test_connections_are_bounded() -> None:
    """503 with Retry-After once those that were replaced, and linger, are too many."""
    async with running(max_workers=1) as exporter:
        await exporter.register(worker_id="w")
        mute = [await MuteSocket(exporter.app, "/ws/w").open() for _ in range(17)]
        with pytest.raises(Refused) as refused:
            await exporter.connect("w")
        assert (refused.value.status, refused.value.headers["retry-after"]) == (503, "15")
        assert await exporter.metric('heartbeat_connections_refused_total{reason="full"}') == [
            'heartbeat_connections_refused_total{reason="full"} 1.0'
        ]
        for socket in mute:
            await socket.drop()
        await (await exporter.connect("w")).drop()


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        ("no json", "json"),
        ("[1]", "json"),
        ("[" * 4000, "json"),
        ("{}", "type"),
        ('{"type":1}', "type"),
    ],
)
async def test_a_frame_that_is_no_message_is_counted_and_skipped(
    exporter: Exporter, frame: str, reason: str
) -> None:
    """The connection stays: the next heartbeat counts."""
    await exporter.register(worker_id="w")
    socket = await exporter.connect("w")
    await socket.send(frame)
    await socket.send({"type": "heartbeat"})
    assert await status(exporter) == ("alive", "heartbeat")
    assert await exporter.metric(f'heartbeat_messages_rejected_total{{reason="{reason}"}}') == [
        f'heartbeat_messages_rejected_total{{reason="{reason}"}} 1.0'
    ]
    await socket.drop()


async def test_binary_frames_are_no_messages(exporter: Exporter) -> None:
    """The protocol is text."""
    await exporter.register(worker_id="w")
    socket = await exporter.connect("w")
    await socket.send_bytes(b'{"type":"heartbeat"}')
    assert await status(exporter) == ("connected", "connected")
    await socket.drop()


async def test_ten_frames_in_a_row_that_are_no_messages_end_the_connection(exporter: Exporter) -> None:
    """1008 after the tenth; a message in between starts the count again."""
    await exporter.register(worker_id="w")
    socket = await exporter.connect("w")
    for _ in range(9):
        await socket.send("x")
    await socket.send({"type": "from the future"})
    for _ in range(9):
        await socket.send("x")
    assert socket.nothing_sent()
    await socket.send("x")
    assert await socket.closed_with() == 1008
    assert await status(exporter) == ("disconnected", "connection_lost")


async def test_a_frame_above_4_kib_ends_the_connection(exporter: Exporter) -> None:
    """1009, measured in bytes of UTF-8 and not in characters."""
    await exporter.register(worker_id="w")
    largest = '{"type":"heartbeat","x":"' + "é" * 2034 + '..."}'
    assert len(largest.encode()) == 4098
    socket = await exporter.connect("w")
    await socket.send(largest[:-5] + '"}')
    assert await status(exporter) == ("alive", "heartbeat")
    await socket.send(largest)
    assert await socket.closed_with() == 1009
    assert await exporter.metric('heartbeat_connections_closed_total{reason="size"}') == [
        'heartbeat_connections_closed_total{reason="size"} 1.0'
    ]


async def test_a_bad_optional_field_is_dropped_and_the_heartbeat_counts(exporter: Exporter) -> None:
    """NaN, a negative round trip, a string: a sign of life all the same."""
    await exporter.register(worker_id="w")
    socket = await exporter.connect("w")
    await socket.send('{"type":"heartbeat","rtt":-1,"clock_offset":"x","loop_lag":NaN,"seq":true}')
    worker = await exporter.worker("w")
    assert (worker["status"], worker["round_trip"], worker["clock_offset"], worker["event_loop_lag"]) == (
        "alive",
        None,
        None,
        None,
    )
    assert await exporter.metric('heartbeat_messages_rejected_total{reason="field"}') == [
        'heartbeat_messages_rejected_total{reason="field"} 4.0'
    ]
    await socket.drop()


async def test_measurements_of_a_worker_are_shown(exporter: Exporter) -> None:
    """Round trip, clock offset and loop lag as the worker measured them; latency from its clock."""
    await exporter.register(worker_id="w")
    socket = await exporter.connect("w")
    sent_at = exporter.clock.now().wall + 3.0 - 0.02
    await socket.send(
        {"type": "heartbeat", "rtt": 0.01, "clock_offset": 3.0, "loop_lag": 0.25, "sent_at": sent_at}
    )
    worker = await exporter.worker("w")
    assert (worker["round_trip"], worker["clock_offset"], worker["event_loop_lag"]) == (0.01, 3.0, 0.25)
    (total,) = await exporter.metric("heartbeat_latency_seconds_sum")
    assert float(total.split()[-1]) == pytest.approx(0.02, abs=1e-3)
    await socket.drop()


async def test_health_checks_of_a_worker_are_shown(exporter: Exporter) -> None:
    """As they were told last, and while the worker is up."""
    await exporter.register(worker_id="w")
    socket = await exporter.connect("w")
    assert (await exporter.worker("w"))["checks"] == {}
    await socket.send({"type": "heartbeat", "checks": {"db": "unhealthy", "cache": "degraded"}})
    await socket.send({"type": "heartbeat"})
    assert (await exporter.worker("w"))["checks"] == {"cache": "degraded", "db": "unhealthy"}
    await socket.send({"type": "heartbeat", "checks": {"db": "healthy"}})
    assert (await exporter.worker("w"))["checks"] == {"db": "healthy"}
    assert await exporter.metric("heartbeat_messages_rejected_total") == [
        f'heartbeat_messages_rejected_total{{reason="{reason}"}} 0.0'
        for reason in ("json", "type", "field", "size", "stale_connection", "latency")
    ]
    await socket.drop()
    assert (await exporter.worker("w"))["checks"] == {}


async def test_too_many_checks_and_bad_ones_are_counted(exporter: Exporter) -> None:
    """Those beyond the 32nd, bad names and bad states: each is refused for itself, and the rest kept."""
    await exporter.register(worker_id="w")
    socket = await exporter.connect("w")
    many = {f"check-{number:02}": "healthy" for number in range(40)}
    bad = {"a b": "healthy", "x" * 49: "healthy", "state": "fine", "number": 1, "list": ["healthy"]}
    await socket.send({"type": "heartbeat", "checks": {**bad, **many}})
    worker = await exporter.worker("w")
    assert worker["status"] == "alive"
    assert worker["checks"] == dict(list(many.items())[:32])
    assert await exporter.metric('heartbeat_messages_rejected_total{reason="field"}') == [
        'heartbeat_messages_rejected_total{reason="field"} 13.0'
    ]
    await socket.send({"type": "heartbeat", "checks": ["healthy"]})
    assert (await exporter.worker("w"))["checks"] == worker["checks"]
    assert await exporter.metric('heartbeat_messages_rejected_total{reason="field"}') == [
        'heartbeat_messages_rejected_total{reason="field"} 14.0'
    ]
    await socket.drop()


async def test_the_exporters_own_end_changes_nobody() -> None:
    """Sockets that its server closes are counted as shutdown, and what is stored stays alive."""
    store = MemoryStore()
    async with running(store) as exporter:
        await exporter.register(worker_id="w")
        socket = await exporter.connect("w")
        await socket.send({"type": "heartbeat"})
        exporter.stop_judging()
        await socket.drop(1012)
        assert await status(exporter) == ("alive", "heartbeat")
    assert [record.status for record in store.records.values()] == ["alive"]


async def test_nobody_is_unknown_while_the_registry_is_loading() -> None:
    """503 with Retry-After on every door that would otherwise say so."""
    store = MemoryStore()
    store.away = True
    async with running(store, wait=False) as exporter:
        assert (
            await exporter.http.post("/register", json={"name": "w", "host": "h", "port": 1})
        ).status_code == 503
        for path in ("/sd", "/workers", "/workers/w", "/transitions"):
            answer = await exporter.http.get(path)
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        assert (await exporter.http.delete("/workers/w")).status_code == 503
        assert await exporter.metric("heartbeat_warming_up") == ["heartbeat_warming_up 1"]
        assert (await exporter.http.get("/health/ready")).status_code == 503
        with pytest.raises(Refused) as refused:
            await exporter.connect("w")
        assert (refused.value.status, refused.value.headers["retry-after"]) == (503, "1")
        await exporter.clock.jump(6)
        assert (await exporter.register(worker_id="w")).status_code == 201
        ready = await exporter.http.get("/health/ready")
        assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
