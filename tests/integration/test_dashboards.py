"""Every dashboard over real programs: each query is answered, and central panels show what happened."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.bad_day import CERTIFICATE_DAYS, WORKERS, BadDay, bad_day, last
from tests.support.dashboards import load, panels
from tests.support.names import (
    SLOT,
    exporter_series,
    exposed_series,
    recorded_series,
    scrape_series,
    worker_series,
)
from tests.support.stack import Stack
from tests.support.viewer import Refused, Viewer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.servers("redis-server", "prometheus", "alertmanager", "openssl"),
]

SCRAPES = {*scrape_series(), "scrape_samples_post_metric_relabeling"}

EMPTY_WHILE_ALL_IS_WELL: Mapping[str, Mapping[str, str]] = {
    "heartbeat-exporter": {
        "Connections closed, by reason": "nobody left",
        "Connections refused, by reason": "nobody was refused",
        "Rejected messages, by reason": "agents say what the exporter understands",
        "Registrations refused, by reason": "nobody was refused",
        "Store failures": "the store is there",
        "Status pages not kept up to date": "nobody looks at one",
    },
    "heartbeat-fleet": {
        "Firing alerts": "there is none",
        "Firing alerts and since when": "there is none",
        "Status changes by reason": "nobody changes",
        "Detection delay": "nobody was declared down",
        "Registrations": "nobody comes",
        "Restarts": "nobody restarts",
    },
    "heartbeat-probes": {
        "Failed runs by reason": "no run fails",
        "Runs of actions": "there is nothing to act on",
        "Failures of actions": "no action is run",
    },
    "heartbeat-service": {
        "Failures of checks": "no check fails",
        "Agents that had to connect again": "all stay connected",
    },
    "heartbeat-worker": {
        "Missed heartbeats and restarts": "there are none",
        "Firing alerts and since when": "there is none",
    },
}
"""Panels by dashboard, and why."""

EMPTY_AT_THE_END: Mapping[str, set[str]] = {
    "heartbeat-exporter": {
        "Rejected messages, by reason",
        "Store failures",
        "Status pages not kept up to date",
    },
    "heartbeat-service": {"Agents that had to connect again"},
}
"""Panels about what did not happen that day either."""


def test_dashboards_show_a_bad_day(stack: Stack, tmp_path: Path, subtests: pytest.Subtests) -> None:
    """Whatever is looked at, when all is well and when much is not, there is an answer, and it is right."""
    with bad_day(stack, tmp_path) as day:
        with subtests.test("every query is answered"):
            assert list(refused(day)) == []
        with subtests.test("while all is well, no panel is empty without a reason"):
            expected = {uid: set(empty) for uid, empty in EMPTY_WHILE_ALL_IS_WELL.items()}
            unexpected = {uid: empty_panels(day, uid, day.well) - expected[uid] for uid in load()}
            assert {uid: titles for uid, titles in unexpected.items() if titles} == {}
        with subtests.test("at the end, every panel about what happened shows something"):
            unexpected = {
                uid: empty_panels(day, uid, day.end) - EMPTY_AT_THE_END.get(uid, set()) for uid in load()
            }
            assert {uid: titles for uid, titles in unexpected.items() if titles} == {}
        for uid, check in CENTRAL.items():
            with subtests.test(f"central panels of {uid}"):
                check(day)
        with subtests.test("names and labels are those that are documented"):
            assert undocumented(day) == {}


def test_a_panel_that_may_be_empty_says_so() -> None:
    """In words of its own, rather than that there is no data."""
    for uid, dashboard in load().items():
        defaults = {panel["title"]: panel["fieldConfig"]["defaults"] for panel in panels(dashboard)}
        may_be_empty = EMPTY_WHILE_ALL_IS_WELL[uid]
        assert [title for title in may_be_empty if not defaults[title].get("noValue")] == []


def viewers(day: BadDay, uid: str, at: float) -> Iterator[Viewer]:
    """With everything chosen, and with each worker that there is where one can be chosen."""
    everything = day.viewer(uid, at)
    yield everything
    for worker_id in everything.options.get("worker_id", ()):
        yield day.viewer(uid, at, worker_id=worker_id, group="web")


def refused(day: BadDay) -> Iterator[str]:
    for uid in load():
        for at in (day.well, day.end):
            for viewer in viewers(day, uid, at):
                for query in viewer.queries():
                    try:
                        viewer.ask(query)
                    except Refused as error:
                        yield f"{query.label}: {error}"


def empty_panels(day: BadDay, uid: str, at: float) -> set[str]:
    """Titles of the panels that nobody sees anything in, whichever worker is chosen."""
    asked, filled = set(), set()
    for viewer in viewers(day, uid, at):
        for query in viewer.queries():
            asked.add(query.place)
            with contextlib.suppress(Refused):  # which is told on its own
                if viewer.ask(query):
                    filled.add(query.place)
    return {place for place in asked - filled if not place.startswith("annotation ")}


def central_fleet(day: BadDay) -> None:
    """Three of six are gone, each for its own reason."""
    fleet = day.viewer("heartbeat-fleet", day.end)
    by_status = last(fleet.panel("Workers by status")["A"], "status")
    nobody = dict.fromkeys(("registered", "connected", "disconnected"), 0.0)
    assert by_status == {"alive": 3.0, "not_responding": 3.0, **nobody}
    assert last(fleet.panel("Share of workers up, by group")["A"], "group") == pytest.approx(
        {"web": 1 / 2, "batch": 2 / 3}  # of web's three one was stopped
    )
    states = last(fleet.panel("Workers, the worst first")["A"], "worker")
    up = dict.fromkeys(("Kiosk", "Needy", "Restarted"), 6.0)
    assert states == {"Frozen": 1.0, "Killed": 2.0, "Stopped": 4.0, **up}
    firing = last(fleet.panel("Firing alerts and since when")["A"], "alertname", "worker")
    assert {"HeartbeatProbeDown ", "HeartbeatWorkerDown Killed"} <= set(firing)


def central_worker(day: BadDay) -> None:
    """Killed was lost a third of its time ago, Frozen is silent, Stopped said goodbye."""

    def worker(name: str) -> Viewer:
        return day.viewer("heartbeat-worker", day.end, worker_id=day.worker_id(name))

    reasons = {"Killed": "connection_lost", "Frozen": "timeout", "Stopped": "shutdown"}
    for name, reason in reasons.items():
        status = worker(name).panel("Status")
        assert last(status["A"], "status") == {"not_responding": 1.0}
        assert last(status["B"], "reason") == {reason: 1.0}
    availability = {
        name: last(worker(name).panel("Availability in 24 hours")["A"])[""] for name in ("Killed", "Kiosk")
    }
    # Where the machine is busy, evaluations of the rules are late, and each is a fifteenth of the loss.
    assert availability == pytest.approx({"Killed": 2 / 3, "Kiosk": 1.0}, abs=0.07)
    checks = last(worker("Needy").panel("Health checks over time")["A"], "check")
    assert checks == {"dependency": 0.0, "event-loop": 2.0}


def central_service(day: BadDay) -> None:
    """At the kiosk one in four asks for toast, which fails; one waits; Prometheus asks once a second."""
    kiosk = day.viewer("heartbeat-service", day.end, worker_id=day.worker_id("Kiosk"))
    requests = last(kiosk.panel("Requests by path")["A"], "path_template")
    assert requests["/bread/{kind}"] / requests["/toast"] == pytest.approx(3.0, rel=0.25)
    assert requests["/metrics"] == pytest.approx(1.0, abs=0.3)
    share = requests["/toast"] / (sum(requests.values()) - requests["/metrics"])
    assert last(kiosk.panel("Share of errors")["A"])[""] == pytest.approx(share, abs=0.05)
    assert last(kiosk.panel("Requests in progress, by path")["A"], "path_template")["/queue"] == 1.0
    calls = last(kiosk.panel("Calls of functions")["A"], "function")
    assert calls == pytest.approx({"bake": requests["/bread/{kind}"], "burn": requests["/toast"]}, rel=0.25)
    failures = last(kiosk.panel("Failures of functions")["A"], "exception", "function")
    assert set(failures) == {"ValueError burn"}
    everybody = day.viewer("heartbeat-service", day.end).panel("Scrape targets")
    assert (last(everybody["A"]), last(everybody["B"])) == ({"": 3.0}, {"": 3.0})


def central_probes(day: BadDay) -> None:
    """The till is down because it refuses, the action for it has run, and the other one could not."""
    probes = day.viewer("heartbeat-probes", day.end)
    assert last(probes.panel("Targets up and down")["A"], "probe") == {"bank": 1.0, "shop": 1.0, "till": 0.0}
    assert set(last(probes.panel("Failed runs by reason")["A"], "reason")) == {"refused"}
    left = last(probes.panel("Certificates that end first")["A"], "probe")
    assert left == pytest.approx({"bank": CERTIFICATE_DAYS}, abs=0.01)
    assert last(probes.panel("Actions promoted and demoted")["A"], "action")["nginx"] == 0.0
    assert set(last(probes.panel("Failures of actions")["A"], "action", "reason")) == {"pager exit"}


def central_exporter(day: BadDay) -> None:
    """Six connections with a heartbeat each second; of those that ended one said goodbye."""
    well, end = (day.viewer("heartbeat-exporter", at) for at in (day.well, day.end))
    assert list(last(well.panel("Heartbeats per second")["A"]).values()) == pytest.approx(
        [len(WORKERS)], rel=0.2
    )
    assert last(well.panel("Open connections")["A"]) == {"": len(WORKERS)}
    assert last(end.panel("Open connections")["A"]) == {"": 4.0}  # that of Frozen among them
    closed = end.panel("Connections closed, by reason")["A"]
    assert {one.labels["reason"] for one in closed} == {"goodbye", "lost"}


CENTRAL = {
    "heartbeat-fleet": central_fleet,
    "heartbeat-worker": central_worker,
    "heartbeat-service": central_service,
    "heartbeat-probes": central_probes,
    "heartbeat-exporter": central_exporter,
}


def undocumented(day: BadDay) -> dict[str, set[frozenset[str]]]:
    """Series by name, with labels that the catalogue, the documents of workers, or the rules do not have.

    Prometheus' and Alertmanager's own are left out, what Prometheus notes of its scrapes, and since when a
    counter of starlette-prometheus counts, which only the text format has as a series.
    """
    recorded = recorded_series(exposed_series())
    known = {"heartbeat-exporter": exporter_series(), "heartbeat-workers": worker_series(), "": recorded}
    wrong: dict[str, set[frozenset[str]]] = {}
    for series in day.series():
        name, labels = series.pop("__name__"), frozenset(series)
        names = known.get(series.get("job", ""))
        if names is None or name in SCRAPES or name.endswith("_created"):
            continue
        # An alert has the labels of those that it is about, and a worker of one process no slot.
        optional = names[name] if name in ("ALERTS", "ALERTS_FOR_STATE") else SLOT
        if name not in names or not names[name] - optional <= labels <= names[name]:
            wrong.setdefault(name, set()).add(labels)
    return wrong
