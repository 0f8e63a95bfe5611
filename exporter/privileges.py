"""Become another user, for good."""

from __future__ import annotations

import grp
import os
import pwd
from dataclasses import dataclass

from exporter.errors import UsageError


@dataclass(frozen=True)
class Account:
    """A user and a group of this system, by number; `name` is there where a user was named."""

    uid: int
    gid: int
    name: str | None

    @classmethod
    def of(cls, user: str | None, group: str | None) -> Account | None:
        """The account that names or numbers mean; None where neither is given.

        Raises:
            UsageError: the system does not know it, or we may not become it.
        """
        if user is None and group is None:
            return None
        uid, gid, name = os.getuid(), os.getgid(), None
        if user is not None:
            entry = _user(user)
            uid, gid, name = entry.pw_uid, entry.pw_gid, entry.pw_name
        if group is not None:
            gid = _group(group)
        if os.geteuid() != 0 and (uid, gid) != (os.getuid(), os.getgid()):
            who = " and ".join(
                f"{what} {value}" for what, value in (("user", user), ("group", group)) if value
            )
            raise UsageError(f"only root can become {who}: start as root, or leave it out")
        return cls(uid, gid, name)

    def become(self) -> None:
        """Give up what the present user may. Groups first: afterwards we may not any more.

        Raises:
            UsageError: this root may not, as in a container without CAP_SETUID.
        """
        if os.geteuid() != 0:
            return
        try:
            if self.name is not None:
                os.initgroups(self.name, self.gid)
            else:
                os.setgroups([self.gid])
            os.setgid(self.gid)
            os.setuid(self.uid)
        except OSError as error:
            raise UsageError(f"user and group cannot be changed: {error.strerror}") from None
        if self.name is not None:
            # A command that looks for its settings is not to look among root's.
            os.environ |= {
                "USER": self.name,
                "LOGNAME": self.name,
                "HOME": pwd.getpwuid(self.uid).pw_dir,
            }


def _user(name: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwuid(int(name)) if name.isdecimal() else pwd.getpwnam(name)
    except (KeyError, ValueError, OverflowError):
        raise UsageError(f"user {name} is not known to this system") from None


def _group(name: str) -> int:
    try:
        return (grp.getgrgid(int(name)) if name.isdecimal() else grp.getgrnam(name)).gr_gid
    except (KeyError, ValueError, OverflowError):
        raise UsageError(f"group {name} is not known to this system") from None
