"""What the health paths of a worker answer, as values.

A worker whose exporter is away is degraded and answers 200: it does its work, only nobody watches.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from threading import Lock
from typing import NamedTuple, Protocol

from worker_agent.health.registry import RESERVED, Health, Standing
from worker_agent.protocol import CheckState
from worker_agent.statistics import Statistics

NOT_STARTED = "the agent was not started: pass lifespan=agent.lifespan to FastAPI"

OK = 200
NOT_FOUND = 404
UNAVAILABLE = 503

_LONGEST_NAME = 60


class Worker(Protocol):
    """What the answers report on; read from any thread."""

    @property
    def statistics(self) -> Statistics: ...
    @property
    def version(self) -> str | None: ...
    @property
    def uptime(self) -> float: ...
    @property
    def started(self) -> bool: ...
    @property
    def ready(self) -> bool: ...


class Endpoint(StrEnum):
    """A health path; the `endpoint` of heartbeat_agent_health_requests_total."""

    HEALTH = "health"
    LIVE = "live"
    READY = "ready"
    STARTUP = "startup"


# To know whether it has started needs no event loop.
_STUCK = {Endpoint.HEALTH: CheckState.UNHEALTHY, Endpoint.LIVE: "stuck", Endpoint.READY: "not_ready"}


class Answer(NamedTuple):
    """An HTTP status, and what JSON makes the body of."""

    status_code: int
    body: dict[str, object]


class Requests:
    """How often each path was answered with which status; counted by several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counts = {(endpoint, code): 0 for endpoint in Endpoint for code in (OK, UNAVAILABLE)}
        self._counts[Endpoint.HEALTH, NOT_FOUND] = 0

    def count(self, endpoint: Endpoint, status_code: int) -> None:
        with self._lock:
            self._counts[endpoint, status_code] += 1

    def counts(self) -> Mapping[tuple[Endpoint, int], int]:
        """All that can be counted, by path and status."""
        with self._lock:
            return dict(self._counts)


class Answers:
    """Computes each answer. The coroutines belong on the event loop on which the checks run.

    Args:
        monotonic: the clock of the findings.
    """

    def __init__(
        self, worker: Worker, health: Health, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.requests = Requests()
        self._worker = worker
        self._health = health
        self._monotonic = monotonic

    async def health(self, names: Sequence[str] | None = None) -> Answer:
        """How the checks of these names stand, all of them without `names`, and what that makes together."""
        wanted = self._wanted(names)
        if isinstance(wanted, Answer):
            return wanted
        checks = self._entries(wanted, await self._health.look(name for name in wanted if name != RESERVED))
        status = _together(checks.values())
        code = UNAVAILABLE if status is CheckState.UNHEALTHY else OK
        return Answer(code, {**self._about(status), "checks": checks})

    async def live(self) -> Answer:
        """Whoever can answer is alive, whatever else is wrong."""
        return Answer(OK, self._about("alive"))

    async def ready(self) -> Answer:
        """Whether to send requests here: not before the start, not once it is to end, and not while it
        lacks what it cannot do without."""
        # Asked again at the end, because checks take their time.
        error = self._absent() or await self._lacking() or self._absent()
        if error is None:
            return Answer(OK, self._about("ready"))
        return Answer(UNAVAILABLE, {**self._about("not_ready"), "error": error})

    async def startup(self) -> Answer:
        """Whether every check has been run once; needs no event loop."""
        if self._worker.started and self._health.started_up:
            return Answer(OK, self._about("started"))
        error = "the first round of checks is not over" if self._worker.started else NOT_STARTED
        return Answer(UNAVAILABLE, {**self._about("starting"), "error": error})

    def stuck(self, endpoint: Endpoint, lag: float | None, names: Sequence[str] | None = None) -> Answer:
        """The answer in place of an event loop that has not turned for `lag` seconds; None: it has ended.

        From any thread.
        """
        body = self._about(_STUCK[endpoint])
        if lag is None:
            body |= {"error": "the event loop has ended", "event_loop_lag": None}
        else:
            body |= {
                "error": f"the event loop has not turned for {lag:.1f} s",
                "event_loop_lag": round(lag, 3),
            }
        if endpoint is Endpoint.HEALTH:
            wanted = self._wanted(names)
            if isinstance(wanted, Answer):
                return wanted
            body["checks"] = self._entries(wanted, self._health.last())
        return Answer(UNAVAILABLE, body)

    def _about(self, status: str) -> dict[str, object]:
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return {
            "status": status,
            "timestamp": now,
            "uptime": round(self._worker.uptime, 3),
            "version": self._worker.version,
        }

    def _wanted(self, names: Sequence[str] | None) -> list[str] | Answer:
        known = [*self._health.checks, RESERVED]
        if names is None:
            return known
        for name in names:
            if name not in known:
                error = f"there is no check {name[:_LONGEST_NAME]!r}, only {', '.join(known)}"
                return Answer(NOT_FOUND, {**self._about("unknown_check"), "error": error})
        return list(dict.fromkeys(names))

    def _entries(
        self, wanted: Iterable[str], standings: Mapping[str, Standing]
    ) -> dict[str, dict[str, object]]:
        now = self._monotonic()
        return {
            name: self._exporter() if name == RESERVED else self._entry(standings[name], now)
            for name in wanted
        }

    def _entry(self, standing: Standing, now: float) -> dict[str, object]:
        check, finding = standing
        if finding is None:
            error = "no result yet" if self._worker.started else NOT_STARTED
            return _shown(CheckState.UNHEALTHY, {}, error, critical=check.critical)
        return _shown(
            finding.result.state,
            finding.result.details,
            finding.result.error,
            duration=round(finding.duration, 6),
            age=round(now - finding.at, 3),
            critical=check.critical,
        )

    def _exporter(self) -> dict[str, object]:
        """The connection to the exporter: healthy or degraded, never unhealthy."""
        statistics = self._worker.statistics
        details = {"worker_id": statistics.worker_id, "heartbeats_sent": statistics.heartbeats_sent}
        if statistics.connected:
            return _shown(CheckState.HEALTHY, details, None)
        error = (statistics.problem or "not connected yet") if self._worker.started else NOT_STARTED
        return _shown(CheckState.DEGRADED, details, error)

    def _absent(self) -> str | None:
        if not self._worker.started:
            return NOT_STARTED
        return None if self._worker.ready else "stopping"

    async def _lacking(self) -> str | None:
        critical = [name for name, check in self._health.checks.items() if check.critical]
        failing = [
            name
            for name, (_, finding) in (await self._health.look(critical)).items()
            if finding is None or finding.result.state is CheckState.UNHEALTHY
        ]
        return f"unhealthy: {', '.join(failing)}" if failing else None


def _shown(
    status: CheckState,
    details: Mapping[str, object],
    error: str | None,
    *,
    duration: float | None = None,
    age: float | None = None,
    critical: bool = False,
) -> dict[str, object]:
    return {
        "status": status,
        "details": details,
        "error": error,
        "duration": duration,
        "age": age,
        "critical": critical,
    }


def _together(entries: Iterable[Mapping[str, object]]) -> CheckState:
    states = {(entry["status"], entry["critical"]) for entry in entries}
    if (CheckState.UNHEALTHY, True) in states:
        return CheckState.UNHEALTHY
    well = all(state is CheckState.HEALTHY for state, _ in states)
    return CheckState.HEALTHY if well else CheckState.DEGRADED
