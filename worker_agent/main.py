"""A sample worker: `uvicorn worker_agent.main:app --port 8001`, or `heartbeat-worker`.

It needs no more than WORKER_NAME and WORKER_PORT, and shows what an application does to be monitored.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import os
import socket
import sys
import time
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import uvicorn
from fastapi import FastAPI, Query

from worker_agent import logs
from worker_agent.agent import Agent
from worker_agent.environment import SettingsError, load
from worker_agent.health import EventLoopCheck, TcpCheck
from worker_agent.instrumentation.functions import measured
from worker_agent.settings import WorkerSettings

# By name, since the module is called __main__ where it is run as a program.
logger = logging.getLogger("worker_agent.main")

WRONG_SETTINGS = 2
CANNOT_LISTEN = 5
GRACE = 10
"""Seconds that requests in flight get when the worker is asked to stop."""


def create_app(settings: WorkerSettings, dependency: TcpCheck | None = None) -> FastAPI:
    """An application with two paths of its own; everything else comes from the agent."""
    agent = Agent(settings)
    app = FastAPI(title="Sample worker", version=_version(), lifespan=agent.lifespan)
    agent.instrument(app)
    agent.health.add(EventLoopCheck())
    if dependency is not None:
        agent.health.add(dependency)

    @app.get("/")
    @measured(name="work")
    def work(rounds: int = 1000) -> dict[str, object]:
        """A little work, so that there is something to see in the metrics."""
        digest = b""
        rounds = min(max(rounds, 1), 100_000)
        for _ in range(rounds):
            digest = hashlib.sha256(digest).digest()
        logger.debug("worked for %d rounds", rounds, extra={"worker": agent.name})
        return {"worker": agent.name, "host": settings.worker_host, "result": digest.hex()}

    @app.get("/block")
    async def block(seconds: Annotated[float, Query(ge=0, le=60)] = 10.0) -> dict[str, float]:
        """Hold up the event loop, as a library does that was not made for asyncio."""
        time.sleep(seconds)  # noqa: ASYNC251 - to be seen on /health, on /metrics and in an alert
        return {"blocked_for": seconds}

    return app


def main(arguments: list[str] | None = None) -> None:
    """Serve the sample worker on WORKER_PORT until SIGTERM or SIGINT.

    Exit codes: 2 for wrong settings, 5 when it cannot listen; the same as the exporter's.
    """
    parser = argparse.ArgumentParser(
        prog="heartbeat-worker",
        description="A sample worker. Its settings are environment variables: WORKER_NAME, WORKER_PORT, "
        "WORKER_HOST (the name it is known by), WORKER_GROUP, MANAGER_HOST and MANAGER_PORT or MANAGER_URL, "
        "and what else docs/settings.md lists.",
    )
    parser.add_argument(
        "--bind", metavar="ADDRESS", default="0.0.0.0", help="address to listen on (default: %(default)s)"
    )
    parser.add_argument(
        "--needs",
        metavar="HOST:PORT",
        type=_dependency,
        help="have a health check, called dependency, of whether something listens there",
    )
    parser.add_argument("--version", action="version", version=f"heartbeat-worker {_version()}")
    options = parser.parse_args(arguments)
    bind: str = options.bind
    settings = _settings()
    # Before the application starts: a second worker on a taken port must not register as the first.
    with _listen(bind, settings.worker_port) as listener:
        config = uvicorn.Config(
            create_app(settings, options.needs),
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=GRACE,
        )
        uvicorn.Server(config).run(sockets=[listener])


def _dependency(address: str) -> TcpCheck:
    host, _, port = address.rpartition(":")
    try:
        return TcpCheck("dependency", host=host.removeprefix("[").removesuffix("]"), port=int(port))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected HOST:PORT, not {address!r}") from None


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        # `create_server` adds the address to its text; a name that cannot be resolved has no such number.
        reason = error.strerror if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)
        print(f"heartbeat-worker: cannot listen on {host}, port {port}: {reason}", file=sys.stderr)
        raise SystemExit(CANNOT_LISTEN) from None


def _settings() -> WorkerSettings:
    try:
        settings = load(WorkerSettings)
    except SettingsError as error:
        print(error, file=sys.stderr)
        raise SystemExit(WRONG_SETTINGS) from None
    logs.configure(settings.log_level, settings.log_format)
    return settings


def _version() -> str:
    try:
        return version("heartbeat-exporter")
    except PackageNotFoundError:
        return "unknown"


@cache
def _app() -> FastAPI:
    return create_app(_settings())


def __getattr__(name: str) -> FastAPI:
    """`app`, made when a server asks for it: `heartbeat-worker --help` needs no settings."""
    if name == "app":
        return _app()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


if __name__ == "__main__":
    main()
