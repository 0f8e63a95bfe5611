"""The metrics of health checks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from tests.support.processes import program
from tests.worker_agent.health.scripted import Gate, Scripted
from worker_agent.health.answers import Endpoint, Requests
from worker_agent.health.metrics import HealthCollector
from worker_agent.health.registry import Health
from worker_agent.health.result import Result
from worker_agent.health.runner import Counts, Failure, Finding

ROOT = Path(__file__).parents[3]


def exposition(health: Health, requests: Requests) -> str:
    registry = CollectorRegistry()
    registry.register(HealthCollector(health, requests))
    return generate_latest(registry).decode()


def observed(counts: Counts, duration: float, failure: Failure | None = None) -> None:
    counts.add(Finding(Result.healthy(), 0.0, duration, failure))


REQUESTS = """\
# HELP heartbeat_agent_health_requests_total Answers of the health paths, on whichever port.
# TYPE heartbeat_agent_health_requests_total counter
heartbeat_agent_health_requests_total{endpoint="health",status_code="200"} 2.0
heartbeat_agent_health_requests_total{endpoint="health",status_code="503"} 0.0
heartbeat_agent_health_requests_total{endpoint="live",status_code="200"} 0.0
heartbeat_agent_health_requests_total{endpoint="live",status_code="503"} 0.0
heartbeat_agent_health_requests_total{endpoint="ready",status_code="200"} 0.0
heartbeat_agent_health_requests_total{endpoint="ready",status_code="503"} 1.0
heartbeat_agent_health_requests_total{endpoint="startup",status_code="200"} 0.0
heartbeat_agent_health_requests_total{endpoint="startup",status_code="503"} 0.0
heartbeat_agent_health_requests_total{endpoint="health",status_code="404"} 0.0
"""

WITHOUT_CHECKS = f"""\
# HELP heartbeat_agent_health_check_up Whether the last result of a check was healthy or degraded.
# TYPE heartbeat_agent_health_check_up gauge
# HELP heartbeat_agent_health_check_duration_seconds What a run of a check took, with its waiting for a turn.
# TYPE heartbeat_agent_health_check_duration_seconds histogram
# HELP heartbeat_agent_health_check_failures_total Unhealthy results of a check.
# TYPE heartbeat_agent_health_check_failures_total counter
# HELP heartbeat_agent_health_check_cache_hits_total Times that a check was asked for and not run.
# TYPE heartbeat_agent_health_check_cache_hits_total counter
{REQUESTS}"""

WITH_A_CHECK = f"""\
# HELP heartbeat_agent_health_check_up Whether the last result of a check was healthy or degraded.
# TYPE heartbeat_agent_health_check_up gauge
heartbeat_agent_health_check_up{{check="db"}} 0.0
# HELP heartbeat_agent_health_check_duration_seconds What a run of a check took, with its waiting for a turn.
# TYPE heartbeat_agent_health_check_duration_seconds histogram
heartbeat_agent_health_check_duration_seconds_bucket{{check="db",le="0.001"}} 0.0
heartbeat_agent_health_check_duration_seconds_bucket{{check="db",le="0.0025"}} 1.0
heartbeat_agent_health_check_duration_seconds_bucket{{check="db",le="0.005"}} 1.0
heartbeat_agent_health_check_duration_seconds_bucket{{check="db",le="0.01"}} 1.0
heartbeat_agent_health_check_duration_seconds_bucket{{check="db",le="0.025"}} 1.0
heartbeat_agent_health_check_duration_seconds_bucket{{check="db",le="0.05"}} 1.0
heartbeat_agent_health_check_duration_seconds_bucket{{check="db",le="0.1"}} 1.0
heartbeat_agent_health_check_duration_seconds_bucket{{check="db",le="0.25"}} 2.0
heartbeat_agent_health_check_duration_seconds_bucket{{check="db",le="0.5"}} 2.0
heartbeat_agent_health_check_duration_seconds_bucket{{check="db",le="1.0"}} 2.0
heartbeat_agent_health_check_duration_seconds_bucket{{check="db",le="2.5"}} 2.0
heartbeat_agent_health_check_duration_seconds_bucket{{check="db",le="5.0"}} 2.0
heartbeat_agent_health_check_duration_seconds_bucket{{check="db",le="10.0"}} 2.0
heartbeat_agent_health_check_duration_seconds_bucket{{check="db",le="+Inf"}} 3.0
heartbeat_agent_health_check_duration_seconds_count{{check="db"}} 3.0
heartbeat_agent_health_check_duration_seconds_sum{{check="db"}} 16.251953125
# HELP heartbeat_agent_health_check_failures_total Unhealthy results of a check.
# TYPE heartbeat_agent_health_check_failures_total counter
heartbeat_agent_health_check_failures_total{{check="db",reason="unhealthy"}} 0.0
heartbeat_agent_health_check_failures_total{{check="db",reason="error"}} 1.0
heartbeat_agent_health_check_failures_total{{check="db",reason="timeout"}} 1.0
heartbeat_agent_health_check_failures_total{{check="db",reason="invalid"}} 0.0
heartbeat_agent_health_check_failures_total{{check="db",reason="circuit_open"}} 0.0
# HELP heartbeat_agent_health_check_cache_hits_total Times that a check was asked for and not run.
# TYPE heartbeat_agent_health_check_cache_hits_total counter
heartbeat_agent_health_check_cache_hits_total{{check="db"}} 4.0
{REQUESTS}"""


@pytest.fixture
def requests() -> Requests:
    requests = Requests()
    requests.count(Endpoint.HEALTH, 200)
    requests.count(Endpoint.HEALTH, 200)
    requests.count(Endpoint.READY, 503)
    return requests


def test_without_checks(requests: Requests) -> None:
    """Without checks all that can be answered is there from the start, and each family is named."""
    assert exposition(Health(), requests) == WITHOUT_CHECKS


def test_with_a_check(requests: Requests) -> None:
    """A check has all its series from the start: not up, and each reason of a failure."""
    health = Health()
    health.add(Scripted(True, name="db"))
    counts = health.counts()["db"]
    observed(counts, 0.001953125)
    observed(counts, 0.25, Failure.ERROR)
    observed(counts, 16.0, Failure.TIMEOUT)
    counts.cache_hits = 4
    assert exposition(health, requests) == WITH_A_CHECK


async def test_up(requests: Requests) -> None:
    """Up unless unhealthy, and not before the first result."""
    health = Health()
    health.add(Scripted(True, name="healthy"))
    health.add(Scripted(Result.degraded("slow"), name="degraded"))
    health.add(Scripted(False, name="unhealthy"))
    await health.start()
    await health.look()
    health.add(Scripted(Gate(), name="unknown"))
    text = exposition(health, requests)
    await health.stop()
    assert [line for line in text.splitlines() if line.startswith("heartbeat_agent_health_check_up{")] == [
        'heartbeat_agent_health_check_up{check="healthy"} 1.0',
        'heartbeat_agent_health_check_up{check="degraded"} 1.0',
        'heartbeat_agent_health_check_up{check="unhealthy"} 0.0',
        'heartbeat_agent_health_check_up{check="unknown"} 0.0',
    ]


def test_a_second_agent(requests: Requests) -> None:
    """A registry refuses the same names a second time."""
    registry = CollectorRegistry()
    registry.register(HealthCollector(Health(), requests))
    with pytest.raises(ValueError, match="Duplicated timeseries"):
        registry.register(HealthCollector(Health(), requests))


@pytest.mark.servers("promtool")
def test_promtool(requests: Requests) -> None:
    """Prometheus' own linter has nothing to say about names and help."""
    health = Health()
    health.add(Scripted(True, name="db"))
    done = subprocess.run(
        [program("promtool"), "check", "metrics"],
        input=exposition(health, requests).encode(),
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_light() -> None:
    """Who adds checks loads neither an instrumentation nor a web framework."""
    heavy = ["fastapi", "starlette", "uvicorn", "prometheus_client", "psutil", "aiohttp"]
    code = "import sys, worker_agent.health.registry, worker_agent.health.answers; " + (
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert loaded.stdout == "[]\n"
