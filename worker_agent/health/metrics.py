"""The metrics of health checks and of the paths that tell of them, rendered from what is known when asked."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from worker_agent.health.answers import Requests
from worker_agent.health.registry import Health
from worker_agent.health.runner import DURATION_BUCKETS
from worker_agent.protocol import CheckState

_BOUNDS = [*map(floatToGoString, DURATION_BUCKETS), "+Inf"]


class HealthCollector(Collector):
    """`heartbeat_agent_health_*`; register it while the agent runs."""

    def __init__(self, health: Health, requests: Requests) -> None:
        self._health = health
        self._requests = requests

    def describe(self) -> Iterator[Metric]:
        """All names, so that a registry refuses the collector of a second agent."""
        yield from (_up(), _durations(), _failures(), _cache_hits(), _requests())

    def collect(self) -> Iterator[Metric]:
        up, durations, failures, cache_hits = _up(), _durations(), _failures(), _cache_hits()
        for name, standing in self._health.last().items():
            # Before the first result it is not up, as on /health.
            well = standing.finding is not None and standing.finding.result.state is not CheckState.UNHEALTHY
            up.add_metric([name], float(well))
        for name, counts in list(self._health.counts().items()):
            buckets = zip(_BOUNDS, accumulate(counts.duration_counts), strict=True)
            durations.add_metric([name], list(buckets), counts.duration_sum)
            for reason, count in counts.failures.items():
                failures.add_metric([name, reason.value], count)
            cache_hits.add_metric([name], counts.cache_hits)
        requests = _requests()
        for (endpoint, status_code), count in self._requests.counts().items():
            requests.add_metric([endpoint.value, str(status_code)], count)
        yield from (up, durations, failures, cache_hits, requests)


def _up() -> GaugeMetricFamily:
    return GaugeMetricFamily(
        "heartbeat_agent_health_check_up",
        "Whether the last result of a check was healthy or degraded.",
        labels=["check"],
    )


def _durations() -> HistogramMetricFamily:
    return HistogramMetricFamily(
        "heartbeat_agent_health_check_duration_seconds",
        "What a run of a check took, with its waiting for a turn.",
        labels=["check"],
    )


def _failures() -> CounterMetricFamily:
    return CounterMetricFamily(
        "heartbeat_agent_health_check_failures",
        "Unhealthy results of a check.",
        labels=["check", "reason"],
    )


def _cache_hits() -> CounterMetricFamily:
    return CounterMetricFamily(
        "heartbeat_agent_health_check_cache_hits",
        "Times that a check was asked for and not run.",
        labels=["check"],
    )


def _requests() -> CounterMetricFamily:
    return CounterMetricFamily(
        "heartbeat_agent_health_requests",
        "Answers of the health paths, on whichever port.",
        labels=["endpoint", "status_code"],
    )
