"""Every metric about workers, groups, the fleet, probes and actions: a row here, and nowhere else.

A row is name, kind, help and a function; the functions are pure. docs/metrics.md and the names that
rules and dashboards are checked against are made from these tables and from the exporter's own
counters in exporter/telemetry.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prometheus_client import CollectorRegistry

from exporter.core.acting import ActionRow
from exporter.core.acting import Kind as ActionKind
from exporter.core.groups import GroupRow
from exporter.core.model import AFTER_FORGOTTEN, BEFORE_NEW, SECOND, Row, Status
from exporter.core.probing import ProbeKindRow, ProbeRow
from exporter.telemetry import Telemetry
from worker_agent.protocol import CheckState

from .family import DURATION, INSTANT, SETTING, Family, Kind, Single, Split, Spread
from .section import Section
from .source import ActionSource, ProbeSource, Source, Standing

COUNTER, GAUGE, HISTOGRAM = Kind.COUNTER, Kind.GAUGE, Kind.HISTOGRAM

WORKER_LABELS = ("worker_id", "worker", "group")
GROUP_LABELS = ("group",)
PROBE_LABELS = ("probe", "target")
PROBE_KIND_LABELS = ("kind",)
ACTION_LABELS = ("action",)

FLEET: tuple[Single[Source], ...] = (
    Single(
        "heartbeat_warming_up",
        GAUGE,
        "Whether restored workers still have time to come back (1) or are judged as usual (0).",
        lambda fleet: fleet.warming_up(),
    ),
    Single(
        "heartbeat_workers_limit",
        GAUGE,
        "How many workers the registry has room for.",
        lambda fleet: fleet.max_workers,
    ),
)

GROUP: tuple[Family[GroupRow], ...] = (
    Split(
        "heartbeat_workers",
        GAUGE,
        "Workers of a group by status.",
        ("status",),
        lambda group: [((status,), count) for status, count in group.workers],
    ),
    Single(
        "heartbeat_heartbeats_total",
        COUNTER,
        "Heartbeats received from a group.",
        lambda group: group.heartbeats,
    ),
    Single(
        "heartbeat_late_heartbeats_total",
        COUNTER,
        "Heartbeats that came more than one and a half intervals after the one before.",
        lambda group: group.late,
    ),
    Spread(
        "heartbeat_latency_seconds",
        HISTOGRAM,
        "Time a heartbeat was on its way, corrected by the measured clock offset of the worker.",
        lambda group: group.latency,
    ),
    Spread(
        "heartbeat_arrival_interval_seconds",
        HISTOGRAM,
        "Time between two heartbeats of the same worker.",
        lambda group: group.arrival,
    ),
    Spread(
        "heartbeat_detection_delay_seconds",
        HISTOGRAM,
        "Time from the deadline of a silent worker, without what stalls added, to its being declared down.",
        lambda group: group.detection,
    ),
    Split(
        "heartbeat_registrations_total",
        COUNTER,
        "Registrations accepted, of new workers and of known ones.",
        ("kind",),
        lambda group: [((kind,), count) for kind, count in group.registrations],
    ),
    Split(
        "heartbeat_status_changes_total",
        COUNTER,
        "Changes of status by reason; a new worker comes from none, one no longer known goes to forgotten.",
        ("from", "to", "reason"),
        lambda group: [
            ((before or BEFORE_NEW, after or AFTER_FORGOTTEN, reason), count)
            for (before, after, reason), count in group.changes
        ],
    ),
    Single(
        "heartbeat_identity_conflicts_total",
        COUNTER,
        "Registrations under the identity of a worker that was still sending heartbeats.",
        lambda group: group.conflicts,
    ),
)

STANDING: tuple[Family[Standing], ...] = (
    Single(
        "heartbeat_worker_up",
        GAUGE,
        "Whether a worker is alive (1) or not (0).",
        lambda worker: worker.up,
    ),
    Split(
        "heartbeat_worker_status",
        GAUGE,
        "1 for the status a worker has, 0 for the others.",
        ("status",),
        lambda worker: [((status,), worker.status is status) for status in Status],
    ),
    Single(
        "heartbeat_worker_status_since_timestamp_seconds",
        GAUGE,
        "When a worker got its status, as Unix time.",
        lambda worker: worker.since,
        INSTANT,
    ),
    Split(
        "heartbeat_worker_down_reason",
        GAUGE,
        "Why a worker is down; always 1, and there only while it is down.",
        ("reason",),
        lambda worker: [((worker.down_reason,), 1)] if worker.down_reason else [],
    ),
    Split(
        "heartbeat_worker_info",
        GAUGE,
        "What a worker said of itself when it registered; always 1.",
        ("host", "port", "version"),
        lambda worker: [((worker.facts.host, str(worker.facts.port), worker.facts.version), 1)],
    ),
    Single(
        "heartbeat_worker_boot_timestamp_seconds",
        GAUGE,
        "When the process of a worker started, as Unix time by its own clock; there when it is known.",
        lambda worker: worker.facts.started_at,
        INSTANT,
    ),
    Single(
        "heartbeat_worker_timeout_seconds",
        GAUGE,
        "Silence after which a worker is declared down.",
        lambda worker: worker.facts.timeout,
        SETTING,
    ),
    Single(
        "heartbeat_worker_interval_seconds",
        GAUGE,
        "Time between two heartbeats as agreed with a worker.",
        lambda worker: worker.facts.interval,
        SETTING,
    ),
    Single(
        "heartbeat_worker_missed_heartbeats_total",
        COUNTER,
        "Heartbeats that should have come between those that came.",
        lambda worker: worker.counted.missed,
    ),
    Single(
        "heartbeat_worker_restarts_total",
        COUNTER,
        "Times a worker came back as a new process.",
        lambda worker: worker.counted.restarts,
    ),
    Split(
        "heartbeat_worker_check_up",
        GAUGE,
        "Whether a health check of a worker that is up is healthy or degraded (1) or unhealthy (0).",
        ("check",),
        lambda worker: [((name,), state != CheckState.UNHEALTHY) for name, state in worker.checks],
    ),
    Split(
        "heartbeat_worker_check_degraded",
        GAUGE,
        "Whether a health check of a worker that is up is degraded (1) or not (0).",
        ("check",),
        lambda worker: [((name,), state == CheckState.DEGRADED) for name, state in worker.checks],
    ),
)
"""Of a worker, and rarely changing: the text is kept."""

LIVE: tuple[Family[Row], ...] = (
    Single(
        "heartbeat_worker_last_heartbeat_timestamp_seconds",
        GAUGE,
        "When the last heartbeat of a worker came, as Unix time; there after the first.",
        lambda worker: worker.last_heartbeat,
        INSTANT,
    ),
    Single(
        "heartbeat_worker_heartbeats_total",
        COUNTER,
        "Heartbeats received from a worker.",
        lambda worker: worker.counted.heartbeats,
    ),
    Single(
        "heartbeat_worker_up_seconds_total",
        COUNTER,
        "Time a worker spent alive.",
        lambda worker: worker.counted.up / SECOND,
        DURATION,
    ),
    Split(
        "heartbeat_worker_down_seconds_total",
        COUNTER,
        "Time a worker spent down by reason; there once it happened.",
        ("reason",),
        lambda worker: [((reason,), time / SECOND) for reason, time in worker.counted.down],
        DURATION,
    ),
    Single(
        "heartbeat_worker_clock_offset_seconds",
        GAUGE,
        "How far the clock of a worker is ahead of the exporter's; there when it is known.",
        lambda worker: worker.clock_offset,
        DURATION,
    ),
    Single(
        "heartbeat_worker_round_trip_seconds",
        GAUGE,
        "Time from a heartbeat to the exporter's answer as the worker measured it; there when it is known.",
        lambda worker: worker.round_trip,
        DURATION,
    ),
    Single(
        "heartbeat_worker_event_loop_lag_seconds",
        GAUGE,
        "Delay of the event loop of a worker's application; there when it is known.",
        lambda worker: worker.loop_lag,
        DURATION,
    ),
)
"""Of a worker, and different on every scrape."""

PROBE: tuple[Family[ProbeRow], ...] = (
    Single(
        "heartbeat_probe_up",
        GAUGE,
        "Whether the target of a probe is up (1) or down (0) by its thresholds; there after the first run.",
        lambda probe: probe.up,
    ),
    Single(
        "heartbeat_probe_success",
        GAUGE,
        "Whether the last run of a probe succeeded (1) or failed (0); there after the first.",
        lambda probe: None if probe.last is None else probe.last.success,
    ),
    Single(
        "heartbeat_probe_duration_seconds",
        GAUGE,
        "How long the last run of a probe took.",
        lambda probe: None if probe.last is None else probe.last.duration,
        DURATION,
    ),
    Split(
        "heartbeat_probe_phase_duration_seconds",
        GAUGE,
        "How long the last run of a probe took by phase; there for those that it came to.",
        ("phase",),
        lambda probe: [] if probe.last is None else [((phase,), took) for phase, took in probe.last.phases],
        DURATION,
    ),
    Single(
        "heartbeat_probe_runs_total",
        COUNTER,
        "Runs of a probe, those that failed included.",
        lambda probe: probe.runs,
    ),
    Split(
        "heartbeat_probe_failures_total",
        COUNTER,
        "Runs of a probe that failed by reason.",
        ("reason",),
        lambda probe: [((reason,), count) for reason, count in probe.failures],
    ),
    Single(
        "heartbeat_probe_http_status_code",
        GAUGE,
        "HTTP status of the answer to the last run of a probe; there when it had one.",
        lambda probe: None if probe.last is None else probe.last.http_status,
    ),
    Single(
        "heartbeat_probe_tls_certificate_expiry_timestamp_seconds",
        GAUGE,
        "When the certificate that the last run of a probe saw ends, as Unix time; there when it saw one.",
        lambda probe: None if probe.last is None else probe.last.certificate_expiry,
        INSTANT,
    ),
    Single(
        "heartbeat_probe_last_run_timestamp_seconds",
        GAUGE,
        "When the last run of a probe began, as Unix time; there after the first.",
        lambda probe: None if probe.last is None else probe.last.at,
        INSTANT,
    ),
)

PROBE_KIND: tuple[Family[ProbeKindRow], ...] = (
    Spread(
        "heartbeat_probe_run_duration_seconds",
        HISTOGRAM,
        "How long runs of probes of a kind took, those that failed included.",
        lambda probes: probes.run_duration,
    ),
)

ACTION: tuple[Family[ActionRow], ...] = (
    Single(
        "heartbeat_action_state",
        GAUGE,
        "Whether an action was promoted (1) or demoted (0), by its last run or as found; there once known.",
        lambda action: None if action.state is None else action.state.kind is ActionKind.PROMOTE,
    ),
    Split(
        "heartbeat_action_runs_total",
        COUNTER,
        "Runs of an action that are over, those that failed and retries included.",
        ("kind",),
        lambda action: [((kind,), count) for kind, count in action.runs],
    ),
    Split(
        "heartbeat_action_failures_total",
        COUNTER,
        "Runs of an action that failed by reason.",
        ("kind", "reason"),
        lambda action: [((kind, reason), count) for (kind, reason), count in action.failures],
    ),
    Split(
        "heartbeat_action_duration_seconds",
        GAUGE,
        "How long the last run of an action took; there after the first of its kind.",
        ("kind",),
        lambda action: [((kind,), last.duration) for kind, last in action.last],
        DURATION,
    ),
    Split(
        "heartbeat_action_last_run_timestamp_seconds",
        GAUGE,
        "When the last run of an action began, as Unix time; there after the first of its kind.",
        ("kind",),
        lambda action: [((kind,), last.at) for kind, last in action.last],
        INSTANT,
    ),
)


FLEET_TABLES: tuple[tuple[tuple[str, ...], tuple[Family[Any], ...]], ...] = (
    ((), FLEET),
    (GROUP_LABELS, GROUP),
    (WORKER_LABELS, STANDING),
    (WORKER_LABELS, LIVE),
)
"""What is rendered from the fleet, in the order of /metrics, each with the labels that every series has."""

TABLES: tuple[tuple[tuple[str, ...], tuple[Family[Any], ...]], ...] = (
    *FLEET_TABLES,
    (PROBE_LABELS, PROBE),
    (PROBE_KIND_LABELS, PROBE_KIND),
    (ACTION_LABELS, ACTION),
)
"""All there are. Those that are not the fleet's are on /metrics where there is a `Section` for them."""


def probe_sections(probes: ProbeSource) -> tuple[Section[Any], ...]:
    """What /metrics says of probes."""
    return (
        Section(PROBE_LABELS, PROBE, lambda probe: (probe.name, probe.target), probes.each),
        Section(PROBE_KIND_LABELS, PROBE_KIND, lambda probes: (probes.kind,), probes.kinds),
    )


def action_sections(actions: ActionSource) -> tuple[Section[Any], ...]:
    """What /metrics says of actions."""
    return (Section(ACTION_LABELS, ACTION, lambda action: (action.name,), actions.rows),)


def catalogue_names() -> Mapping[str, tuple[str, ...]]:
    """Every series a query may ask for, the exporter's own included, with the names of its labels."""
    names: dict[str, tuple[str, ...]] = {}
    for labels, table in TABLES:
        for family in table:
            names |= {name: (*labels, *own) for name, own in family.series.items()}
    for metric in Telemetry(CollectorRegistry()).registry.collect():
        names |= {sample.name: tuple(sample.labels) for sample in metric.samples}
    return names
