"""Every command of README.md and of the quickstart does what it says, typed as it stands there.

Only addresses are others than on the page, since ports may be taken.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.guides import Command, Shell, alike, commands, example, section, shell
from tests.support.processes import eventually, free_port, http_get, redis_server

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
QUICKSTART = (ROOT / "docs" / "quickstart.md").read_text()

SECTIONS = ("Use it", "Probe what sends no heartbeats")
INSTALLS = "make demo"
"""Not run here: it gets packages from the network. What it runs in the end has tests of its own."""

STAYS = re.compile(r"heartbeat-exporter serve|uvicorn ")
"""Commands that a reader leaves running, in a terminal of their own."""

pytestmark = pytest.mark.slow


def follow(reader: Shell, typed: Sequence[Command]) -> None:
    for number, command in enumerate(typed):
        if STAYS.search(command.text):
            reader.type(f"{command.text} > {number}.log 2>&1 &")
        else:
            reader.follow(command)


def test_no_command_of_the_readme_is_left_out() -> None:
    """Each is in one of the sections that are followed below, or is the one that installs."""
    followed = [command for name in SECTIONS for command in commands(section(README, name))]
    assert sorted(commands(README)) == sorted([*followed, Command(INSTALLS)])


def test_make_demo_ends_in_the_demo() -> None:
    """Of what it would do, the last is to become the program."""
    # As at a terminal: what started the tests may be make itself, which leaves it options.
    terminal = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    command = ["make", "--dry-run", INSTALLS.split()[1]]
    planned = subprocess.check_output(command, cwd=ROOT, text=True, env=terminal)
    assert planned.splitlines()[-1] == "exec .venv/bin/heartbeat-exporter demo"


@pytest.mark.servers("redis-server")
def test_the_readme_gives_a_monitored_application(tmp_path: Path) -> None:
    """Its exporter, its application, and configuration for those around it."""
    exporter, worker = free_port(), free_port()
    replaced = {"exporter.example": "127.0.0.1", "8000": str(exporter), "8001": str(worker)}
    text = section(README, SECTIONS[0])
    with (
        redis_server(tmp_path) as redis,
        shell(tmp_path, replaced, REDIS_PORT=redis, MANAGER_PORT=exporter) as reader,
    ):
        reader.write("yourapp.py", example(text, "python"))
        pip, serve, *rest = commands(text)
        reader.follow(pip)
        reader.type(f"{serve.text} > exporter.log 2>&1 &")
        eventually(lambda: http_get(f"http://127.0.0.1:{exporter}/-/ready"), within=30)
        follow(reader, rest)
        shown = re.compile(r"^Worker 1 default alive AGE AGE worker-1-[0-9a-f]+$", re.MULTILINE)
        (look,) = [command.text for command in rest if "exporter workers" in command.text]
        eventually(lambda: shown.search(alike(reader.type(look)[1])), within=30)
        assert http_get(f"http://127.0.0.1:{worker}/orders/7") == '{"order":7}'
        written = {path.name for path in (tmp_path / "monitoring").iterdir()}
        assert written == {"prometheus", "alertmanager", "grafana"}
        assert "slack_configs" in (tmp_path / "monitoring/alertmanager/alertmanager.yml").read_text()


@pytest.mark.servers("redis-server")
def test_the_readme_probes(tmp_path: Path) -> None:
    """Its configuration is accepted, and run."""
    exporter, refused = free_port(), free_port()
    replaced = {
        "shop.example.org": f"127.0.0.1:{refused}",
        "db.example.org": "127.0.0.1",
        "5432": str(refused),
        # Where it listens is not said on the page, and would be taken.
        "serve -c": f"serve --web.listen-address=127.0.0.1:{exporter} -c",
    }
    text = section(README, SECTIONS[1])
    with redis_server(tmp_path) as redis, shell(tmp_path, replaced, REDIS_PORT=redis) as reader:
        reader.write("probes.yml", example(text, "yaml"))
        follow(reader, commands(text))

        def targets() -> dict[str, str]:
            probes = json.loads(http_get(f"http://127.0.0.1:{exporter}/probes"))
            return {probe["name"]: probe["target"] for probe in probes}

        shop, database = f"https://127.0.0.1:{refused}/health", f"127.0.0.1:{refused}"
        eventually(lambda: targets() == {"shop": shop, "db": database}, within=30)


@pytest.mark.servers("prometheus", "alertmanager", "amtool")
def test_the_quickstart(tmp_path: Path) -> None:
    """From nothing to an alert, in one shell; each output is the one that the page shows."""
    ports = {number: str(free_port()) for number in ("8000", "8001", "9090", "9093")}
    addresses = {
        "--exporter": f"localhost:{ports['8000']}",
        "--prometheus": f"localhost:{ports['9090']}",
        "--alertmanager": f"localhost:{ports['9093']}",
    }
    export = "config export monitoring"
    options = " ".join(f"{option} {address}" for option, address in addresses.items())
    replaced = {**ports, export: f"{export} {options}"}
    given = {"MANAGER_PORT": ports["8000"], "EXPORTER_URL": f"http://localhost:{ports['8000']}"}
    with shell(tmp_path, replaced, **given) as reader:
        reader.write("orders.py", example(QUICKSTART, "python"))
        for command in commands(QUICKSTART):
            reader.follow(command)
        assert reader.type("wait") == (0, "\n")
