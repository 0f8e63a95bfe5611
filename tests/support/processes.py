"""Real servers for tests: started on free loopback ports, always stopped."""

from __future__ import annotations

import contextlib
import glob
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import psutil

# Debian's Alertmanager goes by another name than upstream's; its PostgreSQL is not on the path, and its
# command for RabbitMQ changes the user and the directory.
PROGRAMS: Mapping[str, tuple[str, ...]] = {
    "blackbox_exporter": ("prometheus-blackbox-exporter", "blackbox_exporter"),
    "chromium": ("chromium",),
    "kubectl": ("kubectl",),
    "openssl": ("openssl",),
    "postgres": ("postgres", "/usr/lib/postgresql/*/bin/postgres"),
    "rabbitmq-server": ("/usr/lib/rabbitmq/bin/rabbitmq-server", "rabbitmq-server"),
    "redis-server": ("redis-server", "valkey-server"),
    "systemd-analyze": ("systemd-analyze",),
    "prometheus": ("prometheus",),
    "promtool": ("promtool",),
    "alertmanager": ("prometheus-alertmanager", "alertmanager"),
    "amtool": ("amtool",),
    "nginx": ("nginx", "/usr/sbin/nginx"),
    # A package for Python brings it, beside the interpreter.
    "websocat": ("websocat", f"{Path(sys.executable).parent}/websocat"),
}
PACKAGES: Mapping[str, str] = {
    "blackbox_exporter": "prometheus-blackbox-exporter",
    "chromium": "chromium",
    "kubectl": "kubernetes-client",
    "openssl": "openssl",
    "postgres": "postgresql",
    "rabbitmq-server": "rabbitmq-server",
    "redis-server": "redis-server",
    "systemd-analyze": "systemd",
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "alertmanager": "prometheus-alertmanager",
    "amtool": "prometheus-alertmanager",
    "nginx": "nginx-light",
    "websocat": "websocat",
}
OTHERWISE: Mapping[str, str] = {
    "websocat": "cargo install websocat",
}
"""How to install what is no package of Debian."""


def find_program(name: str) -> str | None:
    """The path of a program by its upstream name, or None where it is not installed."""
    for candidate in PROGRAMS[name]:
        for path in sorted(glob.glob(candidate), reverse=True) or [candidate]:
            if found := shutil.which(path):
                return found
    return None


def program(name: str) -> str:
    path = find_program(name)
    assert path is not None, f"{name} is not installed; mark the test with @pytest.mark.servers({name!r})"
    return path


_PORTS = range(20_000, 32_000)
"""Below those that the system gives to outgoing connections: one of them may be taken before it is used."""

_given: set[int] = set()
_chance = random.SystemRandom()  # other processes choose, too, and a test may have set the seed


def free_port() -> int:
    """A port of 127.0.0.1 on which nothing listens, and which was not given out before."""
    while True:
        port = _chance.choice(_PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("0.0.0.0", port))
            if port not in _given:
                _given.add(port)
                return port


def eventually(check: Callable[[], object], *, within: float, every: float = 0.05, what: str = "") -> object:
    """Call `check` until it returns something true; AssertionError after `within` seconds."""
    deadline = time.monotonic() + within
    while True:
        try:
            if result := check():
                return result
            last: object = "it stayed false"
        except (OSError, AssertionError, LookupError) as error:
            last = error
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within} s: {what or check}; last: {last!r}")
        time.sleep(every)


def http_get(url: str, *, timeout: float = 5.0) -> str:
    """The body of a successful answer; OSError for any other."""
    try:
        with urllib.request.urlopen(url, timeout=timeout) as response:
            body: bytes = response.read()
            return body.decode()
    except urllib.error.HTTPError as error:
        with error:
            raise OSError(f"{url}: {error.code} {error.read().decode(errors='replace')}") from None


@contextlib.contextmanager
def running(
    command: Sequence[str],
    *,
    log: Path,
    ready: str | Callable[[], object],
    within: float = 20.0,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    user: str | None = None,
    ended_by: int = signal.SIGTERM,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server for the length of a `with` block.

    `ready` is a URL that must answer 2xx, or a callable that must return something true. The
    server's output goes to `log`, whose end is shown when it does not come up. `ended_by` is the signal
    that ends it without waiting for its clients.
    """
    with log.open("ab") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=subprocess.STDOUT, env=env, cwd=cwd, user=user, group=user
        )

    def is_ready() -> object:
        if process.poll() is not None:
            raise RuntimeError(f"{command[0]} ended with {process.returncode}:\n{log.read_text()[-2000:]}")
        if callable(ready):
            return ready()
        http_get(ready, timeout=2.0)
        return True

    try:
        eventually(is_ready, within=within, what=f"{command[0]} ready")
        yield process
    finally:
        stop(process, ended_by)


def stop(process: subprocess.Popen[bytes], number: int = signal.SIGTERM) -> None:
    """SIGCONT and SIGTERM, then SIGKILL after five seconds: works on a frozen process too."""
    if process.poll() is None:
        signal_family(process.pid, signal.SIGCONT)
        process.send_signal(number)
        try:
            process.wait(5.0)
        except subprocess.TimeoutExpired:
            signal_family(process.pid, signal.SIGKILL)
            process.wait()


def signal_family(pid: int, number: int) -> None:
    """Send a signal to a process and to all that it started, in process groups of their own or not."""
    parent = psutil.Process(pid)
    # A frozen parent starts no more children while they are counted.
    parent.send_signal(signal.SIGSTOP)
    for member in [*parent.children(recursive=True), parent]:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.send_signal(number)


def kill_those_left(directory: Path) -> None:
    """Whatever still runs with this working directory, or with a path in it among its arguments."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            cwd = process.cwd().removesuffix(" (deleted)")
            if cwd == str(directory) or any(f"{directory}/" in word for word in process.cmdline()):
                process.kill()


def redis_answers(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), timeout=1.0) as connection:
        connection.sendall(b"PING\r\n")
        return connection.recv(64).startswith(b"+PONG")


@contextlib.contextmanager
def redis_server(directory: Path, *, port: int | None = None, options: Sequence[str] = ()) -> Iterator[int]:
    """A private redis-server that keeps nothing on disk unless `options` say so; yields its port."""
    number = port or free_port()
    command = [
        *(program("redis-server"), "--port", str(number), "--bind", "127.0.0.1"),
        *("--dir", str(directory), "--save", "", "--daemonize", "no", *options),
    ]
    with running(command, log=directory / "redis.log", ready=lambda: redis_answers(number)):
        yield number
