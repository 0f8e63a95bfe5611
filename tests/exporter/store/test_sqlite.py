"""What can be wrong with a file, and what is said then."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from exporter.store import database
from exporter.store.base import Batch, Memory, Quarantined, Saved, StoreError
from exporter.store.database import APPLICATION
from exporter.store.sqlite import SQLiteStore
from tests.exporter.store.records import record


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "heartbeat.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SQLiteStore]:
    store = SQLiteStore(path)
    await store.open()
    assert await store.acquire() is None
    yield store
    await store.close()


async def refusal(path: Path) -> StoreError:
    store = SQLiteStore(path)
    try:
        with pytest.raises(StoreError) as caught:
            await store.open()
    finally:
        await store.close()
    return caught.value


async def ids(store: SQLiteStore) -> set[str]:
    return {one.facts.worker_id async for step in store.load() for one in step.records}


CANNOT_OPEN = "it cannot be opened or made; is its directory there, and writable by this user?"


# A path that nobody, root included, can write to.
@pytest.mark.parametrize("where", ["missing/heartbeat.db", ".", "/proc/heartbeat.db"])
async def test_a_path_that_cannot_be_written_is_named(tmp_path: Path, where: str) -> None:
    """The start ends with a sentence that names the file and what to look at."""
    path = tmp_path / where
    error = await refusal(path)
    assert str(error) == f"SQLite file {path} cannot be opened or claimed: {CANNOT_OPEN}"
    assert error.permanent


async def test_a_file_that_is_no_database_is_left_alone(path: Path) -> None:
    """It may be anything, and it may be dear to somebody."""
    path.write_text("Dear diary, " * 100)
    error = await refusal(path)
    assert error.problem == "it is not a database; choose another SQLITE_PATH, or move the file away"
    assert error.permanent
    assert path.read_text() == "Dear diary, " * 100


async def test_another_programs_database_is_left_alone(path: Path) -> None:
    """Even one that has a table of the same name."""
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE workers (salary INTEGER)")
    error = await refusal(path)
    assert (error.problem, error.permanent) == ("it is the database of another program", True)


async def test_a_newer_layout_is_left_alone(store: SQLiteStore, path: Path) -> None:
    """Going back to an older version must not spoil what the newer one kept."""
    await store.close()
    with contextlib.closing(sqlite3.connect(path)) as newer:
        newer.execute("PRAGMA user_version = 2")
    error = await refusal(path)
    assert error.problem == "a newer version of this program made it (layout 2, this one has 1)"


async def test_the_file_says_whose_it_is(store: SQLiteStore, path: Path) -> None:
    """`file heartbeat.db` shows the application id."""
    assert path.read_bytes()[68:72] == APPLICATION.to_bytes(4, "big")


async def test_a_directory_that_takes_no_lock_file_is_an_error(path: Path) -> None:
    """The lock is as necessary as the file."""
    path.with_name("heartbeat.db.lock").mkdir()
    store = SQLiteStore(path)
    await store.open()
    with pytest.raises(
        StoreError, match=r"cannot be opened or claimed: Is a directory: .*heartbeat\.db\.lock"
    ):
        await store.acquire()
    await store.close()


async def test_a_lease_without_a_file_is_given_back(path: Path) -> None:
    """Who cannot write to the database does not keep others from it."""
    store, other = SQLiteStore(path), SQLiteStore(path)
    path.mkdir()
    with pytest.raises(StoreError):
        await store.acquire()
    path.rmdir()
    assert await other.acquire() is None
    await store.close()
    await other.close()


HOLD = """
import asyncio, os, sys
from exporter.store import database
from exporter.store.base import Batch
from exporter.store.sqlite import SQLiteStore
from tests.exporter.store.records import record

async def main():
    store = SQLiteStore(sys.argv[1])
    await store.open()
    await store.acquire()
    for number in range(100):
        await store.save(Batch([record(f"w{number}")]))
        print(number, flush=True)
    os.kill(os.getpid(), 9)

asyncio.run(main())
"""


async def test_what_was_saved_survives_kill_9(path: Path) -> None:
    """Another process has it at once, and has the lease: the kernel freed it."""
    command = [sys.executable, "-c", HOLD, str(path)]
    child = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    assert (child.returncode, child.stdout.split()[-1]) == (-9, b"99")
    store = SQLiteStore(path)
    await store.open()
    assert await store.acquire() is None
    assert await ids(store) == {f"w{number}" for number in range(100)}
    await store.close()


async def test_two_processes_do_not_share_a_file(store: SQLiteStore, path: Path) -> None:
    """The second is told who has it."""
    command = [sys.executable, "-c", HOLD.replace("await store.acquire()", "sys.exit(await store.acquire())")]
    child = subprocess.run([*command, str(path)], stderr=subprocess.PIPE, check=False)
    assert (child.returncode, child.stderr.decode().strip()) == (1, str(store._owner))


async def test_a_file_that_somebody_else_locks_is_tried_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backup takes its time; the error is one that passes."""
    monkeypatch.setattr(database, "PATIENCE", 0.01)
    store = SQLiteStore(path)
    await store.open()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as backup:
        backup.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError) as caught:
            await store.save(Batch([record()]))
        assert (caught.value.problem, caught.value.permanent) == ("database is locked", False)
        backup.execute("ROLLBACK")
    await store.save(Batch([record()]))
    assert await ids(store) == {"w1"}
    await store.close()


@contextlib.contextmanager
def full_disk(limit: int) -> Iterator[None]:
    """No file of this process grows beyond so many bytes: as near to a full disk as one gets without one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_full_disk_is_an_error_that_passes(store: SQLiteStore, path: Path) -> None:
    """Nothing of the batch is kept, what was there stays, and with room again all is well."""
    await store.save(Batch([record("w1")]))
    size = Path(f"{path}-wal").stat().st_size
    big = [record(f"big{number}", version="x" * 1000) for number in range(200)]
    with full_disk(size + 4096), pytest.raises(StoreError) as caught:
        await store.save(Batch(big))
    assert caught.value.problem in ("disk I/O error", "database or disk is full")
    assert not caught.value.permanent
    assert await ids(store) == {"w1"}
    assert await store.save(Batch(big)) == Saved()
    assert len(await ids(store)) == 201


async def test_a_corrupt_record_on_a_full_disk_stays_where_it_is(store: SQLiteStore, path: Path) -> None:
    """It cannot be put aside, but the rest loads."""
    await store.save(Batch([record("w1")]))
    with contextlib.closing(sqlite3.connect(path)) as file, file:
        file.execute("INSERT INTO workers VALUES ('w2', ?)", ("x" * 100_000,))
    size = Path(f"{path}-wal").stat().st_size
    with full_disk(size):
        loaded = [step async for step in store.load()]
    assert [one.facts.worker_id for step in loaded for one in step.records] == ["w1"]
    [quarantined] = [one for step in loaded for one in step.quarantined]
    assert quarantined.worker_id == "w2"
    assert quarantined.why.startswith("not JSON: Expecting value: line 1 column 1 (char 0) (not put aside: ")
    assert [step.quarantined async for step in store.load()] == [
        (Quarantined("w2", "not JSON: Expecting value: line 1 column 1 (char 0)"),)
    ]


async def test_a_file_that_is_deleted_is_made_again(store: SQLiteStore, path: Path) -> None:
    """What would go to the deleted file nobody would ever see; the next save tells that all is gone."""
    await store.save(Batch([record("w1")]))
    path.unlink()
    assert await store.save(Batch([record("w2")])) == Saved(memory=Memory.NOTHING)
    assert await ids(store) == {"w2"}
    with contextlib.closing(sqlite3.connect(path)) as file:
        assert file.execute("SELECT worker_id FROM workers").fetchall() == [("w2",)]


async def test_a_damaged_file_is_an_error(store: SQLiteStore, path: Path) -> None:
    """One that says so, for a person to look at."""
    await store.save(Batch([record(f"w{number}") for number in range(200)]))
    await store.close()
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    error = await refusal(path)
    assert (error.problem, error.permanent) == ("database disk image is malformed", True)


async def test_the_event_loop_runs_while_the_disk_is_slow(store: SQLiteStore, path: Path) -> None:
    """SQLite waits in a thread of its own."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as backup:
        backup.execute("BEGIN IMMEDIATE")
        saving = asyncio.create_task(store.save(Batch([record()])))
        for _ in range(100):
            await asyncio.sleep(0)
        assert not saving.done()
        backup.execute("ROLLBACK")
    assert await saving == Saved()


async def test_a_batch_that_fails_half_way_leaves_nothing(store: SQLiteStore, path: Path) -> None:
    """Here because somebody dropped a table; the workers before it in the batch are not there either."""
    with contextlib.closing(sqlite3.connect(path)) as file:
        file.execute("DROP TABLE transitions")
    with pytest.raises(StoreError) as caught:
        await store.save(Batch([record("w1")], (), record().history))
    assert (caught.value.problem, caught.value.permanent) == ("no such table: transitions", True)
    assert await ids(store) == set()
    assert await store.save(Batch([record("w2")])) == Saved()
