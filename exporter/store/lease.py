"""The right to write to a store, taken and kept."""

from __future__ import annotations

import asyncio
import logging

from exporter.clock import Clock
from exporter.core.model import SECOND
from exporter.store.base import LEASE_SECONDS, LeaseHeld, Owner, Store

logger = logging.getLogger(__name__)

EXTEND = 3.0
"""Seconds after which the lease is extended even if there is nothing to write."""

_ASK_AGAIN = 0.5


class Lease:
    """`held` says whether it was ours when the store last spoke to us."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._extended = clock.now().mono
        self.held = False

    async def take(self, stopping: asyncio.Event) -> None:
        """Take it, or extend it. Where somebody has it, wait: a dead holder's lease runs out.

        Raises:
            LeaseHeld: it did not run out, or there is no time to wait for that because of `stopping`.
            StoreError
        """
        since = self._clock.now().mono
        waiting = False
        while (holder := await self._store.acquire()) is not None:
            self.held = False
            if stopping.is_set() or self._clock.now().mono - since >= LEASE_SECONDS * SECOND:
                raise self.lost(holder)
            if not waiting:
                waiting = True
                logger.info(
                    "%s is held by another exporter (%s); waiting up to %g s for it to end",
                    *(self._store.where, holder, LEASE_SECONDS),
                    extra={"store": self._store.where},
                )
            await self._clock.sleep(_ASK_AGAIN)
        self.held = True
        self.extended()

    @property
    def runs_out(self) -> bool:
        """Whether it is time to extend it."""
        return self._clock.now().mono - self._extended >= EXTEND * SECOND

    def extended(self) -> None:
        self._extended = self._clock.now().mono

    def lost(self, holder: Owner) -> LeaseHeld:
        """Somebody else has it: the error to raise."""
        self.held = False
        return LeaseHeld(self._store.where, holder)
