"""Probes for tests: of a kind that answers what it is told to, when it is told to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from exporter.core.model import SECOND
from exporter.core.probing import Failure, Result
from exporter.probes.base import Options, Probe, Variety
from tests.support.clock import FakeClock


class ToyOptions(Options):
    port: int = 1

    @property
    def target(self) -> str:
        return f"toy:{self.port}"


def toy(name: str, *, port: int = 1, **changes: Any) -> Probe:
    """A probe that runs every 10 s and follows each result, unless `changes` say otherwise."""
    given = {"interval": 10.0, "timeout": 5.0, "failure_threshold": 1, "success_threshold": 1, **changes}
    return Probe(name=name, kind="toy", options=ToyOptions(port=port), **given)


class Toys:
    """What toys find. Told by port: how long a run takes, and why it fails or what it raises."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.takes: dict[int, float] = {}
        self.fails: dict[int, Failure | Exception | None] = {}
        self.started: list[tuple[int, float]] = []
        self.cancelled: list[int] = []
        self.in_flight = self.most_in_flight = 0
        self.varieties = {"toy": Variety(ToyOptions, self.run)}
        self._beginning = clock.now().mono

    async def run(self, options: ToyOptions, timeout: float) -> Result:
        started, port = self.clock.now(), options.port
        self.started.append((port, (started.mono - self._beginning) / SECOND))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        completed = False
        try:
            await self.clock.sleep(self.takes.get(port, 0.0))
            completed = True
        finally:
            self.in_flight -= 1
            if not completed:
                self.cancelled.append(port)
        failure = self.fails.get(port)
        if isinstance(failure, Exception):
            raise failure
        took = (self.clock.now().mono - started.mono) / SECOND
        return Result(started.wall, took, failure, detail=f"toy {failure}" if failure else "")

    def starts(self, port: int = 1) -> list[float]:
        """When the runs of one began, in seconds since the beginning."""
        return [at for each, at in self.started if each == port]


def numbers(given: Iterable[float]) -> Any:
    """A source of random numbers that are none; the last comes for ever."""
    remaining = list(given)
    return lambda: remaining.pop(0) if len(remaining) > 1 else remaining[0]
