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


# An exporter takes printable ASCII; a version with a space is no reason to stay unmonitored.
_NOT_IN_A_VERSION = re.compile(r"[^!-~]+")


def readable_name(host: str, port: int) -> str:
    """A name such as "brisk-otter-4f2a": looks random, but is the same whenever host and port are."""
    digest = hashlib.sha256(f"{host}\0{port}".encode()).digest()
    quality = _QUALITIES[digest[0] % len(_QUALITIES)]
    animal = _ANIMALS[digest[1] % len(_ANIMALS)]
    return f"{quality}-{animal}-{digest[2:4].hex()}"


def worker_name(settings: WorkerSettings) -> str:
    """The name that was given, else one that stays with host and port."""
    return settings.worker_name or readable_name(settings.worker_host, settings.worker_port)


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

    @property
    def name(self) -> str:
        return worker_name(self.settings)

    def registration(self) -> dict[str, object]:
        """The JSON body of `POST /register`; what is not known stays away."""
        settings = self.settings
        facts: dict[str, object | None] = {
            "name": self.name,
            "host": settings.worker_host,
            "port": settings.worker_port,
            "group": settings.worker_group,
            "worker_id": settings.worker_id,
            "boot_id": self.boot_id,
            "started_at": self.started_at,
            "version": None if self.version is None else _NOT_IN_A_VERSION.sub("-", self.version)[:100],
            "metrics_path": self.metrics_path,
            "heartbeat_interval": settings.heartbeat_interval,
            "heartbeat_timeout": settings.heartbeat_timeout,
            "protocol": protocol.VERSION,
        }
        return {name: fact for name, fact in facts.items() if fact is not None}
