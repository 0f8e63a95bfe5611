"""`heartbeat-exporter loadtest` against a real exporter."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.processes import eventually, free_port
from tests.support.serving import environment, exporter

pytestmark = pytest.mark.slow


def loadtest(url: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "exporter", "loadtest", f"--exporter.url={url}", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )


def test_all_are_connected_and_leave(tmp_path: Path) -> None:
    """The table says so, the exporter agrees while it runs, and knows nobody of them afterwards."""
    with exporter(tmp_path) as serving:
        load = loadtest(serving.url, "--workers=40", "--interval=0.5", "--duration=4", "--groups=2")
        eventually(
            lambda: sum(worker["status"] == "alive" for worker in serving.get("/workers")) == 40, within=20.0
        )
        out, err = load.communicate(timeout=40.0)
        assert load.returncode == 0, out + err
        assert re.search(r"^connected +40, all of them after [\d.]+ s: \d+ a second *$", out, re.MULTILINE)
        assert re.search(r"^errors +none *$", out, re.MULTILINE)
        assert out.splitlines()[-1].strip() == "PASS"
        assert serving.get("/workers") == []
        assert {change["reason"] for change in serving.get("/transitions?limit=40")} == {"leave"}


def test_an_exporter_that_goes_away_is_a_failure(tmp_path: Path) -> None:
    """Its workers are not connected then, with what they say of it; exit code 1."""
    with exporter(tmp_path) as serving:
        load = loadtest(serving.url, "--workers=5", "--interval=0.5", "--duration=6")
        eventually(lambda: len(serving.get("/workers")) == 5, within=20.0)
        time.sleep(1.0)
        serving.process.send_signal(signal.SIGKILL)
        out, err = load.communicate(timeout=60.0)
    assert load.returncode == 1, out + err
    assert "FAIL: 0 of 5 workers connected, expected 100%" in out
    assert re.search(r"^not connected +5 .*Connect call failed|refused", out, re.MULTILINE)


def test_ctrl_c_ends_it_early_with_a_table(tmp_path: Path) -> None:
    """And with goodbyes: nobody is left behind."""
    with exporter(tmp_path) as serving:
        load = loadtest(serving.url, "--workers=5", "--interval=0.5", "--duration=600")
        eventually(
            lambda: sum(worker["status"] == "alive" for worker in serving.get("/workers")) == 5, within=20.0
        )
        load.send_signal(signal.SIGINT)
        out, err = load.communicate(timeout=20.0)
        assert load.returncode == 0, out + err
        assert "PASS" in out
        assert serving.get("/workers") == []


def test_ctrl_c_while_they_register_leaves_nobody_behind(tmp_path: Path) -> None:
    """Some have registered and not yet connected then: they would soon be alerted of."""
    with exporter(tmp_path) as serving:
        load = loadtest(serving.url, "--workers=5000", "--rate=300", "--duration=600")
        eventually(lambda: len(serving.get("/workers")) >= 50, within=20.0)
        load.send_signal(signal.SIGINT)
        out, err = load.communicate(timeout=40.0)
        assert load.returncode == 1, out + err
        assert "left behind" not in out
        assert serving.get("/workers") == []


def test_an_exporter_that_stands_still_is_a_failure(tmp_path: Path) -> None:
    """An open connection on which no answer comes counts for nothing, even if it was answered once."""
    with exporter(tmp_path) as serving:
        load = loadtest(serving.url, "--workers=20", "--interval=1.5", "--duration=7")
        eventually(
            lambda: sum(worker["status"] == "alive" for worker in serving.get("/workers")) == 20, within=20.0
        )
        serving.process.send_signal(signal.SIGSTOP)
        try:
            out, err = load.communicate(timeout=60.0)
        finally:
            serving.process.send_signal(signal.SIGCONT)
    assert load.returncode == 1, out + err
    assert "FAIL: 0 of 20 workers connected, expected 100%" in out
    assert re.search(r"^left behind +20, which could not take leave *$", out, re.MULTILINE)


def test_nobody_there() -> None:
    """Said at once, before thousands find it out one by one."""
    load = loadtest(f"http://127.0.0.1:{free_port()}")
    out, err = load.communicate(timeout=20.0)
    assert (load.returncode, out) == (1, "")
    assert "connection refused" in err
