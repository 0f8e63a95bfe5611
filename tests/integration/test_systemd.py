"""Both programs as services of systemd: the units, and what the programs tell."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from exporter.settings import Settings
from tests.support.processes import eventually, free_port, http_get, program, running
from tests.support.service_manager import ServiceManager, service_manager
from tests.support.serving import Serving, environment, exporter
from worker_agent.settings import WorkerSettings

UNITS = Path(__file__).parents[2] / "deploy/systemd"
EVERY_UNIT = ["heartbeat-exporter.service", "heartbeat-worker@.service"]
EXPOSED_AT_MOST = 15
"""Of 100, by systemd's own measure; what is left is that the programs talk to the network."""

WATCHDOG = 2.0


@pytest.mark.servers("systemd-analyze")
class TestUnits:
    @pytest.mark.parametrize("name", EVERY_UNIT)
    def test_systemd_understands_them(self, name: str, tmp_path: Path) -> None:
        """Every directive and value, with the programs where they are installed here."""
        text = (
            (UNITS / name).read_text("utf-8").replace("/opt/heartbeat/bin", str(Path(sys.executable).parent))
        )
        unit = tmp_path / name.replace("@", "@orders")
        unit.write_text(text, "utf-8")
        verified = subprocess.run(
            [program("systemd-analyze"), "verify", "--man=no", str(unit)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (verified.returncode, verified.stderr) == (0, "")

    @pytest.mark.parametrize("name", EVERY_UNIT)
    def test_they_may_do_little(self, name: str) -> None:
        """By systemd's own measure."""
        assessed = subprocess.run(
            [program("systemd-analyze"), "security", "--offline=yes", f"--threshold={EXPOSED_AT_MOST}", name],
            cwd=UNITS,
            capture_output=True,
            text=True,
            check=False,
        )
        assert assessed.returncode == 0, assessed.stdout[-2000:] + assessed.stderr

    @pytest.mark.parametrize(
        ("name", "settings"), list(zip(EVERY_UNIT, (Settings, WorkerSettings), strict=True))
    )
    def test_they_name_settings_that_exist(
        self, name: str, settings: type[Settings | WorkerSettings]
    ) -> None:
        """What a unit sets is a setting of its program, and wrong ones end it for good."""
        text = (UNITS / name).read_text("utf-8")
        (line,) = re.findall(r"^Environment=(.*)$", text, re.MULTILINE)
        assert {part.partition("=")[0].lower() for part in line.split()} <= set(settings.model_fields)
        assert "RestartPreventExitStatus=2\n" in text

    @pytest.mark.parametrize("name", EVERY_UNIT)
    def test_they_are_never_given_up(self, name: str) -> None:
        """Ten failures in five minutes, such as of a lease that is held, would be the last start else."""
        text = (UNITS / name).read_text("utf-8")
        assert "Restart=on-failure\n" in text
        assert "StartLimitIntervalSec=0\n" in text


@pytest.mark.slow
def test_an_exporter_is_ready_when_it_answers(tmp_path: Path) -> None:
    """Not before; then it lives, and says when it is asked to end."""
    with service_manager(tmp_path, WATCHDOG) as manager:
        variables = {"SQLITE_PATH": tmp_path / "registry.db", **manager.environment}
        with exporter(tmp_path, wait=False, **variables) as serving:
            assert manager.hears() == "READY=1"
            assert http_get(f"{serving.url}/-/healthy")
            assert [manager.hears(within=WATCHDOG) for _ in range(3)] == ["WATCHDOG=1"] * 3
            serving.process.terminate()
            eventually(lambda: manager.hears() == "STOPPING=1", within=10.0)
            assert serving.process.wait(10.0) == 0


@pytest.mark.slow
def test_a_stuck_exporter_is_noticed_and_says_where(tmp_path: Path) -> None:
    """It is not heard of for the time that the watchdog waits; SIGABRT has it print what it was doing."""
    with service_manager(tmp_path, WATCHDOG) as manager:
        variables = {"SQLITE_PATH": tmp_path / "registry.db", **manager.environment}
        with exporter(tmp_path, **variables) as serving:
            serving.process.send_signal(signal.SIGSTOP)
            time.sleep(0.2)
            manager.forget()
            with pytest.raises(TimeoutError):
                manager.hears(within=WATCHDOG)
            serving.process.send_signal(signal.SIGABRT)
            serving.process.send_signal(signal.SIGCONT)
            assert serving.process.wait(10.0) == -signal.SIGABRT
            assert "Fatal Python error: Aborted" in (tmp_path / "exporter.log").read_text("utf-8")


@pytest.mark.slow
def test_a_worker_with_a_stuck_loop_is_noticed(tmp_path: Path) -> None:
    """Its heartbeats go on, but systemd is told by the loop alone, and so hears nothing."""
    port = free_port()
    with exporter(tmp_path) as serving, service_manager(tmp_path, WATCHDOG) as manager:
        variables = environment(
            WORKER_ID="w",
            WORKER_PORT=port,
            MANAGER_HOST="127.0.0.1",
            MANAGER_PORT=serving.port,
            HEARTBEAT_INTERVAL=0.5,
            HEARTBEAT_TIMEOUT=3,
            **manager.environment,
        )
        with running(
            [sys.executable, "-m", "worker_agent.main"],
            log=tmp_path / "worker.log",
            ready=f"http://127.0.0.1:{port}/health/ready",
            env=variables,
            cwd=tmp_path,
        ):
            assert manager.hears() == "READY=1"
            assert manager.hears() == "WATCHDOG=1"
            blocked = subprocess.Popen(
                [sys.executable, "-c", f"import urllib.request as r; r.urlopen('http://127.0.0.1:{port}/block?seconds=4').read()"]
            )  # fmt: skip
            try:
                eventually(
                    lambda: _silent(manager),
                    within=20.0,
                    what="nothing heard for as long as the watchdog waits",
                )
                assert _status(serving) == "alive"
            finally:
                assert blocked.wait(20.0) == 0
            assert manager.hears() == "WATCHDOG=1"


def _silent(manager: ServiceManager) -> bool:
    try:
        manager.hears(within=WATCHDOG)
    except TimeoutError:
        return True
    return False


def _status(serving: Serving) -> str:
    status: str = serving.get("/workers/w")["status"]
    return status
