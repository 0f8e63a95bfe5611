"""An exporter with one of everything to show: workers in each state and with a past, probes, actions."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from exporter.core.model import (
    DOWN,
    SECOND,
    Facts,
    Reason,
    Record,
    Status,
    Totals,
    Transition,
    Wall,
    WorkerId,
)
from exporter.store.base import Batch
from exporter.store.sqlite import SQLiteStore

from .processes import eventually, free_port
from .services import Service
from .serving import Serving, exporter

INTERVAL, TIMEOUT = 5.0, 15.0

ALIVE, REGISTERED = (Status.ALIVE, Reason.HEARTBEAT), (Status.REGISTERED, Reason.REGISTERED)
RESTARTED, STOPPED = (Status.REGISTERED, Reason.RESTART), (Status.DISCONNECTED, Reason.SHUTDOWN)
LOST = (Status.DISCONNECTED, Reason.CONNECTION_LOST)
SILENT = (Status.NOT_RESPONDING, Reason.TIMEOUT)
GONE = (Status.NOT_RESPONDING, Reason.CONNECTION_LOST)
OFF = (Status.NOT_RESPONDING, Reason.SHUTDOWN)

Past = Sequence[tuple[float, tuple[Status, Reason]]]
"""How many seconds ago what came about, the first first."""


class Exhibit(NamedTuple):
    """A worker. One that is alive at the end of its past goes on beating, and tells of its `checks`."""

    name: str
    group: str
    past: Past
    checks: Mapping[str, str] = {}
    version: str = "2.4.1"

    @property
    def worker_id(self) -> WorkerId:
        return WorkerId("-".join(self.name.lower().split()))

    @property
    def status(self) -> Status:
        return self.past[-1][1][0]


HEALTHY = {"postgres": "healthy", "redis": "healthy"}

FLEET: Sequence[Exhibit] = (
    Exhibit("Checkout 1", "orders", [(86_000, ALIVE)], HEALTHY),
    Exhibit("Checkout 2", "orders", [(86_000, ALIVE), (62, LOST), (47, GONE)], HEALTHY),
    Exhibit(
        "Checkout 3", "orders", [(86_000, ALIVE), (190, STOPPED), (165, RESTARTED), (160, ALIVE)], HEALTHY
    ),
    Exhibit("Invoices", "payments", [(7_300, ALIVE)], {"postgres": "degraded", "bank": "healthy"}),
    Exhibit("Ledger", "payments", [(9_400, ALIVE), (130, SILENT), (95, ALIVE)], HEALTHY),
    Exhibit("Refunds", "payments", [(5_200, ALIVE)], {"postgres": "healthy", "bank": "unhealthy"}),
    Exhibit("Index builder", "search", [(4_000, ALIVE), (24, SILENT)]),
    Exhibit("Query 1", "search", [(4_100, ALIVE)], HEALTHY, "3.0.0-rc.2"),
    Exhibit("Query 2", "search", [(4_100, ALIVE), (150, STOPPED), (135, OFF)], HEALTHY, "3.0.0-rc.1"),
    Exhibit("Mail out", "mail", [(12_000, ALIVE)], {"smtp": "healthy"}),
    Exhibit("Mail in", "mail", [(40, REGISTERED), (38, ALIVE)], {"imap": "healthy"}),
)

PROBES = """\
defaults: {{interval: 1s, timeout: 500ms, failure_threshold: 2, success_threshold: 1}}
probes:
  shop: {{type: http, host: 127.0.0.1, port: {up}, action: failover}}
  warehouse: {{type: tcp, host: 127.0.0.1, port: {down}}}
actions:
  failover: {{promote: /bin/true, demote: /bin/true}}
  pager: {{promote: /bin/true, demote: /bin/true, on: {{workers: {{group: payments}}}}}}
"""


def record(exhibit: Exhibit, now: float) -> Record:
    """As an exporter would have written it."""
    facts = Facts(
        worker_id=exhibit.worker_id,
        name=exhibit.name,
        group=exhibit.group,
        host="10.0.3.17",
        port=8001,
        interval=INTERVAL,
        timeout=TIMEOUT,
        boot_id="boot-1",
        started_at=now - exhibit.past[0][0],
        version=exhibit.version,
    )
    before: Status | None = None
    history = []
    for ago, (status, reason) in exhibit.past:
        at = Wall(now - ago)
        history.append(Transition(facts.worker_id, facts.name, facts.group, before, status, reason, at))
        before = status
    last = history[-1]
    seen = last.at - (TIMEOUT if last.reason is Reason.TIMEOUT else 0.0)
    if exhibit.status is Status.ALIVE:
        seen = now - 1
    beaten = Wall(seen)
    return Record(
        facts, last.after, last.reason, last.at, beaten, beaten, totals(history, now), tuple(history)
    )


def totals(history: Sequence[Transition], now: float) -> Totals:
    """What had been counted, if each heartbeat came."""
    up = 0.0
    down: dict[Reason, float] = {}
    ends = [*(change.at for change in history[1:]), now]
    for change, end in zip(history, ends, strict=True):
        if change.after is Status.ALIVE:
            up += end - change.at
        elif change.after in DOWN:
            down[change.reason] = down.get(change.reason, 0.0) + end - change.at
    return Totals(
        heartbeats=round(up / INTERVAL),
        restarts=sum(change.reason is Reason.RESTART for change in history),
        up=round(up * SECOND),
        down=tuple((reason, round(time * SECOND)) for reason, time in down.items()),
    )


def remember(directory: Path, exhibits: Sequence[Exhibit]) -> None:
    """Write the workers to the store that `serving.exporter` uses. Not from within an event loop."""

    async def save() -> None:
        store = SQLiteStore(directory / "registry.db")
        await store.open()
        await store.acquire()
        await store.save(Batch(records=tuple(record(exhibit, time.time()) for exhibit in exhibits)))
        await store.release()
        await store.close()

    asyncio.run(save())


@contextlib.contextmanager
def beating(serving: Serving, exhibits: Sequence[Exhibit]) -> Iterator[None]:
    """Heartbeats from those that are alive, all at first and then one after the other."""
    over = threading.Event()

    def beat() -> None:
        with contextlib.ExitStack() as stack:
            connections = [stack.enter_context(serving.connect(each.worker_id)) for each in exhibits]
            for tick in itertools.count():
                for number, (each, connection) in enumerate(zip(exhibits, connections, strict=True)):
                    if tick == 0 or (number - tick) % INTERVAL == 0:
                        report = {"checks": dict(each.checks), "rtt": 0.0012 + 0.0007 * number}
                        connection.send(json.dumps({"type": "heartbeat", **report}))
                if over.wait(1.0):
                    return

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextlib.contextmanager
def gallery(directory: Path, exhibits: Sequence[Exhibit] = FLEET) -> Iterator[Serving]:
    """The exporter once everybody is connected, each probe has run, and an action has."""
    remember(directory, exhibits)
    up = [each for each in exhibits if each.status is Status.ALIVE]
    configuration = directory / "config.yml"
    with Service() as shop:
        shop.up()
        configuration.write_text(PROBES.format(up=shop.port, down=free_port()))
        arguments = [f"--config.file={configuration}"]
        with exporter(directory, arguments=arguments) as serving, beating(serving, up):
            eventually(lambda: serving.metric("heartbeat_connections") == len(up), within=10)
            eventually(lambda: all(probe["last_result"] for probe in serving.get("/probes")), within=10)
            yield serving
