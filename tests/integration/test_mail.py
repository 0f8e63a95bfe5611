"""From a killed worker, by the shipped rules and configuration, to the mail that a person reads."""

from __future__ import annotations

import re
import urllib.request

import pytest

from exporter.shipped import shipped, write_alertmanager
from tests.support.inboxes import Mailbox, part
from tests.support.processes import eventually
from tests.support.stack import Stack

pytestmark = [
    pytest.mark.slow,
    pytest.mark.servers("redis-server", "prometheus", "alertmanager"),
]

TITLE = "HeartbeatWorkerDown, worker Worker 1, group payments"
RUNBOOK = (
    "https://github.com/heartbeat-exporter/heartbeat-exporter/blob/main/docs/alerts.md#heartbeatworkerdown"
)
DASHBOARD = "http://localhost:3000/d/heartbeat-worker?from=MS&to={to}&var-worker_id=ID&var-group=payments"
FIRING = f"""\
HeartbeatWorkerDown, worker Worker 1, group payments, reason connection_lost (warning)
A worker is gone without a goodbye.
Worker 1 (ID) of group payments has been down since TIME, reason: connection_lost.
Firing since TIME
Dashboard: {DASHBOARD.format(to="now")}
Runbook: {RUNBOOK}
Silence: ALERTMANAGER/#/silences/new?filter=%7Balertname%3D%22HeartbeatWorkerDown%22%2C\
group%3D%22payments%22%2Cseverity%3D%22warning%22%2Cworker%3D%22Worker%201%22%2Cworker_id%3D%22ID%22%7D

All alerts: ALERTMANAGER/#/alerts?receiver=default"""
RESOLVED = f"""\
HeartbeatWorkerDown, worker Worker 1, group payments, reason connection_lost: resolved
Fired from TIME to TIME, for DURATION
Dashboard: {DASHBOARD.format(to="MS")}
Runbook: {RUNBOOK}

All alerts: ALERTMANAGER/#/alerts?receiver=default"""


def test_a_killed_worker_and_its_return_are_mailed(stack: Stack) -> None:
    """Two mails, read whole; what differs from run to run is only times, the id and the address."""
    stack.start_redis()
    stack.start_exporter()
    for name in ("Worker 1", "Worker 2", "Worker 3"):
        stack.start_worker(name, group="payments", wait=False)
    stack.wait_until_alive("Worker 1", "Worker 2", "Worker 3", within=60)
    stack.start_alerting()
    with Mailbox() as mailbox:
        mail_instead(stack, mailbox)
        # The rules hold what was true before, so let them see a healthy fleet first.
        eventually(lambda: stack.query("sum(group:heartbeat_workers:sum)") == {"": 3.0}, within=60)

        stack.workers["Worker 1"].kill()
        eventually(lambda: mailbox.mails, within=90, what="the mail about the loss")
        assert mailbox.mails[0]["Subject"] == f"[FIRING:1] {TITLE}"
        assert lasting(stack, part(mailbox.mails[0], "plain")) == FIRING

        stack.start_worker("Worker 1", group="payments")
        eventually(lambda: mailbox.mails[1:], within=90, what="the mail about the return")
    assert mailbox.mails[1]["Subject"] == f"[RESOLVED:1] {TITLE}"
    assert lasting(stack, part(mailbox.mails[1], "plain")) == RESOLVED
    assert len(mailbox.mails) == 2


def mail_instead(stack: Stack, mailbox: Mailbox) -> None:
    """Give Alertmanager the receiver of the demo in containers, and have it read that."""
    receiver = (shipped("alertmanager") / "receivers" / "mailpit.yml").read_text()
    write_alertmanager(
        stack.directory / "alertmanager", receiver=receiver.replace("mailpit:1025", mailbox.address)
    )
    request = urllib.request.Request(f"{stack.alertmanager}/-/reload", method="POST")
    with urllib.request.urlopen(request, timeout=10.0) as answer:
        assert answer.status == 200


def lasting(stack: Stack, text: str) -> str:
    """The text without what is another at each run."""
    (worker_id,) = {worker["worker_id"] for worker in stack.get("/workers") if worker["name"] == "Worker 1"}
    (address,) = set(re.findall(r"http://[^/]+(?=/#/)", text))
    text = text.replace(worker_id, "ID").replace(address, "ALERTMANAGER")
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", "TIME", text)
    text = re.sub(r"(from|to)=\d{13}", r"\1=MS", text)
    return re.sub(r"for (\d+m)?(\d+s)?$", "for DURATION", text, flags=re.MULTILINE)
