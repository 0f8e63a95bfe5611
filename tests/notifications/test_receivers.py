"""Notifications of a real Alertmanager, as they arrive at real receivers."""

from __future__ import annotations

import contextlib
import re
import shutil
import ssl
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote

import pytest
import yaml

from exporter import cli
from tests.support.authority import Authority
from tests.support.inboxes import Inbox, Mailbox, part
from tests.support.notifying import DIRECTORY, EXTERNAL, ROOT, alertmanager, completed, send
from tests.support.processes import eventually, http_get, program

pytestmark = [pytest.mark.servers("alertmanager"), pytest.mark.slow]

PAGE = ROOT / "docs" / "notifications.md"
RUNBOOK = "https://runbooks.example/alerts.md#heartbeatworkerdown"


def worker_down(name: str, worker_id: str, **times: str) -> dict[str, Any]:
    return {
        "labels": {
            "alertname": "HeartbeatWorkerDown",
            "severity": "warning",
            "group": "web",
            "worker": name,
            "worker_id": worker_id,
            "reason": "connection_lost",
        },
        "annotations": {
            "summary": "A worker is gone without a goodbye.",
            "description": f"{name} ({worker_id}) of group web has been down since 2026-01-05 08:59:40 UTC.",
            "runbook_url": RUNBOOK,
        },
        "startsAt": "2026-01-05T09:00:00Z",
        **times,
    }


ONE, OTHER = ("Worker 1", "worker-1-0a1b"), ("Worker 2", "worker-2-2c3d")
END = {"endsAt": "2026-01-05T10:02:03Z"}

DASHBOARD = (
    "http://localhost:3000/d/heartbeat-worker?from=1767601800000&to={to}&var-worker_id={id}&var-group=web"
)
SILENCE = (
    f"{EXTERNAL}/#/silences/new?filter=%7Balertname%3D%22HeartbeatWorkerDown%22%2Cgroup%3D%22web%22%2C"
    "severity%3D%22warning%22%2Cworker%3D%22{name}%22%2Cworker_id%3D%22{id}%22%7D"
)
DASHBOARD_OF_ONE = DASHBOARD.format(to="now", id=ONE[1])
SILENCE_OF_ONE = SILENCE.format(name="Worker%201", id=ONE[1])
DASHBOARD_OF_OTHER = DASHBOARD.format(to="1767609123000", id=OTHER[1])
ALERTS = f"{EXTERNAL}/#/alerts?receiver=default"

TITLE = "[FIRING:1 RESOLVED:1] HeartbeatWorkerDown, group web"
FIRING = f"""\
HeartbeatWorkerDown, worker Worker 1, group web, reason connection_lost (warning)
A worker is gone without a goodbye.
Worker 1 (worker-1-0a1b) of group web has been down since 2026-01-05 08:59:40 UTC.
Firing since 2026-01-05 09:00:00 UTC
Dashboard: {DASHBOARD_OF_ONE}
Runbook: {RUNBOOK}
Silence: {SILENCE_OF_ONE}

"""
RESOLVED = f"""\
HeartbeatWorkerDown, worker Worker 2, group web, reason connection_lost: resolved
Fired from 2026-01-05 09:00:00 UTC to 2026-01-05 10:02:03 UTC, for 1h2m3s
Dashboard: {DASHBOARD_OF_OTHER}
Runbook: {RUNBOOK}

"""
SLACK = f"""\
HeartbeatWorkerDown, worker Worker 1, group web, reason connection_lost (warning)
Worker 1 (worker-1-0a1b) of group web has been down since 2026-01-05 08:59:40 UTC.
Firing since 2026-01-05 09:00:00 UTC
<{DASHBOARD_OF_ONE}|Dashboard> · <{RUNBOOK}|Runbook> · <{SILENCE_OF_ONE}|Silence>

HeartbeatWorkerDown, worker Worker 2, group web, reason connection_lost: resolved
Fired from 2026-01-05 09:00:00 UTC to 2026-01-05 10:02:03 UTC, for 1h2m3s
<{DASHBOARD_OF_OTHER}|Dashboard> · <{RUNBOOK}|Runbook>

<{ALERTS}|All alerts>"""


def two_down_one_back(url: str, received: list[Any]) -> Any:
    """One after the other, and the other has ended: three notifications, of which the last is returned."""
    for number, alert in enumerate((worker_down(*ONE), worker_down(*OTHER), worker_down(*OTHER, **END)), 1):
        send(url, alert)
        eventually(lambda number=number: len(received) == number, within=15.0, what=f"notification {number}")
    return received[-1]


def secret(directory: Path, text: str) -> str:
    """The name of a file as editors leave it, with a line end."""
    file = directory / "secret"
    file.write_text(f"{text}\n")
    return str(file)


@pytest.mark.servers("alertmanager", "openssl")
def test_mail(tmp_path: Path) -> None:
    """By STARTTLS, with the password of a file, as text and as HTML with the same links."""
    issued = Authority(tmp_path).issue("127.0.0.1", "IP:127.0.0.1")
    password_file = tmp_path / "password"
    password_file.write_text("geheim")
    context: ssl.SSLContext = issued.server()
    with Mailbox(tls=context, user="alertmanager", password="geheim") as mailbox:
        configuration = completed(
            tmp_path,
            "email",
            {
                "smarthost": mailbox.address,
                "auth_password_file": str(password_file),
                "tls_config": {"ca_file": str(tmp_path / "ca.pem")},
            },
        )
        with alertmanager(tmp_path, configuration) as url:
            mail = two_down_one_back(url, mailbox.mails)
    assert (mail["From"], mail["To"], mail["Subject"]) == (
        "alertmanager@example.org",
        "oncall@example.org",
        TITLE,
    )
    assert part(mail, "plain") == f"{FIRING}{RESOLVED}All alerts: {ALERTS}"
    page = Page.of(part(mail, "html"))
    assert page.text == (
        f"{TITLE} 1 FIRING · 1 RESOLVED HeartbeatWorkerDown, group web "
        "HeartbeatWorkerDown, worker Worker 1, group web, reason connection_lost (warning) "
        "A worker is gone without a goodbye. "
        "Worker 1 (worker-1-0a1b) of group web has been down since 2026-01-05 08:59:40 UTC. "
        "Firing since 2026-01-05 09:00:00 UTC Dashboard · Runbook · Silence "
        "HeartbeatWorkerDown, worker Worker 2, group web, reason connection_lost : resolved "
        "Fired from 2026-01-05 09:00:00 UTC to 2026-01-05 10:02:03 UTC, for 1h2m3s Dashboard · Runbook "
        "All alerts"
    )
    assert page.links == [
        ("Dashboard", DASHBOARD_OF_ONE),
        ("Runbook", RUNBOOK),
        ("Silence", SILENCE_OF_ONE),
        ("Dashboard", DASHBOARD_OF_OTHER),
        ("Runbook", RUNBOOK),
        ("All alerts", ALERTS),
    ]


class Page(HTMLParser):
    """What a reader of HTML mail sees and can follow, and which elements there are."""

    def __init__(self) -> None:
        super().__init__()
        self._words: list[str] = []
        self.links: list[tuple[str, str]] = []
        self.elements: list[str] = []

    @classmethod
    def of(cls, html: str) -> Page:
        page = cls()
        page.feed(html)
        page.close()
        return page

    @property
    def text(self) -> str:
        return " ".join(" ".join(self._words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        if tag == "a":
            self.links.append(("", dict(attrs)["href"] or ""))

    def handle_endtag(self, tag: str) -> None:
        if tag == "a":
            self.links[-1] = (self._words[-1], self.links[-1][1])

    def handle_data(self, data: str) -> None:
        if self.lasttag != "style":
            self._words.append(data)


def test_mail_to_the_catcher(tmp_path: Path) -> None:
    """As in docker-compose.yml, without encryption and password, and with all that mail has."""
    with Mailbox() as mailbox:
        configuration = completed(tmp_path, "mailpit", {"smarthost": mailbox.address})
        with alertmanager(tmp_path, configuration) as url:
            mail = two_down_one_back(url, mailbox.mails)
    assert mail["Subject"] == TITLE
    assert part(mail, "plain") == f"{FIRING}{RESOLVED}All alerts: {ALERTS}"
    assert part(mail, "html").startswith("<!DOCTYPE html>")


def test_slack(tmp_path: Path) -> None:
    """One attachment, by the address of a file; no part with names in it is read as markup."""
    with Inbox() as inbox:
        address = secret(tmp_path, f"{inbox.url}/services/T0/B0/secret")
        configuration = completed(tmp_path, "slack", {"api_url_file": address})
        with alertmanager(tmp_path, configuration) as url:
            posted = two_down_one_back(url, inbox.posts)
    assert posted.path == "/services/T0/B0/secret"
    (attachment,) = posted.content["attachments"]
    assert {**posted.content, "attachments": []} == {
        "channel": "#oncall",
        "username": "Alertmanager",
        "attachments": [],
    }
    assert attachment == {
        "title": TITLE,
        "title_link": ALERTS,
        "text": SLACK,
        "fallback": TITLE,
        "callback_id": "",
        "footer": "",
        "color": "warning",
        "mrkdwn_in": ["pretext"],
    }


def test_pagerduty(tmp_path: Path) -> None:
    """An event with the key of a file, whose details are those of the text."""
    with Inbox() as inbox:
        changes = {"url": f"{inbox.url}/v2/enqueue", "routing_key_file": secret(tmp_path, "key")}
        configuration = completed(tmp_path, "pagerduty", changes)
        with alertmanager(tmp_path, configuration) as url:
            posted = two_down_one_back(url, inbox.posts)
    assert posted.path == "/v2/enqueue"
    content = posted.content
    assert len(content.pop("dedup_key")) == 64
    assert content["payload"].pop("source") == "Alertmanager"
    # Texts to Alertmanager 0.25, numbers to 0.34.
    counts = {
        name: int(content["payload"]["custom_details"].pop(name)) for name in ("num_firing", "num_resolved")
    }
    assert counts == {"num_firing": 1, "num_resolved": 1}
    assert content == {
        "routing_key": "key",
        "event_action": "trigger",
        "client": "Alertmanager",
        "client_url": ALERTS,
        "links": [{"text": "Dashboard", "href": DASHBOARD_OF_ONE}],
        "payload": {
            "summary": TITLE,
            "severity": "warning",
            "class": "HeartbeatWorkerDown",
            "group": "web",
            "custom_details": {
                "firing": FIRING,
                "resolved": RESOLVED,
            },
        },
    }


def test_webhook(tmp_path: Path) -> None:
    """The alerts as they are, with credentials of a file."""
    with Inbox() as inbox:
        changes = {
            "url": f"{inbox.url}/notifications",
            "http_config": {"authorization": {"credentials_file": secret(tmp_path, "token")}},
        }
        configuration = completed(tmp_path, "webhook", changes)
        with alertmanager(tmp_path, configuration) as url:
            posted = two_down_one_back(url, inbox.posts)
    assert (posted.path, posted.authorization) == ("/notifications", "Bearer token")
    assert [(alert["status"], alert["labels"]["worker"]) for alert in posted.content["alerts"]] == [
        ("firing", "Worker 1"),
        ("resolved", "Worker 2"),
    ]
    assert posted.content["truncatedAlerts"] == 0


HOSTILE = "a\"b'<script>&amp;%41 <!channel> {{ x }} *d* x|y> \\ ünï+\nFiring since ever"


def test_a_hostile_name_is_only_a_name(tmp_path: Path) -> None:
    """The mail has no element of its making, its subject is one line, and its silence would fit the alert."""
    alert = {
        "labels": {"alertname": "HeartbeatProbeDown", "severity": "critical", "probe": HOSTILE},
        "annotations": {"summary": "What is probed is down.", "description": f"{HOSTILE} is down."},
    }
    with Mailbox() as mailbox:
        configuration = completed(tmp_path, "mailpit", {"smarthost": mailbox.address})
        with alertmanager(tmp_path, configuration) as url:
            send(url, alert)
            eventually(lambda: mailbox.mails, within=15.0, what="the mail")
            page = Page.of(part(mailbox.mails[0], "html"))
            links = dict(page.links)
            (wanted,) = parse_qs(links["Silence"].partition("?")[2])["filter"]
            found = http_get(f"{url}/api/v2/alerts?filter={quote(matcher(wanted, 'probe'))}")
    shown = " ".join(HOSTILE.split())
    assert mailbox.mails[0]["Subject"] == f"[FIRING:1] HeartbeatProbeDown, probe {shown}"
    assert f"HeartbeatProbeDown, probe {shown} (critical)" in page.text
    assert "script" not in page.elements
    assert parse_qs(links["Dashboard"].partition("?")[2])["var-probe"] == [HOSTILE]
    assert "HeartbeatProbeDown" in found


def matcher(wanted: str, label: str) -> str:
    """Of `{a="1",b="2"}` the one about a label that is neither the first nor the last."""
    start = wanted.index(f",{label}=") + 1
    return wanted[start : wanted.index('",', start) + 1]


def test_a_thousand_alerts_are_one_readable_mail(tmp_path: Path) -> None:
    """Twelve are told, the others counted, and one link silences them all."""
    lost = [worker_down(f"w{number}", f"w{number}-0a1b") for number in range(1000)]
    for alert in lost:
        del alert["startsAt"]  # as of now, so that they wait for each other
    with Mailbox() as mailbox:
        configuration = completed(tmp_path, "mailpit", {"smarthost": mailbox.address})
        with alertmanager(tmp_path, configuration) as url:
            send(url, *lost)
            eventually(lambda: mailbox.mails, within=15.0, what="the mail")
    mail = mailbox.mails[0]
    text = part(mail, "plain")
    assert mail["Subject"] == "[FIRING:1000] HeartbeatWorkerDown, group web"
    assert text.count("Firing since") == part(mail, "html").count("Firing since") == 12
    assert text.endswith(
        "... and 988 more that fire\n\n"
        f"Silence all of these: {EXTERNAL}/#/silences/new?filter=%7Balertname%3D%22HeartbeatWorkerDown%22%2C"
        f"group%3D%22web%22%7D\nAll alerts: {ALERTS}"
    )
    assert len(mail.as_bytes()) < 50_000


def test_the_dead_mans_switch(tmp_path: Path) -> None:
    """Filled as documented it hears of the alert that always fires, at once, and nobody else does."""
    watchdog = {"labels": {"alertname": "Watchdog", "severity": "none"}}
    with Inbox() as switch, Inbox() as default:
        main = completed(tmp_path, "webhook", {"url": default.url})
        configuration = yaml.safe_load(main.read_text())
        (snippet,) = re.findall(r"```yaml\n(receivers:\n.*?)```", PAGE.read_text(), re.DOTALL)
        (filled,) = yaml.safe_load(snippet)["receivers"]
        filled["webhook_configs"][0]["url"] = switch.url
        assert configuration["receivers"][0] == {"name": filled["name"]}
        configuration["receivers"][0] = filled
        main.write_text(yaml.safe_dump(configuration))
        with alertmanager(tmp_path, main) as url:
            send(url, watchdog, worker_down(*ONE))
            eventually(lambda: switch.posts and default.posts, within=15.0, what="both receivers")
    names = [
        {alert["labels"]["alertname"] for posted in inbox.posts for alert in posted.content["alerts"]}
        for inbox in (switch, default)
    ]
    assert names == [{"Watchdog"}, {"HeartbeatWorkerDown"}]


def test_the_documentation_names_every_secret() -> None:
    """Each receiver's file of a secret is in its table, also one that is only suggested."""
    for receiver in (DIRECTORY / "receivers").glob("*.yml"):
        for file in re.findall(r"/run/secrets/\w+", receiver.read_text()):
            assert f"| `{receiver.name}` | `{file}` |" in PAGE.read_text()


def test_the_command_that_sends_a_test(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It arrives as any other notification does, says that it is a test, and is resolved by itself."""
    with Inbox() as inbox:
        configuration = completed(tmp_path, "webhook", {"url": inbox.url})
        with alertmanager(tmp_path, configuration) as url:
            flags = [f"--alertmanager.url={url}", "--group=payments", "--duration=8"]
            monkeypatch.setattr("sys.argv", ["heartbeat-exporter", "test-notification", *flags])
            with contextlib.suppress(SystemExit):
                cli.main()
            eventually(lambda: len(inbox.posts) == 2, within=30.0, what="both notifications")
    assert capsys.readouterr().out.splitlines()[:2] == [
        f"Sent HeartbeatTest (group payments, severity warning) to {url}.",
        "It goes to the receiver default.",
    ]
    assert [posted.content["status"] for posted in inbox.posts] == ["firing", "resolved"]
    (alert,) = inbox.posts[0].content["alerts"]
    assert (alert["labels"]["alertname"], alert["labels"]["group"]) == ("HeartbeatTest", "payments")
    assert alert["annotations"]["summary"] == "This is a test. Nothing is wrong."


@pytest.mark.servers("amtool")
def test_two_receivers_at_once(tmp_path: Path) -> None:
    """Pieces of different kinds may be appended one after the other."""
    shutil.copytree(DIRECTORY / "templates", tmp_path / "templates")
    main = tmp_path / "alertmanager.yml"
    files = ("alertmanager.yml", "receivers/email.yml", "receivers/slack.yml", "receivers/pagerduty.yml")
    main.write_text("".join((DIRECTORY / file).read_text() for file in files))
    subprocess.run([program("amtool"), "check-config", main], check=True, capture_output=True)
    assert set(yaml.safe_load(main.read_text())["receivers"][-1]) == {
        "name",
        "email_configs",
        "slack_configs",
        "pagerduty_configs",
    }
