"""A certificate authority for tests, made with the openssl command."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path
from typing import NamedTuple

from .processes import program

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


class Issued(NamedTuple):
    """A certificate and its key, in PEM files, and when it ends as Unix time."""

    cert_file: Path
    key_file: Path
    expiry: float

    def server(self, *, clients_of: Authority | None = None) -> ssl.SSLContext:
        """A server's context; with `clients_of`, clients need a certificate of that authority."""
        made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        made.load_cert_chain(self.cert_file, self.key_file)
        if clients_of is not None:
            made.verify_mode = ssl.CERT_REQUIRED
            made.load_verify_locations(clients_of.ca_file)
        return made


class Authority:
    """Keeps its files in a directory; `ca_file` is what its clients are to trust."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.ca_file = directory / "ca.pem"
        self._key_file = directory / "ca.key"
        _openssl(
            *("req", "-x509", *_KEY, "-days", "30", "-subj", "/CN=Test CA"),
            # Python 3.13 asks for what RFC 5280 does.
            *("-addext", "keyUsage=critical,keyCertSign,cRLSign"),
            *("-keyout", str(self._key_file), "-out", str(self.ca_file)),
        )

    def issue(self, name: str, *alternatives: str, days: int = 20) -> Issued:
        """A certificate for a common name and alternatives such as `DNS:localhost`; -1 day has expired."""
        stem = f"{name}{days}".replace(" ", "-")
        files = {suffix: self._directory / f"{stem}.{suffix}" for suffix in ("csr", "key", "pem")}
        extension = ("-addext", f"subjectAltName={','.join(alternatives)}") if alternatives else ()
        _openssl(
            *("req", *_KEY, "-subj", f"/CN={name}", *extension),
            *("-keyout", str(files["key"]), "-out", str(files["csr"])),
        )
        _openssl(
            *("x509", "-req", "-in", str(files["csr"]), "-days", str(days), "-copy_extensions", "copy"),
            *("-CA", str(self.ca_file), "-CAkey", str(self._key_file), "-out", str(files["pem"])),
        )
        return Issued(files["pem"], files["key"], _expiry(files["pem"]))

    def self_signed(self, name: str) -> Issued:
        """A certificate that nobody vouches for."""
        key, certificate = self._directory / "self.key", self._directory / "self.pem"
        _openssl(
            *("req", "-x509", *_KEY, "-days", "20", "-subj", f"/CN={name}"),
            *("-addext", f"subjectAltName=DNS:{name}", "-keyout", str(key), "-out", str(certificate)),
        )
        return Issued(certificate, key, _expiry(certificate))


def _expiry(certificate: Path) -> float:
    text = _openssl("x509", "-in", str(certificate), "-noout", "-enddate")
    return float(ssl.cert_time_to_seconds(text.strip().removeprefix("notAfter=")))


def _openssl(*arguments: str) -> str:
    done = subprocess.run([program("openssl"), *arguments], check=True, capture_output=True, text=True)
    return done.stdout
