"""What keeps the exporter from starting: a sentence that names it, and an exit code, by every command."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.serving import COMMANDS, run_to_end

pytestmark = pytest.mark.slow

NOT_WRITABLE = "it cannot be opened or made; is its directory there, and writable by this user?"
NO_DATABASE = "it is not a database; choose another SQLITE_PATH, or move the file away"


@pytest.mark.parametrize("by", COMMANDS)
def test_wrong_settings(tmp_path: Path, by: str) -> None:
    """Everything that is wrong and nothing else, on standard error; exit code 2."""
    done = run_to_end(
        tmp_path,
        by,
        REDIS_PORT="x",
        REDIS_URL="redis://:geheim@host:abc",
        HEARTBEAT_TIMEOUT="4",
        WORKER_RETENTION="nan",
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        "REDIS_PORT=x: must be a valid integer",
        "REDIS_URL=****: must be redis://user:password@host:port/db, with a port up to 65535 and with what is"
        " special in the password written as %XX",
        "HEARTBEAT_TIMEOUT=4: must be above HEARTBEAT_INTERVAL=5",
        "WORKER_RETENTION=nan: must be a finite number",
    ]


def no_directory(directory: Path) -> Path:
    return directory / "missing" / "registry.db"


def a_directory(directory: Path) -> Path:
    path = directory / "registry.db"
    path.mkdir()
    return path


def a_text(directory: Path) -> Path:
    path = directory / "notes.txt"
    path.write_text("Buy milk.\n" * 1000)
    return path


def another_programs(directory: Path) -> Path:
    path = directory / "photos.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE photos (id INTEGER)")
    database.close()
    return path


@pytest.mark.parametrize(
    ("make", "why", "by"),
    [
        (no_directory, NOT_WRITABLE, "serve"),
        (a_directory, NOT_WRITABLE, "serve"),
        (another_programs, "it is the database of another program", "serve"),
        *((a_text, NO_DATABASE, by) for by in COMMANDS),
    ],
)
def test_a_file_that_cannot_be_used(tmp_path: Path, make: Callable[[Path], Path], why: str, by: str) -> None:
    """It is named with what is wrong, and left as it was; exit code 6."""
    path = make(tmp_path)
    before = path.read_bytes() if path.is_file() else None
    done = run_to_end(tmp_path, by, SQLITE_PATH=path, LOG_FORMAT="logfmt")
    assert done.returncode == 6
    last = done.stderr.splitlines()[-1]
    assert f'level=critical component=manager event="SQLite file {path} cannot be opened' in last
    assert last.endswith(f'{why}"')
    assert "Traceback" not in done.stdout + done.stderr
    assert before == (path.read_bytes() if path.is_file() else None)
