"""Central panels show a small fleet as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.dashboards import expressions, fill, load, queries, usual_choice
from tests.support.evaluation import Answer, evaluate
from tests.support.rules import RULES

E = 'job="heartbeat-exporter", instance="manager:8000"'
W = E + ', worker_id="{0}", worker="{0}", group="{1}"'


def of(metric: str, worker: str, group: str, more: str = "") -> str:
    return f"{metric}{{{W.format(worker, group)}{more}}}"


# Three groups, five workers. web: one up, one down since 40 by timeout, one stopped at 50. db: one up, one
# pending. old: scaled to nothing, so it has no share.
SERIES: dict[str, float | str] = {
    of("heartbeat_worker_up", "a", "web"): 1,
    of("heartbeat_worker_up", "b", "web"): 0,
    of("heartbeat_worker_up", "c", "web"): 0,
    of("heartbeat_worker_up", "d", "db"): 1,
    of("heartbeat_worker_up", "e", "db"): 0,
    of("heartbeat_worker_down_reason", "b", "web", ', reason="timeout"'): 1,
    of("heartbeat_worker_down_reason", "c", "web", ', reason="shutdown"'): 1,
    **{
        of("heartbeat_worker_status_since_timestamp_seconds", worker, group): since
        for worker, group, since in (
            *(("a", "web", 10), ("b", "web", 40), ("c", "web", 50)),
            *(("d", "db", 20), ("e", "db", 60)),
        )
    },
    **{
        f'heartbeat_workers{{{E}, group="{group}", status="{status}"}}': count
        for group, status, count in (
            *(("web", "alive", 1), ("web", "not_responding", 1), ("web", "disconnected", 1)),
            *(("db", "alive", 1), ("db", "connected", 1), ("old", "alive", 0)),
        )
    },
    f'heartbeat_status_changes_total{{{E}, group="web", from="alive", reason="timeout"}}': "0+1x20",
    f'heartbeat_status_changes_total{{{E}, group="db", from="alive", reason="timeout"}}': "0+1x20",
    f'heartbeat_status_changes_total{{{E}, group="web", from="alive", reason="shutdown"}}': 7,
    f'heartbeat_latency_seconds_bucket{{{E}, group="web", le="0.1"}}': "0+90x20",
    f'heartbeat_latency_seconds_bucket{{{E}, group="web", le="0.2"}}': "0+100x20",
    f'heartbeat_latency_seconds_bucket{{{E}, group="web", le="+Inf"}}': "0+100x20",
    f'heartbeat_heartbeats_total{{{E}, group="web"}}': "0+15x20",
    f'heartbeat_heartbeats_total{{{E}, group="db"}}': "0+5x20",
    f'heartbeat_late_heartbeats_total{{{E}, group="web"}}': "0+1x20",
    'group:heartbeat_availability:ratio_rate30d{group="web"}': 0.985,
    'group:heartbeat_availability:ratio_rate30d{group="db"}': 1,
    "fleet:heartbeat_availability_objective:ratio": 0.99,
    'ALERTS{alertname="HeartbeatWorkerDown", alertstate="firing", severity="warning", '
    'group="web", worker="b", worker_id="b", reason="timeout"}': 1,
    'ALERTS_FOR_STATE{alertname="HeartbeatWorkerDown", severity="warning", '
    'group="web", worker="b", worker_id="b", reason="timeout"}': 45,
    'ALERTS{alertname="HeartbeatStoreDown", alertstate="pending", severity="critical"}': 1,
    'ALERTS_FOR_STATE{alertname="HeartbeatStoreDown", severity="critical"}': 99,
    'ALERTS{alertname="HeartbeatExporterRestarting", alertstate="firing", severity="critical"}': 1,
    'ALERTS_FOR_STATE{alertname="HeartbeatExporterRestarting", severity="critical"}': 30,
    'ALERTS{alertname="Watchdog", alertstate="firing", severity="none"}': 1,
}

BY_STATUS: Answer = {
    '{status="alive"}': 2,
    '{status="connected"}': 1,
    '{status="disconnected"}': 1,
    '{status="not_responding"}': 1,
}

FLEET: dict[str, list[Answer]] = {
    "Workers by status": [BY_STATUS],
    "Workers by status over time": [BY_STATUS],
    # A clean stop is planned: of those that should be up web has one of two, and all have two of four.
    "Share of workers up": [{"{}": 0.5}],
    "Lowest availability": [{'{group="web"}': 0.985}],
    "Firing alerts": [{'{severity="critical"}': 1, '{severity="warning"}': 1}],
    # Two groups count one change each in 5 s, hence eight in the 20 s of the range.
    "Status changes by reason": [{'{reason="timeout"}': 8}],
    # The worst first: 1 is a timeout, 4 stopped, 5 pending, 6 up.
    "Workers, the worst first": [
        {
            '{at_end="1", worker_id="b", worker="b", group="web"}': 1,
            '{at_end="4", worker_id="c", worker="c", group="web"}': 4,
            '{at_end="5", worker_id="e", worker="e", group="db"}': 5,
            '{at_end="6", worker_id="a", worker="a", group="web"}': 6,
            '{at_end="6", worker_id="d", worker="d", group="db"}': 6,
        }
    ],
    "Share of workers up, by group": [{'{group="web"}': 0.5, '{group="db"}': 0.5}],
    "Availability over 30 days, by group": [{'{group="web"}': 0.985, '{group="db"}': 1}],
    # Of 1 % that may be lost web has lost one and a half.
    "Error budget left, by group": [{'{group="web"}': -0.5, '{group="db"}': 1}],
    "Latency of most heartbeats": [{"{}": 0.1 * 50 / 90}, {"{}": 0.15}, {"{}": 0.19}],
    "Share of heartbeats on time": [{"{}": 0.95}],
    "Firing alerts and since when": [
        {
            '{severity="critical", alertname="HeartbeatExporterRestarting"}': 30_000,
            '{severity="warning", alertname="HeartbeatWorkerDown", '
            'group="web", worker="b", worker_id="b", reason="timeout"}': 45_000,
        }
    ],
    "variable group": [{'{group="web"}': 3, '{group="db"}': 2, '{group="old"}': 1}],
    "annotation Firing alerts": [
        {
            '{alertname="HeartbeatWorkerDown", group="web"}': 1,
            '{alertname="HeartbeatExporterRestarting"}': 1,
        }
    ],
}


@pytest.mark.servers("promtool")
def test_fleet_dashboard_shows_a_small_fleet(tmp_path: Path) -> None:
    """Each worker, group and alert as it is, whichever exporter says so."""
    asked = [query for query in expressions(load()["heartbeat-fleet"]) if query.place in FLEET]
    answers = [(place, answer) for place, answers in FLEET.items() for answer in answers]
    assert sorted(query.place for query in asked) == sorted(place for place, _ in answers)

    by_place = {place: iter(answers) for place, answers in FLEET.items()}
    evaluate(tmp_path, SERIES, {query.expr: next(by_place[query.place]) for query in asked})


def responses(path: str, status: int, each_step: int) -> dict[str, float | str]:
    labels = 'job="heartbeat-workers", instance="a@10.0.0.1:8001", worker="a", group="web", method="GET"'
    name = f'starlette_responses_total{{{labels}, path_template="{path}", status_code="{status}"}}'
    return {name: f"0+{each_step}x20"}


ABOUT_HEALTH = {**responses("/metrics", 200, 5), **responses("/health/ready", 503, 5)}


@pytest.mark.servers("promtool")
@pytest.mark.parametrize(
    ("series", "expected"),
    [
        ({**responses("/bread", 200, 3), **responses("/toast", 500, 1), **ABOUT_HEALTH}, {"{}": 0.25}),
        (ABOUT_HEALTH, {"{}": 0.0}),
        ({}, {}),
    ],
)
def test_errors_are_those_of_customers(
    series: dict[str, float | str], expected: Answer, tmp_path: Path
) -> None:
    """Nobody else minds that a check fails; without customers there is no error, without a worker nothing."""
    (asked,) = {
        query.expr
        for query in expressions(load()["heartbeat-service"])
        if (query.place, query.ref) == ("Share of errors", "A")
    }
    evaluate(tmp_path, series, {asked: expected})


DAY = 24 * 60
"""In minutes."""

ROUNDED = 2.0**-6
"""A sixty-fourth: the last five minutes count a little less than those before."""


@pytest.mark.slow
@pytest.mark.servers("promtool")
def test_a_worker_that_was_down_for_a_third_of_the_day(tmp_path: Path) -> None:
    """Was available for the rest; so was its group of two but for a sixth, and a clean stop cost nothing."""
    up, down = DAY * 2 // 3, DAY // 3
    seconds = {
        of("heartbeat_worker_up_seconds_total", "a", "web"): f"0+60x{up} {up * 60}+0x{down - 1}",
        of(
            "heartbeat_worker_down_seconds_total", "a", "web", ', reason="timeout"'
        ): f"_x{up} 60+60x{down - 1}",
        of("heartbeat_worker_up_seconds_total", "b", "web"): f"0+60x{DAY}",
        of("heartbeat_worker_up_seconds_total", "c", "db"): f"0+60x{up} {up * 60}+0x{down - 1}",
        of(
            "heartbeat_worker_down_seconds_total", "c", "db", ', reason="shutdown"'
        ): f"_x{up} 60+60x{down - 1}",
    }
    fleet, worker = load()["heartbeat-fleet"], load()["heartbeat-worker"]
    by_group = {'{group="web"}': 5 / 6, '{group="db"}': 1.0}
    of_worker = {"a": 2 / 3, "b": 1.0, "c": 1.0}
    questions = {
        **{
            query.expr: by_group
            for query in expressions(fleet)
            if query.place.startswith("Availability over")
        },
        **{
            fill(query.expr, {**usual_choice(worker), "worker_id": name}): {"{}": share}
            for query in queries(worker)
            if query.place == "Availability in 24 hours"
            for name, share in of_worker.items()
        },
    }
    assert len(questions) == 4
    evaluate(
        tmp_path,
        seconds,
        questions,
        rules=[RULES / "availability.yml"],
        step=60,
        at=DAY * 60,
        grain=ROUNDED,
    )
