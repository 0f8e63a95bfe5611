"""Where notifications arrive in tests: servers of mail and HTTP that keep what they are given."""

from __future__ import annotations

import json
import ssl
import threading
import time
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, NamedTuple

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.support.processes import free_port


class Mailbox:
    """An SMTP server in a thread of its own, for the length of a `with` block.

    With `tls` it takes no mail before STARTTLS; with a `password`, none from somebody else.
    """

    def __init__(self, *, tls: ssl.SSLContext | None = None, user: str = "", password: str = "") -> None:
        self.mails: list[EmailMessage] = []
        self._wanted = (user, password)
        self._controller = Controller(
            self,
            hostname="127.0.0.1",
            port=free_port(),
            tls_context=tls,
            require_starttls=tls is not None,
            authenticator=self._authenticate,
            auth_required=bool(password),
            # Alertmanager would choose it, and understands only the prompts of other servers.
            auth_exclude_mechanism=["LOGIN"],
        )
        self.address = f"127.0.0.1:{self._controller.port}"

    def __enter__(self) -> Mailbox:
        self._controller.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._controller.stop()

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Called by the server with each mail."""
        assert isinstance(envelope.content, bytes)
        self.mails.append(message_from_bytes(envelope.content, policy=policy.default))
        return "250 kept"

    def _authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        assert isinstance(data, LoginPassword)
        return AuthResult(success=(data.login.decode(), data.password.decode()) == self._wanted)


def part(mail: EmailMessage, kind: str) -> str:
    """The text of a mail's part, `plain` or `html`, with the line ends of a program."""
    found = mail.get_body((kind,))
    assert found is not None, f"no {kind} part"
    return str(found.get_content()).replace("\r\n", "\n")


class Posted(NamedTuple):
    """A request as it came, and when (monotonic seconds)."""

    at: float
    path: str
    authorization: str | None
    content: Any  # of the JSON


class Inbox:
    """An HTTP server that answers every POST as Slack does when it is content; a `with` block."""

    def __init__(self) -> None:
        self.posts: list[Posted] = []
        inbox = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                authorization = self.headers["Authorization"]
                inbox.posts.append(Posted(time.monotonic(), self.path, authorization, content))
                self.send_response(200)
                self.send_header("Content-Type", "text/plain")
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Inbox:
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
