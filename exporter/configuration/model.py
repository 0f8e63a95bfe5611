"""What a configuration file says, whichever format it is in."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from exporter.actions.base import Action, BrakeRules
from exporter.probes.base import Probe


@dataclass(frozen=True, slots=True, kw_only=True)
class Daemon:
    """`[general]` of the daemon's own format: how `heartbeat-exporter probe` runs. None: not said."""

    user: str | None = None
    group: str | None = None
    logfile: Path | None = None
    loglevel: str | None = None
    pidfile: Path | None = None
    threads: int | None = None
    daemonize: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """`concurrency` bounds the probes in flight; `reloadable` allows POST /-/reload."""

    probes: tuple[Probe, ...] = ()
    actions: tuple[Action, ...] = ()
    brake: BrakeRules = field(default_factory=BrakeRules)
    concurrency: int = 100
    daemon: Daemon = field(default_factory=Daemon)


class Place(str):
    """Where in a file: `probes.api.expect.status (line 12)`."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: where, and what is expected instead."""

    place: Place
    expected: str

    def __str__(self) -> str:
        return f"{self.place}: {self.expected}"


class ConfigurationError(ValueError):
    """A file that the exporter cannot run with; `problems` holds all of them."""

    def __init__(self, path: Path, problems: tuple[Problem, ...]) -> None:
        super().__init__(path, problems)
        self.path = path
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(f"{self.path}: {problem}" for problem in self.problems)
