"""Between fleet and store: loads at the start, then writes behind what changed.

    start()             take the lease; load and write in the background
    journal(effect)     a sink: collects the changes of status
    written_through(id) wait until a worker is in the store, or the store turns out to be away
    stop()              write what is left, give the lease back

The heartbeat path never waits for any of it. While the store is away the fleet goes on judging and
what changes is kept in memory; when it comes back it learns everything.
"""

from __future__ import annotations

from collections.abc import Callable

from exporter.clock import Clock
from exporter.core.effects import Effect
from exporter.core.fleet import Fleet
from exporter.core.model import Record, WorkerId
from exporter.store.base import LeaseHeld, Store
from exporter.telemetry import Telemetry


class Journal:
    """Keeps a store up to date with a fleet.

    `restore` brings loaded records into the fleet; `lost` is told, once, that another exporter has
    taken the store, after which nothing is written any more.
    """

    def __init__(
        self,
        fleet: Fleet,
        store: Store,
        *,
        restore: Callable[[tuple[Record, ...]], None],
        lost: Callable[[LeaseHeld], None],
        clock: Clock,
        telemetry: Telemetry,
    ) -> None:
        raise NotImplementedError

    @property
    def loading(self) -> bool:
        """Whether the registry is still being loaded; given up after 5 s without progress."""
        raise NotImplementedError

    @property
    def problem(self) -> str | None:
        """Why the store is not up to date, for people; None while all is well."""
        raise NotImplementedError

    async def start(self) -> None:
        """Open the store and take the lease, waiting for it as long as a dead holder's would last.

        A store that is away does not hold this up: its lease is taken, and its workers are loaded,
        when it comes.

        Raises:
            LeaseHeld: another exporter uses the store.
            StoreError: the store cannot be opened.
        """
        raise NotImplementedError

    def __call__(self, effect: Effect) -> None:
        """Take note of an effect; those that are no change of status mean nothing here."""
        raise NotImplementedError

    async def written_through(self, worker_id: WorkerId, *, timeout: float = 2.0) -> bool:
        """Wait until the worker, as it is now, is in the store; False if that cannot be had soon.

        Waits at most `timeout` seconds, and not at all while the store is away.
        """
        raise NotImplementedError

    async def stop(self, *, timeout: float = 5.0) -> None:
        """Write what is left and give the lease back, in at most `timeout` seconds; close the store."""
        raise NotImplementedError
