"""The dashboards can be looked at with a large fleet all of which is down."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest

from exporter.core.acting import RunFailure
from exporter.core.model import DOWN_REASONS, Status
from exporter.core.probing import Failure
from tests.support.dashboards import Dashboard, expressions, load
from tests.support.evaluation import evaluate
from tests.support.names import SLOT, WORKER_TARGET_LABELS, known_series, worker_series
from tests.support.promql import Labels, selectors

MOST = 200
"""Series that one query may answer with: more can neither be drawn nor read."""

WORKERS = OTHERS = MOST + 50
"""Others are probes, and actions. What would answer with 10,000 answers with these, and promtool is slow."""

GROUPS = 100

KNOWN = known_series()

VALUES: Mapping[str, tuple[str, ...]] = {
    "status": tuple(Status),
    "from": ("alive",),
    "to": ("not_responding",),
    "check": ("database", "queue"),
    "le": ("0.1", "+Inf"),
    "phase": ("resolve", "connect"),
    "kind": ("promote", "demote"),
    "function": tuple(f"f{number}" for number in range(2)),
    "path_template": tuple(f"/p{number}" for number in range(2)),
    "status_code": ("200", "500"),
}
"""Of labels that tell parts of one thing apart; of any other label there is one value."""

REASONS: Mapping[str, tuple[str, ...]] = {
    "heartbeat_probe": tuple(Failure),
    "heartbeat_action": tuple(RunFailure),
    "heartbeat_agent": ("timeout",),
}


def things(name: str, labels: Labels) -> list[dict[str, str]]:
    """Which workers, groups, probes or actions a metric is about."""
    exporter = {"job": "heartbeat-exporter", "instance": "manager:8000"} if "job" in labels else {}
    if name in worker_series() and labels >= WORKER_TARGET_LABELS:
        return [
            {
                "job": "heartbeat-workers",
                "worker": f"w{number}",
                "group": f"g{number % GROUPS}",
                "instance": f"w{number}@10.0.0.1:{number}",
            }
            for number in range(WORKERS)
        ]
    if "worker" in labels:
        return [
            {**exporter, "worker_id": f"w{number}", "worker": f"w{number}", "group": f"g{number % GROUPS}"}
            for number in range(WORKERS)
        ]
    if "group" in labels:
        return [{**exporter, "group": f"g{number}"} for number in range(GROUPS)]
    if "probe" in labels:
        return [{**exporter, "probe": f"p{number}", "target": f"tcp:{number}"} for number in range(OTHERS)]
    if "action" in labels:
        return [{**exporter, "action": f"a{number}"} for number in range(OTHERS)]
    return [exporter]


def splits(name: str, labels: Labels) -> list[dict[str, str]]:
    """The values of these labels, all that there are together."""
    reasons = next((those for of, those in REASONS.items() if name.startswith(of)), tuple(DOWN_REASONS))
    given = {**VALUES, "reason": reasons}
    return [
        dict(zip(labels, chosen, strict=True))
        for chosen in itertools.product(*(given.get(label, ("x",)) for label in labels))
    ]


def alerts() -> Iterator[dict[str, str]]:
    """One of each worker and one of each group, as the labels of ALERTS_FOR_STATE."""
    for number in range(WORKERS):
        worker = {"group": f"g{number % GROUPS}", "worker": f"w{number}", "worker_id": f"w{number}"}
        yield {"alertname": "HeartbeatWorkerDown", "severity": "warning", "reason": "timeout", **worker}
    for number in range(GROUPS):
        yield {"alertname": "HeartbeatGroupDegraded", "severity": "critical", "group": f"g{number}"}


def series_of(name: str) -> Iterator[dict[str, str]]:
    """The labels of the series of a metric: of every thing one part, in turn, with all its buckets.

    With all parts of everything the tests would take minutes; more than `MOST` there are anyway.
    """
    if name == "ALERTS":
        yield from ({**alert, "alertstate": "firing"} for alert in alerts())
    elif name == "ALERTS_FOR_STATE":
        yield from alerts()
    else:
        labels = KNOWN[name] - SLOT
        about = things(name, labels)
        own = labels - about[0].keys()
        parts, buckets = splits(name, own - {"le"}), splits(name, own & {"le"})
        for thing, part in zip(about, itertools.cycle(parts), strict=False):
            yield from ({**thing, **part, **bucket} for bucket in buckets)


def large(names: set[str]) -> dict[str, float | str]:
    """Of these metrics all series of a large fleet: counters count, and nothing is up."""
    series: dict[str, float | str] = {}
    for name in sorted(names):
        value: float | str = 0 if name.endswith(("_up", "_success")) else 1
        if name.endswith(("_total", "_bucket", "_sum", "_count")):
            value = "0+1x20"
        for labels in series_of(name):
            written = ", ".join(f'{label}="{value}"' for label, value in labels.items())
            series[f"{name}{{{written}}}"] = value
    return series


def bounded(directory: Path, asked: Iterable[str]) -> None:
    """AssertionError unless each of these expressions answers with at most `MOST` series."""
    asked = list(asked)
    series = large({selector.metric for expr in asked for selector in selectors(expr)})
    assert len(series) >= WORKERS
    bounds = {f"(count({expr}) or vector(0)) <= bool {MOST}": {"{}": 1.0} for expr in asked}
    evaluate(directory, series, bounds)


@pytest.mark.slow
@pytest.mark.servers("promtool")
@pytest.mark.parametrize("dashboard", [pytest.param(board, id=uid) for uid, board in load().items()])
def test_no_query_returns_the_whole_fleet(dashboard: Dashboard, tmp_path: Path) -> None:
    """With every worker, group, probe and action in trouble a panel or mark has a bound."""
    bounded(
        tmp_path, (query.expr for query in expressions(dashboard) if not query.place.startswith("variable "))
    )


@pytest.mark.servers("promtool")
@pytest.mark.parametrize(
    "expr",
    [
        "heartbeat_worker_up",
        "rate(starlette_requests_total[20s])",
        "ALERTS",
        "heartbeat_probe_up == 0",
        "sum by (group, reason) (increase(heartbeat_status_changes_total[20s])) or heartbeat_worker_info",
    ],
)
def test_a_query_for_everybody_is_found(expr: str, tmp_path: Path) -> None:
    """The fleet is large enough to be seen."""
    with pytest.raises(AssertionError, match="FAILED"):
        bounded(tmp_path, [expr])
