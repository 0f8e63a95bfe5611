"""`heartbeat_agent_function_*`, rendered from what is counted at the moment they are asked for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry
from prometheus_client.utils import floatToGoString

from worker_agent.instrumentation.function_record import FunctionRecord
from worker_agent.instrumentation.functions import DEFAULT, Functions


class FunctionCollector(Collector):
    """The metrics of all functions of a collection; a function that was never called is there with zeros."""

    def __init__(self, functions: Functions) -> None:
        self._functions = functions

    def describe(self) -> Iterator[Metric]:
        """All names, so that a registry refuses a second collector."""
        return _families(())

    def collect(self) -> Iterator[Metric]:
        return _families(self._functions.records)


def show_functions(registry: CollectorRegistry) -> None:
    """Have a registry show the functions of this process, from now on; again is harmless."""
    with contextlib.suppress(ValueError):
        registry.register(FunctionCollector(DEFAULT))


def _families(records: Iterable[FunctionRecord]) -> Iterator[Metric]:
    calls = CounterMetricFamily(
        "heartbeat_agent_function_calls",
        "Calls of a function that have ended, well or not.",
        labels=["function"],
    )
    seconds = CounterMetricFamily(
        "heartbeat_agent_function_seconds",
        "Time spent in the calls of a function that have ended.",
        labels=["function"],
    )
    failures = CounterMetricFamily(
        "heartbeat_agent_function_failures",
        "Calls of a function that an exception has ended, by its type.",
        labels=["function", "exception"],
    )
    in_progress = GaugeMetricFamily(
        "heartbeat_agent_function_in_progress",
        "Calls of a function that have begun and not ended.",
        labels=["function"],
    )
    durations = HistogramMetricFamily(
        "heartbeat_agent_function_duration_seconds",
        "How long the calls of a function took; of functions with chosen buckets.",
        labels=["function"],
    )
    for record in records:
        function, counts = [record.label], record.counts()
        calls.add_metric(function, counts.calls)
        seconds.add_metric(function, counts.seconds)
        in_progress.add_metric(function, counts.in_progress)
        for exception, count in counts.failures.items():
            failures.add_metric([*function, exception], count)
        if record.bounds:
            bounds = [*map(floatToGoString, record.bounds), "+Inf"]
            buckets = list(zip(bounds, accumulate(counts.buckets), strict=True))
            durations.add_metric(function, buckets, sum_value=counts.seconds)
    yield from (calls, seconds, failures, in_progress, durations)
