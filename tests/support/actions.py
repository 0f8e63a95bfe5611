"""Actions without commands: hooks that last as long as a test wants, and a memory without a store."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from exporter.actions.base import Action, Hook, Options, Ran, Variety
from exporter.core.acting import Kind, State
from exporter.core.model import Wall
from exporter.core.probing import Failure, ProbeChange, Result


class ToyOptions(Options):
    says: str = ""

    @property
    def shown(self) -> str:
        return f"toy {self.says}".rstrip()


class Toys:
    """A kind of hook: each run is noted, and over when `gate` is open, with `result`."""

    def __init__(self) -> None:
        self.told: list[Mapping[str, str]] = []
        self.ended: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.result: Ran | Exception = Ran()
        self.farewell = 0  # turns of the loop that it takes to end after it was cancelled

    @property
    def varieties(self) -> Mapping[str, Variety]:
        return {"toy": Variety(ToyOptions, self.run)}

    async def run(self, options: Any, variables: Mapping[str, str], timeout: float) -> Ran:
        self.told.append(variables)
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            for _ in range(self.farewell):
                await asyncio.sleep(0)
            raise
        finally:
            self.ended.append(variables["HEARTBEAT_KIND"])
        if isinstance(self.result, Exception):
            raise self.result
        return self.result

    @property
    def runs(self) -> list[str]:
        """Each run as the action and what it was for."""
        return [f"{each['HEARTBEAT_ACTION']} {each['HEARTBEAT_KIND']}" for each in self.told]


class Remembered:
    """What a store would know."""

    def __init__(self) -> None:
        self.loading = False
        self.states: dict[str, State] = {}

    def remember(self, action: str, state: State) -> None:
        self.states[action] = state

    @property
    def names(self) -> dict[str, str]:
        return {action: state.name for action, state in self.states.items()}


def toy(name: str, *probes: str, kinds: tuple[Kind, ...] = tuple(Kind), **options: Any) -> Action:
    """An action with toys for hooks."""
    hooks = {kind: Hook(kind="toy", options=ToyOptions(says=kind.value)) for kind in kinds}
    return Action(name=name, hooks=hooks, probes=probes, **options)


def change(probe: str, up: bool, *, first: bool = False, detail: str = "no answer") -> ProbeChange:
    """A probe went up, or down because it was refused."""
    failure = None if up else Failure.REFUSED
    return ProbeChange(probe, up, first, Result(Wall(1_700_000_000.5), 0.01, failure, "" if up else detail))
