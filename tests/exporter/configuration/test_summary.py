"""What check-config prints."""

from __future__ import annotations

from pathlib import Path

from exporter.configuration.loading import load
from exporter.configuration.model import Configuration
from exporter.configuration.summary import summary

TESTDATA = Path(__file__).parent / "testdata"


def test_yaml() -> None:
    """Tables of probes and actions, without secrets, and what holds for all."""
    assert (
        summary(load(TESTDATA / "good.yml"))
        == """\
probe   kind       target                           interval  timeout  down after  up after  action
webapp  http       http://localhost:8080/app/login  1m        5s       3           2         nginx
api     https      https://api.example.org/health   1h30m     500ms    1           5         -
db      tcp        db:5432                          1m        5s       3           2         nginx, hook
chat    websocket  wss://chat.example.org/ws        1s500ms   1s       3           2         hook

action  promote                        demote                            timeout  depends on
nginx   service nginx start            service nginx stop                30s      webapp, db
pager   -                              /usr/local/bin/page 'it is down'  30s      workers of group payments \
(down also by shutdown and leave)
hook    PUT https://hooks.example.org  -                                 30s      db, chat, all workers

probes in flight at most: 20
actions are held for 10m when more than 30% of all, and at least 5, fail within 1m; then they are dropped
demotions wait for 10s
"""
    )


def test_ini() -> None:
    """The same, and how the daemon runs; it has no brake."""
    assert summary(load(TESTDATA / "heartbeat.conf")).splitlines()[-2:] == [
        "probes in flight at most: 4",
        "daemon: group www-data, logfile heartbeat.log, loglevel WARNING, pidfile /run/heartbeat.pid,"
        " threads 4, daemonize yes",
    ]


def test_nothing() -> None:
    """Is said, for an empty answer looks like a failure."""
    assert summary(Configuration()) == "no probe and no action\n"
