"""Settings from the environment: what the exporter's and the worker's settings have in common.

A value comes from the environment variable of the field's name in capitals, else from a `.env` file,
which may hold other programs' keys too. `NAME_FILE` names a file that holds the value of `NAME`, so
that a secret need not be in the environment. An empty value counts as unset, and so does what
Kubernetes puts there by itself for a service called `redis`: `REDIS_PORT=tcp://10.0.0.1:6379`.

Whatever is wrong is said at once, in one `SettingsError`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import BeforeValidator, SecretBytes, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from worker_agent.masking import MASK, masked

LogLevel = Annotated[
    Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"],
    BeforeValidator(lambda value: value.upper() if isinstance(value, str) else value),
]
LogFormat = Annotated[
    Literal["console", "logfmt", "json"],
    BeforeValidator(lambda value: value.lower() if isinstance(value, str) else value),
]

_LONGEST_SECRET = 64 * 1024
_KUBERNETES_SERVICE = re.compile(r"(tcp|udp|sctp)://\S+:\d+")


@dataclass(frozen=True)
class Problem:
    """One wrong setting: its key in capitals, the value as it may be shown, what is expected instead."""

    key: str
    value: str | None
    expected: str

    def __str__(self) -> str:
        if not self.key:
            return self.expected
        return (
            f"{self.key}: {self.expected}"
            if self.value is None
            else f"{self.key}={self.value}: {self.expected}"
        )


class SettingsError(ValueError):
    """Settings that a program cannot run with; `problems` holds all of them."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__(problems)
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)


class _Secret(str):
    """A value read from a file: never shown."""


@dataclass(frozen=True)
class _Unreadable:
    """Stands where the value of `NAME_FILE` should be, so that the field fails with the others."""

    key: str
    path: str
    reason: str


class Environment(BaseSettings):
    """Base of a program's settings; a field `redis_host` is the variable `REDIS_HOST`.

    Read it with `load`, which reports in this project's terms.
    """

    model_config = SettingsConfigDict(
        env_file=".env",
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        allow_inf_nan=False,
        str_strip_whitespace=True,
        hide_input_in_errors=True,
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        assert isinstance(env_settings, EnvSettingsSource)
        assert isinstance(dotenv_settings, DotEnvSettingsSource)
        return (
            init_settings,
            _Variables(settings_cls, env_settings.env_vars),
            _Variables(settings_cls, dotenv_settings.env_vars),
        )


class _Variables(PydanticBaseSettingsSource):
    """One layer of variables, its names in lower case, with `NAME_FILE` followed and Kubernetes' ignored."""

    def __init__(self, settings_cls: type[BaseSettings], variables: Mapping[str, str | None]) -> None:
        super().__init__(settings_cls)
        self._variables = variables

    def __call__(self) -> dict[str, Any]:
        found = {}
        for name, field in self.settings_cls.model_fields.items():
            value, _, _ = self.get_field_value(field, name)
            if value is not None:
                found[name] = value
        return found

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        value = self._variables.get(field_name)
        if value is not None and not (value.isspace() or _from_kubernetes(field_name, value)):
            return value, field_name, False
        pointer = f"{field_name}_file"
        path = self._variables.get(pointer)
        if path is None or pointer in self.settings_cls.model_fields:
            return None, field_name, False
        return _read_secret(pointer.upper(), path), field_name, False


def _from_kubernetes(name: str, value: str) -> bool:
    return name.endswith(("port", "host")) and _KUBERNETES_SERVICE.fullmatch(value) is not None


def _read_secret(key: str, path: str) -> _Secret | _Unreadable | None:
    """The content without the newline at its end that editors and `echo` leave; None when there is none."""
    try:
        with Path(path).open("rb") as file:
            content = file.read(_LONGEST_SECRET + 1)
        if len(content) > _LONGEST_SECRET:
            return _Unreadable(key, path, f"must be at most {_LONGEST_SECRET} bytes long")
        return _Secret(content.decode().strip()) or None
    except OSError as error:
        return _Unreadable(key, path, f"must be a file that can be read: {error.strerror}")
    except ValueError:
        return _Unreadable(key, path, "must be a text file in UTF-8")


SettingsT = TypeVar("SettingsT", bound=Environment)


def load(model: type[SettingsT], /, **overrides: Any) -> SettingsT:
    """Read the settings of a program; `overrides` (command-line flags) win over the environment.

    Raises:
        SettingsError: one or more settings are wrong; it names all of them.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return model(**given)
    except ValidationError as error:
        raise SettingsError(tuple(_problems(model, error))) from None
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        expected = f"must be a text file that can be read: {reason}"
        raise SettingsError((Problem(".env", None, expected),)) from None


def _problems(model: type[Environment], error: ValidationError) -> Iterator[Problem]:
    for detail in error.errors(include_url=False):
        value = detail["input"]
        if isinstance(value, _Unreadable):
            yield Problem(value.key, value.path, value.reason)
        elif not detail["loc"]:
            yield Problem("", None, _expectation(detail))
        elif detail["type"] == "missing":
            yield Problem(str(detail["loc"][0]).upper(), None, "must be set")
        else:
            name = str(detail["loc"][0])
            yield Problem(name.upper(), _shown(model, name, value), _expectation(detail))


_PHRASES = (("Value error, ", ""), ("Input should be ", "must be "), ("String should ", "must "))


def _expectation(detail: ErrorDetails) -> str:
    message = detail["msg"]
    for prefix, instead in _PHRASES:
        if message.startswith(prefix):
            message = instead + message.removeprefix(prefix)
    return message.partition(", unable to ")[0]


def _shown(model: type[Environment], name: str, value: object) -> str:
    field = model.model_fields.get(name)
    if isinstance(value, _Secret) or (field is not None and _is_secret(field.annotation)):
        return MASK
    text = masked(str(value))
    shown = text if text.isprintable() and " " not in text else repr(text)
    return shown if len(shown) <= 100 else f"{shown[:97]}..."


def _is_secret(annotation: object) -> bool:
    return annotation in (SecretStr, SecretBytes) or any(_is_secret(part) for part in get_args(annotation))
