"""What every kind of probe has in common. A kind is one file with its options and its run, and one row in
exporter/probes/varieties.py."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict

from exporter.core.probing import Failure, Result


class Options(BaseModel, ABC):
    """What a kind of probe can be told in the configuration, besides what all kinds have.

    Paths of files are resolved against the directory of the configuration, which a validator finds in
    `info.context["directory"]`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    @property
    @abstractmethod
    def target(self) -> str:
        """What is probed, for people and as a label: a URL or host:port, without secrets."""


class ProbeFailed(Exception):
    """Ends a run; `detail` is a sentence for people, without secrets."""

    def __init__(self, failure: Failure, detail: str) -> None:
        super().__init__(failure, detail)
        self.failure = failure
        self.detail = detail


Run = Callable[[Any, float], Awaitable[Result]]
"""Probe once: options and timeout in seconds go in. Raises nothing but CancelledError."""


class Variety(NamedTuple):
    """A kind of probe: a row of the table."""

    options: type[Options]
    run: Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One probe of the configuration. Times in seconds."""

    name: str
    kind: str
    options: Options
    interval: float
    timeout: float
    failure_threshold: int
    success_threshold: int
