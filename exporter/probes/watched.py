"""What is known of one probe."""

from __future__ import annotations

import asyncio

from exporter.core.model import Wall
from exporter.core.probing import Debounce, Failure, History, ProbeChange, ProbeRow, Result
from exporter.probes.base import Probe


class Watched:
    """The working state of one probe. Lives and stays inside `Probing`; everybody else gets a row.

    It is `busy` from when a run is due until it has ended, and has a `task` while that is in flight. `defect`
    says that the last run raised what no run may raise.
    """

    __slots__ = (
        "_debounce",
        "_failures",
        "_history",
        "_last",
        "_runs",
        "_since",
        "busy",
        "defect",
        "probe",
        "task",
    )

    def __init__(self, probe: Probe) -> None:
        self.probe = probe
        self.busy = False
        self.task: asyncio.Task[None] | None = None
        self.defect = False
        self._debounce = Debounce(probe.failure_threshold, probe.success_threshold)
        self._since: Wall | None = None
        self._last: Result | None = None
        self._runs = 0
        self._failures = dict.fromkeys(Failure, 0)
        self._history = History()

    def is_same(self, probe: Probe) -> bool:
        """Whether that probe looks at the same thing in the same way, however often and how patiently."""
        return (self.probe.kind, self.probe.options) == (probe.kind, probe.options)

    def adopt(self, probe: Probe) -> None:
        """Go on as that probe, which `is_same`."""
        self.probe = probe
        self._debounce.require(probe.failure_threshold, probe.success_threshold)

    def observe(self, result: Result) -> ProbeChange | None:
        """Take the result of a run; what changed by it, if anything."""
        self._last = result
        self._runs += 1
        self._history = self._history.plus(result)
        if result.failure is not None:
            self._failures[result.failure] += 1
        first = self._debounce.up is None
        if not self._debounce.observe(result.success):
            return None
        self._since = result.at
        return ProbeChange(self.probe.name, result.success, first, result)

    def row(self) -> ProbeRow:
        return ProbeRow(
            self.probe.name,
            self.probe.kind,
            self.probe.options.target,
            self._debounce.up,
            self._since,
            self._last,
            self._runs,
            tuple(self._failures.items()),
            self._history,
        )
