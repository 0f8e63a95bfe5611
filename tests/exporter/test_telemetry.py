"""The exporter's own counters."""

from __future__ import annotations

import platform

from prometheus_client import CollectorRegistry

from exporter import __version__
from exporter.telemetry import Closed, Operation, Refused, RegistrationFailure, Rejected, Telemetry

KNOWN = {
    "heartbeat_registration_failures_total": ("reason", RegistrationFailure),
    "heartbeat_messages_rejected_total": ("reason", Rejected),
    "heartbeat_connections_refused_total": ("reason", Refused),
    "heartbeat_connections_closed_total": ("reason", Closed),
    "heartbeat_store_failures_total": ("operation", Operation),
}


def samples(registry: CollectorRegistry) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in registry.collect()
        for sample in family.samples
    }


def test_known_label_values_stand_at_zero_from_the_start() -> None:
    """A rate over a series that appears with its first event misses that event."""
    found = samples(Telemetry(CollectorRegistry()).registry)
    for name, (label, values) in KNOWN.items():
        assert {key[1]: value for key, value in found.items() if key[0] == name} == {
            ((label, value.value),): 0.0 for value in values
        }
    for name in (
        "heartbeat_connections_opened_total",
        "heartbeat_store_quarantined_total",
        "heartbeat_store_dropped_total",
        "heartbeat_stall_seconds_total",
        "heartbeat_store_flush_duration_seconds_count",
        "heartbeat_scrape_duration_seconds_count",
    ):
        assert found[name, ()] == 0.0


def test_no_series_tells_when_another_was_created() -> None:
    """`_created` would double what is scraped and says nothing that the process's start does not."""
    assert [name for name, _ in samples(Telemetry(CollectorRegistry()).registry) if "_created" in name] == []


def test_says_what_it_is_and_what_it_uses() -> None:
    """Version and interpreter, and the process metrics under the names that the client library gives them."""
    found = samples(Telemetry(CollectorRegistry()).registry)
    info = (("python_version", platform.python_version()), ("version", __version__))
    assert found["heartbeat_build_info", info] == 1.0
    names = {name for name, _ in found}
    assert {
        "process_cpu_seconds_total",
        "process_resident_memory_bytes",
        "process_start_time_seconds",
    } <= names
    assert {"python_info", "python_gc_collections_total"} <= names


def test_two_exporters_in_one_process_share_no_numbers() -> None:
    """Each counts on the registry that it was given."""
    one, other = Telemetry(CollectorRegistry()), Telemetry(CollectorRegistry())
    one.connections_closed[Closed.LOST].inc()
    assert other.registry.get_sample_value("heartbeat_connections_closed_total", {"reason": "lost"}) == 0.0
    assert one.registry.get_sample_value("heartbeat_connections_closed_total", {"reason": "lost"}) == 1.0
