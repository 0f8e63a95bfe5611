"""What every kind of action has in common. A kind (a command, a webhook) is one file with its options and its
run, and one row in exporter/actions/varieties.py."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict

from exporter.core.acting import Kind, RunFailure

OUTPUT_KEPT = 8192
"""Bytes of what a run said that are kept: the last."""

VARIABLES = ("action", "kind", "state", "cause", "reason", "detail", "since")
"""What a hook is told, each as HEARTBEAT_ and its name in capitals.

`kind` is promote or demote, `state` up or down, `cause` the probe or worker that decided, with `reason` and
`detail` of its change and, RFC 3339, since when it is so.
"""


class Options(BaseModel, ABC):
    """What one hook of an action (`promote` or `demote`) can be told."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @property
    @abstractmethod
    def shown(self) -> str:
        """The hook for people, without secrets: the command line, or method and URL."""


class Ran(NamedTuple):
    """How one run of a hook went; `output` is the last 8 KiB of what it said."""

    failure: RunFailure | None = None
    detail: str = ""
    output: str = ""


RunHook = Callable[[Any, Mapping[str, str], float], Awaitable[Ran]]
"""Run once: options, the HEARTBEAT_* variables, and a timeout in seconds. Raises nothing but CancelledError,
and leaves nothing running behind, also when it is cancelled."""


class Variety(NamedTuple):
    options: type[Options]
    run: RunHook


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    kind: str
    options: Options


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSelection:
    """Workers that an action depends on: `group` None is every group. What counts as down besides loss."""

    group: str | None = None
    shutdown_is_down: bool = False
    leave_is_down: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One action of the configuration. Times in seconds.

    `probes` are the names of those that refer to it (probe option `action`, or `on: {probes: [...]}`).
    """

    name: str
    hooks: Mapping[Kind, Hook]
    probes: tuple[str, ...] = ()
    workers: WorkerSelection | None = None
    timeout: float = 30.0
    cooldown: float = 0.0
    retries: int = 0
    backoff: float = 1.0
    run_on_start: bool = False
    dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BrakeRules:
    """When too much fails at once to be true: then actions are held for `hold` seconds, and after it they
    run, or are dropped, as `then` says. `share` of all probes, or of one worker group, within `window`.

    Demotions wait for `patience` seconds, for what fails at the same time to be seen. A share of 1 is no
    brake, and then nobody waits.
    """

    share: float = 0.5
    at_least: int = 3
    window: float = 300.0
    patience: float = 10.0
    hold: float = 300.0
    then: str = "run"
