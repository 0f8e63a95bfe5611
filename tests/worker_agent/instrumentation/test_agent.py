"""The agent's own metrics."""

from __future__ import annotations

import asyncio

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from worker_agent.actions import Cause
from worker_agent.instrumentation.agent import AgentCollector
from worker_agent.lag import LoopLag
from worker_agent.statistics import Statistics


def exposition(statistics: Statistics, lag: LoopLag) -> str:
    registry = CollectorRegistry()
    registry.register(AgentCollector(statistics, lag))
    return generate_latest(registry).decode()


class Measured(LoopLag):
    def worst(self) -> float | None:
        return 0.5


async def test_everything() -> None:
    """All families, complete: known reasons are there from the start and buckets accumulate."""
    statistics = Statistics(connected=True, worker_id="w1", heartbeats_sent=12)
    statistics.reconnects[Cause.RESTART] = 2
    for seconds in (0.0005, 0.001, 0.04, 9.0):
        statistics.observe_round_trip(seconds)
    assert (
        exposition(statistics, Measured(asyncio.get_running_loop()))
        == """\
# HELP heartbeat_agent_connected Whether the agent has a connection to the exporter.
# TYPE heartbeat_agent_connected gauge
heartbeat_agent_connected 1.0
# HELP heartbeat_agent_heartbeats_sent_total Heartbeats written to a connection.
# TYPE heartbeat_agent_heartbeats_sent_total counter
heartbeat_agent_heartbeats_sent_total 12.0
# HELP heartbeat_agent_reconnects_total Times the agent had to try again, by what kept it from beating.
# TYPE heartbeat_agent_reconnects_total counter
heartbeat_agent_reconnects_total{reason="unreachable"} 0.0
heartbeat_agent_reconnects_total{reason="unavailable"} 0.0
heartbeat_agent_reconnects_total{reason="unknown_worker"} 0.0
heartbeat_agent_reconnects_total{reason="refused"} 0.0
heartbeat_agent_reconnects_total{reason="connection_lost"} 0.0
heartbeat_agent_reconnects_total{reason="no_answer"} 0.0
heartbeat_agent_reconnects_total{reason="restart"} 2.0
heartbeat_agent_reconnects_total{reason="replaced"} 0.0
heartbeat_agent_reconnects_total{reason="forgotten"} 0.0
# HELP heartbeat_agent_round_trip_seconds From a heartbeat to its answer, without the time the exporter took.
# TYPE heartbeat_agent_round_trip_seconds histogram
heartbeat_agent_round_trip_seconds_bucket{le="0.001"} 2.0
heartbeat_agent_round_trip_seconds_bucket{le="0.0025"} 2.0
heartbeat_agent_round_trip_seconds_bucket{le="0.005"} 2.0
heartbeat_agent_round_trip_seconds_bucket{le="0.01"} 2.0
heartbeat_agent_round_trip_seconds_bucket{le="0.025"} 2.0
heartbeat_agent_round_trip_seconds_bucket{le="0.05"} 3.0
heartbeat_agent_round_trip_seconds_bucket{le="0.1"} 3.0
heartbeat_agent_round_trip_seconds_bucket{le="0.25"} 3.0
heartbeat_agent_round_trip_seconds_bucket{le="0.5"} 3.0
heartbeat_agent_round_trip_seconds_bucket{le="1.0"} 3.0
heartbeat_agent_round_trip_seconds_bucket{le="2.0"} 3.0
heartbeat_agent_round_trip_seconds_bucket{le="+Inf"} 4.0
heartbeat_agent_round_trip_seconds_count 4.0
heartbeat_agent_round_trip_seconds_sum 9.0415
# HELP heartbeat_agent_event_loop_lag_seconds Largest delay of the application's event loop lately.
# TYPE heartbeat_agent_event_loop_lag_seconds gauge
heartbeat_agent_event_loop_lag_seconds 0.5
"""
    )


async def test_unknown_lag() -> None:
    """Before the first measurement there is no lag, rather than one of zero."""
    text = exposition(Statistics(), LoopLag(asyncio.get_running_loop()))
    assert "heartbeat_agent_event_loop_lag_seconds" not in text
    assert [family.name for family in text_string_to_metric_families(text)] == [
        "heartbeat_agent_connected",
        "heartbeat_agent_heartbeats_sent",
        "heartbeat_agent_reconnects",
        "heartbeat_agent_round_trip_seconds",
    ]
