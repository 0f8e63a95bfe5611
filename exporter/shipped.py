"""The configuration that comes with the program: for Prometheus, Alertmanager and Grafana.

In a wheel it lies inside this package, in a checkout beside it.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from exporter.errors import ExporterError, UsageError

_ADDRESS = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}")

_PACKAGE = Path(__file__).parent


def shipped(part: str) -> Path:
    """The directory of `prometheus`, `alertmanager` or `grafana`."""
    installed = _PACKAGE / "shipped" / part
    return installed if installed.is_dir() else _PACKAGE.parent / part


class Addresses(NamedTuple):
    """Where the programs find each other, each as `host:port`."""

    exporter: str
    prometheus: str
    alertmanager: str


def receivers() -> Sequence[str]:
    """The default receivers to choose from, by name."""
    return sorted(path.stem for path in (shipped("alertmanager") / "receivers").glob("*.yml"))


def export(
    directory: Path, addresses: Addresses, *, receiver: str | None = None, force: bool = False
) -> Sequence[str]:
    """Write all of it below `directory`, which is made; returns what to tell the user, a line each.

    Raises:
        UsageError: there is no such receiver, an address is none, or files are there already and `force` is
            not given.
        ExporterError: it cannot be written there.
    """
    if receiver is not None and receiver not in receivers():
        raise UsageError(f"--receiver={receiver}: must be one of {', '.join(receivers())}")
    for name, address in addresses._asdict().items():
        if _ADDRESS.fullmatch(address) is None:
            raise UsageError(f"--{name}={address}: must be host:port, without http:// and a path")
    parts = ("prometheus", "alertmanager", "grafana")
    present = [part for part in parts if (directory / part).exists()]
    if present and not force:
        raise UsageError(f"{directory} has {', '.join(present)} already; --force writes over it")
    try:
        _write(directory.resolve(), addresses, receiver)
    except OSError as error:
        raise ExporterError(f"cannot write to {directory}: {error.strerror or error}") from None
    where = directory.resolve()
    told = [
        "prometheus --config.file=" + shlex.quote(f"{where}/prometheus/prometheus.yml"),
        "alertmanager --config.file=" + shlex.quote(f"{where}/alertmanager/alertmanager.yml"),
        "grafana, with GF_PATHS_PROVISIONING=" + shlex.quote(f"{where}/grafana/provisioning"),
    ]
    if receiver is None:
        told.append(f"Notifications go nowhere yet; --receiver is one of {', '.join(receivers())}.")
    return told


def _write(directory: Path, addresses: Addresses, receiver: str | None) -> None:
    write_prometheus(directory / "prometheus", **addresses._asdict())
    text = "" if receiver is None else (shipped("alertmanager") / f"receivers/{receiver}.yml").read_text()
    write_alertmanager(directory / "alertmanager", receiver=text)
    write_grafana(directory / "grafana", addresses)


def write_grafana(directory: Path, addresses: Addresses) -> None:
    """Copy dashboards and provisioning, with the data sources where they are."""
    for part in ("dashboards", "provisioning"):
        _copy(shipped("grafana") / part, directory / part)
    _replace(
        directory / "provisioning/datasources/heartbeat.yaml",
        ("//prometheus:9090", f"//{addresses.prometheus}"),
        ("//alertmanager:9093", f"//{addresses.alertmanager}"),
    )
    _replace(
        directory / "provisioning/dashboards/heartbeat.yaml",
        # Grafana puts a variable in the place of what follows a dollar sign.
        (
            "path: /etc/grafana/dashboards",
            f"path: {json.dumps(f'{directory}/dashboards'.replace('$', '$$'))}",
        ),
    )


def write_prometheus(directory: Path, *, exporter: str, prometheus: str, alertmanager: str) -> Path:
    """Copy Prometheus' configuration with these addresses (`host:port`); returns the main file."""
    _copy(shipped("prometheus"), directory)
    main = directory / "prometheus.yml"
    _replace(
        main,
        ("manager:8000", exporter),
        ("alertmanager:9093", alertmanager),
        ("localhost:9090", prometheus),
    )
    return main


def write_alertmanager(directory: Path, *, receiver: str) -> Path:
    """Copy Alertmanager's configuration and give its default receiver this text; returns the main file.

    `receiver` continues the list entry `- name: default`, indented by four spaces.
    """
    _copy(shipped("alertmanager"), directory)
    main = directory / "alertmanager.yml"
    main.write_text(main.read_text() + receiver)
    return main


def webhook(url: str) -> str:
    """The text of a default receiver that posts every notification to `url`."""
    return f"    webhook_configs:\n      - url: {url}\n        send_resolved: true\n"


def _copy(source: Path, directory: Path) -> None:
    shutil.copytree(
        source,
        directory,
        dirs_exist_ok=True,
        # For Kubernetes, and for the linter of dashboards.
        ignore=shutil.ignore_patterns("kustomization.yaml", ".lint"),
    )


def _replace(file: Path, *replacements: tuple[str, str]) -> None:
    text = file.read_text()
    for placeholder, value in replacements:
        assert placeholder in text, f"{file.name} names no {placeholder}"
        text = text.replace(placeholder, value)
    file.write_text(text)
