"""The agent's own metrics, rendered from what it counts at the moment they are asked for."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from worker_agent.lag import LoopLag
from worker_agent.statistics import ROUND_TRIP_BUCKETS, Statistics


class AgentCollector(Collector):
    """`heartbeat_agent_*`; register it while the agent runs."""

    def __init__(self, statistics: Statistics, lag: LoopLag) -> None:
        self._statistics = statistics
        self._lag = lag

    def describe(self) -> Iterator[Metric]:
        """All names, so that a registry refuses the collector of a second agent."""
        yield from self._counted()
        yield _lag()

    def collect(self) -> Iterator[Metric]:
        yield from self._counted()
        if (lag := self._lag.worst()) is not None:
            yield _lag(lag)

    def _counted(self) -> Iterator[Metric]:
        statistics = self._statistics
        yield GaugeMetricFamily(
            "heartbeat_agent_connected",
            "Whether the agent has a connection to the exporter.",
            value=float(statistics.connected),
        )
        yield CounterMetricFamily(
            "heartbeat_agent_heartbeats_sent",
            "Heartbeats written to a connection.",
            value=float(statistics.heartbeats_sent),
        )
        reconnects = CounterMetricFamily(
            "heartbeat_agent_reconnects",
            "Times the agent had to try again, by what kept it from beating.",
            labels=["reason"],
        )
        for cause, count in statistics.reconnects.items():
            reconnects.add_metric([cause.value], count)
        yield reconnects
        yield self._round_trips()

    def _round_trips(self) -> HistogramMetricFamily:
        counts = list(accumulate(self._statistics.round_trip_counts))
        bounds = [*map(floatToGoString, ROUND_TRIP_BUCKETS), "+Inf"]
        return HistogramMetricFamily(
            "heartbeat_agent_round_trip_seconds",
            "From a heartbeat to its answer, without the time the exporter took.",
            buckets=list(zip(bounds, counts, strict=True)),
            sum_value=self._statistics.round_trip_sum,
        )


def _lag(value: float | None = None) -> GaugeMetricFamily:
    return GaugeMetricFamily(
        "heartbeat_agent_event_loop_lag_seconds",
        "Largest delay of the application's event loop lately.",
        value=value,
    )
