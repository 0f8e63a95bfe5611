"""Becoming another user."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from exporter.errors import UsageError
from exporter.privileges import Account


def test_nobody_named() -> None:
    """Without a user and a group we stay who we are."""
    assert Account.of(None, None) is None


def test_ourselves() -> None:
    """To be who we are anyway is allowed to everybody."""
    account = Account.of(str(os.getuid()), str(os.getgid()))
    assert account is not None
    assert (account.uid, account.gid) == (os.getuid(), os.getgid())
    assert Account.of(None, str(os.getgid())) == Account(os.getuid(), os.getgid(), None)


@pytest.mark.parametrize(
    ("user", "group", "message"),
    [
        ("no-such-user", None, "user no-such-user is not known to this system"),
        ("4294967", None, "user 4294967 is not known to this system"),
        ("9" * 30, None, f"user {'9' * 30} is not known to this system"),
        ("no\0body", None, "user no\0body is not known to this system"),
        (None, "9" * 30, f"group {'9' * 30} is not known to this system"),
        (None, "no-such-group", "group no-such-group is not known to this system"),
    ],
)
def test_unknown(user: str | None, group: str | None, message: str) -> None:
    """Who is not known is named."""
    with pytest.raises(UsageError, match=f"^{message}$"):
        Account.of(user, group)


def test_only_root_can(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who may not become somebody else is told before anything has begun."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    with pytest.raises(UsageError, match=r"^only root can become user nobody and group daemon: "):
        Account.of("nobody", "daemon")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize("user", ["nobody", None])
def test_becoming(user: str | None) -> None:
    """Nothing of root is left: neither user nor group nor other groups, and no way back."""
    code = (
        "import os; from exporter.privileges import Account;"
        f"account = Account.of({user!r}, 'daemon'); account.become();"
        "print(os.getresuid(), os.getresgid(), 0 in os.getgroups(), os.environ['USER'], os.environ['HOME'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "USER": "root", "HOME": "/root"},
    )
    uid = 65534 if user else 0
    about = "nobody /nonexistent" if user else "root /root"
    assert done.stdout == f"({uid}, {uid}, {uid}) (1, 1, 1) False {about}\n"


@pytest.mark.parametrize("user", ["nobody", None])
def test_a_root_that_may_not(user: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container without the capabilities: a sentence, and nothing goes on as root."""

    def refused(*numbers: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "initgroups", refused)
    monkeypatch.setattr(os, "setgroups", refused)
    with pytest.raises(UsageError, match=r"^user and group cannot be changed: Operation not permitted$"):
        Account(1, 1, user).become()
