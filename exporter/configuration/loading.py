"""Reading a configuration file, whichever of the two formats it is in."""

from __future__ import annotations

import re
from pathlib import Path

from exporter.configuration import ini_file, yaml_file
from exporter.configuration.model import Configuration, ConfigurationError, Place, Problem

_LARGEST = 16 * 1024 * 1024

_INI_SUFFIXES = {".ini"}
_YAML_SUFFIXES = {".yaml", ".yml", ".json"}
# What comes first in it, comments aside, is the name of a section.
_BEGINS_LIKE_INI = re.compile(r"(?:[ \t]*(?:[#;].*)?\r?\n)*\[[^\[\]\n]+\][ \t]*(?:[#;].*)?(?:\r?\n|\Z)")


def load(path: Path) -> Configuration:
    """What a file says.

    `.yaml`, `.yml` and `.json` are YAML, `.ini` is the format of the small daemon Heartbeat; with any other
    suffix, such as `.conf`, the content tells.

    Raises:
        ConfigurationError: it names all that is wrong with the file.
    """
    text = _read(path)
    read = ini_file.read if _is_ini(path, text) else yaml_file.read
    return read(path, text)


def _is_ini(path: Path, text: str) -> bool:
    suffix = path.suffix.lower()
    if suffix in _INI_SUFFIXES | _YAML_SUFFIXES:
        return suffix in _INI_SUFFIXES
    return _BEGINS_LIKE_INI.match(text) is not None


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
    except OSError as error:
        raise _unusable(path, f"cannot be read: {error.strerror}") from None
    if len(content) > _LARGEST:
        raise _unusable(path, f"is larger than {_LARGEST // 1024**2} MiB")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _unusable(path, f"is not UTF-8 in line {line}") from None


def _unusable(path: Path, why: str) -> ConfigurationError:
    return ConfigurationError(path, (Problem(Place(""), why),))
