"""`serve -c`: probes and actions beside the heartbeats, over real stores, through restarts and reloads."""

from __future__ import annotations

import contextlib
import signal
import sys
import time
import urllib.error
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus

from tests.support.processes import eventually, free_port, running
from tests.support.services import Ledger, Service
from tests.support.serving import Serving, environment, exporter

pytestmark = pytest.mark.slow

NO_BRAKE = "brake: {{share: 1}}\n"
BRAKE = "brake: {{share: 0.5, window: 10s, patience: 1s, hold: {hold}, then: {then}}}\n"

HOLD = 3.0
"""Seconds."""

PROBES = """\
defaults: {{interval: 200ms, timeout: 150ms, failure_threshold: 1, success_threshold: 1}}
probes:
  web: {{type: http, host: 127.0.0.1, port: {port}, action: nginx}}
actions:
  nginx: {{promote: {command}, demote: {command}}}
"""

WORKERS = """\
  pager: {{promote: {command}, demote: {command}, on: {{workers: {{group: payments}}}}}}
"""

MANY = """\
  all: {{promote: {command}, demote: {command}, on: {{probes: [{names}]}}}}
"""

HEARTBEATS = {"HEARTBEAT_INTERVAL": "0.5", "HEARTBEAT_TIMEOUT": "3"}
RECONNECT = 15.0
"""What the exporter grants its workers on top, after its own absence."""


@pytest.fixture
def service() -> Iterator[Service]:
    with Service() as service:
        service.up()
        yield service


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path)


Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path, service: Service, ledger: Ledger) -> Write:
    """Writes the configuration; returns its name."""

    def write(template: str, **values: object) -> str:
        given = {"port": service.port, "command": ledger.command, **values}
        (tmp_path / "probes.yml").write_text(template.format(**given))
        return "probes.yml"

    return write


@pytest.fixture(params=["sqlite", pytest.param("redis", marks=pytest.mark.servers("redis-server"))])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Mapping[str, object]:
    """Variables that choose one."""
    if request.param == "redis":
        return {"REDIS_URL": f"redis://127.0.0.1:{request.getfixturevalue('redis_port')}/0"}
    return {"SQLITE_PATH": tmp_path / "registry.db"}


@contextlib.contextmanager
def worker(directory: Path, name: str, serving: Serving) -> Iterator[Callable[[], None]]:
    """A worker of the group, alive; yields what kills it. It outlives exporters at the same address."""
    port = free_port()
    variables = {
        "WORKER_ID": name,
        "WORKER_NAME": name,
        "WORKER_HOST": "127.0.0.1",
        "WORKER_PORT": port,
        "WORKER_GROUP": "payments",
        "MANAGER_PORT": serving.port,
        **HEARTBEATS,
    }
    with running(
        [sys.executable, "-m", "worker_agent.main"],
        log=directory / f"{name}.log",
        ready=f"http://127.0.0.1:{port}/health/ready",
        env=environment(**variables),
    ) as process:

        def kill() -> None:
            process.kill()
            process.wait()

        eventually(lambda: statuses(serving)[name] == "alive", within=10.0)
        yield kill


def statuses(serving: Serving) -> dict[str, str]:
    return {worker["name"]: worker["status"] for worker in serving.get("/workers")}


def states(serving: Serving) -> dict[str, str | None]:
    return {action["name"]: action["state"] for action in serving.get("/actions")["actions"]}


def up(serving: Serving) -> list[bool | None]:
    return [probe["up"] for probe in serving.get("/probes")]


BOTH = {"nginx": "promoted", "pager": "promoted"}


def test_acts_on_probes_and_workers_and_goes_on_after_it_was_killed(
    tmp_path: Path, service: Service, ledger: Ledger, write: Write, store: Mapping[str, object]
) -> None:
    """Each change is acted on once: those seen, and after a SIGKILL those that came meanwhile."""
    file, port = write(NO_BRAKE + PROBES + WORKERS), free_port()
    with contextlib.ExitStack() as stack:

        def start(name: str) -> Serving:
            arguments = ["-c", file]
            return stack.enter_context(
                exporter(tmp_path, name=name, port=port, arguments=arguments, **HEARTBEATS, **store)
            )

        first = start("first")
        stack.enter_context(worker(tmp_path, "one", first))
        with worker(tmp_path, "two", first) as kill:
            eventually(lambda: states(first) == BOTH, within=10.0)
            assert ledger.lines() == []

            service.down()
            kill()
            seen = {"nginx demote web", "pager demote two"}
            eventually(lambda: set(ledger.lines()) == seen, within=10.0)
            assert first.metric('heartbeat_action_runs_total{action="pager",kind="demote"}') == 1.0
        service.up()
        eventually(lambda: len(ledger.lines()) == 3, within=10.0)
        with worker(tmp_path, "two", first) as kill:
            eventually(lambda: len(ledger.lines()) == 4, within=10.0)
            assert set(ledger.lines()[2:]) == {"nginx promote web", "pager promote two"}
            eventually(lambda: states(first) == BOTH, within=5.0)
            time.sleep(1.5)  # one that is killed may lose what it has not written yet

            first.end(signal.SIGKILL)
            kill()
        service.down()
        ledger.path.write_text("")
        second = start("second")
        eventually(lambda: ledger.lines() == ["nginx demote web"], within=10.0)
        patience = float(HEARTBEATS["HEARTBEAT_TIMEOUT"]) + RECONNECT + 5.0
        expected = ["nginx demote web", "pager demote two"]
        eventually(lambda: ledger.lines() == expected, within=patience)
        assert statuses(second)["one"] == "alive"
        assert states(second) == {"nginx": "demoted", "pager": "demoted"}
        assert [run["action"] for run in second.get("/actions")["runs"]] == ["pager", "nginx"]
        assert second.complaints() == []
        assert second.end() == 0
        assert ledger.lines() == expected


def test_a_restart_in_which_nothing_changed_runs_nothing(
    tmp_path: Path, service: Service, ledger: Ledger, write: Write, store: Mapping[str, object]
) -> None:
    """What was promoted stays promoted, what was demoted stays demoted."""
    file = write(NO_BRAKE + PROBES)
    with exporter(tmp_path, arguments=["-c", file, "--no-workers"], **store) as serving:
        eventually(lambda: states(serving) == {"nginx": "promoted"}, within=10.0)
        assert serving.end() == 0
    with exporter(tmp_path, arguments=["-c", file, "--no-workers"], **store) as serving:
        eventually(lambda: serving.get("/actions")["actions"][0]["wanted"] == "promoted", within=10.0)
        assert ledger.lines() == []
        service.down()
        eventually(lambda: states(serving) == {"nginx": "demoted"}, within=10.0)
        assert serving.end() == 0
    with exporter(tmp_path, arguments=["-c", file, "--no-workers"], **store) as serving:
        eventually(lambda: serving.get("/actions")["actions"][0]["wanted"] == "demoted", within=10.0)
        asked = serving.get("/probes")[0]["runs"]
        eventually(lambda: serving.get("/probes")[0]["runs"] > asked + 1, within=5.0)
        assert serving.end() == 0
    assert ledger.lines() == ["nginx demote web"]


def test_without_workers(tmp_path: Path, write: Write) -> None:
    """Nobody can register or connect; probes, metrics and health are as they are."""
    with exporter(tmp_path, arguments=["-c", write(PROBES), "--no-workers"]) as serving:
        with pytest.raises(urllib.error.HTTPError, match="404") as refused:
            serving.register("w")
        refused.value.close()
        with pytest.raises(InvalidStatus), serving.connect("w"):
            pass
        assert serving.post("/workers")[0] == 404
        eventually(lambda: up(serving) == [True], within=10.0)
        target = serving.get("/probes")[0]["target"]
        assert serving.metric(f'heartbeat_probe_up{{probe="web",target="{target}"}}') == 1.0
        assert serving.complaints() == []


def test_reloads(tmp_path: Path, service: Service, ledger: Ledger, write: Write) -> None:
    """Over HTTP and by SIGHUP: what is new begins, what was known stays, a bad file changes nothing."""
    file, closed = write(NO_BRAKE + PROBES), free_port()
    added = PROBES.replace(
        "actions:", f"  db: {{{{type: tcp, host: 127.0.0.1, port: {closed}, action: nginx}}}}\nactions:"
    )
    with exporter(tmp_path, arguments=["-c", file, "--web.enable-lifecycle"]) as serving:
        eventually(lambda: up(serving) == [True], within=10.0)
        eventually(lambda: states(serving) == {"nginx": "promoted"}, within=5.0)
        runs = serving.get("/probes")[0]["runs"]
        write(NO_BRAKE + added)
        assert serving.post("/-/reload") == (200, "configuration reloaded\n")
        eventually(lambda: up(serving) == [True, False], within=10.0)
        assert serving.get("/probes")[0]["runs"] >= runs
        eventually(lambda: ledger.lines() == ["nginx demote db"], within=10.0)

        write("probes:\n  web: {{type: http, host: 127.0.0.1, prot: 1}}\n")
        said = (
            "failed to reload the configuration:\n"
            "probes.yml: probes.web.prot (line 2): is not known here (did you mean port?)\n"
        )
        assert serving.post("/-/reload") == (500, said)
        assert serving.metric("heartbeat_config_last_reload_successful") == 0.0
        assert up(serving) == [True, False]

        before = serving.metric("heartbeat_config_last_reload_success_timestamp_seconds")
        write(NO_BRAKE + PROBES)
        serving.process.send_signal(signal.SIGHUP)
        eventually(lambda: up(serving) == [True], within=10.0)
        assert serving.metric("heartbeat_config_last_reload_successful") == 1.0
        assert serving.metric("heartbeat_config_last_reload_success_timestamp_seconds") > before
        service.down()
        eventually(lambda: up(serving) == [False], within=10.0)
        assert serving.end() == 0
        assert len(serving.complaints()) == 1
    assert ledger.lines()[0] == "nginx demote db"


def test_reloading_over_http_is_off(tmp_path: Path, write: Write) -> None:
    """Unless the flag says otherwise."""
    with exporter(tmp_path, arguments=["-c", write(PROBES)]) as serving:
        assert serving.post("/-/reload") == (
            403,
            "Lifecycle API is not enabled; --web.enable-lifecycle turns it on.\n",
        )


@pytest.mark.parametrize("then", ["run", "drop"])
def test_what_fails_all_at_once_is_held(
    tmp_path: Path, service: Service, ledger: Ledger, write: Write, then: str
) -> None:
    """Ten probes lose their server: nothing is demoted until the hold is over, and then as it says."""
    names = [f"p{number}" for number in range(9)]
    probes = "".join(f"  {name}: {{{{type: tcp, host: 127.0.0.1, port: {{port}}}}}}\n" for name in names)
    template = BRAKE + PROBES.replace("actions:", f"{probes}actions:") + MANY
    file = write(template, names=", ".join(names), hold=HOLD, then=then)
    with exporter(tmp_path, arguments=["-c", file, "--no-workers"]) as serving:
        eventually(lambda: up(serving) == [True] * 10, within=10.0)
        eventually(lambda: set(states(serving).values()) == {"promoted"}, within=5.0)
        assert serving.metric("heartbeat_actions_held") == 0.0
        service.down()
        began = time.monotonic()
        eventually(lambda: serving.metric("heartbeat_actions_held") == 1.0, within=5.0, every=0.02)
        eventually(lambda: up(serving) == [False] * 10, within=5.0)
        shown = serving.get("/actions")
        assert (shown["held"]["scope"], shown["held"]["of"]) == ("all probes", 10)
        assert [action["waiting"] for action in shown["actions"]] == ["demote", "demote"]
        assert ledger.lines() == []
        assert serving.metric("heartbeat_actions_held") == 1.0

        eventually(lambda: serving.metric("heartbeat_actions_held") == 0.0, within=10.0)
        assert time.monotonic() - began >= HOLD
        if then == "run":
            eventually(lambda: len(ledger.lines()) == 2, within=5.0)
            assert {line.rpartition(" ")[0] for line in ledger.lines()} == {"nginx demote", "all demote"}
        else:
            eventually(lambda: "are dropped" in serving.text(), within=5.0)
            runs = serving.get("/probes")[0]["runs"]
            eventually(lambda: serving.get("/probes")[0]["runs"] > runs + 1, within=5.0)
            assert ledger.lines() == []
        assert [line["event"][:15] for line in serving.log() if "held" in line["event"]] == [
            "actions are hel",
            "actions are no ",
        ]
