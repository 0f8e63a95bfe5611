"""TLS of probes: options, contexts that runs share, and what certificates say."""

from __future__ import annotations

import asyncio
import ssl
import warnings
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from exporter.clock import rfc3339
from exporter.core.model import Wall
from exporter.core.probing import Failure
from exporter.probes.base import ProbeFailed
from exporter.probes.fields import ConfigFile, Host


def _version(value: object) -> object:
    return str(value) if isinstance(value, float) else value  # YAML takes 1.2 for a number


MinVersion = Annotated[Literal["1.0", "1.1", "1.2", "1.3"], BeforeValidator(_version)]


class TlsOptions(BaseModel):
    """How a server proves who it is, and how the probe does."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    verify: bool = Field(True, description="Check the server's certificate and its name.")
    ca_file: ConfigFile | None = Field(
        None, description="Authorities to trust, in PEM, instead of the system's."
    )
    server_name: Host | None = Field(None, description="Name to ask for and to expect, instead of the host.")
    cert_file: ConfigFile | None = Field(None, description="Client certificate and its chain, in PEM.")
    key_file: ConfigFile | None = Field(None, description="Its key, if that is not in cert_file.")
    min_version: MinVersion = Field("1.2", description="Oldest version of TLS that is accepted.")

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.key_file is not None and self.cert_file is None:
            raise ValueError("key_file needs cert_file")
        if self.ca_file is not None and not self.verify:
            raise ValueError("ca_file means nothing with verify: false")
        return self


Certificate = dict[str, Any]
"""As ssl.SSLSocket.getpeercert() gives it."""

_VERSIONS = {
    "1.0": ssl.TLSVersion.TLSv1,
    "1.1": ssl.TLSVersion.TLSv1_1,
    "1.2": ssl.TLSVersion.TLSv1_2,
    "1.3": ssl.TLSVersion.TLSv1_3,
}


def context(options: TlsOptions, alpn: tuple[str, ...], *, verify: bool) -> ssl.SSLContext:
    """The context for these options, which all runs share until one of its files changes.

    Raises ProbeFailed: a file cannot be used.
    """
    files = (options.ca_file, options.cert_file, options.key_file)
    try:
        states = tuple(None if path is None else (path, path.stat().st_mtime_ns) for path in files)
        return _context(states, options.min_version, alpn, verify)
    except ssl.SSLError as error:
        named = " or ".join(str(path) for path in files if path is not None)
        raise ProbeFailed(Failure.OTHER, f"{named} cannot be used: {_in_words(error)}") from error
    except OSError as error:
        raise ProbeFailed(Failure.OTHER, f"{error.filename} cannot be read: {error.strerror}") from error


@lru_cache(maxsize=1024)
def _context(
    files: tuple[tuple[Path, int] | None, ...], min_version: str, alpn: tuple[str, ...], verify: bool
) -> ssl.SSLContext:
    ca_file, cert_file, key_file = (None if file is None else file[0] for file in files)
    made = ssl.create_default_context(cafile=ca_file)
    if not verify:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    with warnings.catch_warnings(category=DeprecationWarning, action="ignore"):
        made.minimum_version = _VERSIONS[min_version]  # old servers are probed too, where it is asked for
    if min_version in ("1.0", "1.1"):
        made.set_ciphers("DEFAULT:@SECLEVEL=0")
    if cert_file is not None:
        made.load_cert_chain(cert_file, key_file)
    if alpn:
        made.set_alpn_protocols(alpn)
    return made


def chain(transport: asyncio.BaseTransport) -> tuple[Certificate, ...]:
    """The certificates that the server has sent, its own first; judged or not."""
    connection = transport.get_extra_info("ssl_object")
    # Until Python 3.13 this is not public, and what became public gives bytes, which nobody can read.
    sent = connection._sslobj.get_unverified_chain() or ()
    return tuple(certificate.get_info() for certificate in sent)


def expiry(certificates: tuple[Certificate, ...]) -> float | None:
    """Unix time at which the first of them ends."""
    return min((ssl.cert_time_to_seconds(each["notAfter"]) for each in certificates), default=None)


_VERDICTS = {
    9: "is not valid before {begins}",
    10: "has expired on {ends}",
    18: "is self-signed",
    19: "comes from an authority that is not trusted (self-signed in its chain)",
    20: "comes from an authority that is not trusted",
    21: "comes from an authority that is not trusted",
    23: "was revoked",
    62: "is for {names}, not for {host}",
    64: "is for {names}, not for {host}",
}
"""By OpenSSL's X509_V_ERR numbers."""


def unverified(error: ssl.SSLCertVerificationError, host: str, seen: tuple[Certificate, ...]) -> ProbeFailed:
    """Why a certificate was not accepted; `seen` is what the server sent, if it could be had."""
    words = _VERDICTS.get(error.verify_code)
    if words is None or (not seen and "{" in words):
        return ProbeFailed(Failure.TLS, f"certificate verify failed: {error.verify_message}")
    return ProbeFailed(
        Failure.TLS,
        "certificate "
        + words.format(
            begins=_day(max((ssl.cert_time_to_seconds(each["notBefore"]) for each in seen), default=0)),
            ends=_day(expiry(seen) or 0),
            names=_names(seen[0]) if seen else "",
            host=host,
        ),
    )


def _day(at: float) -> str:
    return rfc3339(Wall(at))[:10]


def _names(certificate: Certificate) -> str:
    alternatives = [value for _, value in certificate.get("subjectAltName", ())]
    common = [value for part in certificate["subject"] for key, value in part if key == "commonName"]
    return ", ".join((alternatives or common)[:5]) or "no name"


_REASONS = {
    "WRONG_VERSION_NUMBER": "the server does not speak TLS",
    "HTTP_REQUEST": "the server does not speak TLS",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "the server requires a client certificate",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "the server refuses the handshake; it may require a client certificate",
    "TLSV1_ALERT_UNKNOWN_CA": "the server does not trust the client certificate",
    "TLSV1_ALERT_PROTOCOL_VERSION": "the server speaks no version of TLS that is allowed here",
    "UNSUPPORTED_PROTOCOL": "the server speaks no version of TLS that is allowed here",
}


def explained(error: BaseException) -> str:
    """A failed handshake in words."""
    if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError):
        return _REASONS.get(_reason(error), f"TLS failed: {_in_words(error)}")
    return "the server closed the connection during the TLS handshake"


def _reason(error: ssl.SSLError) -> str:
    # OpenSSL's name for it; an error that Python raised by itself has none.
    return getattr(error, "reason", None) or str(error)


def _in_words(error: ssl.SSLError) -> str:
    return _reason(error).lower().replace("_", " ")


def refused_later(error: BaseException | None) -> str | None:
    """What a server had against our side of TLS, if that is behind an error.

    In TLS 1.3 a server looks at the client's certificate when for the client the handshake is over.
    """
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return explained(error)
        error = error.__cause__ or error.__context__
    return None
