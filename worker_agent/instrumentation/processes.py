"""This process as one of several behind one port.

`prepare` is called when the agent is imported, before the application makes its metrics: it gives the
process its place (worker_agent.slots) and has prometheus_client keep values in files that are named after the
place. A process that serves alone has slot 0 and no files, and nothing else changes for it.
"""

from __future__ import annotations

import gc
import logging
import multiprocessing
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from worker_agent.supervisor import Run, arbiter, supervisor

if TYPE_CHECKING:
    from prometheus_client.registry import CollectorRegistry

    from worker_agent.instrumentation.merged import MergedRegistry
    from worker_agent.slots import Kind, Place, Places

DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"
WORKER = "HEARTBEAT_AGENT_WORKER"
"""Variable with the pid of a worker, for what it starts: that is not one of the server's processes."""

PUBLISH_INTERVAL = 5.0
"""Seconds; what a killed process had counted since, and nobody had seen yet, is lost."""

logger = logging.getLogger(__name__)


class ImportedTooLate(RuntimeError):
    """Metrics were made while prometheus_client did not know yet that there are several processes."""

    def __init__(self, metrics: list[str]) -> None:
        self.metrics = metrics
        super().__init__(
            f"import Agent from worker_agent before metrics are made: {', '.join(metrics)} would count in "
            "one of several processes only. Put `from worker_agent import Agent` above the imports of "
            "modules that make metrics with prometheus_client"
        )


class ForkedTooLate(RuntimeError):
    """gunicorn was started by a program that had loaded the application already."""

    def __init__(self) -> None:
        super().__init__(
            "gunicorn has forked this process from a program that had loaded the application before: each "
            "process would count for itself, and all would be the same worker. Import the application in the "
            "method `load` of gunicorn's BaseApplication, or set PROMETHEUS_MULTIPROC_DIR"
        )


class Processes:
    """The processes of one server, seen from this one."""

    def __init__(self, places: Places, kind: Kind) -> None:
        self.places = places
        self.in_files: set[str] = set()
        """Names of the families that have values in files."""
        self._kind = kind
        self._place: Place | None = None
        self._taking = threading.Lock()
        self._registries: list[MergedRegistry] = []

    def place(self) -> Place:
        """Ours; taken when it is asked for, which after a fork is the child's first count."""
        with self._taking:
            if self._place is None:
                from worker_agent.instrumentation.merged import succeed

                directory = self.places.directory
                self._place = self.places.take(self._kind, lambda name: succeed(directory, name))
            return self._place

    def name(self) -> str:
        """What prometheus_client asks for with every count."""
        place = self._place
        return place.name if place is not None else self.place().name

    def serve(self) -> int:
        """The number of our slot. Whoever serves gets one, wherever it was started."""
        from worker_agent.slots import Kind

        with self._taking:
            if self._kind is not Kind.SLOT:
                self._kind = Kind.SLOT
                if self._place is not None:
                    self._place.leave()
                    self._place = None
        return self.place().number

    def merged(self, registry: CollectorRegistry) -> MergedRegistry:
        """The one view of a registry with what its siblings in the other processes show."""
        from worker_agent.instrumentation.merged import MergedRegistry

        for known in self._registries:
            if known.registry is registry:
                return known
        merged = MergedRegistry(self, registry, len(self._registries))
        self._registries.append(merged)
        return merged

    def forked(self) -> None:
        """In a new child: the place is the parent's, and locks may be held by threads that are not here."""
        from worker_agent.slots import Kind

        self._taking = threading.Lock()
        self._kind = Kind.SLOT if arbiter() == os.getppid() else Kind.EXTRA
        if self._place is not None:
            self._place.forget()
            self._place = None
        for registry in self._registries:
            registry.forked()


_processes: Processes | None = None


def prepare() -> None:
    """Take a place if this is one of several processes of a server; else do nothing.

    Several there are where PROMETHEUS_MULTIPROC_DIR names a directory for them, or where a supervisor has
    started this process; then a private directory is made and the variable is set in this process.

    Raises:
        ImportedTooLate: there are metrics already, made for a process that is alone.
        OSError: the directory cannot be made or written to.
    """
    global _processes
    if _processes is not None or os.name != "posix":
        return
    given = os.environ.get(DIRECTORY) or os.environ.get(DIRECTORY.lower())
    leader = supervisor()
    below_a_worker = _started_by_a_worker()
    if not given and (leader is None or below_a_worker):
        os.environ.pop(DIRECTORY, None)  # prometheus_client takes an empty name for a directory.
        return
    from worker_agent.slots import Kind, Places, private_directory

    _refuse_metrics()
    run = Run.of(os.getpid() if leader is None else leader)
    if given:
        directory = Path(given).absolute()
        directory.mkdir(parents=True, exist_ok=True)
        os.environ[DIRECTORY] = str(directory)
    else:
        directory = private_directory(run)
        os.environ[DIRECTORY] = str(directory)
        # For this process, not for the programs it starts: their metrics are none of ours.
        os.unsetenv(DIRECTORY)
    places = Places(directory)
    if not below_a_worker:
        places.begin(run)
    serves = not below_a_worker and leader != os.getpid()
    _processes = Processes(places, Kind.SLOT if serves else Kind.EXTRA)
    _use_files(_processes)
    os.register_at_fork(after_in_child=_processes.forked)


def slot() -> int:
    """The place of this process behind its port, for one that serves: 0 for the only one, and stable.

    Raises:
        ForkedTooLate: this is one of several, and could not be prepared for it.
    """
    os.environ[WORKER] = str(os.getpid())
    if _processes is not None:
        return _processes.serve()
    if arbiter() == os.getppid():
        raise ForkedTooLate
    return 0


def shown(registry: CollectorRegistry) -> CollectorRegistry:
    """What `/metrics` shows in place of a registry: the same one, or all processes' in one."""
    return registry if _processes is None else _processes.merged(registry)


def share(registry: CollectorRegistry) -> Callable[[], None]:
    """Keep the other processes told of what only this one knows: its custom collectors and itself.

    Runs in a thread of its own, because a collector may take its time.

    Returns:
        A function that ends it, after a last time. Call it while the collectors are still registered.
    """
    if _processes is None:
        return lambda: None
    from worker_agent.instrumentation.merged import Publisher

    return Publisher(_processes.merged(registry), PUBLISH_INTERVAL).stop


def _started_by_a_worker() -> bool:
    """Directly: a server that a worker starts, as a test may, has processes of its own."""
    parent = multiprocessing.parent_process()
    parents = {os.getppid(), os.getppid() if parent is None else parent.pid}
    return os.environ.get(WORKER, "") in {str(pid) for pid in parents}


def _refuse_metrics() -> None:
    """That prometheus_client is imported is harmless: each metric asks anew where to keep its value."""
    if "prometheus_client" not in sys.modules:
        return
    from prometheus_client import values
    from prometheus_client.metrics import MetricWrapperBase

    names = {
        metric.describe()[0].name
        for metric in gc.get_objects()
        if issubclass(type(metric), MetricWrapperBase)
        # One with labels has no value itself; its children have, under the same name.
        and any(isinstance(part, values.ValueClass) for part in vars(metric).values())
    }
    if names:
        raise ImportedTooLate(sorted(names))


def _use_files(processes: Processes) -> None:
    from prometheus_client import values

    values.ValueClass = values_in_files(processes)


def values_in_files(processes: Processes) -> Any:
    """The class of prometheus_client's values that keeps them in the files of this process's place."""
    from prometheus_client import values

    make: Any = values.MultiProcessValue

    class PlacedValue(make(process_identifier=processes.name)):  # type: ignore[misc]
        """Also remembers which families have values in files."""

        def __init__(self, kind: str, family: str, *rest: Any, **more: Any) -> None:
            processes.in_files.add(family)
            super().__init__(kind, family, *rest, **more)

    return PlacedValue
