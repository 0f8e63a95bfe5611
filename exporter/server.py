"""Serve the application with the options that matter for thousands of long, quiet connections."""

from __future__ import annotations

import contextlib
import errno
import faulthandler
import gc
import logging
import resource
import signal
import socket
import sys
from types import FrameType

import uvicorn
from fastapi import FastAPI

from exporter.errors import CannotListen, UsageError
from exporter.http import AbruptHTTP
from exporter.websocket import DirectWebSocket
from worker_agent import protocol

logger = logging.getLogger(__name__)

GRACE = 5
"""Seconds that requests in flight get when the exporter is asked to stop."""

_BACKLOG = 8192
"""Connections that may wait to be accepted: a whole fleet comes back at once."""

COLLECT_YOUNG = (700, 1, 1_000_000_000)
"""Thresholds for the garbage collector: it looks at an object twice while it is young and then never again.

A connection takes some eighty objects that live as long as it does. To look through those of 10,000
connections stops everything for most of a second, and finds nothing: what is connected with a worker
goes without it when its connection does (exporter/websocket.py), and so do requests. From Python 3.14 on the
collector works in small steps by itself, and these numbers would mean something else.
"""


def serve(app: FastAPI, address: str) -> None:
    """Run until SIGTERM, SIGINT or SIGHUP.

    Raises:
        CannotListen: the address is in use, or not ours.
        UsageError: it is not an address.
    """
    listener = listen(address)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        http=AbruptHTTP,
        ws=DirectWebSocket,
        ws_max_size=protocol.MAX_FRAME,
        # Compression costs tens of KiB for each connection, and a heartbeat is shorter than its dictionary.
        ws_per_message_deflate=False,
        # Only deadlines judge. A server that hangs up by itself would be a second opinion.
        ws_ping_interval=None,
        ws_ping_timeout=None,
        timeout_graceful_shutdown=GRACE,
        lifespan="on",
        server_header=False,
        proxy_headers=False,  # nobody here asks where a request comes from
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _as_asked)
    # Without this a closed terminal would end us at once, with nothing said to the workers.
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup has it
        signal.signal(signal.SIGHUP, lambda number, frame: signal.raise_signal(signal.SIGTERM))
    # A watchdog that gives us up sends SIGABRT: then the log shows where the event loop was stuck.
    faulthandler.enable()
    if sys.version_info < (3, 14):
        gc.set_threshold(*COLLECT_YOUNG)
    _open_as_many_files_as_we_may()
    logger.info("listening on %s", _name(listener))
    uvicorn.Server(config).run(sockets=[listener])


def listen(address: str) -> socket.socket:
    """Listen on `host:port`; without a host on all interfaces, IPv6 and IPv4."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise UsageError(
            f"--web.listen-address={address}: must be host:port or :port, with a port up to 65535"
        )
    host = host.strip("[]")
    try:
        host.encode("idna")  # the first thing that a look-up would do
    except UnicodeError:
        raise UsageError(f"--web.listen-address={address}: {host!r} is no name of a host") from None
    everywhere = host in ("", "::")
    family = (
        socket.AF_INET6 if ":" in host or (everywhere and socket.has_dualstack_ipv6()) else socket.AF_INET
    )
    try:
        return socket.create_server(
            (host, int(port)),
            family=family,
            backlog=_BACKLOG,
            dualstack_ipv6=everywhere and family is socket.AF_INET6,
        )
    except OSError as error:
        raise CannotListen(address, _why(error)) from None


def _open_as_many_files_as_we_may() -> None:
    """Each worker is an open file, and the usual limit of 1024 is one that every process may raise.

    It is that low for the sake of select(), which nobody here uses.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # "unlimited" is more than some systems allow
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _why(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "the address is already in use"
    return str(error.strerror).partition(" (while attempting")[0].lower()  # what follows repeats the address


def _name(listener: socket.socket) -> str:
    """Where it really listens: the port may have been left to the system."""
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _as_asked(number: int, frame: FrameType | None) -> None:
    """Uvicorn, once it has shut down, sends itself the signal again that it was asked with: all is done."""
    sys.exit(0)
