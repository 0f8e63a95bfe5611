"""One worker that beats five hundred times a second and measures each round trip.

    python -m tests.benchmarks.probe --exporter 127.0.0.1:8000

It is a process of its own, so that what it measures is the exporter and not the load generator. Each line
on stdin is answered by the round trips since the last one: a JSON list of seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sys
import time
from collections import deque

import uvloop

from tests.benchmarks.frames import Connection, Posted, text_frame

PERIOD = 0.002
_BEAT = text_frame(b'{"type":"heartbeat","ack":true}')


class Probe:
    """Sends when it is time to, whether or not the last answer has come; answers come in order."""

    def __init__(self, host: str, port: int) -> None:
        self._address = host, port
        self._loop = asyncio.get_running_loop()
        self._connection = Connection(self, "")
        self._sent: deque[float] = deque()
        self._round_trips: list[float] = []

    async def start(self) -> None:
        facts = {"name": "Probe", "host": "127.0.0.1", "port": 8001, "group": "probe"}
        request = Posted(self, "/register", json.dumps(facts).encode())
        await self._loop.create_connection(lambda: request, *self._address)

    def lap(self) -> list[float]:
        round_trips, self._round_trips = self._round_trips, []
        return round_trips

    def posted(self, status: int | None, body: bytes) -> None:
        assert status in (200, 201), body
        self._connection = Connection(self, json.loads(body)["websocket_path"])
        self._dialling = self._loop.create_task(
            self._loop.create_connection(lambda: self._connection, *self._address)
        )

    def opened(self) -> None:
        self._beat(time.perf_counter())

    def frame(self, text: bytes) -> None:
        self._round_trips.append(time.perf_counter() - self._sent.popleft())

    def refused(self, status: int | None) -> None:
        raise AssertionError(f"the probe was refused with {status}")

    def closed(self, code: int | None) -> None:
        raise AssertionError(f"the probe was closed with {code}")

    def _beat(self, due: float) -> None:
        now = time.perf_counter()  # the loop's own clock counts milliseconds
        self._sent.append(now)
        self._connection.write(_BEAT)
        following = max(due + PERIOD, now)
        self._loop.call_later(following - now, self._beat, following)


async def run(address: str) -> None:
    loop = asyncio.get_running_loop()
    host, _, port = address.rpartition(":")
    probe = Probe(host, int(port))
    await probe.start()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while await reader.readline():
        print(json.dumps(probe.lap()), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--exporter", required=True, help="host:port")
    given = parser.parse_args()
    with contextlib.suppress(PermissionError):
        os.nice(-10)  # others that want the CPU are not what is measured
    uvloop.run(run(given.exporter))


if __name__ == "__main__":
    main()
