"""The command `heartbeat-exporter`: its flags, and what it says where it cannot run."""

from __future__ import annotations

import json
import logging
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from exporter import __version__, cli, demo, server

Run = Callable[..., int]


@pytest.fixture
def run(
    bare_environment: None, logging_as_found: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Run:
    """The command with these arguments, in this process; returns its exit code."""
    monkeypatch.setenv("SQLITE_PATH", str(tmp_path / "registry.db"))

    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["heartbeat-exporter", *arguments])
        try:
            cli.main()
        except SystemExit as ended:
            return int(ended.code or 0)
        return 0

    return run


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[tuple[FastAPI, str]]:
    """What would have been served where."""
    calls: list[tuple[FastAPI, str]] = []
    monkeypatch.setattr(server, "serve", lambda app, address: calls.append((app, address)))
    return calls


def test_version(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """One line, as Prometheus' own programs print it."""
    assert run("--version") == 0
    assert capsys.readouterr().out == f"heartbeat-exporter {__version__}\n"


def test_help_names_the_commands(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """Also without any argument, which is then no success."""
    assert run("--help") == 0
    text = capsys.readouterr().out
    assert "serve" in text
    assert "demo" in text
    assert run() == 2
    assert text.splitlines()[1:] == "".join(capsys.readouterr()).splitlines()[1:]


def test_listens_on_port_8000_unless_told_otherwise(run: Run, served: list[tuple[FastAPI, str]]) -> None:
    """The flag is called as in the Prometheus family."""
    assert run("serve") == 0
    assert run("serve", "--web.listen-address=[::1]:9000") == 0
    assert [address for _, address in served] == [":8000", "[::1]:9000"]
    assert all(isinstance(app, FastAPI) for app, _ in served)


@pytest.mark.parametrize(
    ("arguments", "level", "line"),
    [
        ((), logging.ERROR, "level=error"),
        (("--log.level=debug",), logging.DEBUG, "level=error"),
        (("--log.level", "WARNING", "--log.format", "json"), logging.WARNING, '"level": "error"'),
    ],
)
def test_flags_win_over_the_environment(
    arguments: tuple[str, ...],
    level: int,
    line: str,
    run: Run,
    served: list[tuple[FastAPI, str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What is not given as a flag comes from the environment."""
    monkeypatch.setenv("LOG_LEVEL", "ERROR")
    monkeypatch.setenv("LOG_FORMAT", "logfmt")
    assert run("serve", *arguments) == 0
    assert logging.getLogger().level == level
    logging.getLogger("exporter.test").error("x")
    assert line in capsys.readouterr().err


def test_wrong_settings(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those of the environment and those of the flags are all named at once; exit code 2."""
    monkeypatch.setenv("MAX_WORKERS", "0")
    assert run("serve", "--log.format=xml") == 2
    assert capsys.readouterr() == (
        "",
        "MAX_WORKERS=0: must be greater than or equal to 1\n"
        "LOG_FORMAT=xml: must be 'console', 'logfmt' or 'json'\n",
    )


@pytest.mark.parametrize("arguments", [("serve", "--web.port=1"), ("serve", "x"), ("sevre",)])
def test_wrong_arguments(arguments: tuple[str, ...], run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """A flag or command that there is not; exit code 2."""
    assert run(*arguments) == 2
    assert arguments[-1].partition("=")[0] in capsys.readouterr().err


def test_a_bad_address(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """A sentence that names the flag; exit code 2."""
    assert run("serve", "--web.listen-address=everywhere") == 2
    assert capsys.readouterr().err == (
        "heartbeat-exporter: --web.listen-address=everywhere: must be host:port or :port,"
        " with a port up to 65535\n"
    )


def test_a_port_in_use(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """A sentence that names the address; exit code 5."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        assert run("serve", f"--web.listen-address={address}") == 5
    assert capsys.readouterr().err == (
        f"heartbeat-exporter: cannot listen on {address}: the address is already in use"
        " (--web.listen-address sets another)\n"
    )


def test_an_option_of_redis_that_is_wrong(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What only the client of Redis can tell is said without the URL as well; exit code 2."""
    monkeypatch.delenv("SQLITE_PATH")
    monkeypatch.setenv("REDIS_URL", "redis://:geheim@localhost/0?socket_timeout=soon")
    assert run("serve") == 2
    said = capsys.readouterr().err
    assert said.startswith("heartbeat-exporter: REDIS_URL=****: ")
    assert "socket_timeout" in said
    assert "geheim" not in said


def test_a_defect(run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """What nobody expected is a line in the log as well, with its traceback; exit code 1."""

    def defective(app: FastAPI, address: str) -> None:
        raise LookupError("lost")

    monkeypatch.setattr(server, "serve", defective)
    assert run("serve", "--log.format=json") == 1
    (line,) = map(json.loads, capsys.readouterr().err.splitlines())
    assert (line["level"], line["component"], line["event"]) == ("critical", "manager", "ended by a defect")
    assert line["exception"].endswith("LookupError: lost")


TESTDATA = Path(__file__).parent / "configuration" / "testdata"


def test_check_config(run: Run, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """What was understood goes to standard output; what is odd about it is a warning beside it."""
    file = tmp_path / "probes.yml"
    file.write_text("actions:\n  idle: {demote: stop}\n")
    assert run("check-config", str(file)) == 0
    shown = capsys.readouterr()
    assert shown.out.splitlines()[:2] == [
        "action  promote  demote  timeout  depends on",
        "idle    -        stop    30s      -",
    ]
    assert shown.err == (
        f"warning: {file}: actions.idle (line 2): is never run: no probe names it, and it has no `on`\n"
    )


def test_check_config_of_a_wrong_file(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """Every problem is a line on standard error, with file, place and expectation; exit code 2."""
    file = TESTDATA / "rejected" / "unknown-action.yml"
    assert run("check-config", str(file)) == 2
    assert capsys.readouterr() == (
        "",
        f"{file}: probes.db.action (line 2): there is no action ngnix (did you mean nginx?)\n"
        f"{file}: probes.web.action (line 3): there is no action other\n",
    )


def test_check_config_without_a_file(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """Is a mistake on the command line; exit code 2."""
    assert run("check-config") == 2
    assert "which file?" in capsys.readouterr().err


def test_the_schema_of_the_configuration(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """The one that is in the documentation, for installations without it."""
    assert run("check-config", "--schema") == 0
    assert capsys.readouterr().out == (Path(__file__).parents[2] / "docs/config.schema.json").read_text()


def test_demo(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo's files go where `--dir` says, or nowhere that stays."""
    directories: list[Any] = []
    monkeypatch.setattr(demo, "run", directories.append)
    assert run("demo") == 0
    assert run("demo", "--dir", "here") == 0
    assert directories == [None, Path("here")]
