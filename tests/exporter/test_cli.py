"""The command `heartbeat-exporter`: its flags, and what it says where it cannot run."""

from __future__ import annotations

import json
import logging
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from exporter import __version__, asking, cli, daemon, demo, notification, server
from exporter.configuration.model import Configuration
from exporter.core.model import Wall
from exporter.core.probing import Failure, History, ProbeRow, Result
from exporter.settings import Settings

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
    commands = text.partition("Commands:\n")[2]
    assert [line.split()[0] for line in commands.splitlines() if line[2:3].strip()] == [
        "serve",
        "probe",
        "demo",
        "check-config",
        "test-notification",
        "workers",
        "forget",
        "healthcheck",
        "loadtest",
        "version",
        "config",
    ]
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
UNKNOWN_ACTION = TESTDATA / "rejected" / "unknown-action.yml"
PROBLEMS = (
    f"{UNKNOWN_ACTION}: probes.db.action (line 2): there is no action ngnix (did you mean nginx?)\n"
    f"{UNKNOWN_ACTION}: probes.web.action (line 3): there is no action other\n"
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """One probe."""
    path = tmp_path / "probes.yml"
    path.write_text("probes:\n  db: {type: tcp, host: db, port: 5432}\n")
    return path


def probes(app: FastAPI) -> list[str]:
    return [row.name for row in app.state.exporter.probing.rows()]


def paths(app: FastAPI) -> set[str]:
    return set(app.openapi()["paths"])


def test_serves_probes(
    run: Run, served: list[tuple[FastAPI, str]], file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The file is named by a flag, long or short, or by the environment; without one there are none."""
    other = tmp_path / "other.yml"
    other.write_text("probes:\n  web: {type: http, host: web}\n")
    assert run("serve") == 0
    assert run("serve", "-c", str(file)) == 0
    monkeypatch.setenv("CONFIG_FILE", str(other))
    assert run("serve") == 0
    assert run("serve", f"--config.file={file}") == 0
    assert [probes(app) for app, _ in served] == [[], ["db"], ["web"], ["db"]]


def test_does_not_serve_a_wrong_file(
    run: Run, served: list[tuple[FastAPI, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    """Every problem is a line on standard error; exit code 2."""
    assert run("serve", "-c", str(UNKNOWN_ACTION)) == 2
    assert (capsys.readouterr(), served) == (("", PROBLEMS), [])


def test_serves_without_workers(run: Run, served: list[tuple[FastAPI, str]], file: Path) -> None:
    """All that is about workers is not there, and all else is."""
    assert run("serve", "-c", str(file)) == 0
    assert run("serve", "-c", str(file), "--no-workers") == 0
    (with_workers, without) = (paths(app) for app, _ in served)
    assert {"/probes", "/actions", "/metrics", "/-/reload", "/health/ready"} <= without
    assert with_workers - without == {
        "/register",
        "/sd",
        "/transitions",
        "/workers",
        "/workers/{worker_id}",
    }


def test_reloads_over_http_only_if_told(
    run: Run, served: list[tuple[FastAPI, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a flag, as in the Prometheus family, or by the environment."""
    assert run("serve") == 0
    assert run("serve", "--web.enable-lifecycle") == 0
    monkeypatch.setenv("ENABLE_LIFECYCLE", "true")
    assert run("serve") == 0
    answers = [TestClient(app).post("/-/reload").status_code for app, _ in served]
    assert answers == [403, 500, 500]  # enabled, but there is no file


# probe

Done = tuple[str, Settings, Configuration, Path]


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[Done]:
    """What would have been done: how, with which settings, configuration and state."""
    calls: list[Done] = []
    for how in ("act_once", "stay"):
        monkeypatch.setattr(daemon, how, lambda *given, how=how: calls.append((how, *given)))
    return calls


def row(name: str, failure: Failure | None = None) -> ProbeRow:
    last = Result(Wall(1_700_000_000.5), 0.01, failure)
    return ProbeRow(name, "tcp", "db:5432", last.success, last.at, last, 1, (), History((last,)))


def test_probe_is_one_pass_or_stays(run: Run, done: list[Done], file: Path, tmp_path: Path) -> None:
    """It stays with `-d`, or with `daemonize` in the file, which is then not needed."""
    stays = tmp_path / "heartbeat.conf"
    stays.write_text("[general]\ndaemonize = yes\n")
    assert run("probe", "-c", str(file)) == 0
    assert run("probe", "-c", str(file), "-d") == 0
    assert run("probe", "-c", str(file), "--daemonize") == 0
    assert run("probe", "-c", str(stays)) == 0
    assert [how for how, *_ in done] == ["act_once", "stay", "stay", "stay"]
    assert [settings.config_file for _, settings, *_ in done] == [file, file, file, stays]
    assert [len(configuration.probes) for *_, configuration, _ in done] == [1, 1, 1, 0]


def test_probe_keeps_its_state(
    run: Run, done: list[Done], file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where `--state` says, or else SQLITE_PATH, or else in a place of its own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert run("probe", "-c", str(file), "--state", "here.db") == 0
    assert run("probe", "-c", str(file)) == 0
    monkeypatch.delenv("SQLITE_PATH")
    assert run("probe", "-c", str(file)) == 0
    assert [state for *_, state in done] == [
        Path("here.db"),
        tmp_path / "registry.db",
        tmp_path / "heartbeat-exporter" / "probe.db",
    ]


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        ([], 0),
        ([row("db"), row("web")], 0),
        ([row("db"), row("web", Failure.REFUSED)], 1),
        ([row("db")._replace(last=None)], 1),
    ],
)
@pytest.mark.parametrize("as_json", [False, True])
def test_probe_once_only_shows(
    rows: list[ProbeRow],
    code: int,
    as_json: bool,
    run: Run,
    done: list[Done],
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A table or JSON on standard output, and exit code 1 if anything failed; no action runs."""
    monkeypatch.setattr(daemon, "look", lambda configuration: rows)
    assert run("probe", "-c", str(file), "--once", *(["--json"] if as_json else [])) == code
    assert capsys.readouterr() == (daemon.shown(rows, as_json=as_json), "")
    assert done == []


@pytest.mark.parametrize("flags", [("--json",), ("--json", "-d"), ("--once", "-d")])
def test_probe_with_flags_that_do_not_go_together(
    flags: tuple[str, ...], run: Run, done: list[Done], file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who asks to be shown something must not have actions run instead; exit code 2."""
    monkeypatch.setattr(daemon, "look", lambda configuration: pytest.fail("looked"))
    assert run("probe", "-c", str(file), *flags) == 2
    assert done == []


def test_probe_without_a_file(run: Run, done: list[Done], capsys: pytest.CaptureFixture[str]) -> None:
    """Is a mistake on the command line; exit code 2."""
    assert run("probe") == 2
    assert "-c: which file?" in capsys.readouterr().err
    assert done == []


def test_probe_with_a_wrong_file(run: Run, done: list[Done], capsys: pytest.CaptureFixture[str]) -> None:
    """Every problem is a line on standard error, before anything else happens; exit code 2."""
    assert run("probe", "-c", str(UNKNOWN_ACTION), "-d") == 2
    assert (capsys.readouterr(), done) == (("", PROBLEMS), [])


# check-config


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
    assert run("check-config", str(UNKNOWN_ACTION)) == 2
    assert capsys.readouterr() == ("", PROBLEMS)


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


# test-notification


@pytest.fixture
def notified(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """What would have been sent where."""
    calls: list[tuple[str, Any]] = []

    async def send(url: str, alert: Any) -> notification.Taken:
        calls.append((url, alert))
        return notification.Taken(["default"], [])

    monkeypatch.setattr(notification, "send", send)
    return calls


def test_test_notification(
    run: Run, notified: list[tuple[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    """By flags: where to, for which route, and for how long; what was done is told."""
    assert run("test-notification") == 0
    assert capsys.readouterr().out.startswith("Sent HeartbeatTest (group default, severity warning) to ")
    flags = ("--alertmanager.url=http://am/x", "--group=payments", "--severity=critical", "--duration=90")
    assert run("test-notification", *flags) == 0
    (first_url, first), (url, alert) = notified
    assert (first_url, lasts(first)) == ("http://localhost:9093", 60.0)
    assert (url, lasts(alert)) == ("http://am/x", 90.0)
    assert {"group": "payments", "severity": "critical"}.items() <= alert["labels"].items()


def lasts(alert: dict[str, str]) -> float:
    start, end = (datetime.fromisoformat(alert[key]) for key in ("startsAt", "endsAt"))
    return (end - start).total_seconds()


@pytest.mark.parametrize(
    "flag", ["--alertmanager.url=localhost:9093", "--severity=urgent", "--duration=0", "--duration=nan"]
)
def test_test_notification_with_wrong_flags(
    flag: str, run: Run, notified: list[tuple[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    """The flag is named, and nothing sent; exit code 2."""
    assert run("test-notification", flag) == 2
    assert flag.partition("=")[0] in capsys.readouterr().err
    assert notified == []


def test_test_notification_without_alertmanager(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What went wrong is a sentence; exit code 1."""

    async def send(url: str, alert: Any) -> notification.Taken:
        raise notification.NotTaken(f"no Alertmanager at {url}: refused")

    monkeypatch.setattr(notification, "send", send)
    assert run("test-notification") == 1
    assert capsys.readouterr() == (
        "",
        "heartbeat-exporter: no Alertmanager at http://localhost:9093: refused\n",
    )


def test_version_is_a_command_too(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """For those who expect one."""
    assert run("version") == 0
    assert capsys.readouterr().out == f"heartbeat-exporter {__version__}\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(
    run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, shell: str
) -> None:
    """The script that a shell is given names the command."""
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    assert run("--show-completion", shell) == 0
    assert "heartbeat-exporter" in capsys.readouterr().out


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """What was asked of which exporter; it knows one worker and is ready."""
    calls: list[tuple[object, ...]] = []

    class Exporter(asking.AskedExporter):
        def workers(self, filters: Mapping[str, str | list[str]]) -> asking.Workers:
            calls.append((self.url, "workers", dict(filters)))
            return asking.Workers([], 0.0)

        def forget(self, worker_id: str) -> None:
            calls.append((self.url, "forget", worker_id))
            if worker_id == "x":
                raise asking.Refused(404, "unknown worker: x")

        def ready(self, timeout: float) -> None:
            calls.append((self.url, "ready", timeout))

    monkeypatch.setattr(asking, "AskedExporter", Exporter)
    return calls


def test_workers_are_those_that_are_asked_for(
    run: Run, asked: list[tuple[object, ...]], capsys: pytest.CaptureFixture[str]
) -> None:
    """All filters of the API, several statuses among them; on port 8000 unless told otherwise."""
    assert run("workers", "--json") == 0
    assert capsys.readouterr().out == "[]\n"
    options = ("--status=alive", "--status=connected", "--group=a", "--q=b")
    assert run("workers", *options, "--exporter.url=http://exporter:1") == 0
    assert asked == [
        ("http://localhost:8000", "workers", {"status": [], "group": "", "q": ""}),
        ("http://exporter:1", "workers", {"status": ["alive", "connected"], "group": "a", "q": "b"}),
    ]


def test_the_exporter_may_be_named_once_for_all(
    run: Run, asked: list[tuple[object, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the environment; a flag wins."""
    monkeypatch.setenv("EXPORTER_URL", "http://exporter:2")
    assert run("healthcheck") == 0
    assert run("healthcheck", "--timeout=0.5", "--exporter.url=http://exporter:3") == 0
    assert asked == [("http://exporter:2", "ready", 3.0), ("http://exporter:3", "ready", 0.5)]


def test_forgetting(run: Run, asked: list[tuple[object, ...]], capsys: pytest.CaptureFixture[str]) -> None:
    """It says what it did; of one that is not known it repeats what the exporter says, exit code 1."""
    assert run("forget", "a") == 0
    assert run("forget", "x") == 1
    assert capsys.readouterr() == (
        "forgotten: a\n",
        "heartbeat-exporter: the exporter says: unknown worker: x\n",
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("workers", "--watch", "--json"), "--json"),
        (("workers", "--watch"), "only on a terminal"),
        (("workers", "--status=asleep"), "asleep"),
        (("healthcheck", "--timeout=0"), "--timeout"),
        (("healthcheck", "--exporter.url=exporter:8000"), "must be http://host:port"),
        (("forget",), "ID"),
        (("config", "export"), "DIR"),
    ],
)
def test_questions_that_make_no_sense(
    run: Run, arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Said before anybody is asked; exit code 2."""
    assert run(*arguments) == 2
    assert said in capsys.readouterr().err


def test_configuration_is_exported(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where it is to go, with the addresses and the receiver that were given."""
    assert run("config", "export", str(tmp_path), "--exporter=e:1", "--receiver=slack") == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
    assert "e:1" in (tmp_path / "prometheus/prometheus.yml").read_text()
    assert "slack_configs" in (tmp_path / "alertmanager/alertmanager.yml").read_text()
    assert run("config", "export", str(tmp_path)) == 2
    assert "--force" in capsys.readouterr().err


def test_a_health_check_pays_for_no_server() -> None:
    """What a container runs every few seconds imports neither the server nor the metrics."""
    code = "import sys, exporter.cli, exporter.asking; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"fastapi", "uvicorn", "redis", "structlog", "aiohttp", "prometheus_client"}.isdisjoint(
        loaded.stdout.split()
    )
