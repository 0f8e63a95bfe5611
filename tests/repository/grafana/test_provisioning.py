"""What Grafana is provisioned with agrees with the dashboards, Prometheus and docker-compose.yml."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from tests.support.dashboards import GRAFANA, Dashboard, load, strings, variables

ROOT = GRAFANA.parent
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))["services"]
PROVISIONED: dict[str, dict[str, Any]] = {
    path.parent.name: yaml.safe_load(path.read_text("utf-8"))
    for path in sorted((GRAFANA / "provisioning").glob("*/*.yaml"))
}
SOURCES: list[dict[str, Any]] = PROVISIONED["datasources"]["datasources"]
PROMETHEUS = next(source for source in SOURCES if source["type"] == "prometheus")
ALERTMANAGER = next(source for source in SOURCES if source["type"] == "alertmanager")

EVERY_DASHBOARD = [pytest.param(dashboard, id=uid) for uid, dashboard in load().items()]


def outside(path: str) -> Path:
    """Where a file of Grafana's container lies in this repository. LookupError: nothing is mounted there."""
    for mount in COMPOSE["grafana"]["volumes"]:
        source, target, *_ = mount.split(":")
        if source.startswith("./") and Path(path).is_relative_to(target):
            return ROOT / source / Path(path).relative_to(target)
    raise LookupError(path)


def test_grafana_knows_all_that_is_provisioned() -> None:
    """It reads one folder for each kind, where it is mounted, in the first version of their format."""
    assert set(PROVISIONED) == {"dashboards", "datasources"}
    assert all(file["apiVersion"] == 1 for file in PROVISIONED.values())
    assert outside("/etc/grafana/provisioning") == GRAFANA / "provisioning"


def test_the_provider_finds_the_dashboards() -> None:
    """In the folder that is mounted, all of them, read-only; what leaves the folder leaves Grafana."""
    (provider,) = PROVISIONED["dashboards"]["providers"]
    found = outside(provider["options"]["path"])
    assert {path.stem for path in found.glob("*.json")} == set(load())
    assert provider["type"] == "file"
    assert provider["folderUid"] == "heartbeat"
    assert (provider["allowUiUpdates"], provider["disableDeletion"]) == (False, False)


def test_the_first_page_is_the_fleet() -> None:
    """Whoever opens Grafana sees who is alive."""
    home = COMPOSE["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert outside(home) == GRAFANA / "dashboards/heartbeat-fleet.json"


def test_data_sources_keep_their_uids() -> None:
    """Dashboards, links and users' own dashboards name these uids; Alertmanager is tied to Prometheus."""
    assert PROMETHEUS["uid"] == "heartbeat-prometheus"
    assert ALERTMANAGER["uid"] == "heartbeat-alertmanager"
    assert PROMETHEUS["isDefault"] is True
    assert PROMETHEUS["jsonData"]["alertmanagerUid"] == ALERTMANAGER["uid"]
    assert not any(source["editable"] for source in SOURCES)


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source["name"])
def test_data_sources_are_services(source: dict[str, Any]) -> None:
    """Grafana reaches them by the name and port that they have in docker-compose.yml."""
    url = urlsplit(source["url"])
    assert url.hostname in COMPOSE
    ports = [published.rpartition(":")[2] for published in COMPOSE[url.hostname]["ports"]]
    assert str(url.port) in ports


def test_rate_interval_derives_from_the_scrape_interval() -> None:
    """The data source's interval is the one at which the shipped Prometheus scrapes."""
    config = yaml.safe_load((ROOT / "prometheus/prometheus.yml").read_text("utf-8"))
    assert PROMETHEUS["jsonData"]["timeInterval"] == config["global"]["scrape_interval"]


@pytest.mark.parametrize("dashboard", EVERY_DASHBOARD)
def test_a_dashboard_starts_at_the_provisioned_source(dashboard: Dashboard) -> None:
    """And names no other anywhere."""
    current = variables(dashboard)["datasource"]["current"]
    assert (current["text"], current["value"]) == (PROMETHEUS["name"], PROMETHEUS["uid"])
    provisioned = {source["uid"] for source in SOURCES}
    named = {
        text
        for part in (dashboard["panels"], dashboard["annotations"], dashboard["templating"])
        for key, text in strings(part)
        if key == "uid"
    }
    assert named <= {"${datasource}", *provisioned}
