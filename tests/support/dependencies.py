"""What a worker depends on, as real servers that come and go, always at the same address."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from .processes import free_port, program, redis_answers, running, signal_family


class Server(ABC):
    """A private server on 127.0.0.1, in a directory of its own that ends with it.

    A `with` block around it starts it, and stops it in whatever state it is then.
    """

    url: str
    """With user and password, as a client needs it."""

    def __init__(self) -> None:
        self.port = free_port()
        self._resources = ExitStack()
        self._run = ExitStack()
        self._process: subprocess.Popen[bytes] | None = None
        # Not pytest's directory for temporary files, which nobody but its owner may enter.
        self.directory = Path(self._resources.enter_context(tempfile.TemporaryDirectory(prefix="heartbeat-")))

    @abstractmethod
    def command(self) -> AbstractContextManager[subprocess.Popen[bytes]]:
        """The running server, once it answers."""

    def start(self) -> None:
        self._process = self._run.enter_context(self.command())

    def stop(self) -> None:
        self._run.close()

    def pause(self) -> None:
        """Freeze it: it keeps its connections, accepts more, and answers nobody."""
        assert self._process is not None
        signal_family(self._process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        signal_family(self._process.pid, signal.SIGCONT)

    def restore(self) -> None:
        """Have it run, whatever was done to it: for tests that share it and may have failed."""
        assert self._process is not None
        if self._process.poll() is None:
            self.resume()
        else:
            self._run.close()
            self.start()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self._resources.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._run.close()
        self._resources.close()


class RedisServer(Server):
    def __init__(self) -> None:
        super().__init__()
        self.url = f"redis://127.0.0.1:{self.port}"

    def command(self) -> AbstractContextManager[subprocess.Popen[bytes]]:
        return running(
            [
                *(program("redis-server"), "--port", str(self.port), "--bind", "127.0.0.1"),
                *("--dir", str(self.directory), "--save", "", "--daemonize", "no"),
            ],
            log=self.directory / "redis.log",
            ready=lambda: redis_answers(self.port),
        )


class PostgresServer(Server):
    """Its superuser `worker` has a password that an URL cannot hold as it is."""

    PASSWORD = "pa:ss/word"

    def __init__(self) -> None:
        super().__init__()
        self.url = f"postgresql://worker:{quote(self.PASSWORD, safe='')}@127.0.0.1:{self.port}/postgres"
        # PostgreSQL refuses to run as root; its package comes with a user.
        self._user = "postgres" if os.geteuid() == 0 else None
        self._data = self.directory / "data"

    def command(self) -> AbstractContextManager[subprocess.Popen[bytes]]:
        if not self._data.exists():
            self._initialize()
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": self.directory,
            "fsync": "off",
        }
        return running(
            [
                *(program("postgres"), "-D", str(self._data)),
                *(f"--{name}={value}" for name, value in settings.items()),
            ],
            log=self.directory / "postgres.log",
            ready=lambda: "ready" in (self._data / "postmaster.pid").read_text(),
            cwd=self.directory,
            user=self._user,
            ended_by=signal.SIGINT,
        )

    def _initialize(self) -> None:
        password = self.directory / "password"
        password.write_text(self.PASSWORD)
        if self._user is not None:
            for path in (self.directory, password):
                shutil.chown(path, self._user, self._user)
        subprocess.run(
            [
                *(Path(program("postgres")).with_name("initdb"), "-D", self._data),
                *("--username=worker", "--pwfile", password, "--auth=scram-sha-256"),
                *("--locale=C", "--encoding=UTF8", "--no-sync", "--no-instructions"),
            ],
            check=True,
            cwd=self.directory,
            user=self._user,
            group=self._user,
            stdout=subprocess.DEVNULL,
        )


class RabbitServer(Server):
    """One node, with an epmd of its own: Erlang would leave one behind."""

    def __init__(self) -> None:
        super().__init__()
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}/"
        configuration = self.directory / "rabbitmq.conf"
        configuration.write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.port}\nlog.console = true\nlog.file = false\n"
        )
        plugins = self.directory / "plugins"
        plugins.write_text("[].\n")
        epmd_port = free_port()
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.directory),  # for Erlang's cookie
            "ERL_EPMD_PORT": str(epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"heartbeat-{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_CONFIG_FILE": str(configuration),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(plugins),
            "RABBITMQ_MNESIA_BASE": str(self.directory / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.directory / "log"),
            "RABBITMQ_PID_FILE": str(self.directory / "pid"),
            # Its schedulers spin for a while before they sleep, at the cost of everybody else.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+sbwt none +sbwtdcpu none +sbwtdio none",
        }
        self._epmd = running(
            ["epmd", "-port", str(epmd_port), "-address", "127.0.0.1"],
            log=self.directory / "epmd.log",
            ready=lambda: answers(epmd_port, b"\x00\x01n"),
        )

    def __enter__(self) -> Self:
        self._resources.enter_context(self._epmd)
        return super().__enter__()

    def command(self) -> AbstractContextManager[subprocess.Popen[bytes]]:
        return running(
            [program("rabbitmq-server")],
            log=self.directory / "rabbitmq.log",
            ready=lambda: answers(self.port, b"AMQP\x00\x00\x09\x01"),
            within=60.0,
            env=self._environment,
            cwd=self.directory,
        )


def answers(port: int, greeting: bytes) -> bool:
    """Whether what listens there says anything to this."""
    with socket.create_connection(("127.0.0.1", port), timeout=1.0) as connection:
        connection.sendall(greeting)
        return connection.recv(1) != b""
