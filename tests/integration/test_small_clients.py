"""The two clients in docs/protocol.md are workers like any other."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.guides import example
from tests.support.processes import eventually, find_program, free_port, running
from tests.support.serving import Serving, environment, exporter

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "protocol.md").read_text().partition("\n## Register\n")[0]

pytestmark = pytest.mark.slow

NEEDS_WEBSOCAT = pytest.mark.servers("websocat")


def written(directory: Path, port: int) -> dict[str, list[str]]:
    """Both, as files, with the address of the exporter; the commands that start them."""
    names = {"python": "importer.py", "sh": "beat.sh"}
    for language, name in names.items():
        (directory / name).write_text(example(PAGE, language).replace("localhost:8000", f"127.0.0.1:{port}"))
    return {"python": [sys.executable, "importer.py"], "sh": ["sh", "beat.sh"]}


def beside_this() -> dict[str, str]:
    """An environment whose path has websocat, if there is one."""
    found = find_program("websocat")
    path = [str(Path(found).parent)] if found else []
    return environment(PATH=os.pathsep.join([*path, os.environ["PATH"]]))


def changes(serving: Serving) -> Sequence[tuple[str, str, str]]:
    """Of status, the first first: the worker, where to, and why."""
    return [(each["worker"], each["to"], each["reason"]) for each in reversed(serving.get("/transitions"))]


@pytest.mark.parametrize(
    ("language", "worker", "end"),
    [
        pytest.param("python", "Importer 1", ("disconnected", "shutdown"), id="python"),
        pytest.param("sh", "Backup 1", ("forgotten", "leave"), id="sh", marks=NEEDS_WEBSOCAT),
    ],
)
def test_it_comes_back_and_says_goodbye(
    language: str, worker: str, end: tuple[str, str], tmp_path: Path
) -> None:
    """It is alive, alive again after a restart of the exporter, and ends as its guide says."""
    port, stop = free_port(), tmp_path / "stop"
    command = written(tmp_path, port)[language]
    if language == "sh":
        command += ["sh", "-c", f"until [ -e {stop} ]; do sleep 0.1; done"]

    def connected(serving: Serving) -> bool:
        workers = [(each["name"], each["status"]) for each in serving.get("/workers")]
        return workers == [(worker, "alive")] and serving.metric("heartbeat_connections") == 1

    with contextlib.ExitStack() as client:
        with exporter(tmp_path, port=port) as serving:
            process = client.enter_context(
                running(
                    command,
                    log=tmp_path / "client.log",
                    ready=lambda: connected(serving),
                    env=beside_this(),
                    cwd=tmp_path,
                )
            )
            assert changes(serving) == [
                (worker, "registered", "registered"),
                (worker, "connected", "connected"),
                (worker, "alive", "heartbeat"),
            ]
        with exporter(tmp_path, port=port, name="again") as again:
            eventually(lambda: connected(again), within=30)
            if language == "sh":
                stop.touch()
            else:
                process.terminate()
            assert process.wait(20) == 0
            eventually(lambda: changes(again)[-1] == (worker, *end), within=5)


@NEEDS_WEBSOCAT
def test_the_exit_code_is_that_of_the_command(tmp_path: Path) -> None:
    """Who runs a job with heartbeats sees how the job ended, and what it said."""
    with exporter(tmp_path) as serving:
        command = written(tmp_path, serving.port)["sh"]
        done = subprocess.run(
            [*command, "sh", "-c", "sleep 2; echo saved; exit 3"],
            capture_output=True,
            text=True,
            env=beside_this(),
            cwd=tmp_path,
            timeout=30,
            check=False,
        )
        assert (done.returncode, done.stdout, done.stderr) == (3, "saved\n", "")
