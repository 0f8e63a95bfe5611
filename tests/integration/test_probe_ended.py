"""`heartbeat-exporter probe` that is told to end while a command runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import eventually

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_pass_takes_its_commands_along(number: int, tmp_path: Path) -> None:
    """No command goes on without it; the exit code is that of the signal, as a shell has it."""
    file, running = tmp_path / "probes.yml", tmp_path / "running"
    command = f"sh -c 'echo $$ > {running}; exec sleep 60'"
    file.write_text(
        "probes: {closed: {type: tcp, host: 127.0.0.1, port: 1, action: slow}}\n"
        f'actions: {{slow: {{demote: "{command}", run_on_start: true}}}}\n'
        "brake: {share: 1}\n"
    )
    probe = subprocess.Popen(
        [sys.executable, "-m", "exporter", "probe", "-c", str(file), "--state", str(tmp_path / "probe.db")],
        cwd=ROOT,
        stderr=subprocess.DEVNULL,
    )
    try:
        eventually(lambda: running.exists() and running.read_text().endswith("\n"), within=20)
        probe.send_signal(number)
        assert probe.wait(10) == 128 + number
    finally:
        probe.kill()
    with pytest.raises(ProcessLookupError):
        os.kill(int(running.read_text()), 0)
