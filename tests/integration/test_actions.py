"""Actions with real commands, of the kind that hang, fork, flood and die; and over a real store."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psutil
import pytest
from prometheus_client import CollectorRegistry

from exporter.actions import command
from exporter.actions.acting import Acting
from exporter.actions.base import OUTPUT_KEPT, Action, BrakeRules, Hook, Ran
from exporter.actions.command import CommandOptions
from exporter.clock import SystemClock
from exporter.core.acting import Kind, RunFailure
from exporter.core.fleet import Fleet, Rules
from exporter.store.base import Store
from exporter.store.journal import Journal
from exporter.store.redis import RedisStore
from exporter.store.sqlite import SQLiteStore
from exporter.telemetry import Telemetry
from tests.support.actions import change
from tests.support.processes import eventually

GRACE = 0.5


class Scripts:
    """Shell scripts of a test, which are known by their directory when they run."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def write(self, text: str, name: str = "script") -> str:
        path = self._directory / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return str(path)

    async def run(self, text: str, *, timeout: float = 10.0) -> Ran:
        return await command.run(options(self.write(text)), {}, timeout)

    def running(self) -> list[str]:
        """The command lines of those that are still there."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                line = process.cmdline()
                if str(self._directory) in " ".join(line) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(" ".join(line))
        return found


def options(*words: str) -> CommandOptions:
    return CommandOptions(command=words)


@pytest.fixture
def scripts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scripts]:
    """Whatever a test does, afterwards nothing of it is left running, and no file is left open."""
    monkeypatch.setattr(command, "GRACE", GRACE)
    made = Scripts(tmp_path)
    before = len(os.listdir("/proc/self/fd"))
    yield made
    eventually(lambda: not made.running(), within=2.0, what=f"nothing left of {made.running()}")
    assert len(os.listdir("/proc/self/fd")) <= before + 4  # an event loop has a few of its own


# Endings


async def test_a_command_that_goes_well(scripts: Scripts) -> None:
    """Both its outputs are kept, in order."""
    ran = await scripts.run("echo out; echo err >&2; echo out again")
    assert ran == Ran(None, "", "out\nerr\nout again\n")


async def test_a_command_that_fails_says_how(scripts: Scripts) -> None:
    """By its exit code, with what it wrote."""
    assert await scripts.run("echo oops; exit 3") == Ran(RunFailure.EXIT, "exit code 3", "oops\n")


@pytest.mark.parametrize(
    ("number", "name"), [(9, "SIGKILL"), (11, "SIGSEGV"), (signal.SIGRTMIN + 1, f"{signal.SIGRTMIN + 1}")]
)
async def test_a_command_that_is_killed_says_by_what(scripts: Scripts, number: int, name: str) -> None:
    """By the name of the signal, if it has one."""
    assert await scripts.run(f"kill -{number} $$") == Ran(RunFailure.EXIT, f"signal {name}")


async def test_a_command_that_does_not_exist(scripts: Scripts) -> None:
    """Is a failure to start, and leaves nothing open."""
    ran = await command.run(options(scripts.write("") + "-not"), {}, 10.0)
    assert (ran.failure, ran.detail.endswith("script-not: No such file or directory")) == (
        RunFailure.START,
        True,
    )


async def test_a_command_that_closes_its_output(scripts: Scripts) -> None:
    """Is waited for all the same; that it cannot write is its own affair."""
    started = time.monotonic()
    ran = await scripts.run("exec >&- 2>&-; sleep 0.3; echo nowhere; exit 4")
    assert (ran, time.monotonic() - started >= 0.3) == (Ran(RunFailure.EXIT, "exit code 4"), True)


async def test_what_is_no_text_is_shown_as_far_as_it_is(scripts: Scripts) -> None:
    """Output is bytes; the log and the API are not."""
    assert (await scripts.run(r"printf 'a\377b\000c'")).output == "a\ufffdb\0c"


# Those that do not end


async def test_a_command_that_hangs_is_ended(scripts: Scripts) -> None:
    """After its timeout, at once if it listens; what it wrote by then is kept."""
    started = time.monotonic()
    ran = await scripts.run("echo before; exec sleep 100", timeout=0.3)
    assert ran == Ran(RunFailure.TIMEOUT, "not over after 0.3 s", "before\n")
    assert time.monotonic() - started < 0.3 + GRACE


async def test_a_command_can_clean_up_when_it_is_ended(scripts: Scripts) -> None:
    """SIGTERM comes first."""
    ran = await scripts.run("trap 'echo cleaned up; exit 0' TERM; sleep 100 & wait", timeout=0.3)
    assert (ran.failure, ran.output) == (RunFailure.TIMEOUT, "cleaned up\n")


async def test_a_command_that_ignores_sigterm_is_killed(scripts: Scripts) -> None:
    """With all its children, which ignore it, too."""
    child = scripts.write("trap '' TERM; while :; do sleep 0.1; done", "child")
    started = time.monotonic()
    ran = await scripts.run(f"trap '' TERM; {child} & {child} & {child} & wait; wait", timeout=0.3)
    took = time.monotonic() - started
    assert (ran.failure, 0.3 + GRACE <= took < 3 + GRACE) == (RunFailure.TIMEOUT, True)


async def test_a_stopped_command_is_killed(scripts: Scripts) -> None:
    """It does not even get the SIGTERM."""
    assert (await scripts.run("kill -STOP $$", timeout=0.3)).failure is RunFailure.TIMEOUT


async def test_children_that_outlive_the_command_are_part_of_it(scripts: Scripts) -> None:
    """As long as they hold its output: the run is over when they are, or when its time is."""
    child = scripts.write("sleep 0.4; echo child", "child")
    assert await scripts.run(f"{child} & echo parent") == Ran(None, "", "parent\nchild\n")
    child = scripts.write("trap '' TERM; while :; do sleep 0.1; done", "stubborn")
    ran = await scripts.run(f"{child} & echo parent", timeout=0.3)
    assert ran == Ran(
        RunFailure.TIMEOUT,
        "what it started was not over after 0.3 s; itself it ended with exit code 0",
        "parent\n",
    )


@pytest.mark.parametrize("start", ["setsid {}", "{} >/dev/null 2>&1"])
async def test_a_server_that_leaves_stays(scripts: Scripts, tmp_path: Path, start: str) -> None:
    """To start one is what promotions are for: into a session of its own, or with its output elsewhere."""
    server = scripts.write(f"echo $$ > {tmp_path}/pid; while :; do sleep 0.05; done", "server")
    started = time.monotonic()
    ran = await scripts.run(f"{start.format(server)} & echo started; sleep 0.2")
    assert (ran, time.monotonic() - started < 2.0) == (Ran(None, "", "started\n"), True)
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)  # fails if it is not there


async def test_a_server_that_is_left_with_the_output_does_not_harm(scripts: Scripts, tmp_path: Path) -> None:
    """It writes into a pipe that nobody reads any more, which is its own affair."""
    server = scripts.write("echo $$ > pid; sleep 0.3; trap '' PIPE; echo hello || sleep 100", "server")
    ran = await scripts.run(f"cd {tmp_path}; setsid {server} & sleep 0.1")
    assert ran.failure is None
    await asyncio.sleep(0.5)
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGTERM)


# Floods


@pytest.mark.slow
@pytest.mark.parametrize("text", ["yes", "yes | tr 'y' 'x' >&2", "while :; do echo y; done"])
async def test_a_flood_of_output_disturbs_nobody(scripts: Scripts, text: str) -> None:
    """The event loop has its turns, the processor is not spent on it, and memory does not grow by it."""
    lags: list[float] = []

    async def others() -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.01)
            lags.append(time.monotonic() - before - 0.01)

    beside = asyncio.create_task(others())
    spent, memory = time.process_time(), psutil.Process().memory_info().rss
    ran = await scripts.run(text, timeout=1.0)
    spent, memory = time.process_time() - spent, psutil.Process().memory_info().rss - memory
    beside.cancel()
    assert (ran.failure, len(ran.output)) == (RunFailure.TIMEOUT, OUTPUT_KEPT)
    assert set(ran.output) <= set("xy\n")
    assert sorted(lags)[len(lags) // 2] < 0.02
    assert spent < 0.6
    assert memory < 8_000_000


async def test_of_a_long_output_the_end_is_kept(scripts: Scripts) -> None:
    """All of it is read, so that the command can end by itself."""
    ran = await scripts.run("head -c 3000000 /dev/zero | tr '\\0' 'x'; echo end")
    assert ran == Ran(None, "", "x" * (OUTPUT_KEPT - 4) + "end\n")


# Those that are ended early


async def test_a_run_that_is_cancelled_leaves_nothing(scripts: Scripts) -> None:
    """Its children had their SIGTERM, and then their SIGKILL."""
    child = scripts.write("trap '' TERM; while :; do sleep 0.1; done", "child")
    run = asyncio.create_task(scripts.run(f"{child} & wait"))
    await asyncio.sleep(0.3)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    eventually(lambda: not scripts.running(), within=1.0)


async def test_whoever_cannot_wait_cancels_twice(scripts: Scripts) -> None:
    """Then there is no time for the SIGTERM."""
    command_line = "trap '' TERM; while :; do sleep 0.1; done"
    run = asyncio.create_task(scripts.run(command_line))
    await asyncio.sleep(0.3)
    started = time.monotonic()
    run.cancel()
    await asyncio.sleep(0.05)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert time.monotonic() - started < GRACE
    eventually(lambda: not scripts.running(), within=1.0)


# All together


@pytest.fixture(params=[pytest.param("redis", marks=pytest.mark.servers("redis-server")), "sqlite"])
def store_address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "redis":
        return f"redis://127.0.0.1:{request.getfixturevalue('redis_port')}/0"
    return str(tmp_path / "heartbeat.db")


@contextlib.asynccontextmanager
async def exporter(address: str, *actions: Action) -> AsyncIterator[Acting]:
    """As much of one as actions need, from its start to its graceful end."""
    store: Store = RedisStore(address) if address.startswith("redis:") else SQLiteStore(address)
    clock, telemetry = SystemClock(), Telemetry(CollectorRegistry())
    journal = Journal(
        Fleet(Rules()),
        store,
        restore=lambda records: None,
        restore_actions=lambda states: acting.restore(states),
        lost=lambda held: None,
        clock=clock,
        telemetry=telemetry,
    )
    acting = Acting(actions, BrakeRules(share=1.0), clock=clock, store=journal, telemetry=telemetry)
    await journal.start()
    running = asyncio.create_task(acting.run())
    try:
        yield acting
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await journal.stop()


async def until(check: object, *, within: float = 5.0) -> None:
    assert callable(check)
    async with asyncio.timeout(within):
        while not check():
            await asyncio.sleep(0.02)


@pytest.mark.slow
async def test_a_restart_runs_nothing_twice_and_misses_nothing(scripts: Scripts, store_address: str) -> None:
    """Neither what was run, nor what changed meanwhile, nor what was cut off by the end."""
    log = Path(scripts.write("")).with_name("log")
    hang = log.with_name("hang")
    text = (
        f"echo $HEARTBEAT_KIND because of $HEARTBEAT_CAUSE >> {log}; while [ -e {hang} ]; do sleep 0.05; done"
    )
    script = scripts.write(text, "hook")
    hooks = {kind: Hook(kind="command", options=options(script)) for kind in Kind}
    nginx = Action(name="nginx", hooks=hooks, probes=("web",))

    def lines() -> list[str]:
        return log.read_text().splitlines() if log.exists() else []

    def state(acting: Acting) -> str | None:
        [row] = acting.rows()
        return row.state and row.state.name

    async with exporter(store_address, nginx) as acting:
        acting.on_probe(change("web", True))
        await until(lambda: state(acting) == "promoted")
        acting.on_probe(change("web", False))
        await until(lambda: state(acting) == "demoted")
    assert lines() == ["demote because of web"]

    async with exporter(store_address, nginx) as acting:
        acting.on_probe(change("web", False))
        await until(lambda: next(acting.rows()).wanted is Kind.DEMOTE)
        await asyncio.sleep(0.2)
    assert lines() == ["demote because of web"]

    hang.touch()
    async with exporter(store_address, nginx) as acting:
        acting.on_probe(change("web", True))
        await until(lambda: lines() == ["demote because of web", "promote because of web"])
    hang.unlink()

    async with exporter(store_address, nginx) as acting:
        acting.on_probe(change("web", True))
        await until(lambda: state(acting) == "promoted")
    assert lines() == ["demote because of web", "promote because of web", "promote because of web"]


async def test_one_that_hangs_delays_no_other(scripts: Scripts, tmp_path: Path) -> None:
    """Each action has its own run; the one that hangs fails for itself."""
    done = tmp_path / "done"
    hanging = Hook(kind="command", options=options(scripts.write("while :; do sleep 0.1; done", "hanging")))
    quick = Hook(kind="command", options=options(scripts.write(f"touch {done}", "quick")))
    actions = [
        Action(name="hanging", hooks={Kind.DEMOTE: hanging}, probes=("web",), timeout=0.5),
        Action(name="quick", hooks={Kind.DEMOTE: quick}, probes=("web",)),
    ]
    async with exporter(str(tmp_path / "heartbeat.db"), *actions) as acting:
        acting.on_probe(change("web", True))
        await until(lambda: all(row.state is not None for row in acting.rows()))
        acting.on_probe(change("web", False))
        await until(done.exists, within=0.4)
        await until(lambda: len(acting.journal.newest()) == 2)
        assert [(name, outcome.failure) for name, outcome in acting.journal.newest()] == [
            ("hanging", RunFailure.TIMEOUT),
            ("quick", None),
        ]
