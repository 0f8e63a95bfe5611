from __future__ import annotations

import asyncio
import gc
import logging
import weakref

import pytest

from exporter.core.probing import Failure, Phase
from exporter.probes.base import ProbeFailed
from exporter.probes.course import Course, conduct


async def test_phases_add_up() -> None:
    """A phase that comes again counts on; together they are the duration."""

    async def steps(course: Course) -> None:
        for phase in (Phase.CONNECT, Phase.PROCESSING, Phase.CONNECT):
            course.enter(phase)

    result = await conduct(5.0, steps)
    assert [phase for phase, _ in result.phases] == [Phase.CONNECT, Phase.PROCESSING]
    assert sum(spent for _, spent in result.phases) <= result.duration
    assert result.success


@pytest.mark.parametrize(
    ("phase", "detail"),
    [
        (None, "after 0.01 s nothing has begun"),
        (Phase.RESOLVE, "after 0.01 s the name is not resolved (phase resolve)"),
        (Phase.CONNECT, "after 0.01 s nobody has answered at the address (phase connect)"),
        (Phase.TLS, "after 0.01 s the TLS handshake is not over (phase tls)"),
        (Phase.PROCESSING, "after 0.01 s the server has not answered (phase processing)"),
        (Phase.TRANSFER, "after 0.01 s the answer is not complete (phase transfer)"),
    ],
)
async def test_timeouts(phase: Phase | None, detail: str) -> None:
    """A timeout says in which phase it came."""

    async def steps(course: Course) -> None:
        if phase is not None:
            course.enter(phase)
        await asyncio.Event().wait()

    result = await conduct(0.01, steps)
    assert (result.failure, result.detail) == (Failure.TIMEOUT, detail)


async def test_a_verdict_stands() -> None:
    """What was found before the timeout is the reason, though more was to be found out."""

    async def steps(course: Course) -> None:
        course.verdict = ProbeFailed(Failure.TLS, "expired")
        await asyncio.Event().wait()

    result = await conduct(0.01, steps)
    assert (result.failure, result.detail) == (Failure.TLS, "expired")


async def test_earliest_expiry() -> None:
    """Of all certificates that a run meets, the earliest end counts."""

    async def steps(course: Course) -> None:
        for expiry in (None, 5.0, 3.0, 4.0, None):
            course.found_expiry(expiry)

    assert (await conduct(1.0, steps)).certificate_expiry == 3.0


async def test_the_unforeseen(caplog: pytest.LogCaptureFixture) -> None:
    """An exception that nobody has thought of is a result too; where it came from is in the log."""
    caplog.set_level(logging.DEBUG, "exporter")

    async def steps(course: Course) -> None:
        raise LookupError("odd")

    result = await conduct(1.0, steps)
    assert (result.failure, result.detail) == (Failure.OTHER, "LookupError: odd")
    assert [(record.levelno, record.exc_info is not None) for record in caplog.records] == [
        (logging.DEBUG, True)
    ]


@pytest.mark.parametrize(
    ("said", "detail"),
    [
        ("answered 500 Größe", "answered 500 Größe"),
        ("answered 500 \udcff\x1b[31m\nlevel=error", "answered 500 \ufffd\ufffd[31m\ufffdlevel=error"),
        ("a" * 8000, "a" * 499 + "…"),
    ],
)
async def test_details_are_presentable(said: str, detail: str) -> None:
    """What a server says gets into no detail in a way that a log or a command could not take."""

    async def steps(course: Course) -> None:
        raise ProbeFailed(Failure.STATUS, said)

    assert (await conduct(1.0, steps)).detail == detail


@pytest.mark.parametrize("error", [ProbeFailed(Failure.DNS, "no such name"), LookupError("odd")])
async def test_a_failed_run_is_no_cycle(error: Exception) -> None:
    """What a failed run held is free at once, without the garbage collector, and so is what is behind the
    exception that ended it."""
    runs: list[weakref.ref[Course]] = []

    async def steps(course: Course) -> None:
        runs.append(weakref.ref(course))
        try:
            raise KeyError("behind it")
        except KeyError as cause:
            raise error from cause

    gc.disable()
    try:
        await conduct(1.0, steps)
        assert [run() for run in runs] == [None]
    finally:
        gc.enable()
