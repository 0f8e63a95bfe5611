"""The configuration that comes with the program, given other addresses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter import shipped
from exporter.shipped import webhook, write_alertmanager, write_prometheus

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
    return {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}


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
