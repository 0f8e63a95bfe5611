"""Reading the configuration again."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from exporter import reload
from exporter.configuration.model import Configuration, ConfigurationError, Place, Problem
from exporter.reload import Reloader
from exporter.telemetry import Telemetry
from tests.support.clock import FakeClock

GOOD = "probes:\n  db: {type: tcp, host: db, port: 5432}\n"
OTHER = "probes:\n  web: {type: http, host: web}\n"
BAD = "probes:\n  db: {type: tcp, host: db, port: x}\n  web: {type: htp, host: web}\n"

TYPE = "probes.web.type (line 3): must be http, https, tcp or websocket (did you mean http?)"
PORT = "probes.db.port (line 2): must be a whole number"


class Reloading:
    """A reloader, and what its user was given."""

    def __init__(self, path: Path | None) -> None:
        self.applied: list[list[str]] = []
        self.clock = FakeClock()
        self.registry = CollectorRegistry()
        self.reloader = Reloader(path, self.apply, clock=self.clock, telemetry=Telemetry(self.registry))

    def apply(self, configuration: Configuration) -> None:
        self.applied.append([probe.name for probe in configuration.probes])

    @property
    def metrics(self) -> tuple[float | None, float | None]:
        """Whether the last reload went well, and when the last that did was."""
        return (
            self.registry.get_sample_value("heartbeat_config_last_reload_successful"),
            self.registry.get_sample_value("heartbeat_config_last_reload_success_timestamp_seconds"),
        )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "probes.yml"
    path.write_text(GOOD)
    return path


def test_the_start_is_a_success(file: Path) -> None:
    """An exporter that runs has read its configuration; nothing is applied a second time."""
    reloading = Reloading(file)
    assert (reloading.metrics, reloading.applied) == ((1.0, 1_700_000_000.0), [])


async def test_a_good_file_holds_from_now_on(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is applied, the metrics say when, and the log from where."""
    caplog.set_level(logging.INFO, logger="exporter.reload")
    reloading = Reloading(file)
    file.write_text(OTHER)
    reloading.clock.move(60.0)
    assert await reloading.reloader.reload() is None
    assert (reloading.metrics, reloading.applied) == ((1.0, 1_700_000_060.0), [["web"]])
    assert caplog.messages == [f"configuration reloaded from {file}"]


async def test_a_bad_file_changes_nothing(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    """All that is wrong is returned and logged; the time stays that of what is in force."""
    reloading = Reloading(file)
    file.write_text(BAD)
    reloading.clock.move(60.0)
    assert await reloading.reloader.reload() == f"{file}: {PORT}\n{file}: {TYPE}"
    assert (reloading.metrics, reloading.applied) == ((0.0, 1_700_000_000.0), [])
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("ERROR", f"configuration not reloaded: {file}: {PORT}"),
        ("ERROR", f"configuration not reloaded: {file}: {TYPE}"),
    ]


async def test_a_missing_file_changes_nothing(file: Path) -> None:
    """Somebody may be about to replace it; once it is there the next reload is a success again."""
    reloading = Reloading(file)
    file.unlink()
    assert await reloading.reloader.reload() == f"{file}: cannot be read: No such file or directory"
    assert (reloading.metrics, reloading.applied) == ((0.0, 1_700_000_000.0), [])
    file.write_text(GOOD)
    reloading.clock.move(1.0)
    assert await reloading.reloader.reload() is None
    assert (reloading.metrics, reloading.applied) == ((1.0, 1_700_000_001.0), [["db"]])


async def test_without_a_file_there_is_nothing_to_reload() -> None:
    """That is said, and is no failure of a configuration."""
    reloading = Reloading(None)
    said = await reloading.reloader.reload()
    assert said == "there is no configuration file; --config.file names one"
    assert (reloading.metrics, reloading.applied) == ((1.0, 1_700_000_000.0), [])


async def test_two_at_once_read_one_after_the_other(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read later is applied later: the newest file holds in the end."""
    loop = asyncio.get_running_loop()
    reading, go_on = asyncio.Semaphore(0), [asyncio.Event(), asyncio.Event()]
    contents: list[Configuration | ConfigurationError] = [
        Configuration(),
        ConfigurationError(file, (Problem(Place(""), "is gone"),)),
    ]
    begun = 0

    def slow(path: Path) -> Configuration:
        nonlocal begun
        mine, begun = begun, begun + 1
        loop.call_soon_threadsafe(reading.release)
        asyncio.run_coroutine_threadsafe(go_on[mine].wait(), loop).result(10.0)
        found = contents[mine]
        if isinstance(found, ConfigurationError):
            raise found
        return found

    monkeypatch.setattr(reload, "load", slow)
    reloading = Reloading(file)
    both = [asyncio.create_task(reloading.reloader.reload()) for _ in range(2)]
    await asyncio.wait_for(reading.acquire(), 10.0)
    go_on[1].set()  # the second would be over first
    await asyncio.sleep(0.05)
    assert (begun, reloading.applied) == (1, [])
    go_on[0].set()
    assert await asyncio.gather(*both) == [None, f"{file}: is gone"]
    assert (begun, reloading.applied, reloading.metrics[0]) == (2, [[]], 0.0)


async def test_the_event_loop_goes_on_meanwhile(file: Path) -> None:
    """Heartbeats arrive while thousands of probes are read."""
    file.write_text("probes:\n" + "".join(f"  p{n}: {{type: tcp, host: h, port: 1}}\n" for n in range(300)))
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0.001)

    beside = asyncio.create_task(others())
    assert await Reloading(file).reloader.reload() is None
    beside.cancel()
    assert turns > 5


# SIGHUP


async def until(check: Callable[[], Any]) -> None:
    async with asyncio.timeout(10.0):
        while not check():
            await asyncio.sleep(0.005)


async def test_a_hangup_reloads(file: Path) -> None:
    """For the length of the block, each time; then SIGHUP is what it was."""
    before = signal.getsignal(signal.SIGHUP)
    reloading = Reloading(file)
    with reloading.reloader.on_hangup():
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: reloading.applied == [["db"]])
        file.write_text(OTHER)
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: reloading.applied == [["db"], ["web"]])
        file.write_text(BAD)
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: reloading.metrics[0] == 0.0)
    assert signal.getsignal(signal.SIGHUP) is before
    assert reloading.applied == [["db"], ["web"]]


async def test_without_a_file_a_hangup_is_not_ours() -> None:
    """It ends the process, as it does with programs that have nothing to reload."""
    with Reloading(None).reloader.on_hangup():
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL


async def test_a_thread_leaves_signals_alone(file: Path) -> None:
    """Only the main thread may set them; an exporter in another runs all the same."""

    async def elsewhere() -> str:
        with Reloading(file).reloader.on_hangup():
            return "runs"

    assert await asyncio.to_thread(asyncio.run, elsewhere()) == "runs"
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL
