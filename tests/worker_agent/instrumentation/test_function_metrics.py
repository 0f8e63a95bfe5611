"""The metrics of functions, as they are scraped."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.support.hand_clock import HandClock
from worker_agent.instrumentation.function_metrics import FunctionCollector
from worker_agent.instrumentation.functions import Functions


def some_functions() -> Functions:
    clock = HandClock()
    functions = Functions(clock)

    @functions.measured(name="quick", buckets=(0.25, 1))
    def quick(seconds: float) -> None:
        clock.move(seconds)

    @functions.measured(name="slow")
    def slow(depth: int) -> None:
        clock.move(2.0)
        quick(0.5)
        if depth:
            slow(depth - 1)
        raise TimeoutError

    @functions.measured(name='never "called"')
    def never() -> None: ...

    with pytest.raises(TimeoutError):
        slow(1)
    for seconds in (0.125, 0.25, 4.0):
        quick(seconds)
    return functions


def test_everything() -> None:
    """All families, complete: a function never called is at 0, and only one with buckets has them."""
    registry = CollectorRegistry()
    registry.register(FunctionCollector(some_functions()))
    assert (
        generate_latest(registry).decode()
        == r"""# HELP heartbeat_agent_function_calls_total Calls of a function that have ended, well or not.
# TYPE heartbeat_agent_function_calls_total counter
heartbeat_agent_function_calls_total{function="quick"} 5.0
heartbeat_agent_function_calls_total{function="slow"} 2.0
heartbeat_agent_function_calls_total{function="never \"called\""} 0.0
# HELP heartbeat_agent_function_seconds_total Time spent in the calls of a function that have ended.
# TYPE heartbeat_agent_function_seconds_total counter
heartbeat_agent_function_seconds_total{function="quick"} 5.375
heartbeat_agent_function_seconds_total{function="slow"} 7.5
heartbeat_agent_function_seconds_total{function="never \"called\""} 0.0
# HELP heartbeat_agent_function_failures_total Calls of a function that an exception has ended, by its type.
# TYPE heartbeat_agent_function_failures_total counter
heartbeat_agent_function_failures_total{exception="TimeoutError",function="slow"} 2.0
# HELP heartbeat_agent_function_in_progress Calls of a function that have begun and not ended.
# TYPE heartbeat_agent_function_in_progress gauge
heartbeat_agent_function_in_progress{function="quick"} 0.0
heartbeat_agent_function_in_progress{function="slow"} 0.0
heartbeat_agent_function_in_progress{function="never \"called\""} 0.0
# HELP heartbeat_agent_function_duration_seconds How long the calls of a function took; of functions with chosen buckets.
# TYPE heartbeat_agent_function_duration_seconds histogram
heartbeat_agent_function_duration_seconds_bucket{function="quick",le="0.25"} 2.0
heartbeat_agent_function_duration_seconds_bucket{function="quick",le="1.0"} 4.0
heartbeat_agent_function_duration_seconds_bucket{function="quick",le="+Inf"} 5.0
heartbeat_agent_function_duration_seconds_count{function="quick"} 5.0
heartbeat_agent_function_duration_seconds_sum{function="quick"} 5.375
"""  # noqa: E501
    )


def test_openmetrics() -> None:
    """The strict parser of the client library takes it."""
    registry = CollectorRegistry()
    registry.register(FunctionCollector(some_functions()))
    families = text_string_to_metric_families(generate_openmetrics(registry).decode())
    assert {family.name: (family.type, len(family.samples)) for family in families} == {
        "heartbeat_agent_function_calls": ("counter", 3),
        "heartbeat_agent_function_seconds": ("counter", 3),
        "heartbeat_agent_function_failures": ("counter", 1),
        "heartbeat_agent_function_in_progress": ("gauge", 3),
        "heartbeat_agent_function_duration_seconds": ("histogram", 5),
    }


def test_once_in_a_registry() -> None:
    """A second collector is refused, or everything would be on the page twice."""
    registry = CollectorRegistry()
    registry.register(FunctionCollector(Functions()))
    with pytest.raises(ValueError, match="Duplicated timeseries"):
        registry.register(FunctionCollector(Functions()))


def test_decorated_later() -> None:
    """A function decorated after the collector was registered is on the next page."""
    registry, functions = CollectorRegistry(), Functions()
    registry.register(FunctionCollector(functions))
    functions.measured(name="late")(print)
    assert registry.get_sample_value("heartbeat_agent_function_calls_total", {"function": "late"}) == 0.0
