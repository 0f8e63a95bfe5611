"""The wheel, installed as a user does it, away from the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from exporter import __version__
from tests.support.demo import demos, nothing_is_left
from tests.support.packages import ROOT, build, shipped_files
from tests.support.processes import http_get, program

pytestmark = pytest.mark.slow


@pytest.mark.servers("promtool", "amtool")
def test_it_works_away_from_the_checkout(tmp_path: Path) -> None:
    """Installed by pipx without any extra, it hands out the configuration, and shows itself."""
    build(ROOT, tmp_path, "--wheel")
    (wheel,) = tmp_path.glob("*.whl")
    command = installed(wheel, tmp_path)
    assert run(command, "version", cwd=tmp_path) == f"heartbeat-exporter {__version__}\n"
    hands_out_the_configuration(command, tmp_path)
    shows_itself(command, tmp_path)


def installed(wheel: Path, directory: Path) -> str:
    """`pipx install`; returns the path of heartbeat-exporter."""
    places = {
        "PIPX_HOME": directory / "pipx",
        "PIPX_BIN_DIR": directory / "bin",
        "PIPX_MAN_DIR": directory / "man",
        "PIPX_COMPLETION_DIR": directory / "completion",
    }
    subprocess.run(
        [sys.executable, "-m", "pipx", "install", "--backend=pip", f"--python={sys.executable}", wheel],
        check=True,
        cwd=directory,
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
            **{name: str(place) for name, place in places.items()},
            "PIPX_DISABLE_SHARED_LIBS_AUTO_UPGRADE": "1",  # of pip
            "PIP_CONSTRAINT": str(ROOT / "constraints.txt"),
        },
        stdout=subprocess.DEVNULL,
    )
    return str(directory / "bin/heartbeat-exporter")


def hands_out_the_configuration(command: str, directory: Path) -> None:
    """All files that are shipped and no other, and Prometheus and Alertmanager take them."""
    run(command, "config", "export", "made", "--receiver=webhook", cwd=directory)
    made = directory / "made"
    assert {str(path.relative_to(made)) for path in made.rglob("*") if path.is_file()} == shipped_files()
    run(program("promtool"), "check", "config", made / "prometheus/prometheus.yml", cwd=directory)
    run(program("amtool"), "check-config", made / "alertmanager/alertmanager.yml", cwd=directory)


def shows_itself(command: str, directory: Path) -> None:
    """`demo`, with its pages, and without the library that only an extra brings; Ctrl-C ends it."""
    with demos(directory) as start:
        demo = start("demo", program=command, path="/nonexistent", PYTHONPATH="")
        demo.says("All 4 workers are alive")
        demo.says(r"pip install 'heartbeat-exporter\[worker\]'")
        url = demo.says(r"^  exporter +(http://\S+)$")[1].rstrip("/")
        assert "Worker 4" in http_get(f"{url}/")
        assert http_get(f"{url}/metrics").count("heartbeat_worker_up{") == 4
        assert demo.end() == 0
        assert nothing_is_left(directory, demo)


def run(*words: str | Path, cwd: Path) -> str:
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
