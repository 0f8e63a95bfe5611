from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest

from exporter.core.probing import Failure
from exporter.probes import tls
from exporter.probes.base import ProbeFailed
from exporter.probes.tls import TlsOptions
from tests.exporter.probes.rejections import rejections


def test_one_context_for_all() -> None:
    """Probes that want the same share a context, whichever name they expect."""
    first = tls.context(TlsOptions(), ("http/1.1",), verify=True)
    assert tls.context(TlsOptions(server_name="other"), ("http/1.1",), verify=True) is first
    assert tls.context(TlsOptions(), (), verify=True) is not first
    assert first.verify_mode is ssl.CERT_REQUIRED
    assert first.check_hostname
    assert first.minimum_version is ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize(
    ("given", "version"),
    [("1.0", ssl.TLSVersion.TLSv1), (1.1, ssl.TLSVersion.TLSv1_1), (1.3, ssl.TLSVersion.TLSv1_3)],
)
def test_versions(given: Any, version: ssl.TLSVersion) -> None:
    """The least version comes as a text, or as the number that YAML makes of it; old ones without warning."""
    options = TlsOptions(min_version=given, verify=False)
    made = tls.context(options, (), verify=False)
    assert made.minimum_version is version
    assert made.verify_mode is ssl.CERT_NONE


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    """A file that holds no certificate is named, when it is used."""
    scrap = tmp_path / "scrap.pem"
    scrap.write_text("scrap")
    with pytest.raises(ProbeFailed) as raised:
        tls.context(TlsOptions(cert_file=scrap), (), verify=True)
    assert raised.value.failure is Failure.OTHER
    assert raised.value.detail.startswith(f"{scrap} cannot be used: ")


def failed(code: int, message: str) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, message)
    error.verify_code, error.verify_message = code, message
    return error


LEAF = {
    "subject": ((("commonName", "web"),),),
    "notBefore": "Jan  1 00:00:00 2030 GMT",
    "notAfter": "Feb  1 00:00:00 2030 GMT",
}
AUTHORITY = {**LEAF, "notAfter": "Jan 15 00:00:00 2030 GMT"}


@pytest.mark.parametrize(
    ("code", "seen", "detail"),
    [
        (9, (LEAF,), "certificate is not valid before 2030-01-01"),
        (10, (LEAF, AUTHORITY), "certificate has expired on 2030-01-15"),
        (10, (), "certificate verify failed: words"),
        (19, (), "certificate comes from an authority that is not trusted (self-signed in its chain)"),
        (62, (LEAF,), "certificate is for web, not for other"),
        (62, ({**LEAF, "subject": ()},), "certificate is for no name, not for other"),
        (79, (LEAF,), "certificate verify failed: words"),
    ],
)
def test_verdicts(code: int, seen: tuple[tls.Certificate, ...], detail: str) -> None:
    """What was wrong with a certificate is said with what the certificate says, as far as it was seen."""
    assert tls.unverified(failed(code, "words"), "other", seen).detail == detail


def test_expiry() -> None:
    """Of a chain the certificate that ends first counts."""
    assert tls.expiry((LEAF, AUTHORITY)) == ssl.cert_time_to_seconds(AUTHORITY["notAfter"])
    assert tls.expiry(()) is None


def test_errors_of_tls_behind_others() -> None:
    """What aiohttp makes of a TLS error still is one; other errors are none."""
    lost = OSError("connection lost")
    lost.__cause__ = ssl.SSLError(1, "decryption failed")
    assert tls.refused_later(lost) == "TLS failed: decryption failed"
    assert tls.refused_later(ConnectionResetError()) is None


def test_rejected(tmp_path: Path) -> None:
    """Options that contradict each other, or files that are not there."""
    there = tmp_path / "there.pem"
    there.write_text("")
    where: dict[str, Any] = {"host": "a", "port": 1}
    assert rejections("tcp", **where, tls={"key_file": there}) == ["tls: key_file needs cert_file"]
    assert rejections("tcp", **where, tls={"ca_file": there, "verify": False}) == [
        "tls: ca_file means nothing with verify: false"
    ]
    assert rejections("tcp", tmp_path, **where, tls={"ca_file": "lost.pem", "min_version": 2}) == [
        f"tls.ca_file: there is no file {tmp_path / 'lost.pem'}",
        "tls.min_version: Input should be '1.0', '1.1', '1.2' or '1.3'",
    ]
