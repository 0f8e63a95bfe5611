"""The configuration that comes with the program, given other addresses."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter import shipped
from exporter.errors import ExporterError, UsageError
from exporter.shipped import webhook, write_alertmanager, write_prometheus
from tests.support.processes import program

ROOT = Path(__file__).parents[2]


def test_prometheus_gets_its_addresses_and_nothing_else_changes(tmp_path: Path) -> None:
    """Targets, service discovery and Alertmanager are replaced, wherever they stand."""
    main = write_prometheus(tmp_path / "made", exporter="h:1", prometheus="h:2", alertmanager="h:3")
    original = (ROOT / "prometheus/prometheus.yml").read_text()
    expected = original.replace("manager:8000", "h:1").replace("alertmanager:9093", "h:3")
    assert main == tmp_path / "made/prometheus.yml"
    assert main.read_text() == expected.replace("localhost:9090", "h:2")
    configuration: dict[str, Any] = yaml.safe_load(main.read_text())
    assert configuration["alerting"]["alertmanagers"][0]["static_configs"] == [{"targets": ["h:3"]}]
    assert [config["url"] for job in configuration["scrape_configs"] for config in _discovered(job)] == [
        "http://h:1/sd"
    ]
    assert _files(tmp_path / "made") == _files(ROOT / "prometheus")


def _discovered(job: dict[str, Any]) -> list[dict[str, str]]:
    configs: list[dict[str, str]] = job.get("http_sd_configs", [])
    return configs


def test_alertmanager_gets_a_receiver(tmp_path: Path) -> None:
    """The default receiver, which as shipped delivers to nobody, posts to a URL."""
    receiver = webhook("http://127.0.0.1:5001/")
    main = write_alertmanager(tmp_path / "made", receiver=receiver)
    receivers = {one["name"]: one for one in yaml.safe_load(main.read_text())["receivers"]}
    assert receivers["default"] == {
        "name": "default",
        "webhook_configs": [{"url": "http://127.0.0.1:5001/", "send_resolved": True}],
    }
    assert receivers["dead-mans-switch"] == {"name": "dead-mans-switch"}
    assert _files(tmp_path / "made") == _files(ROOT / "alertmanager")


def _files(directory: Path) -> set[str]:
    """Of a directory, but for those that are for other tools."""
    return {
        str(path.relative_to(directory))
        for path in directory.rglob("*")
        if path.is_file() and path.name not in ("kustomization.yaml", ".lint")
    }


def test_writing_twice_is_as_good_as_once(tmp_path: Path) -> None:
    """A directory that a demo used before is used again, with the new addresses."""
    for port in (1, 2):
        main = write_prometheus(tmp_path, exporter=f"h:{port}", prometheus="h:8", alertmanager="h:9")
    assert "h:1" not in main.read_text()


@pytest.mark.parametrize("part", ["prometheus", "alertmanager", "grafana"])
def test_what_was_installed_comes_first(part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a wheel the files lie inside the package, in a checkout beside it."""
    assert shipped.shipped(part) == ROOT / part
    installed = tmp_path / "exporter" / "shipped" / part
    installed.mkdir(parents=True)
    monkeypatch.setattr(shipped, "_PACKAGE", tmp_path / "exporter")
    assert shipped.shipped(part) == installed


ADDRESSES = shipped.Addresses("exporter.example:8001", "prometheus.example:9091", "alertmanager.example:9094")


def test_everything_is_exported(tmp_path: Path) -> None:
    """All files of the three programs but those for other tools, with the given addresses and no other."""
    told = shipped.export(tmp_path / "made", ADDRESSES)
    where = tmp_path / "made"
    assert told == [
        f"prometheus --config.file={where}/prometheus/prometheus.yml",
        f"alertmanager --config.file={where}/alertmanager/alertmanager.yml",
        f"grafana, with GF_PATHS_PROVISIONING={where}/grafana/provisioning",
        "Notifications go nowhere yet; --receiver is one of email, mailpit, pagerduty, slack, webhook.",
    ]
    assert _files(where) == {
        f"{part}/{file}"
        for part in ("prometheus", "alertmanager", "grafana")
        for file in _files(ROOT / part)
        if not file.startswith("source/")
    }
    sources = yaml.safe_load((where / "grafana/provisioning/datasources/heartbeat.yaml").read_text())
    assert [source["url"] for source in sources["datasources"]] == [
        "http://prometheus.example:9091",
        "http://alertmanager.example:9094",
    ]
    (provider,) = yaml.safe_load((where / "grafana/provisioning/dashboards/heartbeat.yaml").read_text())[
        "providers"
    ]
    assert provider["options"]["path"] == f"{where}/grafana/dashboards"
    assert "exporter.example:8001" in (where / "prometheus/prometheus.yml").read_text()


@pytest.mark.parametrize("address", ["http://exporter:8000", "exporter", "", "a b:1", "exporter:8000/path"])
@pytest.mark.parametrize("name", shipped.Addresses._fields)
def test_what_is_no_address_is_refused(name: str, address: str, tmp_path: Path) -> None:
    """Prometheus would take a URL for a host, and find nobody there."""
    with pytest.raises(UsageError, match=f"--{name}={address}: must be host:port"):
        shipped.export(tmp_path / "made", ADDRESSES._replace(**{name: address}))
    assert not (tmp_path / "made").exists()
    shipped.export(tmp_path / "made", ADDRESSES._replace(**{name: "[::1]:8000"}))


def test_a_directory_may_have_any_name(tmp_path: Path) -> None:
    """What YAML, a shell and Grafana have a meaning for is only a name."""
    where = tmp_path / "it's: #1 of $HOME"
    told = shipped.export(where, ADDRESSES)
    (provider,) = yaml.safe_load((where / "grafana/provisioning/dashboards/heartbeat.yaml").read_text())[
        "providers"
    ]
    assert provider["options"]["path"] == f"{where}/grafana/dashboards".replace("$", "$$")
    assert shlex.split(told[0])[1] == f"--config.file={where}/prometheus/prometheus.yml"


@pytest.mark.servers("promtool", "amtool")
@pytest.mark.parametrize("receiver", [None, *shipped.receivers()])
def test_what_is_exported_is_valid(receiver: str | None, tmp_path: Path) -> None:
    """Prometheus and Alertmanager take it, whichever receiver it has."""
    shipped.export(tmp_path, ADDRESSES, receiver=receiver)
    for command in (
        [program("promtool"), "check", "config", tmp_path / "prometheus/prometheus.yml"],
        [program("amtool"), "check-config", tmp_path / "alertmanager/alertmanager.yml"],
    ):
        checked = subprocess.run(command, capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stdout + checked.stderr


def test_nothing_is_written_over_unasked(tmp_path: Path) -> None:
    """Files that may have been edited stay, until somebody insists."""
    shipped.export(tmp_path, ADDRESSES)
    main = tmp_path / "prometheus/prometheus.yml"
    main.write_text("edited")
    with pytest.raises(UsageError) as refused:
        shipped.export(tmp_path, ADDRESSES)
    assert str(refused.value) == (
        f"{tmp_path} has prometheus, alertmanager, grafana already; --force writes over it"
    )
    assert main.read_text() == "edited"
    shipped.export(tmp_path, ADDRESSES, force=True)
    assert "exporter.example:8001" in main.read_text()


def test_a_receiver_that_there_is_not(tmp_path: Path) -> None:
    """Those that there are are named, and nothing is written."""
    with pytest.raises(
        UsageError, match="--receiver=pigeon: must be one of email, mailpit, pagerduty, slack"
    ):
        shipped.export(tmp_path / "made", ADDRESSES, receiver="pigeon")
    assert not (tmp_path / "made").exists()


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    """In a sentence, with the place."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ExporterError, match=f"cannot write to {tmp_path}/file/made: Not a directory"):
        shipped.export(tmp_path / "file/made", ADDRESSES)
