"""A real Alertmanager with the shipped configuration, and alerts as Prometheus sends them."""

from __future__ import annotations

import contextlib
import json
import shutil
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.support.processes import free_port, program, running

ROOT = Path(__file__).parents[2]
DIRECTORY = ROOT / "alertmanager"

EXTERNAL = "http://alertmanager.example"
"""What the Alertmanager of a test takes for its address, so that links are the same every time."""

Alert = Mapping[str, Any]


def completed(directory: Path, receiver: str, changes: Mapping[str, Any]) -> Path:
    """The shipped configuration with receivers/`receiver`.yml, in which `changes` replace values.

    It waits for company shorter than as shipped, and for none of an alert that is older. Returns the main
    file.
    """
    text = (DIRECTORY / "alertmanager.yml").read_text() + (
        DIRECTORY / f"receivers/{receiver}.yml"
    ).read_text()
    configuration = yaml.safe_load(text)
    configuration["route"] |= {"group_wait": "2s", "group_interval": "1s"}
    _, (integration,) = configuration["receivers"][-1].values()
    integration.update(changes)
    shutil.copytree(DIRECTORY / "templates", directory / "templates")
    main = directory / "alertmanager.yml"
    main.write_text(yaml.safe_dump(configuration))
    return main


@contextlib.contextmanager
def alertmanager(directory: Path, configuration: Path) -> Iterator[str]:
    """Runs for the length of a `with` block; yields where it is."""
    address = f"127.0.0.1:{free_port()}"
    command = [
        program("alertmanager"),
        f"--config.file={configuration}",
        f"--storage.path={directory / 'alertmanager-data'}",
        f"--web.listen-address={address}",
        f"--web.external-url={EXTERNAL}",
        "--cluster.listen-address=",
    ]
    url = f"http://{address}"
    with running(command, log=directory / "alertmanager.log", ready=f"{url}/-/ready"):
        yield url


def send(url: str, *alerts: Alert) -> None:
    """Give alerts to an Alertmanager. One without an `endsAt` fires for the next five minutes."""
    request = urllib.request.Request(
        f"{url}/api/v2/alerts",
        json.dumps(alerts).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10.0) as answer:
        assert answer.status == 200
