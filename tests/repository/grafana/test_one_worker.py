"""One worker among many is chosen, and what Prometheus scrapes of it is found."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.dashboards import expressions, fill, load, queries, usual_choice, values, variables
from tests.support.evaluation import Answer, evaluate
from tests.support.promql import selectors

E = 'job="heartbeat-exporter", instance="manager:8000"'
SERVICE = load()["heartbeat-service"]


def worker(metric: str, name: str, more: str = "") -> str:
    return f'{metric}{{{E}, worker_id="{name}", worker="Worker {name}", group="web"{more}}}'


STANDING: dict[str, float | str] = {
    **{worker("heartbeat_worker_up", name): 1 for name in ("new", "old")},
    **{worker("heartbeat_worker_up", name): 0 for name in ("lost", "stopped", "starting")},
    worker("heartbeat_worker_down_reason", "lost", ', reason="timeout"'): 1,
    worker("heartbeat_worker_down_reason", "stopped", ', reason="shutdown"'): 1,
    **{
        worker("heartbeat_worker_status_since_timestamp_seconds", name): since
        for name, since in (("lost", 10), ("old", 20), ("starting", 30), ("stopped", 40), ("new", 50))
    },
}


@pytest.mark.servers("promtool")
@pytest.mark.parametrize(
    ("uid", "search", "expected"),
    [
        (
            "heartbeat-worker",
            "",
            {"lost": 2e10 + 10, "stopped": 1e10 + 40, "starting": 1e10 + 30, "new": 50, "old": 20},
        ),
        (
            "heartbeat-service",
            "",
            {"new": 1e10 + 50, "old": 1e10 + 20, "stopped": 40, "starting": 30, "lost": 10},
        ),
        ("heartbeat-worker", "sto", {"stopped": 1e10 + 40}),
        ("heartbeat-worker", "WORKER (new|old)", {"new": 50, "old": 20}),
    ],
)
def test_workers_are_listed_by_what_matters(
    uid: str, search: str, expected: dict[str, float], tmp_path: Path
) -> None:
    """The lost, then what else is not up; for requests, what is up. Within that by the latest change."""
    board = load()[uid]
    listed = values(variables(board)["worker_id"]).promql
    assert listed.startswith("sort_desc(")
    text = 'text="Worker {0} · web", worker="Worker {0}", worker_id="{0}"'
    answer = {f'{{group="web", {text.format(name)}}}': rank for name, rank in expected.items()}
    evaluate(tmp_path, STANDING, {fill(listed, {**usual_choice(board), "search": search}): answer})


def test_options_are_named_and_valued() -> None:
    """Of the text of a series the pattern takes the id as value and name with group as text."""
    shown = '{group="web",text="Worker 1 · web",worker="Worker 1",worker_id="worker-1-5f0c"} 1 1767225600000'
    for uid in ("heartbeat-worker", "heartbeat-service"):
        written = variables(load()[uid])["worker_id"]["regex"]
        pattern = written.removeprefix("/").removesuffix("/g").replace("(?<", "(?P<")
        taken = [found.groupdict() for found in re.finditer(pattern, shown)]
        assert taken == [
            {"value": None, "text": "Worker 1 · web"},
            {"value": "worker-1-5f0c", "text": None},
        ]


INFO: dict[str, float | str] = {
    worker("heartbeat_worker_info", name, f', host="{host}", port="{port}"'): 1
    for name, host, port in (("a", "10.0.0.1", 8001), ("b", "10.0.0.1", 8001), ("c", "::1", 8002))
}


@pytest.mark.servers("promtool")
@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ("a", {'{address="10.0.0.1]?:8001"}': 1}),
        ("c", {'{address="::1]?:8002"}': 1}),
        (".+", {'{address=".+"}': 3}),
        ("gone", {'{address="unknown"}': 1}),
    ],
)
def test_address_follows_from_the_worker(chosen: str, expected: Answer, tmp_path: Path) -> None:
    """Host and port of one, anything for all, and nothing that exists for one that is not known."""
    asked = values(variables(SERVICE)["address"]).promql
    given = {**usual_choice(SERVICE), "worker_id": chosen}
    evaluate(tmp_path, INFO, {fill(asked, given): expected})


@pytest.mark.parametrize(
    ("address", "instances"),
    [
        ("10.0.0.1]?:8001", {"Worker a@10.0.0.1:8001", "x@y@10.0.0.1:8001/own/metrics", "10.0.0.1:8001"}),
        ("::1]?:8002", {"Worker c@[::1]:8002"}),
        ("unknown", set()),
    ],
)
def test_targets_are_found_by_address(address: str, instances: set[str]) -> None:
    """Whatever worker's name the target has, with a path or without; another host or port is not taken."""
    known = {
        *("Worker a@10.0.0.1:8001", "x@y@10.0.0.1:8001/own/metrics", "10.0.0.1:8001", "Worker c@[::1]:8002"),
        *(
            "Worker d@110.0.0.1:8001",
            "Worker e@10.0.0.1:80012",
            "Worker f@[::1]:8001",
            "Worker g@[2::1]:8002",
        ),
    }
    patterns = {
        value.replace("$address", address)
        for query in queries(SERVICE)
        for selector in selectors(fill(query.expr, {**usual_choice(SERVICE), "address": "$address"}))
        for label, _, value in selector.matchers
        if label == "instance" and "$address" in value
    }
    (pattern,) = patterns
    assert {instance for instance in known if re.fullmatch(pattern, instance)} == instances


@pytest.mark.servers("promtool")
@pytest.mark.parametrize(
    ("status", "reason", "expected"),
    [
        ("alive", None, {'{status="alive"}': 100_000}),
        ("not_responding", "timeout", {'{status="not_responding", reason="timeout"}': 100_000}),
    ],
)
def test_a_transition_is_marked_where_it_was(
    status: str, reason: str | None, expected: Answer, tmp_path: Path
) -> None:
    """A mark is at the time, in milliseconds, that the exporter gives for a status, and has the reason."""
    series: dict[str, float | str] = {
        worker("heartbeat_worker_status", "w1", f', status="{each}"'): float(each == status)
        for each in ("registered", "connected", "alive", "disconnected", "not_responding")
    }
    series[worker("heartbeat_worker_status_since_timestamp_seconds", "w1")] = 100
    if reason is not None:
        series[worker("heartbeat_worker_down_reason", "w1", f', reason="{reason}"')] = 1
    board = load()["heartbeat-worker"]
    (asked,) = (query for query in queries(board) if query.place == "annotation Changes of status")
    (mark,) = (each for each in board["annotations"]["list"] if each["name"] == "Changes of status")
    assert mark["useValueForTime"] is True
    evaluate(tmp_path, series, {fill(asked.expr, usual_choice(board)): expected})


@pytest.mark.servers("promtool")
def test_no_time_that_has_passed_is_negative(tmp_path: Path) -> None:
    """Where the clock of the exporter is ahead of that of Prometheus, nothing has lasted yet."""
    ahead: dict[str, float | str] = {
        worker("heartbeat_worker_up", "w1"): 1,
        **{
            worker(f"heartbeat_worker_{name}_timestamp_seconds", "w1"): 100
            for name in ("status_since", "last_heartbeat", "boot")
        },
    }
    places = ("Since", "Last heartbeat", "Uptime of the process")
    asked = [query for query in expressions(load()["heartbeat-worker"]) if query.place in places]
    assert len(asked) == len(places)
    evaluate(tmp_path, ahead, {query.expr: {"{}": 0.0} for query in asked})
