"""Several processes of one server, played by objects in one process."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import pytest
from prometheus_client import CollectorRegistry, generate_latest, values
from prometheus_client.metrics import MetricWrapperBase

from worker_agent.instrumentation.merged import MergedRegistry
from worker_agent.instrumentation.processes import Processes, values_in_files
from worker_agent.slots import Kind, Places

MetricT = TypeVar("MetricT", bound=MetricWrapperBase)


class Sibling:
    """One process: its place, its registry, and metrics with values in its files.

    Its death frees its place and leaves the rest as it is. Other than a real process it could go on counting.
    """

    def __init__(self, directory: Path, kind: Kind = Kind.SLOT) -> None:
        self.processes = Processes(Places(directory), kind)
        self.name = self.processes.name()
        self.registry = CollectorRegistry()
        self.merged: MergedRegistry = self.processes.merged(self.registry)
        self._values = values_in_files(self.processes)

    def metric(self, kind: type[MetricT], name: str, **options: object) -> MetricT:
        """A metric without labels."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(values, "ValueClass", self._values)
            return kind(name, f"Help of {name}.", registry=self.registry, **options)  # type: ignore[arg-type]  # of any kind

    def page(self) -> str:
        return generate_latest(self.merged).decode()

    def samples(self) -> list[str]:
        """What a scrape shows, without HELP and TYPE."""
        return [line for line in self.page().splitlines() if not line.startswith("#")]

    def die(self) -> None:
        self.processes.place().leave()
