"""The same probes by Prometheus' own prober, to compare: asked for each of them as Prometheus asks."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import aiohttp
import psutil

from tests.support.processes import free_port, program, running

_MODULES = {"http": "http_2xx", "tcp": "tcp_connect"}
_CONFIGURATION = """\
modules:
  http_2xx: {prober: http}
  tcp_connect: {prober: tcp}
"""


class Asked(NamedTuple):
    """Probes that were run, those that failed, and the CPU seconds they took."""

    runs: int
    failures: int
    cpu: float
    seconds: float


@contextlib.contextmanager
def blackbox(directory: Path) -> Iterator[tuple[psutil.Process, str]]:
    """A running prober and where it listens."""
    configuration = directory / "blackbox.yml"
    configuration.write_text(_CONFIGURATION)
    address = f"127.0.0.1:{free_port()}"
    command = [
        program("blackbox_exporter"),
        f"--config.file={configuration}",
        f"--web.listen-address={address}",
        "--log.level=error",
    ]
    with running(command, log=directory / "blackbox.log", ready=f"http://{address}/-/healthy") as process:
        yield psutil.Process(process.pid), address


async def asked(
    process: psutil.Process, address: str, kind: str, port: int, rate: float, seconds: float
) -> Asked:
    """Ask for so many probes a second, evenly, over connections that stay open.

    The first second is left out.
    """
    target = f"http://127.0.0.1:{port}/" if kind == "http" else f"127.0.0.1:{port}"
    query = {"target": target, "module": _MODULES[kind]}
    succeeded: list[bool] = []

    async def ask() -> None:
        async with session.get(f"http://{address}/probe", params=query) as answer:
            succeeded.append("\nprobe_success 1\n" in await answer.text())

    loop = asyncio.get_running_loop()
    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
        beginning = started = loop.time()
        warm = False
        cpu = 0.0
        for number in range(round(rate * (seconds + 1))):
            await asyncio.sleep(beginning + number / rate - loop.time())
            if not warm and number >= rate:
                warm, started, cpu = True, loop.time(), cpu_seconds(process)
                succeeded.clear()
            group.create_task(ask())
        await asyncio.sleep(0.1)
        cpu = cpu_seconds(process) - cpu
    return Asked(len(succeeded), succeeded.count(False), cpu, loop.time() - started)


def cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system
