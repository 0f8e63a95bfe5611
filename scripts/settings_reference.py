"""Print docs/settings.md, made from the settings models; `make docs` puts it in its place."""

from __future__ import annotations

from pathlib import Path

from pydantic_core import PydanticUndefined

from exporter.settings import Settings
from worker_agent.environment import Environment
from worker_agent.settings import WorkerSettings

_HEAD = """# Settings

<!-- Written by `make docs` from exporter/settings.py and worker_agent/settings.py. -->

This page lists all settings of the exporter and of workers. They come from environment variables, or from a
file `.env` in the working directory, which may hold other programs' keys as well. The environment wins. Times
are in seconds.

- A variable named like a setting with `_FILE` appended names a file that holds the value: for secrets.
- An empty value counts as not set. So does what Kubernetes sets for a service by itself, such as
  `REDIS_PORT=tcp://10.0.0.1:6379`.
- Wrong settings are reported all at once, each with its key, its value and what is expected, and the
  program ends with exit code 2.
"""

_FLAGS = """
Flags of `heartbeat-exporter serve` win over the environment: `--config.file`,
`--web.enable-lifecycle`, `--log.level`, `--log.format`. Where it listens is a flag only:
`--web.listen-address`, by default `:8000`.

Exit codes are in the [command line reference](cli.md#exit-codes).
"""


def main() -> None:
    print(_HEAD)
    print("## Exporter\n")
    print(table(Settings))
    print(_FLAGS)
    print("## Worker\n")
    print(table(WorkerSettings), end="")


def table(model: type[Environment]) -> str:
    rows = ["| setting | default | |", "|---|---|---|"]
    for name, field in model.model_fields.items():
        rows.append(f"| `{name.upper()}` | {_default(field.default)} | {field.description} |")
    return "\n".join(rows) + "\n"


def _default(value: object) -> str:
    if value is PydanticUndefined:
        return "the host name"
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, float):
        return f"`{value:g}`"
    return f"`{value}`" if not isinstance(value, Path) else f"`{value.name}`"


if __name__ == "__main__":
    main()
