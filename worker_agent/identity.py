"""Who this worker is, as it tells the exporter."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from worker_agent import protocol
from worker_agent.settings import WorkerSettings

_QUALITIES = (
    *("amber", "bold", "brisk", "calm", "clear", "crisp", "deft", "eager", "fair", "fleet", "frank"),
    *("gentle", "glad", "keen", "kind", "light", "lively", "lucid", "merry", "mild", "neat", "nimble"),
    *("noble", "plain", "proud", "quick", "quiet", "ready", "sharp", "steady", "sunny", "swift"),
)
_ANIMALS = (
    *("badger", "beaver", "bison", "crane", "curlew", "dolphin", "falcon", "finch", "fox", "gecko", "heron"),
    *("ibex", "jay", "kestrel", "lark", "lynx", "marten", "newt", "ocelot", "otter", "owl", "panda"),
    *("plover", "puffin", "raven", "robin", "seal", "stork", "swan", "tapir", "wren", "yak"),
)


# What an exporter takes, in characters.
LONGEST_NAME = 100
LONGEST_ID = 128

# An exporter takes printable ASCII; a version with a space is no reason to stay unmonitored.
_NOT_IN_A_VERSION = re.compile(r"[^!-~]+")


def readable_name(host: str, port: int, slot: int = 0) -> str:
    """A name such as "brisk-otter-4f2a": looks random, but is the same whenever host, port and slot are."""
    place = f"{host}\0{port}" + (f"\0{slot}" if slot else "")
    digest = hashlib.sha256(place.encode()).digest()
    quality = _QUALITIES[digest[0] % len(_QUALITIES)]
    animal = _ANIMALS[digest[1] % len(_ANIMALS)]
    return f"{quality}-{animal}-{digest[2:4].hex()}"


def worker_name(settings: WorkerSettings, slot: int = 0) -> str:
    """The name that was given, told apart by the process's slot; else one that stays with host and port."""
    if settings.worker_name is None:
        return readable_name(settings.worker_host, settings.worker_port, slot)
    return _told_apart(settings.worker_name, slot, LONGEST_NAME)


def _told_apart(text: str, slot: int, limit: int) -> str:
    """With the slot at its end from the second process on; a text that gets too long stays unique."""
    if slot == 0:
        return text
    end = f"-{slot}"
    if len(text) + len(end) > limit:
        end = f"-{hashlib.sha256(text.encode()).hexdigest()[:8]}{end}"
    return text[: limit - len(end)] + end


@dataclass(frozen=True)
class Identity:
    """One process of a worker. `boot_id` is new in each process, the rest survives a restart."""

    settings: WorkerSettings
    boot_id: str
    started_at: float
    """Unix time."""
    version: str | None = None
    """Of the application, not of this library."""
    metrics_path: str | None = None
    """Where the application can be scraped; None when it cannot."""
    slot: int = 0
    """The process's place behind its port: 0 for the only one, and kept over restarts."""

    @property
    def name(self) -> str:
        return worker_name(self.settings, self.slot)

    @property
    def worker_id(self) -> str | None:
        """None where the exporter is to make one, from the name among other things."""
        given = self.settings.worker_id
        return None if given is None else _told_apart(given, self.slot, LONGEST_ID)

    def registration(self) -> dict[str, object]:
        """The JSON body of `POST /register`; what is not known stays away."""
        settings = self.settings
        facts: dict[str, object | None] = {
            "name": self.name,
            "host": settings.worker_host,
            "port": settings.worker_port,
            "group": settings.worker_group,
            "worker_id": self.worker_id,
            "boot_id": self.boot_id,
            "started_at": self.started_at,
            "version": None if self.version is None else _NOT_IN_A_VERSION.sub("-", self.version)[:100],
            "metrics_path": self.metrics_path,
            "heartbeat_interval": settings.heartbeat_interval,
            "heartbeat_timeout": settings.heartbeat_timeout,
            "protocol": protocol.VERSION,
        }
        return {name: fact for name, fact in facts.items() if fact is not None}
