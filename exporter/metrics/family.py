"""What a metric is, and how it becomes lines of the Prometheus text format.

The client library's encoder takes some 5 µs a line; a template per metric and label text per worker
take 0.3. The sample lines are the same in the text format and in OpenMetrics; only the name of a
counter in the lines above them differs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from itertools import accumulate
from math import isfinite
from typing import Generic, TypeVar

from exporter.core.groups import HistogramRow

T = TypeVar("T")

COUNT = "%d"
INSTANT = "%.3f"  # Unix seconds: what a clock is good for
DURATION = "%.6f"  # measured seconds
SETTING = "%.10g"  # seconds somebody chose: 15 and not 15.000000


class Kind(StrEnum):
    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Family(ABC, Generic[T]):
    """A metric: one row of the catalogue. T is what its values are computed from."""

    name: str
    kind: Kind
    help: str

    @property
    def own_labels(self) -> tuple[str, ...]:
        """Labels besides those that say which worker or group it is."""
        return ()

    @property
    def series(self) -> dict[str, tuple[str, ...]]:
        """The names a query may ask for, each with its own labels."""
        return {self.name: self.own_labels}

    def header(self, *, openmetrics: bool) -> str:
        name = self.name
        if openmetrics and self.kind is Kind.COUNTER:
            name = name.removesuffix("_total")
        return f"# HELP {name} {self.help}\n# TYPE {name} {self.kind}\n"

    @abstractmethod
    def lines(self, labels: Sequence[str], things: Sequence[T]) -> str:
        """The samples of these things, a line each; `labels` says of each, in order, which it is."""


@dataclass(frozen=True, slots=True)
class Single(Family[T]):
    """One series per thing, or none while its value is None."""

    value: Callable[[T], float | None]
    form: str = COUNT

    def lines(self, labels: Sequence[str], things: Sequence[T]) -> str:
        line = _template(self.name, self.form)
        return "".join(
            [
                line % (which, value)
                for which, value in zip(labels, map(self.value, things), strict=True)
                if value is not None and isfinite(value)
            ]
        )

    def lines_without_labels(self, thing: T) -> str:
        """The same for the only thing there is."""
        return self.lines(("",), (thing,)).replace("{}", "")


@dataclass(frozen=True, slots=True)
class Split(Family[T]):
    """Several series per thing, told apart by labels of their own."""

    split_by: tuple[str, ...]
    values: Callable[[T], Iterable[tuple[tuple[str, ...], float]]]
    form: str = COUNT

    @property
    def own_labels(self) -> tuple[str, ...]:
        return self.split_by

    def lines(self, labels: Sequence[str], things: Sequence[T]) -> str:
        line = _template(self.name, self.form)
        return "".join(
            [
                line % (f"{which},{label_text(self.split_by, split)}", value)
                for which, thing in zip(labels, things, strict=True)
                for split, value in self.values(thing)
                if isfinite(value)
            ]
        )


@dataclass(frozen=True, slots=True)
class Spread(Family[T]):
    """A histogram per thing."""

    histogram: Callable[[T], HistogramRow]

    @property
    def series(self) -> dict[str, tuple[str, ...]]:
        return {f"{self.name}_bucket": ("le",), f"{self.name}_sum": (), f"{self.name}_count": ()}

    def lines(self, labels: Sequence[str], things: Sequence[T]) -> str:
        return "".join(
            [self._lines(which, self.histogram(thing)) for which, thing in zip(labels, things, strict=True)]
        )

    def _lines(self, which: str, histogram: HistogramRow) -> str:
        upper = (*map(repr, histogram.bounds), "+Inf")
        buckets = [
            f'{self.name}_bucket{{{which},le="{le}"}} {count}\n'
            for le, count in zip(upper, accumulate(histogram.counts), strict=True)
        ]
        return "".join(
            (
                *buckets,
                f"{self.name}_count{{{which}}} {sum(histogram.counts)}\n",
                f"{self.name}_sum{{{which}}} {DURATION % histogram.sum}\n",
            )
        )


@lru_cache(maxsize=256)  # enough for every status, reason and change, which come again with each group
def label_text(names: tuple[str, ...], values: tuple[str, ...]) -> str:
    """Labels as they stand between the braces."""
    return ",".join([f'{name}="{_escaped(value)}"' for name, value in zip(names, values, strict=True)])


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _template(name: str, form: str) -> str:
    return f"{name}{{%s}} {form}\n"
