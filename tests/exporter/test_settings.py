"""The exporter's settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.core.fleet import Rules
from exporter.core.model import SECOND
from exporter.settings import Settings
from worker_agent.environment import SettingsError, load


@pytest.fixture(autouse=True)
def bare_environment(bare_environment: None) -> None:
    """No settings but a test's own."""


def complaints() -> list[str]:
    with pytest.raises(SettingsError) as wrong:
        load(Settings)
    return str(wrong.value).splitlines()


def test_defaults() -> None:
    """With nothing set the registry is in the Redis of this machine."""
    settings = load(Settings)
    assert settings.model_dump() == {
        "redis_host": "localhost",
        "redis_port": 6379,
        "redis_db": 0,
        "redis_url": None,
        "sqlite_path": None,
        "heartbeat_interval": 5.0,
        "heartbeat_timeout": 15.0,
        "worker_retention": 86400.0,
        "stopped_worker_retention": 3600.0,
        "max_workers": 20000,
        "max_groups": 100,
        "config_file": None,
        "enable_lifecycle": False,
        "grafana_url": None,
        "alertmanager_url": None,
        "log_level": "INFO",
        "log_format": "console",
    }


def test_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every setting is a variable of its name in capitals."""
    given = {
        "REDIS_HOST": "redis",
        "REDIS_PORT": "6380",
        "REDIS_DB": "3",
        "SQLITE_PATH": "/var/lib/registry.db",
        "HEARTBEAT_TIMEOUT": "3.5",
        "HEARTBEAT_INTERVAL": "1",
        "WORKER_RETENTION": "7200",
        "STOPPED_WORKER_RETENTION": "60",
        "MAX_WORKERS": "10",
        "MAX_GROUPS": "2",
        "GRAFANA_URL": "https://grafana.example.org/monitoring/",
        "ALERTMANAGER_URL": "http://[::1]:9093",
        "LOG_LEVEL": "debug",
        "LOG_FORMAT": "JSON",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    settings = load(Settings)
    assert settings.sqlite_path == Path("/var/lib/registry.db")
    assert (settings.heartbeat_interval, settings.heartbeat_timeout) == (1.0, 3.5)
    assert (settings.log_level, settings.log_format) == ("DEBUG", "json")
    assert settings.grafana_url == "https://grafana.example.org/monitoring"
    assert settings.alertmanager_url == "http://[::1]:9093"
    assert settings.redis_address() == "redis://redis:6380/3"
    assert settings.rules() == Rules(
        max_workers=10, max_groups=2, retention=7200 * SECOND, stopped_retention=60 * SECOND
    )


@pytest.mark.parametrize(
    ("host", "address"), [("::1", "redis://[::1]:6379/0"), ("10.0.0.1", "redis://10.0.0.1:6379/0")]
)
def test_redis_by_its_parts(host: str, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An IPv6 address gets its brackets."""
    monkeypatch.setenv("REDIS_HOST", host)
    assert load(Settings).redis_address() == address


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost",
        "redis://:p%40ss@localhost:6380/2",
        "rediss://user:pass@redis.example/0?ssl_ca_certs=/ca.pem",
        "redis://[::1]:6379/1",
        "unix:///run/redis.sock?db=1",
    ],
)
def test_redis_by_its_url(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A URL says it all, and wins over the parts."""
    monkeypatch.setenv("REDIS_URL", url)
    monkeypatch.setenv("REDIS_HOST", "elsewhere")
    assert load(Settings).redis_address() == url


def test_a_url_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may hold a password, so settings that are printed or logged leave it out."""
    monkeypatch.setenv("REDIS_URL", "redis://:geheim@localhost")
    assert "geheim" not in repr(load(Settings))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("localhost:6379", "must start with redis://, rediss:// or unix://"),
        ("http://:geheim@localhost", "must start with redis://, rediss:// or unix://"),
        ("redis://:geheim@host:abc", "must be redis://user:password@host:port/db, with a port up to 65535"),
        ("redis://:geheim@host:65536", "must be redis://user:password@host:port/db, with a port up to 65535"),
        ("redis://:geheim@[::1/0", "must be redis://user:password@host:port/db, with a port up to 65535"),
        (
            "redis://:geheim#1@host:6379",
            "must be redis://user:password@host:port/db, with a port up to 65535",
        ),
        ("redis://:geheim@host:0", "must end with host:port/db, db being a number"),
        ("redis://:geheim@host/one", "must end with host:port/db, db being a number"),
        ("unix://", "must name a socket, as in unix:///run/redis.sock?db=0"),
    ],
)
def test_a_bad_url_is_not_repeated(url: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is expected is said; nothing of the password is, not even where it was taken for a port."""
    monkeypatch.setenv("REDIS_URL", url)
    (line,) = complaints()
    assert line.startswith(f"REDIS_URL=****: {expected}")
    assert "geheim" not in line


@pytest.mark.parametrize(
    ("url", "shown", "expected"),
    [
        ("grafana:3000", "grafana:3000", "must be http://host or https://host"),
        (
            "javascript://host/%0Aalert(1)",
            "javascript://host/%0Aalert(1)",
            "must be http://host or https://host",
        ),
        ("http://", "http://", "must be http://host or https://host"),
        ("http://host:99999", "http://host:99999", "must be http://host or https://host"),
        ("https://host/?org=1", "https://host/?org=1", "must be http://host or https://host"),
        ("http://me:geheim@host", "http://me:****@host", "must hold no user name or password"),
    ],
)
def test_a_url_for_a_page(url: str, shown: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What becomes a link that everybody sees is a plain address, without anything secret."""
    monkeypatch.setenv("ALERTMANAGER_URL", url)
    (line,) = complaints()
    assert line.startswith(f"ALERTMANAGER_URL={shown}: {expected}")


def test_all_problems_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those that have to do with another setting, or with the form of a URL."""
    wrong = {
        "REDIS_PORT": "65536",
        "REDIS_DB": "-1",
        "REDIS_URL": "http://localhost",
        "HEARTBEAT_TIMEOUT": "5",
        "WORKER_RETENTION": "inf",
        "STOPPED_WORKER_RETENTION": "0",
        "MAX_WORKERS": "many",
        "MAX_GROUPS": "0",
        "LOG_LEVEL": "loud",
        "LOG_FORMAT": "xml",
    }
    for name, value in wrong.items():
        monkeypatch.setenv(name, value)
    assert complaints() == [
        "REDIS_PORT=65536: must be less than or equal to 65535",
        "REDIS_DB=-1: must be greater than or equal to 0",
        "REDIS_URL=****: must start with redis://, rediss:// or unix://",
        "HEARTBEAT_TIMEOUT=5: must be above HEARTBEAT_INTERVAL=5",
        "WORKER_RETENTION=inf: must be a finite number",
        "STOPPED_WORKER_RETENTION=0: must be greater than or equal to 1",
        "MAX_WORKERS=many: must be a valid integer",
        "MAX_GROUPS=0: must be greater than or equal to 1",
        "LOG_LEVEL=LOUD: must be 'DEBUG', 'INFO', 'WARNING', 'ERROR' or 'CRITICAL'",
        "LOG_FORMAT=xml: must be 'console', 'logfmt' or 'json'",
    ]


@pytest.mark.parametrize(
    ("interval", "expected"),
    [
        ("20", ["HEARTBEAT_TIMEOUT=15.0: must be above HEARTBEAT_INTERVAL=20"]),
        ("3601", ["HEARTBEAT_INTERVAL=3601: must be less than or equal to 3600"]),
        ("nan", ["HEARTBEAT_INTERVAL=nan: must be a finite number"]),
    ],
)
def test_a_bad_interval(interval: str, expected: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """One that the default timeout does not exceed is refused; one that is none is said once."""
    monkeypatch.setenv("HEARTBEAT_INTERVAL", interval)
    assert complaints() == expected
