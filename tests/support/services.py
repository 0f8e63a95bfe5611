"""A service that other processes probe, and a command that they run when it comes and goes."""

from __future__ import annotations

import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any

from .processes import free_port


class Service:
    """An HTTP server that answers 200 while it is up; a `with` block ends with it down.

    `delay` is how long it thinks, in seconds, and `most_in_flight` how many it was asked by at once. With
    `tls` it answers HTTPS.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self.port = free_port()
        self.delay = 0.0
        self.asked = 0
        self.most_in_flight = 0
        self._in_flight = 0
        self._lock = threading.Lock()
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    def up(self) -> None:
        if self._server is not None:
            return
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                with service._lock:
                    service.asked += 1
                    service._in_flight += 1
                    service.most_in_flight = max(service.most_in_flight, service._in_flight)
                time.sleep(service.delay)
                with service._lock:
                    service._in_flight -= 1
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        if self._tls is not None:
            self._server.socket = self._tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def down(self) -> None:
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
        self._server = self._thread = None

    def __enter__(self) -> Service:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()


class Ledger:
    """A command for hooks, and what its runs wrote down: a line each, by default why it was run."""

    WHY = "$HEARTBEAT_ACTION $HEARTBEAT_KIND $HEARTBEAT_CAUSE"

    def __init__(self, directory: Path, line: str = WHY) -> None:
        self.path = directory / "ledger"
        self.path.touch()
        self.path.chmod(0o666)
        self.command = directory / "note"
        self.command.write_text(f'#!/bin/sh\necho "{line}" >> {self.path}\n')
        self.command.chmod(0o755)

    def lines(self) -> list[str]:
        return self.path.read_text().splitlines()
