"""The configuration that comes with the program: for Prometheus, Alertmanager and Grafana.

In a wheel it lies inside this package, in a checkout beside it.
"""

from __future__ import annotations

import shutil
from pathlib import Path

_PACKAGE = Path(__file__).parent


def shipped(part: str) -> Path:
    """The directory of `prometheus`, `alertmanager` or `grafana`."""
    installed = _PACKAGE / "shipped" / part
    return installed if installed.is_dir() else _PACKAGE.parent / part


def write_prometheus(directory: Path, *, exporter: str, prometheus: str, alertmanager: str) -> Path:
    """Copy Prometheus' configuration with these addresses (`host:port`); returns the main file."""
    _copy_without_main(shipped("prometheus"), directory, "prometheus.yml")
    text = (shipped("prometheus") / "prometheus.yml").read_text()
    for placeholder, address in (
        ("manager:8000", exporter),
        ("alertmanager:9093", alertmanager),
        ("localhost:9090", prometheus),
    ):
        assert placeholder in text, f"prometheus.yml names no {placeholder}"
        text = text.replace(placeholder, address)
    main = directory / "prometheus.yml"
    main.write_text(text)
    return main


def write_alertmanager(directory: Path, *, receiver: str) -> Path:
    """Copy Alertmanager's configuration and give its default receiver this text; returns the main file.

    `receiver` continues the list entry `- name: default`, indented by four spaces.
    """
    _copy_without_main(shipped("alertmanager"), directory, "alertmanager.yml")
    main = directory / "alertmanager.yml"
    main.write_text((shipped("alertmanager") / "alertmanager.yml").read_text() + receiver)
    return main


def webhook(url: str) -> str:
    """The text of a default receiver that posts every notification to `url`."""
    return f"    webhook_configs:\n      - url: {url}\n        send_resolved: true\n"


def _copy_without_main(source: Path, directory: Path, main: str) -> None:
    shutil.copytree(source, directory, dirs_exist_ok=True, ignore=shutil.ignore_patterns(main))
