"""docs/metrics.md, made from the catalogue: `python -m exporter.metrics.reference > docs/metrics.md`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry

from exporter.core.acting import RunFailure
from exporter.core.model import (
    DOWN_REASONS,
    NOTHING,
    SECOND,
    Facts,
    Reason,
    Row,
    Status,
    Totals,
    Wall,
    WorkerId,
)
from exporter.core.probing import Failure, Phase
from exporter.telemetry import Telemetry

from .catalogue import (
    ACTION,
    ACTION_LABELS,
    FLEET,
    GROUP,
    GROUP_LABELS,
    LIVE,
    PROBE,
    PROBE_KIND,
    PROBE_KIND_LABELS,
    PROBE_LABELS,
    STANDING,
    WORKER_LABELS,
)
from .family import Family, Kind, label_text

Cells = tuple[str, str, str, str]
"""A row of a table: name, type, labels, meaning."""

_PAGE = """\
# Metrics

What `/metrics` of the exporter shows. This page is made from the code:
`python -m exporter.metrics.reference > docs/metrics.md`.

The format is negotiated: Prometheus text 0.0.4 and 1.0.0, or OpenMetrics 1.0.0, by `Accept`; gzip by
`Accept-Encoding`. Every scrape is rendered from the fleet as it stands. Counters start at 0 with the
exporter's process; what a worker has counted before that is in `GET /workers/{{id}}`. Times are the
exporter's own: the clock of a worker is measured (`heartbeat_worker_clock_offset_seconds`) and never
believed.

## Workers

A worker has one series of each metric, or one for each value of the labels after the first three, or
none while the value is not known. It keeps them until it leaves, is deleted, or was down for the
retention time: a worker that is down is a 0 and not an absence. One that is up and tells of one health
check has {series}:

```
{example}```

{workers}

A `status` is {statuses}. Only `alive` is up; `disconnected` and
`not_responding` are down; the others are neither yet. A worker is down for the `reason`
{down_reasons}.

## Groups

Every label value stands at 0 from the first worker of a group until the retention time after its last.

{groups}

In changes of status, `from` of a new worker is `none`, and `to` of one that is no longer known is
`forgotten`. The `reason` is one of those for being down, or
{reasons}.
Only changes that can happen have a series.

## Fleet

{fleet}

## Probes

There where probes are configured. `up` changes after as many results in a row as the thresholds of a probe
ask for, `success` with each run. `target` is what is probed, without secrets. Every `reason` stands at 0 from
the start.

{probes}

A `reason` is {failures}. A
`phase` is {phases}.

## Actions

There where actions are configured. A `kind` is `promote` or `demote`, and stands at 0 from the start where
the action has a hook for it, with every `reason`. What a dry run would have done counts as done.

{actions}

A `reason` is {run_failures}.

## The exporter itself

{own}

The families `process_*` and `python_*` are those of the Prometheus client library for Python.
"""


def reference() -> str:
    """The whole page, in Markdown."""
    example = _example()
    return _PAGE.format(
        example=example,
        series=example.count("\n"),
        workers=_table([*_rows(STANDING, WORKER_LABELS), *_rows(LIVE, WORKER_LABELS)]),
        groups=_table(_rows(GROUP, GROUP_LABELS)),
        fleet=_table(_rows(FLEET, ())),
        probes=_table([*_rows(PROBE, PROBE_LABELS), *_rows(PROBE_KIND, PROBE_KIND_LABELS)]),
        failures=_enumeration(Failure),
        actions=_table(_rows(ACTION, ACTION_LABELS)),
        run_failures=_enumeration(RunFailure),
        phases=_enumeration(Phase),
        own=_table(_exporter_rows()),
        statuses=_enumeration(Status),
        down_reasons=_enumeration(DOWN_REASONS),
        reasons=_enumeration(reason for reason in Reason if reason not in DOWN_REASONS),
    )


def _example() -> str:
    facts = Facts(
        worker_id=WorkerId("worker-1-5f0c"),
        name="Worker 1",
        group="default",
        host="worker1",
        port=8001,
        interval=5.0,
        timeout=15.0,
        started_at=1767225600.25,
        version="1.4.0",
    )
    seen = Wall(1767229200.5)
    worker = Row(
        facts,
        status=Status.ALIVE,
        reason=Reason.HEARTBEAT,
        since=Wall(1767225601.125),
        last_seen=seen,
        last_heartbeat=seen,
        counted=Totals(heartbeats=720, up=3600 * SECOND),
        carried=NOTHING,
        history=(),
        clock_offset=-0.00042,
        round_trip=0.00131,
        loop_lag=0.000215,
        checks=(("orders-db", "healthy"),),
    )
    labels = (label_text(WORKER_LABELS, (facts.worker_id, facts.name, facts.group)),)
    standing = "".join([family.lines(labels, (worker,)) for family in STANDING])
    return standing + "".join([family.lines(labels, (worker,)) for family in LIVE])


def _rows(table: Iterable[Family[Any]], labels: tuple[str, ...]) -> Iterator[Cells]:
    for family in table:
        yield family.name, family.kind, _joined((*labels, *family.own_labels)), family.help


def _exporter_rows() -> Iterator[Cells]:
    for metric in Telemetry(CollectorRegistry()).registry.collect():
        if metric.name.startswith("heartbeat_"):
            name = f"{metric.name}_total" if metric.type == Kind.COUNTER else metric.name
            labels = [name for name in metric.samples[0].labels if name != "le"]
            # What the exporter counts by one label, it counts by a closed list of values.
            values = [value for sample in metric.samples for value in sample.labels.values()]
            closed = f": {', '.join(values)}" if len(labels) == 1 else ""
            yield name, metric.type, _joined(labels) + closed, metric.documentation


def _table(rows: Iterable[Cells]) -> str:
    lines = ["| name | type | labels | meaning |", "|---|---|---|---|"]
    return "\n".join([*lines, *(f"| `{name}` | {' | '.join(rest)} |" for name, *rest in rows)])


def _joined(labels: Iterable[str]) -> str:
    return ", ".join([f"`{label}`" for label in labels])


def _enumeration(values: Iterable[str]) -> str:
    *most, last = (f"`{value}`" for value in values)
    return f"{', '.join(most)} or {last}"


if __name__ == "__main__":
    print(reference(), end="")
