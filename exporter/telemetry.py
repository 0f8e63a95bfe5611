"""The exporter's own counters and histograms: what it did, not what it watches.

What it watches is rendered from the fleet (exporter/metrics). These here count events of the shell,
on a registry that is handed in, so that tests and several apps in one process do not share numbers.
Every label value that is known beforehand stands at 0 from the start.
"""

from __future__ import annotations

import platform
from enum import StrEnum
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from exporter import __version__


class RegistrationFailure(StrEnum):
    INVALID = "invalid"
    FULL = "full"
    GROUPS = "groups"
    LOADING = "loading"


class Rejected(StrEnum):
    JSON = "json"
    TYPE = "type"
    FIELD = "field"
    SIZE = "size"
    STALE_CONNECTION = "stale_connection"
    LATENCY = "latency"


class Refused(StrEnum):
    UNKNOWN = "unknown"
    LOADING = "loading"
    FULL = "full"


class Closed(StrEnum):
    GOODBYE = "goodbye"
    LOST = "lost"
    REPLACED = "replaced"
    FORGOTTEN = "forgotten"
    ABUSE = "abuse"
    SIZE = "size"
    SHUTDOWN = "shutdown"


class Operation(StrEnum):
    LOAD = "load"
    SAVE = "save"
    FORGET = "forget"
    LEASE = "lease"


class Telemetry:
    """One attribute per metric; see each `help` for what it counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        # A `_created` series beside every counter would double what is scraped and tells nothing
        # that `process_start_time_seconds` does not.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library leaves it unannotated
        self.registry = registry

        self.registration_failures = _by(
            RegistrationFailure,
            Counter(
                "heartbeat_registration_failures_total",
                "Registrations that were refused.",
                ["reason"],
                registry=registry,
            ),
        )
        self.messages_rejected = _by(
            Rejected,
            Counter(
                "heartbeat_messages_rejected_total",
                "Messages, or fields of messages, from workers that were left out of account.",
                ["reason"],
                registry=registry,
            ),
        )
        self.connections = Gauge(
            "heartbeat_connections", "WebSocket connections of workers that are open.", registry=registry
        )
        self.connections_opened = Counter(
            "heartbeat_connections_opened_total",
            "WebSocket connections of workers that were accepted.",
            registry=registry,
        )
        self.connections_refused = _by(
            Refused,
            Counter(
                "heartbeat_connections_refused_total",
                "WebSocket connections that were refused before they were accepted.",
                ["reason"],
                registry=registry,
            ),
        )
        self.connections_closed = _by(
            Closed,
            Counter(
                "heartbeat_connections_closed_total",
                "WebSocket connections of workers that ended.",
                ["reason"],
                registry=registry,
            ),
        )
        self.page_viewers = Gauge(
            "heartbeat_page_viewers", "Status pages that are open and kept up to date.", registry=registry
        )
        self.page_viewers_refused = Counter(
            "heartbeat_page_viewers_refused_total",
            "Status pages that were not kept up to date: too many were open, or the exporter was ending.",
            registry=registry,
        )
        self.page_viewers_dropped = Counter(
            "heartbeat_page_viewers_dropped_total",
            "Status pages that were no longer kept up to date because they did not take what was sent.",
            registry=registry,
        )
        self.store_up = Gauge(
            "heartbeat_store_up",
            "Whether the last attempt to reach the store succeeded (1) or not (0).",
            registry=registry,
        )
        self.store_pending_writes = Gauge(
            "heartbeat_store_pending_writes",
            "Changes that the store has still to learn of.",
            registry=registry,
        )
        self.store_failures = _by(
            Operation,
            Counter(
                "heartbeat_store_failures_total",
                "Operations on the store that failed.",
                ["operation"],
                registry=registry,
            ),
        )
        self.store_quarantined = Counter(
            "heartbeat_store_quarantined_total",
            "Records that could not be read and were put aside.",
            registry=registry,
        )
        self.store_dropped = Counter(
            "heartbeat_store_dropped_total",
            "Transitions that never reached the store because too many were waiting for it.",
            registry=registry,
        )
        self.store_flush_duration = Histogram(
            "heartbeat_store_flush_duration_seconds",
            "Time to write a batch of changes to the store.",
            registry=registry,
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5),
        )
        self.event_loop_lag = Gauge(
            "heartbeat_event_loop_lag_seconds",
            "Largest delay of the exporter's event loop in the last 15 seconds.",
            registry=registry,
        )
        self.stall_seconds = Counter(
            "heartbeat_stall_seconds_total",
            "Time in which the exporter itself did nothing.",
            registry=registry,
        )
        self.scrape_duration = Histogram(
            "heartbeat_scrape_duration_seconds",
            "Time to render /metrics.",
            registry=registry,
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5),
        )
        self.config_last_reload_successful = Gauge(
            "heartbeat_config_last_reload_successful",
            "Whether the configuration file was good when it was last read (1) or was left aside (0).",
            registry=registry,
        )
        self.config_last_reload_success_timestamp = Gauge(
            "heartbeat_config_last_reload_success_timestamp_seconds",
            "When the configuration that is in force was read, as Unix time.",
            registry=registry,
        )
        self.actions_held = Gauge(
            "heartbeat_actions_held",
            "Whether actions are held because too much failed at once (1) or not (0).",
            registry=registry,
        )
        self.probes_in_flight = Gauge(
            "heartbeat_probes_in_flight", "Probes that are running at this moment.", registry=registry
        )
        self.probe_schedule_delay = Histogram(
            "heartbeat_probe_schedule_delay_seconds",
            "Time from when a run of a probe was due, before stalls moved it, to its beginning.",
            registry=registry,
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0),
        )
        self.probe_runs_skipped = Counter(
            "heartbeat_probe_runs_skipped_total",
            "Runs of probes that were left out because the one before had not ended when they were due.",
            registry=registry,
        )
        self.probe_runs_repeated = Counter(
            "heartbeat_probe_runs_repeated_total",
            "Runs of probes that failed while the exporter itself stood still, and were done again.",
            registry=registry,
        )
        Gauge(
            "heartbeat_build_info",
            "Which exporter this is; always 1.",
            ["version", "python_version"],
            registry=registry,
        ).labels(__version__, platform.python_version()).set(1)
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)


E = TypeVar("E", bound=StrEnum)


def _by(kinds: type[E], counter: Counter) -> dict[E, Counter]:
    """The children of a counter, made beforehand: they start at 0, and a look-up costs no label handling."""
    return {kind: counter.labels(kind.value) for kind in kinds}
