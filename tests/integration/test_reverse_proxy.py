"""The configuration for nginx in docs/security.md, in front of a real exporter."""

from __future__ import annotations

import base64
import contextlib
import ssl
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.authority import Authority
from tests.support.guides import example
from tests.support.processes import eventually, free_port, http_get, program, running
from tests.support.serving import Serving, environment, exporter

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text()

pytestmark = [pytest.mark.slow, pytest.mark.servers("nginx", "openssl")]


class Front:
    """What is reached through the proxy, by those who trust its authority."""

    def __init__(self, port: int, ca_file: Path) -> None:
        self.url = f"https://localhost:{port}"
        self.ca_file = ca_file
        self._context = ssl.create_default_context(cafile=str(ca_file))

    def status(self, method: str, path: str, *, password: str = "") -> int:
        """Of the answer to a request, with a password if one is given."""
        request = urllib.request.Request(f"{self.url}{path}", method=method)
        if password:
            credentials = base64.b64encode(f"reader:{password}".encode()).decode()
            request.add_header("Authorization", f"Basic {credentials}")
        try:
            with urllib.request.urlopen(request, context=self._context, timeout=5) as answer:
                status: int = answer.status
                return status
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code


@contextlib.contextmanager
def nginx(directory: Path, backend: int, *, workers_from: str) -> Iterator[Front]:
    """The configuration of the page, with addresses and files of this test."""
    authority = Authority(directory)
    certificate = authority.issue("localhost", "DNS:localhost")
    (directory / "passwords").write_text("reader:{PLAIN}secret\n")
    port = free_port()
    text = example(PAGE, "nginx")
    for placeholder, here in {
        "listen 443": f"listen 127.0.0.1:{port}",
        "heartbeat.example.org": "localhost",
        "/etc/ssl/heartbeat.pem": str(certificate.cert_file),
        "/etc/ssl/heartbeat.key": str(certificate.key_file),
        "/etc/nginx/heartbeat.htpasswd": str(directory / "passwords"),
        "127.0.0.1:8000": f"127.0.0.1:{backend}",
        "10.0.0.0/8": workers_from,
    }.items():
        assert placeholder in text, placeholder
        text = text.replace(placeholder, here)
    temporary = "".join(
        f"{kind}_temp_path {directory}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    # One process that stays in the foreground, as the user that runs the tests.
    around = f"daemon off;\nmaster_process off;\npid {directory}/nginx.pid;\nevents {{}}\n"
    (directory / "nginx.conf").write_text(f"{around}http {{\naccess_log off;\n{temporary}{text}}}\n")
    command = [program("nginx"), "-e", "stderr", "-c", str(directory / "nginx.conf")]
    front = Front(port, authority.ca_file)
    with running(command, log=directory / "nginx.log", ready=lambda: front.status("GET", "/health")):
        yield front


@contextlib.contextmanager
def worker(directory: Path, front: Front) -> Iterator[str]:
    """One whose exporter is behind the proxy; yields the address of its health."""
    port = free_port()
    variables = {"WORKER_PORT": port, "MANAGER_URL": front.url, "SSL_CERT_FILE": front.ca_file}
    command = [sys.executable, "-m", "worker_agent.main", "--bind", "127.0.0.1"]
    health = f"http://127.0.0.1:{port}/health"
    env = environment(**variables, WORKER_NAME="Behind")
    with running(command, log=directory / "worker.log", ready=f"{health}/live", env=env, cwd=directory):
        yield health


def statuses(serving: Serving) -> list[tuple[str, str]]:
    return [(each["name"], each["status"]) for each in serving.get("/workers")]


def test_workers_come_through_and_people_show_a_password(tmp_path: Path) -> None:
    """Heartbeats pass by TLS; who reads has a password, and who has one changes nothing."""
    with (
        exporter(tmp_path) as serving,
        nginx(tmp_path, serving.port, workers_from="127.0.0.0/8") as front,
        worker(tmp_path, front),
    ):
        eventually(lambda: statuses(serving) == [("Behind", "alive")], within=20)
        [known] = serving.get("/workers")
        for path in ("/", "/metrics", "/workers", "/sd", "/registered"):
            assert front.status("GET", path) == 401
        assert [front.status("GET", path, password="secret") for path in ("/", "/metrics", "/sd")] == [
            200
        ] * 3
        assert front.status("DELETE", f"/workers/{known['worker_id']}", password="secret") == 403
        assert front.status("POST", "/-/reload", password="secret") == 403
        assert statuses(serving) == [("Behind", "alive")]


def test_workers_from_elsewhere_are_refused(tmp_path: Path) -> None:
    """Who is not in the network of the workers cannot be one, and is told so."""
    with (
        exporter(tmp_path) as serving,
        nginx(tmp_path, serving.port, workers_from="10.0.0.0/8") as front,
        worker(tmp_path, front) as health,
    ):
        eventually(lambda: "answered 403" in http_get(health), within=20)
        assert statuses(serving) == []
