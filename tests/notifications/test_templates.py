"""What the templates make of notifications, rendered by Alertmanager's own tool."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.support.notifying import DIRECTORY, EXTERNAL
from tests.support.processes import program

pytestmark = pytest.mark.servers("amtool")

RUNBOOK = "https://runbooks.example/alerts.md#"
WHEN = "from=1795163400000&to=now"
"""Of dashboards: half an hour before 2026-11-20 09:00 UTC."""

Alert = dict[str, Any]


def firing(alertname: str, severity: str = "warning", description: str = "", **labels: str) -> Alert:
    return {
        "status": "firing",
        "labels": {"alertname": alertname, "severity": severity, **labels},
        "annotations": {
            "summary": "Something is wrong.",
            "description": description or "So it is.",
            "runbook_url": RUNBOOK + alertname.lower(),
        },
        "startsAt": "2026-11-20T10:00:00+01:00",
        "endsAt": "0001-01-01T00:00:00Z",
    }


def resolved(alertname: str, ends: str = "2026-11-20T10:01:02.4Z", **labels: str) -> Alert:
    return {**firing(alertname, **labels), "status": "resolved", "endsAt": ends}


def shared(alerts: list[Alert]) -> dict[str, str]:
    """The labels that all have, with the same value."""
    first, *others = (set(alert["labels"].items()) for alert in alerts)
    return dict(first.intersection(*others))


def render(
    template: str, *alerts: Alert, directory: Path, html: bool = False, templates: Path = DIRECTORY
) -> str:
    data = directory / "data.json"
    data.write_text(
        json.dumps(
            {
                "receiver": "default",
                "status": "firing" if any(alert["status"] == "firing" for alert in alerts) else "resolved",
                "alerts": alerts,
                "groupLabels": {"alertname": alerts[0]["labels"]["alertname"]},
                "commonLabels": shared(list(alerts)),
                "commonAnnotations": {},
                "externalURL": EXTERNAL,
            }
        )
    )
    command = [
        *(program("amtool"), "template", "render", f"--template.data={data}"),
        f"--template.glob={templates / 'templates/*.tmpl'}",
        f'--template.text={{{{ template "heartbeat.{template}" . }}}}',
        f"--template.type={'html' if html else 'text'}",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


WORKER = {"worker": "w1", "worker_id": "w1-0a1b", "group": "web", "reason": "timeout"}


@pytest.mark.parametrize(
    ("alerts", "title"),
    [
        ([firing("HeartbeatFleetDown")], "[FIRING:1] HeartbeatFleetDown"),
        (
            [firing("HeartbeatWorkerDown", **WORKER)],
            "[FIRING:1] HeartbeatWorkerDown, worker w1, group web",
        ),
        (
            [
                firing("HeartbeatWorkerDown", worker="w1", group="web"),
                firing("HeartbeatWorkerDown", worker="w2", group="web"),
                resolved("HeartbeatWorkerDown", worker="w3", group="web"),
            ],
            "[FIRING:2 RESOLVED:1] HeartbeatWorkerDown, group web",
        ),
        (
            [firing("HeartbeatGroupDegraded", group="web"), firing("HeartbeatLatencyHigh", group="web")],
            "[FIRING:2] Several alerts, group web",
        ),
        (
            [resolved("HeartbeatWorkerCheckFailing", check="cache", worker="w1", group="web")],
            "[RESOLVED:1] HeartbeatWorkerCheckFailing, check cache, worker w1, group web",
        ),
        (
            [firing("HeartbeatProbeDown", probe="db"), resolved("HeartbeatProbeDown", probe="shop")],
            "[FIRING:1 RESOLVED:1] HeartbeatProbeDown",
        ),
        (
            [resolved("HeartbeatActionFailing", action="nginx", kind="demote")],
            "[RESOLVED:1] HeartbeatActionFailing, action nginx",
        ),
        (
            [firing("HeartbeatFleetDown", cluster="north")],
            "[FIRING:1] HeartbeatFleetDown, cluster north",
        ),
    ],
    ids=["fleet", "worker", "workers", "several", "check", "probes", "action", "cluster"],
)
def test_the_title_counts_and_says_whose(alerts: list[Alert], title: str, tmp_path: Path) -> None:
    """How many fire and how many have ended, and what all of them share; for Slack the same."""
    assert render("title", *alerts, directory=tmp_path) == title
    assert render("slack.title", *alerts, directory=tmp_path) == title


@pytest.mark.parametrize(
    ("alerts", "severity", "color"),
    [
        ([firing("A", "critical")], "critical", "danger"),
        ([firing("A", "critical"), firing("B", "warning")], "critical", "danger"),
        ([firing("A", "info"), firing("B", "warning"), firing("C", "none")], "warning", "warning"),
        ([firing("A", "of my own")], "warning", "warning"),
        ([firing("A", "info"), firing("B", "")], "info", "warning"),
        ([resolved("A", severity="critical")], "info", "good"),
        ([resolved("A", severity="critical"), firing("B")], "warning", "warning"),
    ],
)
def test_the_worst_that_fires_decides(alerts: list[Alert], severity: str, color: str, tmp_path: Path) -> None:
    """The severity, one of those that PagerDuty takes, and Slack's colour; what has ended counts no more."""
    assert render("severity", *alerts, directory=tmp_path) == severity
    assert render("slack.color", *alerts, directory=tmp_path) == color


@pytest.mark.parametrize(
    ("alert", "path"),
    [
        (
            firing("HeartbeatWorkerDown", **WORKER),
            f"/d/heartbeat-worker?{WHEN}&var-worker_id=w1-0a1b&var-group=web",
        ),
        (firing("HeartbeatGroupDegraded", group="a b+c"), f"/d/heartbeat-fleet?{WHEN}&var-group=a%20b%2Bc"),
        (
            firing("HeartbeatDependencyDown", group="web", check="db"),
            f"/d/heartbeat-fleet?{WHEN}&var-group=web",
        ),
        (firing("HeartbeatFleetDown"), f"/d/heartbeat-fleet?{WHEN}"),
        (firing("HeartbeatProbeDown", probe="db", target="db:1"), f"/d/heartbeat-probes?{WHEN}&var-probe=db"),
        (firing("HeartbeatActionFailing", action="nginx"), f"/d/heartbeat-probes?{WHEN}&var-action=nginx"),
        (firing("HeartbeatActionsHeld"), f"/d/heartbeat-probes?{WHEN}"),
        (firing("HeartbeatStoreDown"), f"/d/heartbeat-exporter?{WHEN}"),
        (
            resolved("HeartbeatStoreDown"),
            "/d/heartbeat-exporter?from=1795163400000&to=1795170662400",
        ),
    ],
    ids=lambda value: value["labels"]["alertname"] if isinstance(value, dict) else "",
)
def test_each_alert_has_its_dashboard(alert: Alert, path: str, tmp_path: Path) -> None:
    """By its labels, and at the time of the alert, with half an hour before and after it."""
    (linked,) = re.findall("^Dashboard: (.*)$", render("text", alert, directory=tmp_path), re.MULTILINE)
    assert linked == "http://localhost:3000" + path


def test_the_address_of_grafana_is_set_in_one_place(tmp_path: Path) -> None:
    """A file of one's own that sorts behind the shipped one is enough, for all kinds of notification."""
    shutil.copytree(DIRECTORY / "templates", tmp_path / "templates")
    own = '{{ define "heartbeat.grafana" }}https://grafana.example/g{{ end }}'
    (tmp_path / "templates" / "local.tmpl").write_text(own)
    for template, html in (("text", False), ("slack.text", False), ("html", True)):
        text = render(template, firing("A"), directory=tmp_path, html=html, templates=tmp_path)
        assert "https://grafana.example/g/d/heartbeat-exporter?from=" in text
        assert "localhost" not in text


def test_a_silence_is_for_all_labels_but_the_reason(tmp_path: Path) -> None:
    """The reason may change; the severity stays, or a silenced warning would silence the page."""
    text = render("text", firing("HeartbeatWorkerDown", **WORKER), directory=tmp_path)
    (link,) = re.findall("^Silence: (.*)$", text, re.MULTILINE)
    address, _, query = link.partition("?")
    assert address == "http://alertmanager.example/#/silences/new"
    assert parse_qs(query) == {
        "filter": [
            '{alertname="HeartbeatWorkerDown",group="web",severity="warning",worker="w1",worker_id="w1-0a1b"}'
        ]
    }


@pytest.mark.parametrize(
    ("ends", "lasted"),
    [
        ("2026-11-20T09:00:40.4Z", "40s"),
        ("2026-11-20T09:01:00Z", "1m"),
        ("2026-11-20T10:00:00Z", "1h"),
        ("2026-11-20T10:02:00Z", "1h2m"),
        ("2026-11-22T09:10:30Z", "48h10m30s"),
    ],
)
def test_how_long_it_lasted(ends: str, lasted: str, tmp_path: Path) -> None:
    """To the second, without units that are nought."""
    text = render("text", resolved("A", ends), directory=tmp_path)
    assert text.splitlines()[1].endswith(f", for {lasted}")


def test_what_an_alert_does_not_have_leaves_no_gap(tmp_path: Path) -> None:
    """An alert from elsewhere without annotations and severity is told by its name."""
    bare = {**firing("Other"), "labels": {"alertname": "Other"}, "annotations": {}}
    assert (
        render("text", bare, directory=tmp_path)
        == f"""\
Other
Firing since 2026-11-20 09:00:00 UTC
Dashboard: http://localhost:3000/d/heartbeat-exporter?{WHEN}
Silence: http://alertmanager.example/#/silences/new?filter=%7Balertname%3D%22Other%22%7D

All alerts: http://alertmanager.example/#/alerts?receiver=default"""
    )
    slack = render("slack.text", bare, directory=tmp_path)
    assert slack.splitlines()[:2] == ["Other", "Firing since 2026-11-20 09:00:00 UTC"]
    page = render("html", bare, directory=tmp_path, html=True)
    assert "()" not in page
    assert "Runbook" not in page


HOSTILE = "a\"b'<script>&amp;%41 <!channel> `c` *d* x|y> \\ ünï+\nFiring since ever"


@pytest.mark.parametrize(("template", "html"), [("text", False), ("slack.text", False), ("html", True)])
def test_no_name_breaks_a_link(template: str, html: bool, tmp_path: Path) -> None:
    """Dashboard and silence arrive with the name as it is, whatever characters it has."""
    alert = firing("HeartbeatProbeDown", probe=HOSTILE, description=HOSTILE)
    text = render(template, alert, directory=tmp_path, html=html)
    # In all of them, a link has none of these around it within it.
    dashboard, silence = (
        next(link for link in re.findall(r'http[^\s"|>]+', text) if part in link)
        for part in ("/d/heartbeat-probes", "/silences/new")
    )
    assert parse_qs(urlsplit(dashboard.replace("&amp;", "&")).query)["var-probe"] == [HOSTILE]
    escaped = HOSTILE.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    assert parse_qs(silence.partition("?")[2])["filter"] == [
        f'{{alertname="HeartbeatProbeDown",probe="{escaped}",severity="warning"}}'
    ]


def test_no_name_forges_a_line(tmp_path: Path) -> None:
    """A name or text of several lines stands in one."""
    text = render("text", firing("A", probe=HOSTILE, description=HOSTILE), directory=tmp_path)
    assert [line for line in text.splitlines() if line.startswith("Firing since")] == [
        "Firing since 2026-11-20 09:00:00 UTC"
    ]
    assert "\n" not in render("title", firing("A", probe=HOSTILE), directory=tmp_path)


def test_no_name_is_markup_to_slack(tmp_path: Path) -> None:
    """What Slack would take for a mention or a link is escaped, in the title as well."""
    alert = firing("A", probe=HOSTILE, description=HOSTILE)
    shown = "a\"b'&lt;script&gt;&amp;amp;%41 &lt;!channel&gt; `c` *d* x|y&gt; \\ ünï+ Firing since ever"
    assert render("slack.title", alert, directory=tmp_path) == f"[FIRING:1] A, probe {shown}"
    text = render("slack.text", alert, directory=tmp_path)
    assert text.splitlines()[:2] == [f"A, probe {shown} (warning)", shown]
    assert set(re.findall(r"<([^|]{1,4})[^|]*\|", text)) == {"http"}


@pytest.mark.parametrize(("template", "html"), [("text", False), ("slack.text", False), ("html", True)])
def test_a_thousand_alerts_are_a_readable_message(template: str, html: bool, tmp_path: Path) -> None:
    """Twelve of each kind are told, the others counted."""
    alerts = [firing("A", worker=f"w{number}") for number in range(1000)]
    alerts += [resolved("A", worker=f"gone{number}") for number in range(20)]
    text = render(template, *alerts, directory=tmp_path, html=html)
    assert sorted(set(re.findall(r"worker (w\d+)", text)), key=lambda name: int(name[1:])) == [
        f"w{number}" for number in range(12)
    ]
    assert len(set(re.findall(r"worker (gone\d+)", text))) == 12
    assert "and 988 more that fire" in text
    assert "and 8 more that are resolved" in text
    assert len(text) < 30_000


PAGE = Path(__file__).parents[2] / "docs" / "notifications.md"


def test_the_example_of_the_documentation(tmp_path: Path) -> None:
    """It is what the templates make of such alerts."""
    runbook = "https://github.com/heartbeat-exporter/heartbeat-exporter/blob/main/docs/alerts.md#heartbeatworkerdown"
    one, other = (
        {"worker": "Worker 1", "worker_id": "worker-1-3f0c", "reason": "connection_lost"},
        {"worker": "Worker 2", "worker_id": "worker-2-9a41", "reason": "timeout"},
    )
    alerts = [
        firing("HeartbeatWorkerDown", group="payments", **one),
        resolved("HeartbeatWorkerDown", "2026-11-20T09:00:25Z", group="payments", **other),
    ]
    for alert in alerts:
        alert["annotations"] = {
            "summary": "A worker is gone without a goodbye.",
            "description": (
                "Worker 1 (worker-1-3f0c) of group payments has been down since 2026-11-20 08:59:48 UTC,"
                " reason: connection_lost."
            ),
            "runbook_url": runbook,
        }
    alerts[1]["startsAt"] = "2026-11-20T08:58:20Z"
    page = PAGE.read_text()
    text = render("text", *alerts, directory=tmp_path).replace(EXTERNAL, "http://localhost:9093")
    assert f"```text\n{text}\n```\n" in page
    assert f"`{render('title', *alerts, directory=tmp_path)}`" in page


def test_the_templates_of_the_documentation(tmp_path: Path) -> None:
    """Each that is offered there is defined."""
    offered = re.findall(r"`(heartbeat\.[a-z.]+)`", PAGE.read_text())
    assert len(offered) == 7
    for name in offered:
        assert render(name.removeprefix("heartbeat."), firing("A"), directory=tmp_path)
