"""A worker's settings."""

from __future__ import annotations

import socket

import pytest

from worker_agent.environment import SettingsError, load
from worker_agent.settings import WorkerSettings


@pytest.fixture(autouse=True)
def bare_environment(bare_environment: None) -> None:
    """No settings but a test's own."""


def test_defaults() -> None:
    """With nothing set a worker looks for its exporter on this machine."""
    settings = load(WorkerSettings)
    assert settings.model_dump() == {
        "worker_name": None,
        "worker_host": socket.gethostname(),
        "worker_port": 8001,
        "worker_id": None,
        "worker_group": "default",
        "manager_host": "localhost",
        "manager_port": 8000,
        "manager_url": None,
        "heartbeat_interval": None,
        "heartbeat_timeout": None,
        "worker_leave_on_shutdown": False,
        "worker_health_port": None,
        "worker_drain_delay": 0,
        "log_level": "INFO",
        "log_format": "console",
    }
    assert settings.exporter_url == "http://localhost:8000"


@pytest.mark.parametrize(
    ("variables", "url"),
    [
        ({"MANAGER_HOST": "exporter", "MANAGER_PORT": "9000"}, "http://exporter:9000"),
        ({"MANAGER_HOST": "fd00::1"}, "http://[fd00::1]:8000"),
        ({"MANAGER_PORT": "tcp://10.0.0.1:8000"}, "http://localhost:8000"),
        ({"MANAGER_URL": "https://mon.example/heartbeat/"}, "https://mon.example/heartbeat"),
        ({"MANAGER_URL": "http://[::1]:1", "MANAGER_HOST": "ignored"}, "http://[::1]:1"),
    ],
)
def test_exporter_url(variables: dict[str, str], url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Host and port, or one URL with https and a path."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert load(WorkerSettings).exporter_url == url


@pytest.mark.parametrize(
    "url",
    [
        "exporter:8000",
        "ftp://exporter",
        "http://",
        "https://:80",
        "http://u:p@exporter",
        "http://x:0",
        "http://x/?a=1",
        "http://x/#a",
        "http://x:99999",
        "http://[::1",
        "http://a b",
        "http://x/a b",
        "http://x/ä",
    ],
)
def test_bad_url(url: str) -> None:
    """Anything but a plain base URL is refused."""
    with pytest.raises(SettingsError) as caught:
        load(WorkerSettings, manager_url=url)
    [problem] = caught.value.problems
    assert (problem.key, problem.expected) == (
        "MANAGER_URL",
        "must be http:// or https://, a host and at most a port and a path",
    )
    shown = url.replace("u:p@", "u:****@")
    assert problem.value == (repr(shown) if " " in shown else shown)


@pytest.mark.parametrize(
    ("given", "host"),
    [
        ("node_1.example", "node_1.example"),
        ("fd00::1", "fd00::1"),
        ("[fd00::1]", "fd00::1"),
        ("10.0.0.1", "10.0.0.1"),
    ],
)
def test_host(given: str, host: str) -> None:
    """A name or an address; brackets around an IPv6 address are put where a URL needs them."""
    settings = load(WorkerSettings, manager_host=given, worker_host=given)
    assert (settings.manager_host, settings.worker_host) == (host, host)


@pytest.mark.parametrize(
    "host", ["http://exporter", "exporter:8000", "exporter/path", "a b", "u@h", "[::1]:80"]
)
def test_bad_host(host: str) -> None:
    """What belongs into MANAGER_URL is refused as a host, and not tried for ever as a strange address."""
    with pytest.raises(SettingsError) as caught:
        load(WorkerSettings, manager_host=host)
    [problem] = caught.value.problems
    assert (problem.key, problem.expected) == (
        "MANAGER_HOST",
        "must be a host name or an IP address, without scheme and port",
    )


def test_all_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every wrong setting is named with its value and what is expected."""
    for name, value in {
        "WORKER_NAME": "n" * 101,
        "WORKER_PORT": "0",
        "MANAGER_PORT": "http",
        "HEARTBEAT_INTERVAL": "20",
        "HEARTBEAT_TIMEOUT": "15",
        "WORKER_LEAVE_ON_SHUTDOWN": "perhaps",
    }.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        load(WorkerSettings)
    assert str(caught.value).splitlines() == [
        f"WORKER_NAME={'n' * 97}...: must have at most 100 characters",
        "WORKER_PORT=0: must be greater than or equal to 1",
        "MANAGER_PORT=http: must be a valid integer",
        "HEARTBEAT_TIMEOUT=15: must be above HEARTBEAT_INTERVAL=20",
        "WORKER_LEAVE_ON_SHUTDOWN=perhaps: must be a valid boolean",
    ]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.01, "must be greater than or equal to 0.1"),
        (3600.1, "must be less than or equal to 3600"),
        ("inf", "must be a finite number"),
        ("nan", "must be a finite number"),
    ],
)
def test_bad_seconds(value: object, expected: str) -> None:
    """Seconds are finite, and from a tenth to an hour."""
    with pytest.raises(SettingsError) as caught:
        load(WorkerSettings, heartbeat_interval=value, heartbeat_timeout=value)
    assert str(caught.value).splitlines() == [
        f"HEARTBEAT_INTERVAL={value}: {expected}",
        f"HEARTBEAT_TIMEOUT={value}: {expected}",
    ]


@pytest.mark.parametrize(("timeout", "valid"), [(4.9, False), (5.0, False), (5.1, True), (None, True)])
def test_timeout_above_interval(timeout: float | None, valid: bool) -> None:
    """A timeout not above the interval would declare every worker down."""
    if valid:
        assert load(WorkerSettings, heartbeat_interval=5, heartbeat_timeout=timeout)
    else:
        with pytest.raises(SettingsError, match=rf"^HEARTBEAT_TIMEOUT={timeout}: must be above"):
            load(WorkerSettings, heartbeat_interval=5, heartbeat_timeout=timeout)
