"""PostgresCheck and a real server."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from tests.support.dependencies import PostgresServer
from tests.support.processes import free_port
from tests.worker_agent.health.checks.outcomes import told
from worker_agent.health.checks.postgres import PostgresCheck

servers = pytest.mark.servers("postgres")


async def outcome(check: PostgresCheck) -> tuple[str, dict[str, object], str | None]:
    try:
        return told(await check.run())
    finally:
        await check.close()


@servers
async def test_a_query(postgres_dependency: PostgresServer) -> None:
    """A healthy check tells which server answered, and how its pool stands."""
    connection = await asyncpg.connect(postgres_dependency.url)
    version = await connection.fetchval("SHOW server_version")
    await connection.close()
    assert await outcome(PostgresCheck("db", dsn=postgres_dependency.url)) == (
        "healthy",
        {"version": version, "in_recovery": False, "pool": {"size": 1, "idle": 1, "max": 1}},
        None,
    )


@servers
async def test_one_connection_serves(postgres_dependency: PostgresServer) -> None:
    """The connection is kept from run to run, and given up after a query that failed."""
    observer = await asyncpg.connect(postgres_dependency.url)
    await observer.execute("CREATE TABLE seen (pid int)")
    check = PostgresCheck("db", dsn=postgres_dependency.url, query="INSERT INTO seen SELECT pg_backend_pid()")
    try:
        await check.run()
        await check.run()
        assert await observer.fetchval("SELECT count(DISTINCT pid) FROM seen") == 1
        await observer.execute("ALTER TABLE seen RENAME TO gone")
        with pytest.raises(asyncpg.UndefinedTableError, match='relation "seen" does not exist'):
            await check.run()
        await observer.execute("ALTER TABLE gone RENAME TO seen")
        await check.run()
        assert await observer.fetchval("SELECT count(DISTINCT pid) FROM seen") == 2
    finally:
        await check.close()
        await observer.execute("DROP TABLE seen")
        await observer.close()


@servers
@pytest.mark.parametrize(
    ("find", "replacement", "error"),
    [
        ("worker:", "nobody:", 'password authentication failed for user "nobody"'),
        ("Fword", "Fsesame", 'password authentication failed for user "worker"'),
        ("/postgres", "/orders", 'database "orders" does not exist'),
    ],
    ids=["user", "password", "database"],
)
async def test_a_refused_login(
    postgres_dependency: PostgresServer, find: str, replacement: str, error: str
) -> None:
    """The error of a refused login does not name the password."""
    check = PostgresCheck("db", dsn=postgres_dependency.url.replace(find, replacement))
    with pytest.raises(asyncpg.PostgresError) as refused:
        await outcome(check)
    assert str(refused.value) == error


async def test_nobody_listens() -> None:
    """A refused connection is raised, and named with its address."""
    port = free_port()
    with pytest.raises(ConnectionRefusedError, match=f"'127.0.0.1', {port}"):
        await outcome(PostgresCheck("db", dsn=f"postgresql://worker:sesame@127.0.0.1:{port}/orders"))


DSN = "the dsn of check db must be a URL like postgresql://user:password@db:5432/orders"


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        ({"dsn": None}, TypeError, f"{DSN}, not a NoneType"),
        (
            {"dsn": "host=db password=sesame"},
            ValueError,
            f"{DSN}: it does not begin with postgresql:// or postgres://",
        ),
        (
            {"dsn": "postgresql://worker:ses/ame@db"},
            ValueError,
            f"{DSN}: its port is not 1 to 65535"
            " (special characters in a user name or password must be percent-encoded)",
        ),
        ({"query": " "}, ValueError, "the query of check db must be an SQL statement, not ' '"),
        ({"query": None}, ValueError, "the query of check db must be an SQL statement, not None"),
    ],
)
def test_what_cannot_be_meant(given: dict[str, Any], error: type[Exception], text: str) -> None:
    """Bad arguments are refused when the check is made."""
    with pytest.raises(error) as refused:
        PostgresCheck("db", **{"dsn": "postgresql://db", **given})
    assert str(refused.value) == text


@pytest.mark.parametrize(
    "dsn",
    ["postgres://db", "postgresql:///orders?host=/run/postgresql", "postgresql://worker@one:1,two:2/orders"],
)
def test_what_can_be_meant(dsn: str) -> None:
    """All that asyncpg can connect to; making a check connects to nothing."""
    assert PostgresCheck("db", dsn=dsn).name == "db"
