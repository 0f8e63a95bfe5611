"""The disk check."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.worker_agent.health.checks.outcomes import told
from worker_agent.health.checks.disk import DiskCheck
from worker_agent.health.registry import Health


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """1000 bytes, of which 100 are kept for root, 630 are used and 270 are free."""
    usage = shutil._ntuple_diskusage(1000, 630, 270)  # type: ignore[attr-defined]
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)


@pytest.mark.usefixtures("disk")
async def test_details() -> None:
    """What is kept for root is neither used nor free."""
    result = await DiskCheck(path="/data").run()
    assert vars(result)["details"] == {
        "path": "/data",
        "percent": 70.0,
        "free_bytes": 270,
        "total_bytes": 1000,
    }


@pytest.mark.usefixtures("disk")
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, ("healthy", None)),
        ({"max_percent": 70}, ("healthy", None)),
        ({"max_percent": 69.5}, ("unhealthy", "70 % of /data is used, above 69.5 %")),
        ({"max_percent": None}, ("healthy", None)),
        ({"min_free_bytes": 270}, ("healthy", None)),
        (
            {"min_free_bytes": 271, "beyond": "degraded"},
            ("degraded", "270 bytes of /data are free, below 271"),
        ),
        (
            {"max_percent": 10, "min_free_bytes": 300},
            ("unhealthy", "70 % of /data is used, above 10 %; 270 bytes of /data are free, below 300"),
        ),
    ],
)
async def test_limits(arguments: dict[str, Any], expected: tuple[str, str | None]) -> None:
    """Past a limit it is unhealthy, or what it was told to be, and says which one."""
    state, _, error = told(await DiskCheck(path="/data", **arguments).run())
    assert (state, error) == expected


async def test_real(tmp_path: Path) -> None:
    """A real file system is asked."""
    state, details, error = told(await DiskCheck("tmp", path=tmp_path, max_percent=None).run())
    assert (state, error) == ("healthy", None)
    assert {**details, "percent": "some"} == {
        "path": str(tmp_path),
        "percent": "some",
        "free_bytes": "bytes",
        "total_bytes": "bytes",
    }


async def test_no_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system without a size is not full."""
    monkeypatch.setattr(shutil, "disk_usage", lambda path: (0, 0, 0))
    assert told(await DiskCheck().run()) == (
        "healthy",
        {"path": "/", "percent": 0.0, "free_bytes": 0, "total_bytes": 0},
        None,
    )


async def test_missing(tmp_path: Path) -> None:
    """A path that is not there is an error: what should be mounted is not."""
    with pytest.raises(FileNotFoundError, match="nowhere"):
        await DiskCheck(path=tmp_path / "nowhere").run()


async def test_hanging(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that hangs holds up a thread and not the event loop."""
    release = threading.Event()
    monkeypatch.setattr(shutil, "disk_usage", lambda path: release.wait(5.0))
    health = Health()
    health.add(DiskCheck(timeout=0.02))
    await health.start()
    finding = (await health.look())["disk"].finding
    release.set()
    await health.stop()
    assert finding is not None
    assert finding.result.error == "no result within 0.02 s"


def test_defaults() -> None:
    """It is optional, and nothing is gained by giving it a rest."""
    check = DiskCheck()
    assert (check.name, check.critical, check.breaker) == ("disk", False, None)


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"path": 5}, TypeError, "str, bytes or os.PathLike"),
        ({"max_percent": 0}, ValueError, "max_percent of check disk must be above 0 and at most 100, not 0"),
        ({"min_free_bytes": 0.5}, TypeError, "min_free_bytes of check disk must be a whole number or None"),
        ({"beyond": "bad"}, ValueError, "beyond of check disk must be 'degraded' or 'unhealthy', not 'bad'"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], error: type[Exception], text: str) -> None:
    """What cannot be meant is refused."""
    with pytest.raises(error, match=text):
        DiskCheck(**arguments)
