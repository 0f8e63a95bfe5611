"""What a configuration file says, whichever format it is in."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path

from exporter.actions.base import Action, BrakeRules
from exporter.probes.base import Probe

CONCURRENCY = 100
"""Probes in flight at most, where nobody says how many."""


class Place(str):
    """Where in a file: `probes.api.expect.status (line 12)`. Empty: the file as a whole."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, or worth a look: where, and what is expected instead."""

    place: Place
    expected: str

    def __str__(self) -> str:
        return f"{self.place}: {self.expected}" if self.place else self.expected


@dataclass(frozen=True, slots=True, kw_only=True)
class Daemon:
    """`[general]` of the daemon's own format: how `heartbeat-exporter probe` runs. None: not said. Files are
    relative to the working directory, as they are there."""

    user: str | None = None
    group: str | None = None
    logfile: Path | None = None
    loglevel: str | None = None
    pidfile: Path | None = None
    threads: int | None = None
    daemonize: bool = False

    def said(self) -> list[str]:
        """What it says of the process that runs it, by name."""
        everything = [field.name for field in fields(self)]
        return [name for name in everything if name != "threads" and getattr(self, name)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """`concurrency` bounds the probes in flight. `warnings` do not keep the exporter from running with it."""

    probes: tuple[Probe, ...] = ()
    actions: tuple[Action, ...] = ()
    brake: BrakeRules = field(default_factory=BrakeRules)
    concurrency: int = CONCURRENCY
    daemon: Daemon = field(default_factory=Daemon)
    warnings: tuple[Problem, ...] = ()


class ConfigurationError(ValueError):
    """A file that the exporter cannot run with; `problems` holds all of them."""

    def __init__(self, path: Path, problems: tuple[Problem, ...]) -> None:
        super().__init__(path, problems)
        self.path = path
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(f"{self.path}: {problem}" for problem in self.problems)
