"""What /metrics is rendered from. The monitor provides it; the tests provide a small one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Protocol

from exporter.core.acting import ActionRow
from exporter.core.groups import GroupRow
from exporter.core.model import Checks, Facts, Now, Reason, Row, Status, Wall
from exporter.core.probing import ProbeKindRow, ProbeRow


class Source(Protocol):
    """The fleet as it stands while it is asked."""

    def now(self) -> Now:
        """The time, to measure by."""

    def walk(self) -> AsyncIterator[Sequence[Row]]:
        """Every worker once, at most `TURN` at a time, leaving the event loop to others in between.

        Brings the fleet up to now first, so what is asked for afterwards is as new.
        """

    def walk_groups(self) -> AsyncIterator[Sequence[GroupRow]]:
        """Every group once, some at a time."""

    def warming_up(self) -> bool:
        """Whether restored workers still have time to come back."""

    @property
    def max_workers(self) -> int:
        """How many workers the registry has room for."""


class ProbeSource(Protocol):
    """The probes as they stand while they are asked; both may change while they are gone through."""

    def each(self) -> Iterable[ProbeRow]:
        """Every probe once, each as it stands when its turn comes."""

    def kinds(self) -> Iterable[ProbeKindRow]:
        """Every kind that has or had a probe."""


class ActionSource(Protocol):
    """The actions as they stand while they are asked for."""

    def rows(self) -> Iterable[ActionRow]:
        """Every action once."""


class Incidents(Protocol):
    """The part of what is counted of a worker that grows only when something went wrong."""

    @property
    def missed(self) -> int: ...
    @property
    def restarts(self) -> int: ...


class Standing(Protocol):
    """The part of a `Row` that rarely changes: with a registration, a change of status, an incident, a check.

    The text of metrics that are functions of it is kept from scrape to scrape. Naming the part as a
    type makes the type checker refuse a metric there that would go stale.
    """

    @property
    def facts(self) -> Facts: ...
    @property
    def status(self) -> Status: ...
    @property
    def reason(self) -> Reason: ...
    @property
    def since(self) -> Wall: ...
    @property
    def up(self) -> bool: ...
    @property
    def down_reason(self) -> Reason | None: ...
    @property
    def counted(self) -> Incidents: ...
    @property
    def checks(self) -> Checks: ...
