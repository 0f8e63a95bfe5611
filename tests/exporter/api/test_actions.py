"""The actions as JSON."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from exporter.actions.acting import Acting
from exporter.actions.base import BrakeRules, Ran
from exporter.actions.journal import KEPT
from exporter.api.actions import routes
from exporter.core.acting import Kind, RunFailure
from exporter.telemetry import Telemetry
from tests.support.actions import Remembered, Toys, change, toy
from tests.support.asgi import client
from tests.support.clock import FakeClock, settle

CAUSE = {"name": "web", "reason": "refused", "detail": "no answer", "since": "2023-11-14T22:13:20.500Z"}
START = "2023-11-14T22:13:20.000Z"


class Shown:
    """Actions on a fake clock, and what is shown of them."""

    def __init__(self, brake: BrakeRules) -> None:
        self.clock = FakeClock()
        self.toys = Toys()
        self.acting = Acting(
            [toy("nginx", "web", cooldown=60.0), toy("pager", "db", kinds=(Kind.DEMOTE,), dry_run=True)],
            brake,
            clock=self.clock,
            store=Remembered(),
            telemetry=Telemetry(CollectorRegistry()),
            varieties=self.toys.varieties,
        )
        app = FastAPI()
        app.include_router(routes(self.acting))
        self._app = app

    async def see(self, name: str, *, up: bool) -> None:
        self.tell(name, up=up)
        await settle()

    def tell(self, name: str, *, up: bool) -> None:
        told = change(name, up)
        self.acting.on_result(name, told.result)
        self.acting.on_probe(told)

    async def get(self) -> dict[str, Any]:
        async with client(self._app) as http:
            answer: httpx2.Response = await http.get("/actions")
        assert answer.status_code == 200
        return dict(answer.json())


@pytest.fixture
def shown() -> Shown:
    return Shown(BrakeRules(share=1.0))


async def test_shows_actions_that_nothing_is_known_of(shown: Shown) -> None:
    """In the order of the configuration, each whole, with what it would run."""
    unknown = {
        "state": None,
        "since": None,
        "wanted": None,
        "cause": None,
        "running": None,
        "waiting": None,
        "held": False,
        "last_run": None,
    }
    assert await shown.get() == {
        "held": None,
        "actions": [
            {
                **unknown,
                "name": "nginx",
                "hooks": {"promote": "toy promote", "demote": "toy demote"},
                "dry_run": False,
                "runs": {"promote": 0, "demote": 0},
            },
            {
                **unknown,
                "name": "pager",
                "hooks": {"demote": "toy demote"},
                "dry_run": True,
                "runs": {"demote": 0},
            },
        ],
        "runs": [],
    }


async def test_shows_a_run_that_failed_and_what_waits_after_it(shown: Shown) -> None:
    """In its action and in the journal, which is newest first and has the names."""
    running = asyncio.create_task(shown.acting.run())
    await shown.see("web", up=True)
    await shown.see("db", up=True)
    shown.toys.result = Ran(RunFailure.EXIT, "exit code 3", "oops\n")
    await shown.see("web", up=False)
    await shown.see("db", up=False)
    await shown.see("web", up=True)
    answer = await shown.get()
    failed = {
        "kind": "demote",
        "at": START,
        "duration": 0.0,
        "success": False,
        "reason": "exit",
        "detail": "exit code 3",
        "output": "oops\n",
        "attempt": 1,
        "dry_run": False,
        "cause": CAUSE,
    }
    dry = {
        **failed,
        "success": True,
        "reason": None,
        "detail": "",
        "output": "",
        "dry_run": True,
        "cause": {**CAUSE, "name": "db"},
    }
    [nginx, pager] = answer["actions"]
    assert nginx == {
        "name": "nginx",
        "hooks": {"promote": "toy promote", "demote": "toy demote"},
        "dry_run": False,
        "state": "demoted",
        "since": START,
        "wanted": "promoted",
        "cause": {**CAUSE, "reason": "success", "detail": ""},
        "running": None,
        "waiting": "promote",
        "held": False,
        "runs": {"promote": 0, "demote": 1},
        "last_run": failed,
    }
    assert pager["last_run"] == dry
    assert answer["runs"] == [{"action": "pager", **dry}, {"action": "nginx", **failed}]
    running.cancel()


async def test_shows_who_holds_the_actions() -> None:
    """And which of them would have run."""
    shown = Shown(BrakeRules(share=0.5, at_least=2, window=30.0, patience=0.0, hold=300.0))
    running = asyncio.create_task(shown.acting.run())
    await shown.see("web", up=True)
    await shown.see("db", up=True)
    shown.tell("web", up=False)
    await shown.see("db", up=False)
    await shown.clock.jump(100.0)
    answer = await shown.get()
    assert answer["held"] == {
        "scope": "all probes",
        "fell": 2,
        "of": 2,
        "since": START,
        "seconds_left": 200.0,
    }
    assert [(each["waiting"], each["held"]) for each in answer["actions"]] == [("demote", True)] * 2
    running.cancel()


async def test_the_journal_has_an_end(shown: Shown) -> None:
    """The last runs of all actions, however many there were."""
    shown.acting.reconfigure([toy("nginx", "web")], BrakeRules(share=1.0))
    running = asyncio.create_task(shown.acting.run())
    await shown.see("web", up=True)
    for number in range(KEPT + 1):
        await shown.see("web", up=bool(number % 2))
    answer = await shown.get()
    kinds = [run["kind"] for run in answer["runs"]]
    assert kinds == ["demote", "promote"] * (KEPT // 2)
    running.cancel()
