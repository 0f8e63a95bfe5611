"""POST /-/reload."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.support.application import Exporter, running

GOOD = "probes:\n  db: {type: tcp, host: 127.0.0.1, port: 1, interval: 1h}\n"
MORE = f"{GOOD}  web: {{type: http, host: 127.0.0.1, port: 1, interval: 1h}}\n"
BAD = "probes:\n  db: {type: tcp, host: 127.0.0.1, prt: 1}\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "probes.yml"
    path.write_text(GOOD)
    return path


async def reload(exporter: Exporter) -> tuple[int, str]:
    answer = await exporter.http.post("/-/reload")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    return answer.status_code, answer.text


async def probes(exporter: Exporter) -> list[str]:
    return [probe["name"] for probe in (await exporter.http.get("/probes")).json()]


async def metrics(exporter: Exporter) -> list[float]:
    lines = await exporter.metric("heartbeat_config_last_reload_success")
    return [float(line.rpartition(" ")[2]) for line in lines]


async def test_reloads(file: Path) -> None:
    """An added probe is there, one that is gone is not; /metrics say when that was."""
    async with running(config_file=file, enable_lifecycle=True) as exporter:
        assert await probes(exporter) == ["db"]
        [successful, started] = await metrics(exporter)
        file.write_text(MORE)
        exporter.clock.move(60.0)
        now = exporter.clock.now().wall
        assert await reload(exporter) == (200, "configuration reloaded\n")
        assert await probes(exporter) == ["db", "web"]
        assert (successful, await metrics(exporter), started < now) == (1.0, [1.0, now], True)
        file.write_text("{}")
        assert await reload(exporter) == (200, "configuration reloaded\n")
        assert await probes(exporter) == []


async def test_a_bad_file(file: Path) -> None:
    """The answer says what is wrong with it and where; what runs stays, and so does its time."""
    async with running(config_file=file, enable_lifecycle=True) as exporter:
        [_, started] = await metrics(exporter)
        file.write_text(BAD)
        status, text = await reload(exporter)
        assert status == 500
        assert text.splitlines() == [
            "failed to reload the configuration:",
            f"{file}: probes.db.port (line 2): must be given",
            f"{file}: probes.db.prt (line 2): is not known here (did you mean port?)",
        ]
        assert (await probes(exporter), await metrics(exporter)) == (["db"], [0.0, started])
        file.unlink()
        assert await reload(exporter) == (
            500,
            f"failed to reload the configuration:\n{file}: cannot be read: No such file or directory\n",
        )
        file.write_text(MORE)
        assert (await reload(exporter))[0] == 200
        assert (await probes(exporter), (await metrics(exporter))[0]) == (["db", "web"], 1.0)


async def test_off_unless_enabled(file: Path) -> None:
    """It says what would enable it, reads nothing and counts as no failure."""
    async with running(config_file=file) as exporter:
        file.write_text(BAD)
        assert await reload(exporter) == (
            403,
            "Lifecycle API is not enabled; --web.enable-lifecycle turns it on.\n",
        )
        assert (await probes(exporter), (await metrics(exporter))[0]) == (["db"], 1.0)


async def test_without_a_file() -> None:
    """There is nothing to reload, which is not what was asked for."""
    async with running(enable_lifecycle=True) as exporter:
        assert await reload(exporter) == (
            500,
            "failed to reload the configuration:\nthere is no configuration file; --config.file names one\n",
        )


async def test_many_at_once(file: Path) -> None:
    """Each has its answer, and the file as it was last is what holds."""
    async with running(config_file=file, enable_lifecycle=True) as exporter:
        file.write_text(MORE)
        assert (
            await asyncio.gather(*[reload(exporter) for _ in range(5)])
            == [(200, "configuration reloaded\n")] * 5
        )
        assert await probes(exporter) == ["db", "web"]


async def test_only_post(file: Path) -> None:
    """A link that somebody follows reloads nothing."""
    async with running(config_file=file, enable_lifecycle=True) as exporter:
        answer = await exporter.http.get("/-/reload")
        assert (answer.status_code, json.loads(answer.text)) == (405, {"detail": "Method Not Allowed"})
