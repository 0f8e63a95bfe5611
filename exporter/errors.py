"""What stops the exporter, and with which exit code.

    success                   0   done, or asked to end
    ExporterError             1   anything else that is expected to go wrong
    ├── UsageError            2   wrong settings or flags
    ├── StoreInUse            4   another exporter has the store
    ├── CannotListen          5   the address is taken or not ours
    ├── StoreUnusable         6   the store cannot be opened, and trying again will not help
    └── AlreadyRunning        7   another process has the pidfile

Users read it in docs/cli.md. 1 is also the answer of commands that are asked whether something is well:
`healthcheck`, `probe --once` and `loadtest`; and of a defect, which leaves a traceback in the log. More that
end with 1 are with what raises them: NoAnswer and Refused in exporter/asking.py, NotTaken in
exporter/notification.py, ProgramFailed in exporter/programs.py.

What is refused to a worker is no error of the program and lives with the rules that refuse it:
UnknownWorker, RegistryFull and TooManyGroups in exporter/core/fleet.py, ProtocolError in
worker_agent/protocol.py. Wrong settings are a SettingsError (worker_agent/environment.py), a wrong file of
probes and actions is a ConfigurationError (exporter/configuration/model.py): exit code 2 as well. What a
store cannot do while the exporter runs is a StoreError (exporter/store/base.py), which the exporter survives.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar


class ExporterError(Exception):
    """Ends the program with `exit_code` after its text was shown; no traceback helps the reader."""

    exit_code: ClassVar[int] = 1


class UsageError(ExporterError):
    exit_code = 2


class StoreInUse(ExporterError):
    exit_code = 4


class StoreUnusable(ExporterError):
    exit_code = 6


class CannotListen(ExporterError):
    exit_code = 5

    def __init__(self, address: str, why: str) -> None:
        super().__init__(address, why)
        self.address = address
        self.why = why

    def __str__(self) -> str:
        return f"cannot listen on {self.address}: {self.why} (--web.listen-address sets another)"


class AlreadyRunning(ExporterError):
    exit_code = 7

    def __init__(self, pidfile: Path, holder: str) -> None:
        super().__init__(pidfile, holder)
        self.pidfile = pidfile
        self.holder = holder

    def __str__(self) -> str:
        who = f"process {self.holder}" if self.holder else "another process"
        return f"{who} is running already: it has {self.pidfile}"
