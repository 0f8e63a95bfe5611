"""The names that rules, dashboards and users rely on."""

from __future__ import annotations

import re
import subprocess

import pytest
from prometheus_client import CollectorRegistry

from exporter.metrics.catalogue import TABLES, action_sections, catalogue_names, probe_sections
from exporter.metrics.render import Renderer
from exporter.telemetry import Telemetry
from tests.exporter.metrics.sources import TEXT, rendered
from tests.exporter.metrics.test_action_section import few_actions
from tests.exporter.metrics.test_probe_section import few_probes
from tests.exporter.metrics.test_render import small_fleet
from tests.support.processes import program

WORKER = ("worker_id", "worker", "group")
GROUP = ("group",)
ACTION = ("action",)
PROBE = ("probe", "target")


def test_the_names_and_labels_are_those_of_the_contract() -> None:
    """A metric that is renamed, or that loses a label, breaks somebody's dashboard."""
    names = catalogue_names()
    assert {name: labels for name, labels in names.items() if name.startswith("heartbeat_")} == {
        "heartbeat_warming_up": (),
        "heartbeat_config_last_reload_successful": (),
        "heartbeat_config_last_reload_success_timestamp_seconds": (),
        "heartbeat_workers_limit": (),
        "heartbeat_workers": (*GROUP, "status"),
        "heartbeat_heartbeats_total": GROUP,
        "heartbeat_late_heartbeats_total": GROUP,
        "heartbeat_latency_seconds_bucket": (*GROUP, "le"),
        "heartbeat_latency_seconds_sum": GROUP,
        "heartbeat_latency_seconds_count": GROUP,
        "heartbeat_arrival_interval_seconds_bucket": (*GROUP, "le"),
        "heartbeat_arrival_interval_seconds_sum": GROUP,
        "heartbeat_arrival_interval_seconds_count": GROUP,
        "heartbeat_detection_delay_seconds_bucket": (*GROUP, "le"),
        "heartbeat_detection_delay_seconds_sum": GROUP,
        "heartbeat_detection_delay_seconds_count": GROUP,
        "heartbeat_registrations_total": (*GROUP, "kind"),
        "heartbeat_status_changes_total": (*GROUP, "from", "to", "reason"),
        "heartbeat_identity_conflicts_total": GROUP,
        "heartbeat_worker_up": WORKER,
        "heartbeat_worker_status": (*WORKER, "status"),
        "heartbeat_worker_status_since_timestamp_seconds": WORKER,
        "heartbeat_worker_down_reason": (*WORKER, "reason"),
        "heartbeat_worker_info": (*WORKER, "host", "port", "version"),
        "heartbeat_worker_boot_timestamp_seconds": WORKER,
        "heartbeat_worker_timeout_seconds": WORKER,
        "heartbeat_worker_interval_seconds": WORKER,
        "heartbeat_worker_last_heartbeat_timestamp_seconds": WORKER,
        "heartbeat_worker_heartbeats_total": WORKER,
        "heartbeat_worker_missed_heartbeats_total": WORKER,
        "heartbeat_worker_restarts_total": WORKER,
        "heartbeat_worker_check_up": (*WORKER, "check"),
        "heartbeat_worker_check_degraded": (*WORKER, "check"),
        "heartbeat_worker_up_seconds_total": WORKER,
        "heartbeat_worker_down_seconds_total": (*WORKER, "reason"),
        "heartbeat_worker_clock_offset_seconds": WORKER,
        "heartbeat_worker_round_trip_seconds": WORKER,
        "heartbeat_worker_event_loop_lag_seconds": WORKER,
        "heartbeat_probe_up": PROBE,
        "heartbeat_probe_success": PROBE,
        "heartbeat_probe_duration_seconds": PROBE,
        "heartbeat_probe_phase_duration_seconds": (*PROBE, "phase"),
        "heartbeat_probe_runs_total": PROBE,
        "heartbeat_probe_failures_total": (*PROBE, "reason"),
        "heartbeat_probe_http_status_code": PROBE,
        "heartbeat_probe_tls_certificate_expiry_timestamp_seconds": PROBE,
        "heartbeat_probe_last_run_timestamp_seconds": PROBE,
        "heartbeat_probe_run_duration_seconds_bucket": ("kind", "le"),
        "heartbeat_probe_run_duration_seconds_sum": ("kind",),
        "heartbeat_probe_run_duration_seconds_count": ("kind",),
        "heartbeat_registration_failures_total": ("reason",),
        "heartbeat_messages_rejected_total": ("reason",),
        "heartbeat_connections": (),
        "heartbeat_connections_opened_total": (),
        "heartbeat_connections_refused_total": ("reason",),
        "heartbeat_connections_closed_total": ("reason",),
        "heartbeat_page_viewers": (),
        "heartbeat_page_viewers_refused_total": (),
        "heartbeat_page_viewers_dropped_total": (),
        "heartbeat_store_up": (),
        "heartbeat_store_pending_writes": (),
        "heartbeat_store_failures_total": ("operation",),
        "heartbeat_store_quarantined_total": (),
        "heartbeat_store_dropped_total": (),
        "heartbeat_store_flush_duration_seconds_bucket": ("le",),
        "heartbeat_store_flush_duration_seconds_sum": (),
        "heartbeat_store_flush_duration_seconds_count": (),
        "heartbeat_event_loop_lag_seconds": (),
        "heartbeat_stall_seconds_total": (),
        "heartbeat_scrape_duration_seconds_bucket": ("le",),
        "heartbeat_scrape_duration_seconds_sum": (),
        "heartbeat_scrape_duration_seconds_count": (),
        "heartbeat_probes_in_flight": (),
        "heartbeat_probe_schedule_delay_seconds_bucket": ("le",),
        "heartbeat_probe_schedule_delay_seconds_sum": (),
        "heartbeat_probe_schedule_delay_seconds_count": (),
        "heartbeat_probe_runs_skipped_total": (),
        "heartbeat_probe_runs_repeated_total": (),
        "heartbeat_action_state": ACTION,
        "heartbeat_action_runs_total": (*ACTION, "kind"),
        "heartbeat_action_failures_total": (*ACTION, "kind", "reason"),
        "heartbeat_action_duration_seconds": (*ACTION, "kind"),
        "heartbeat_action_last_run_timestamp_seconds": (*ACTION, "kind"),
        "heartbeat_actions_held": (),
        "heartbeat_build_info": ("version", "python_version"),
    }
    assert {"process_start_time_seconds", "python_info"} <= names.keys()


def complete() -> Renderer:
    """A renderer that leaves nothing out."""
    sections = (*probe_sections(few_probes()), *action_sections(few_actions()))
    return Renderer(Telemetry(CollectorRegistry()).registry, sections)


async def test_what_is_exported_is_what_is_catalogued() -> None:
    """Names and labels in a complete answer, with a worker, a probe and an action that know everything."""
    text = await rendered(small_fleet(), TEXT, complete())
    exported = {
        match[1]: tuple(re.findall(r'(\w+)="(?:[^"\\]|\\.)*"', match[2] or ""))
        for match in re.finditer(r"^(\w+)(\{.*\})? \S+$", text, re.MULTILINE)
    }
    assert {name: set(labels) for name, labels in exported.items()} == {
        name: set(labels) for name, labels in catalogue_names().items()
    }


def test_help_needs_no_escaping() -> None:
    """One sentence in one line, without what either format would have to escape."""
    for _, table in TABLES:
        for family in table:
            assert re.fullmatch(r"[A-Z0-9][^\\\"\n]+\.", family.help), family.name


def test_the_number_of_ways_to_name_a_metric_is_one() -> None:
    """No two rows of the catalogue, nor a row and one of the exporter's own counters, share a name."""
    names = [name for _, table in TABLES for family in table for name in family.series]
    own = [
        sample.name
        for metric in Telemetry(CollectorRegistry()).registry.collect()
        for sample in metric.samples
    ]
    assert len(set(names)) == len(names)
    assert not set(names) & set(own)


@pytest.mark.servers("promtool")
async def test_promtool_finds_nothing() -> None:
    """Names, units, suffixes and help of the complete answer follow the conventions of Prometheus."""
    text = await rendered(small_fleet(), TEXT, complete())
    checked = subprocess.run(
        [program("promtool"), "check", "metrics"], input=text, capture_output=True, text=True, timeout=30
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
