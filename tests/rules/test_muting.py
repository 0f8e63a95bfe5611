"""What a real Alertmanager delivers with the shipped configuration.

Only its waits are shorter, 1 s instead of 6 s, 10 s and 30 s.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from exporter.shipped import webhook, write_alertmanager
from tests.support import notifying
from tests.support.processes import eventually
from tests.support.rules import shipped_alerts
from tests.support.stack import Receiver, whose

pytestmark = [pytest.mark.slow, pytest.mark.servers("alertmanager")]

WAIT, INTERVAL = 1, 1
"""Seconds of group_wait and group_interval here."""

SINGLE = ("HeartbeatWorkerDown", "HeartbeatWorkerStopped", "HeartbeatWorkerNeverConnected")
UNSTEADY = ("HeartbeatWorkerFlapping", "HeartbeatWorkerRestarting", "HeartbeatHeartbeatsMissed")
REPORTED = ("HeartbeatWorkerCheckFailing", "HeartbeatEventLoopStuck")
PROBED = ("HeartbeatProbeDown", "HeartbeatProbeFlapping", "HeartbeatCertificateExpiring")
OF_A_GROUP = (
    "HeartbeatGroupDegraded",
    "HeartbeatGroupEmpty",
    "HeartbeatAvailabilityBurning",
    "HeartbeatLatencyHigh",
    "HeartbeatIdentityConflict",
)

Labels = Mapping[str, str]


class Alertmanager:
    """A running Alertmanager and what it has delivered."""

    def __init__(self, url: str, receiver: Receiver) -> None:
        self._url = url
        self._receiver = receiver

    def send(self, alerts: Iterable[Labels], *, ended: bool = False) -> None:
        """As Prometheus does: what fires for the next minutes, what has ended until now."""
        now = datetime.now(UTC)
        ends = now if ended else now + timedelta(minutes=4)
        notifying.send(self._url, *({"labels": labels, "endsAt": ends.isoformat()} for labels in alerts))

    def checks(self) -> list[str | None]:
        """Of each notification the check it is about, if it is about one."""
        return [
            notification.content["groupLabels"].get("check") for notification in self._receiver.notifications
        ]

    def severities(self) -> list[list[str]]:
        """Of each notification those of its alerts."""
        return [
            [alert["labels"]["severity"] for alert in notification.content["alerts"]]
            for notification in self._receiver.notifications
        ]

    def delivered(self) -> list[set[tuple[str, str, str]]]:
        """Of each notification: status, name, and whose it is, of its alerts."""
        return [notification.alerts for notification in self._receiver.notifications]

    def settled(self, count: int) -> list[set[tuple[str, str, str]]]:
        """All notifications, once there are so many and no more came for two intervals."""
        eventually(lambda: len(self.delivered()) >= count, within=15, what=f"{count} notifications")
        time.sleep(2 * INTERVAL + WAIT)
        return self.delivered()


@pytest.fixture
def alertmanager(tmp_path: Path) -> Iterator[Alertmanager]:
    """With the shipped configuration, shorter waits, and a webhook as its default receiver."""
    with contextlib.ExitStack() as stack:
        receiver = stack.enter_context(Receiver())
        main = write_alertmanager(tmp_path / "configuration", receiver=webhook(receiver.url))
        shorter = re.sub(r"group_wait: (6|10)s", f"group_wait: {WAIT}s", main.read_text())
        main.write_text(shorter.replace("group_interval: 30s", f"group_interval: {INTERVAL}s"))
        yield Alertmanager(stack.enter_context(notifying.alertmanager(tmp_path, main)), receiver)


def alert(name: str, **labels: str) -> Labels:
    return {"alertname": name, **shipped_alerts()[name].labels, **labels}


def lost(worker: str, group: str) -> Labels:
    return alert("HeartbeatWorkerDown", worker_id=worker, worker=worker, group=group)


def failing(worker: str, group: str, check: str) -> Labels:
    return alert("HeartbeatWorkerCheckFailing", worker_id=worker, worker=worker, group=group, check=check)


def test_a_group_lost_at_once_is_one_notification(alertmanager: Alertmanager) -> None:
    """Of a group and its twenty workers only the group is notified, when it is lost and when it is back."""
    group = alert("HeartbeatGroupDegraded", group="web")
    workers = [lost(f"w{number}", "web") for number in range(20)]
    alertmanager.send([group, *workers])
    firing = {("firing", "HeartbeatGroupDegraded", "web")}
    assert alertmanager.settled(1) == [firing]

    alertmanager.send(workers, ended=True)
    assert alertmanager.settled(1) == [firing]
    alertmanager.send([group, *workers], ended=True)
    assert alertmanager.settled(2) == [firing, {("resolved", "HeartbeatGroupDegraded", "web")}]


def test_groups_of_the_same_name_in_two_clusters_are_two_notifications(alertmanager: Alertmanager) -> None:
    """Nobody has to guess which is meant, and each ends by itself."""
    alertmanager.send([{**lost("w1", "web"), "cluster": cluster} for cluster in ("north", "south")])
    assert alertmanager.settled(2) == [{("firing", "HeartbeatWorkerDown", "w1")}] * 2


def test_what_is_still_lost_is_told_when_the_group_is_back(alertmanager: Alertmanager) -> None:
    """After the end of the group's alert the worker that remains is notified by itself."""
    group = alert("HeartbeatGroupDegraded", group="web")
    alertmanager.send([group, lost("w1", "web"), lost("w2", "web"), lost("w3", "web")])
    alertmanager.settled(1)
    alertmanager.send([lost("w1", "web"), lost("w2", "web")], ended=True)
    alertmanager.settled(1)
    alertmanager.send([group], ended=True)
    first, *rest = alertmanager.settled(3)
    assert first == {("firing", "HeartbeatGroupDegraded", "web")}
    assert sorted(map(sorted, rest)) == [
        [("firing", "HeartbeatWorkerDown", "w3")],
        [("resolved", "HeartbeatGroupDegraded", "web")],
    ]


def test_an_alert_notified_before_it_was_muted_is_notified_as_resolved(alertmanager: Alertmanager) -> None:
    """A worker is lost, then its group, then all are back: no notification is left without its end."""
    group = alert("HeartbeatGroupDegraded", group="web")
    worker = lost("w1", "web")
    alertmanager.send([worker])
    alertmanager.settled(1)
    alertmanager.send([group, worker])
    alertmanager.settled(2)
    alertmanager.send([worker], ended=True)
    alertmanager.settled(2)
    # Prometheus repeats for 15 minutes what has ended.
    alertmanager.send([group, worker], ended=True)
    *before, last, last_but_one = alertmanager.settled(4)
    assert before == [
        {("firing", "HeartbeatWorkerDown", "w1")},
        {("firing", "HeartbeatGroupDegraded", "web")},
    ]
    assert last | last_but_one == {
        ("resolved", "HeartbeatWorkerDown", "w1"),
        ("resolved", "HeartbeatGroupDegraded", "web"),
    }


def test_groups_are_told_apart(alertmanager: Alertmanager) -> None:
    """Two groups lose a worker each: two notifications."""
    alertmanager.send([lost("w1", "web"), lost("b1", "batch")])
    delivered = alertmanager.settled(2)
    assert sorted(map(sorted, delivered)) == [
        [("firing", "HeartbeatWorkerDown", "b1")],
        [("firing", "HeartbeatWorkerDown", "w1")],
    ]


def test_an_objective_missed_faster_and_slower_is_one_notification(alertmanager: Alertmanager) -> None:
    """Only the faster loss is told while it lasts, of its own group; what is lost slowly comes after it."""
    fast, slow, other = (
        {"alertname": "HeartbeatAvailabilityBurning", "severity": severity, "group": group}
        for severity, group in (("critical", "web"), ("warning", "web"), ("warning", "batch"))
    )
    alertmanager.send([fast, slow, other])
    assert sorted(map(sorted, alertmanager.settled(2))) == [
        [("firing", "HeartbeatAvailabilityBurning", "batch")],
        [("firing", "HeartbeatAvailabilityBurning", "web")],
    ]
    assert sorted(alertmanager.severities()) == [["critical"], ["warning"]]
    alertmanager.send([fast], ended=True)
    alertmanager.settled(3)
    assert sorted(alertmanager.severities()[-1]) == ["critical", "warning"]


def test_a_dependency_is_one_notification_though_a_worker_was_first(alertmanager: Alertmanager) -> None:
    """Of a check that fails everywhere only the dependency is notified, and of one worker from before."""
    dependency = alert("HeartbeatDependencyDown", group="web", check="cache")
    others = [failing(f"w{number}", "web", "cache") for number in range(2, 20)]
    first = failing("w1", "web", "cache")
    alertmanager.send([first])
    alertmanager.settled(1)
    alertmanager.send([dependency, first, *others])
    firing = [
        {("firing", "HeartbeatWorkerCheckFailing", "w1")},
        {("firing", "HeartbeatDependencyDown", "web")},
    ]
    assert alertmanager.settled(2) == firing

    alertmanager.send([first, *others], ended=True)
    assert alertmanager.settled(2) == firing
    # Prometheus repeats for 15 minutes what has ended.
    alertmanager.send([dependency, first], ended=True)
    *before, last, last_but_one = alertmanager.settled(4)
    assert before == firing
    assert last | last_but_one == {
        ("resolved", "HeartbeatWorkerCheckFailing", "w1"),
        ("resolved", "HeartbeatDependencyDown", "web"),
    }


def test_two_dependencies_of_a_group_are_two_notifications(alertmanager: Alertmanager) -> None:
    """The second comes by itself, and so does the end of the first; neither hides another check."""
    cache, orders = (
        alert("HeartbeatDependencyDown", group="web", check=check) for check in ("cache", "orders")
    )
    alertmanager.send([cache, failing("w1", "web", "cache"), failing("w2", "web", "payments")])
    alertmanager.settled(2)
    alertmanager.send([orders, failing("w1", "web", "orders")])
    alertmanager.settled(3)
    alertmanager.send([cache, failing("w1", "web", "cache")], ended=True)
    delivered = alertmanager.settled(4)
    told = list(zip(alertmanager.checks(), delivered, strict=True))
    assert sorted(told[:2], key=str) == [
        ("cache", {("firing", "HeartbeatDependencyDown", "web")}),
        ("payments", {("firing", "HeartbeatWorkerCheckFailing", "w2")}),
    ]
    assert told[2:] == [
        ("orders", {("firing", "HeartbeatDependencyDown", "web")}),
        ("cache", {("resolved", "HeartbeatDependencyDown", "web")}),
    ]


def test_probes_that_are_down_are_one_notification(alertmanager: Alertmanager) -> None:
    """What one network hides is told at once, beside the actions that are held for it."""
    probes = [alert("HeartbeatProbeDown", probe=f"p{number}", target=f"h{number}:80") for number in range(20)]
    alertmanager.send([*probes, alert("HeartbeatActionsHeld")])
    down = {("firing", "HeartbeatProbeDown", f"p{number}") for number in range(20)}
    assert sorted(alertmanager.settled(2), key=len) == [{("firing", "HeartbeatActionsHeld", "")}, down]


@pytest.mark.parametrize(
    ("source", "muted"),
    [
        (
            alert("HeartbeatExporterDown"),
            {
                *((name, worker) for name in (*SINGLE, *UNSTEADY) for worker in ("w1", "b1")),
                ("HeartbeatClockOffset", "w1"),
                *((name, worker) for name in REPORTED for worker in ("w1", "b1", "w2")),
                *((name, group) for name in OF_A_GROUP[:3] for group in ("web", "batch")),
                *(("HeartbeatDependencyDown", group) for group in ("web", "batch")),
                *((name, probe) for name in PROBED for probe in ("webapp", "db")),
                ("HeartbeatActionFailing", "nginx"),
                ("HeartbeatActionsHeld", ""),
                ("HeartbeatFleetDown", ""),
            },
        ),
        (
            alert("HeartbeatFleetDown"),
            {
                *((name, worker) for name in (*SINGLE, *UNSTEADY) for worker in ("w1", "b1")),
                *(
                    (name, group)
                    for name in ("HeartbeatGroupDegraded", "HeartbeatAvailabilityBurning")
                    for group in ("web", "batch")
                ),
            },
        ),
        (
            alert("HeartbeatGroupDegraded", group="web"),
            {*((name, "w1") for name in (*SINGLE, *UNSTEADY)), ("HeartbeatAvailabilityBurning", "web")},
        ),
        (
            alert("HeartbeatDependencyDown", group="web", check="cache"),
            {("HeartbeatWorkerCheckFailing", "w1")},
        ),
        (
            alert("HeartbeatExporterOverloaded"),
            {
                *(("HeartbeatHeartbeatsMissed", worker) for worker in ("w1", "b1")),
                *(("HeartbeatLatencyHigh", group) for group in ("web", "batch")),
            },
        ),
        (alert("HeartbeatActionsHeld"), set()),
        (alert("HeartbeatProbeFlapping", probe="webapp", target="http://web"), set()),
    ],
    ids=lambda value: value["alertname"] if isinstance(value, dict) else "",
)
def test_muting_takes_what_it_should_and_nothing_else(
    alertmanager: Alertmanager, source: Labels, muted: set[tuple[str, str]]
) -> None:
    """With one general alert and everything else firing, of both groups and another cluster."""
    others = [
        *(
            alert(name, worker_id=worker, worker=worker, group=group)
            for name in (*SINGLE, *UNSTEADY)
            for worker, group in (("w1", "web"), ("b1", "batch"))
        ),
        alert("HeartbeatClockOffset", worker_id="w1", worker="w1", group="web"),
        *(
            alert(name, worker_id=worker, worker=worker, group=group, check=check)
            for name in REPORTED
            for worker, group, check in (
                ("w1", "web", "cache"),
                ("b1", "batch", "cache"),
                ("w2", "web", "orders"),
            )
        ),
        *(alert("HeartbeatDependencyDown", group=group, check="payments") for group in ("web", "batch")),
        *(alert(name, group=group) for name in OF_A_GROUP for group in ("web", "batch")),
        *(
            alert(name)
            for name in (
                *("HeartbeatFleetDown", "HeartbeatExporterRestarting", "HeartbeatStoreDown"),
                *("HeartbeatActionsHeld", "HeartbeatConnectionsRefused", "HeartbeatConfigurationStale"),
                *("HeartbeatPrometheusRuleFailures", "HeartbeatNotificationsFailing"),
                "HeartbeatPrometheusConfigurationStale",
            )
        ),
        *(
            alert(name, probe=probe, target=target)
            for name in PROBED
            for probe, target in (("webapp", "http://web"), ("db", "db:5432"))
        ),
        alert("HeartbeatActionFailing", action="nginx", kind="demote"),
        *(alert(name, cluster="other", worker_id="x", worker="x", group="web") for name in SINGLE),
        alert("HeartbeatWorkerCheckFailing", cluster="other", worker="x", group="web", check="cache"),
    ]
    # Muted alerts mute in turn: of the general ones, only those take part that are muted here.
    general = {"HeartbeatFleetDown", "HeartbeatGroupDegraded"} - {name for name, _ in muted}
    sent = [source, *(labels for labels in others if labels["alertname"] not in general)]
    alertmanager.send(sent)
    expected = {(labels["alertname"], whose(labels)) for labels in sent} - muted

    def notified() -> set[tuple[str, str]]:
        return {(name, about) for alerts in alertmanager.delivered() for _, name, about in alerts}

    eventually(lambda: notified() >= expected, within=15, what="all that is not muted")
    time.sleep(2 * INTERVAL + WAIT)
    assert notified() == expected
