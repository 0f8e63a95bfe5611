"""A server under measurement: the exporter or the bare endpoint, as a process of its own."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.support.processes import free_port, http_get, running

_TICKS = os.sysconf("SC_CLK_TCK")


class Reading(NamedTuple):
    """CPU seconds and heartbeats so far, each with the instant at which it was read (monotonic)."""

    cpu: float
    cpu_at: float
    beats: float
    beats_at: float


class Server:
    """One running process that answers HTTP; what it costs is read from /proc."""

    def __init__(self, process: subprocess.Popen[bytes], address: str, counter: str) -> None:
        self.process = process
        self.address = address
        self._counter = re.compile(rf"^{counter}(?:{{[^}}]*}})? (\S+)$", re.MULTILINE)

    def get(self, path: str) -> str:
        return http_get(f"http://{self.address}{path}", timeout=30.0)

    def cpu(self) -> float:
        """Seconds of CPU, of user and system together, since the process started."""
        stat = Path(f"/proc/{self.process.pid}/stat").read_text()
        fields = stat.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def resident(self) -> int:
        """Bytes of memory in use."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def beats(self) -> tuple[float, float]:
        """Heartbeats by its own count, and when they were counted: before the answer began."""
        with urllib.request.urlopen(f"http://{self.address}/metrics", timeout=30.0) as response:
            at = time.monotonic()
            text = response.read().decode()
        return sum(map(float, self._counter.findall(text))), at

    def read(self) -> Reading:
        beats, beats_at = self.beats()
        return Reading(self.cpu(), time.monotonic(), beats, beats_at)

    def read_last(self) -> Reading:
        """As `read`, but CPU first: so that no scrape lies between the CPU times of the two."""
        cpu, cpu_at = self.cpu(), time.monotonic()
        return Reading(cpu, cpu_at, *self.beats())


def microseconds_per_beat(first: Reading, last: Reading) -> float:
    """CPU per second over heartbeats per second, because the two were not read in the same instant."""
    cpu = (last.cpu - first.cpu) / (last.cpu_at - first.cpu_at)
    beats = (last.beats - first.beats) / (last.beats_at - first.beats_at)
    return 1e6 * cpu / beats


@contextlib.contextmanager
def exporter(directory: Path, *, redis: int, port: int | None = None) -> Iterator[Server]:
    """The exporter on a real Redis, with nothing else set."""
    address = f"127.0.0.1:{port or free_port()}"
    command = [sys.executable, "-m", "exporter", "serve", f"--web.listen-address={address}"]
    env = {**os.environ, "REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(redis)}
    with running(
        command, log=directory / "exporter.log", ready=f"http://{address}/-/ready", within=30.0, env=env
    ) as process:
        yield Server(process, address, "heartbeat_heartbeats_total")


@contextlib.contextmanager
def bare(directory: Path) -> Iterator[Server]:
    """The bare endpoint, on the same server with the same options."""
    address = f"127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "tests.benchmarks.bare", address]
    with running(command, log=directory / "bare.log", ready=f"http://{address}/") as process:
        yield Server(process, address, "bare_interval_seconds_count")


def terminate(server: Server, *, within: float = 15.0) -> None:
    server.process.send_signal(signal.SIGTERM)
    server.process.wait(within)
