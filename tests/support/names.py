"""Every series that rules and dashboards may ask for, with the names of its labels."""

from __future__ import annotations

from collections.abc import Mapping

from exporter.metrics.catalogue import catalogue_names
from tests.support.promql import Labels, labels_of
from tests.support.rules import shipped_alerts, shipped_rules

TARGET_LABELS = frozenset({"instance", "job"})
"""What Prometheus adds to everything it scrapes."""

WORKER_TARGET_LABELS = TARGET_LABELS | {"worker", "group"}
"""What it adds to the workers' own metrics, by the relabelling in prometheus.yml."""

SLOT = frozenset({"slot"})
"""What tells one of several processes of a worker; see merged.py."""

_HTTP = ("method", "path_template")
_COUNTED: Mapping[str, tuple[str, ...]] = {
    "starlette_requests_total": _HTTP,
    "starlette_responses_total": (*_HTTP, "status_code"),
    "starlette_exceptions_total": (*_HTTP, "exception_type"),
    "heartbeat_agent_heartbeats_sent_total": (),
    "heartbeat_agent_reconnects_total": ("reason",),
    "heartbeat_agent_function_calls_total": ("function",),
    "heartbeat_agent_function_seconds_total": ("function",),
    "heartbeat_agent_function_failures_total": ("function", "exception"),
    "heartbeat_agent_health_check_failures_total": ("check", "reason"),
    "heartbeat_agent_health_check_cache_hits_total": ("check",),
    "heartbeat_agent_health_requests_total": ("endpoint", "status_code"),
}
_GAUGED: Mapping[str, tuple[str, ...]] = {
    "starlette_requests_in_progress": _HTTP,
    "heartbeat_agent_connected": (),
    "heartbeat_agent_event_loop_lag_seconds": (),
    "heartbeat_agent_function_in_progress": ("function",),
    "heartbeat_agent_health_check_up": ("check",),
}
_SPREAD: Mapping[str, tuple[str, ...]] = {
    "starlette_requests_processing_time_seconds": _HTTP,
    "heartbeat_agent_round_trip_seconds": (),
    "heartbeat_agent_function_duration_seconds": ("function",),
    "heartbeat_agent_health_check_duration_seconds": ("check",),
}
_PIPELINE: Mapping[str, tuple[str, ...]] = {
    "prometheus_rule_evaluation_failures_total": ("rule_group",),
    "prometheus_rule_group_iterations_total": ("rule_group",),
    "prometheus_rule_group_iterations_missed_total": ("rule_group",),
    "prometheus_notifications_dropped_total": (),
    "prometheus_config_last_reload_successful": (),
    "alertmanager_notifications_failed_total": ("integration",),
    "alertmanager_config_last_reload_successful": (),
}


def exporter_series() -> dict[str, Labels]:
    """What the exporter shows."""
    return {name: frozenset(labels) | TARGET_LABELS for name, labels in catalogue_names().items()}


def worker_series() -> dict[str, Labels]:
    """What an instrumented worker shows of itself, as docs/worker.md and docs/health.md have it."""
    of_client = {
        name: labels | WORKER_TARGET_LABELS | SLOT
        for name, labels in exporter_series().items()
        if name.startswith(("process_", "python_"))
    }
    totals = {
        **_COUNTED,
        **{f"{name}_bucket": (*labels, "le") for name, labels in _SPREAD.items()},
        **{f"{name}_{part}": labels for name, labels in _SPREAD.items() for part in ("sum", "count")},
    }
    return {
        **of_client,
        **{name: WORKER_TARGET_LABELS | {*labels} for name, labels in totals.items()},
        **{name: WORKER_TARGET_LABELS | SLOT | {*labels} for name, labels in _GAUGED.items()},
    }


def scrape_series() -> dict[str, Labels]:
    """What Prometheus notes of every scrape, of workers too."""
    names = ("up", "scrape_duration_seconds", "scrape_samples_scraped", "scrape_series_added")
    return dict.fromkeys(names, WORKER_TARGET_LABELS)


def pipeline_series() -> dict[str, Labels]:
    """What rules ask for of that which Prometheus and Alertmanager show of themselves."""
    return {name: TARGET_LABELS | {*labels} for name, labels in _PIPELINE.items()}


def exposed_series() -> dict[str, Labels]:
    """All that comes of scrapes, hence has `job` and `instance`."""
    return {**exporter_series(), **worker_series(), **scrape_series(), **pipeline_series()}


def recorded_series(exposed: Mapping[str, Labels]) -> dict[str, Labels]:
    """What the shipped rules make of it: recorded series, and those of alerts."""
    recorded = [rule for rule in shipped_rules() if not rule.is_alert]
    # A rule that looks back at itself says by its other operand, the first, what labels it has.
    names = {**exposed, **dict.fromkeys(["ALERTS", *(rule.name for rule in recorded)], frozenset[str]())}
    for rule in recorded:
        names[rule.name] = (labels_of(rule.expr, names) or frozenset()) | {*rule.labels}
    for alert in shipped_alerts().values():
        names["ALERTS"] |= {"alertname", "alertstate", *alert.labels, *(labels_of(alert.expr, names) or ())}
    names["ALERTS_FOR_STATE"] = names["ALERTS"] - {"alertstate"}
    return {name: labels for name, labels in names.items() if name not in exposed}


def known_series() -> dict[str, Labels]:
    """All there is to ask for."""
    exposed = exposed_series()
    return {**exposed, **recorded_series(exposed)}
