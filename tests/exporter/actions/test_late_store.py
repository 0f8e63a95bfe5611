"""A store that was away at the start, and what it has of actions after it came."""

from __future__ import annotations

import asyncio

from prometheus_client import CollectorRegistry

from exporter.actions.acting import Acting
from exporter.actions.base import BrakeRules
from exporter.core.acting import Kind, State
from exporter.core.fleet import Fleet, Rules
from exporter.core.model import Wall
from exporter.store.journal import Journal
from exporter.telemetry import Telemetry
from tests.support.actions import Toys, change, toy
from tests.support.clock import FakeClock
from tests.support.stores import MemoryStore


async def test_what_was_learned_meanwhile_does_not_overwrite_what_it_remembers() -> None:
    """Before the run that answers the difference is over: whoever is killed in it would never know of it."""
    store, clock, toys = MemoryStore(), FakeClock(), Toys()
    store.actions = {"nginx": State(Kind.PROMOTE, Wall(1_600_000_000.0))}
    store.away = True
    telemetry = Telemetry(CollectorRegistry())
    journal = Journal(
        Fleet(Rules()),
        store,
        restore=lambda records: None,
        restore_actions=lambda states: acting.restore(states),
        lost=lambda held: None,
        clock=clock,
        telemetry=telemetry,
    )
    acting = Acting(
        [toy("nginx", "web")],
        BrakeRules(share=1.0),
        clock=clock,
        store=journal,
        telemetry=telemetry,
        varieties=toys.varieties,
    )
    await journal.start()
    running = asyncio.create_task(acting.run())
    acting.on_probe(change("web", False))
    for _ in range(10):
        await clock.jump(1.0)
    assert [row.state and row.state.kind for row in acting.rows()] == [Kind.DEMOTE]

    toys.gate.clear()
    store.away = False
    for _ in range(60):
        await clock.jump(1.0)
    assert (toys.runs, store.actions["nginx"].kind) == (["nginx demote"], Kind.PROMOTE)
    toys.gate.set()
    for _ in range(10):
        await clock.jump(1.0)
    assert store.actions["nginx"].kind is Kind.DEMOTE

    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await journal.stop()
