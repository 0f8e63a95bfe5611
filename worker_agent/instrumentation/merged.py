"""The registries of all processes as one, through the files in the directory that they share.

`<kind>_<place>.db` are prometheus_client's. `slot<n>.json` is a page: what the process in that slot has
besides. Nothing is moved when a process dies: its files stay where they are, and its successor in the slot
goes on from them. So there is no moment in which a total could be missing or counted twice.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client.core import Metric, Sample
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import CollectorRegistry

from worker_agent.instrumentation.families import Page, add, is_total, labelled, merge
from worker_agent.slots import VALUES, Kind

if TYPE_CHECKING:
    from worker_agent.instrumentation.processes import Processes

logger = logging.getLogger(__name__)

PER_PROCESS = ("gauge_live", "gauge_all_")
"""How files of gauges begin that tell of one process, and only while it lives."""

_values_in: Callable[[list[str]], Iterable[Metric]] = MultiProcessCollector.merge

ATTEMPTS = 3
"""To read all files of values, while other processes make and remove some."""


class MergedRegistry(CollectorRegistry):
    """Collects what one registry has in all processes.

    Args:
        number: tells the pages of several registries in one process apart; the same in all processes.
    """

    def __init__(self, processes: Processes, registry: CollectorRegistry, number: int) -> None:
        super().__init__()
        self.registry = registry
        self._processes = processes
        self._directory = processes.places.directory
        self._suffix = f".{number}.json" if number else ".json"
        self._publishing = threading.Lock()
        self._succeeded: Path | None = None
        self._base = Page()
        self._totals: dict[str, Metric] = {}
        self._told: set[str] = set()

    def forked(self) -> None:
        """In a new child: it has a place, and therefore a page, of its own."""
        self._publishing = threading.Lock()

    def collect(self) -> Iterator[Metric]:
        """What was shown once is in the files first: whoever answers next shows no less."""
        self.publish()
        live = self._processes.places.live()
        pages = self._pages()
        names = frozenset[str]().union(*(page.names for page in pages.values()))
        families = merge(pages, frozenset(number for number in pages if f"{Kind.SLOT}{number}" in live))
        families |= {family.name: family for family in self._values(live) if family.name in names}
        return iter([family for _, family in sorted(families.items())])

    def publish(self) -> None:
        """Write our page. Serialised, so that an older one never replaces a newer."""
        with self._publishing:
            path = self._directory / f"{self._processes.name()}{self._suffix}"
            if path != self._succeeded:
                self._succeeded, self._totals = path, {}
                self._base = self._read(path) or Page()
            collected = list(self.registry.collect())
            own = [family for family in collected if family.name not in self._processes.in_files]
            # A family that has left the registry, as the agent's does at the end, keeps its totals.
            self._totals |= {family.name: family for family in own if is_total(family)}
            page = Page(
                self._base.names.union(family.name for family in collected),
                [family for family in own if not is_total(family)]
                + _sums([*self._base.families, *self._totals.values()]),
            )
            try:
                _write(path, page)
            except OSError as error:
                self._tell_once(path, error)

    def _pages(self) -> dict[int, Page]:
        pages = {}
        for path in self._directory.glob(f"{Kind.SLOT}*{self._suffix}"):
            number = path.name.removeprefix(Kind.SLOT).removesuffix(self._suffix)
            if number.isdecimal() and (page := self._read(path)) is not None:
                pages[int(number)] = page
        return pages

    def _read(self, path: Path) -> Page | None:
        try:
            return Page.from_json(path.read_text())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            self._tell_once(path, error)
            return None

    def _values(self, live: frozenset[str]) -> list[Metric]:
        paths = sorted(path for pattern in VALUES for path in self._directory.glob(pattern))
        families = self._combined([str(path) for path in paths if _is_shown(path.stem, live)])
        for family in families:
            if family.type == "gauge":
                family.samples = [_by_place(sample) for sample in family.samples]
        return families

    def _combined(self, files: list[str]) -> list[Metric]:
        for _ in range(ATTEMPTS):
            try:
                return list(_values_in(files))
            except Exception:  # Whatever a file can be damaged by; `_is_sound` says which and why.
                files = [file for file in files if self._is_sound(Path(file))]
        return list(_values_in(files))

    def _is_sound(self, path: Path) -> bool:
        try:
            _values_in([str(path)])
            return True
        except FileNotFoundError:
            return False
        except Exception as error:
            # An empty one is being made just now.
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_size > 0:
                    self._tell_once(path, error)
            return False

    def _tell_once(self, path: Path, error: Exception) -> None:
        if path.name not in self._told:
            self._told.add(path.name)
            logger.warning("left out of the metrics: %s: %s", path, error)


class Publisher:
    """Publishes in a daemon thread, at once and then every `interval` seconds."""

    def __init__(self, registry: MergedRegistry, interval: float) -> None:
        self._registry = registry
        self._interval = interval
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat-agent-metrics", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """After a last time, unless a collector takes longer than a second."""
        self._stopping.set()
        self._thread.join(1.0)

    def _run(self) -> None:
        last, problem = False, ""
        while True:
            try:
                self._registry.publish()
            except Exception as error:
                # An application's collector failed. A scrape would say so each time; this says it once.
                if problem != repr(error):
                    problem = repr(error)
                    logger.warning("metrics of this process are not told to the others: %s", problem)
            if last:
                return
            last = self._stopping.wait(self._interval)


def succeed(directory: Path, place: str) -> None:
    """Before anything is counted in a place: keep the predecessor's totals, and nothing that is about it."""
    for path in directory.glob(f"*_{place}.db"):
        if path.name.startswith(PER_PROCESS):
            path.unlink()
            continue
        try:
            # prometheus_client opens it in the middle of the application's import, and would fail there.
            _values_in([str(path)])
        except Exception as error:
            if path.stat().st_size > 0:
                logger.warning("the totals in %s are lost: %s", path, error)
                path.rename(path.with_suffix(".db.damaged"))
    for path in directory.glob(f"{place}.*json"):
        try:
            _write(path, Page.from_json(path.read_text()).totals())
        except ValueError as error:
            logger.warning("the totals in %s are lost: %s", path, error)
            path.unlink()


def _write(path: Path, page: Page) -> None:
    """All of it or nothing, for whoever reads at the moment or after a crash."""
    new = path.with_suffix(".new")
    new.write_text(page.to_json())
    new.replace(path)


def _sums(families: list[Metric]) -> list[Metric]:
    parts: dict[str, list[Metric]] = {}
    for family in families:
        parts.setdefault(family.name, []).append(family)
    return [add(same) for same in parts.values()]


def _is_shown(file: str, live: frozenset[str]) -> bool:
    """Whether the values in a file, named without its ending, are shown.

    Counts always are. Gauges say how things are where requests are served, so those of an extra are not: it
    has each of them at 0 from the moment it counts anything.
    """
    if not file.startswith("gauge"):
        return True
    place = file.rpartition("_")[2]
    return not place.startswith(Kind.EXTRA) and (place in live or not file.startswith(PER_PROCESS))


def _by_place(sample: Sample) -> Sample:
    """prometheus_client labels it with a `pid`; ours are slots."""
    labels = dict(sample.labels)
    place = labels.get("pid", "")
    if not place.startswith(Kind.SLOT):
        return sample
    del labels["pid"]
    return labelled(sample._replace(labels=labels), place.removeprefix(Kind.SLOT))
