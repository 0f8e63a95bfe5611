"""Print the lowest version that pyproject.toml allows of each direct dependency, as constraints for pip.

What those depend on is not named: of that a user gets the latest, and so does `make lowest`.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"


def main() -> None:
    project = tomllib.loads(PYPROJECT.read_text("utf-8"))["project"]
    try:
        print(*lowest(project), sep="\n")
    except ValueError as error:
        sys.exit(str(error))


def lowest(project: dict[str, Any]) -> list[str]:
    """`name==version` of the dependencies and of every extra; ValueError if one has no lower bound."""
    return sorted({_pinned(each) for each in _direct(project)}, key=str.lower)


def _direct(project: dict[str, Any]) -> Iterator[Requirement]:
    extras: dict[str, list[str]] = project["optional-dependencies"]
    for line in [*project["dependencies"], *(line for extra in extras.values() for line in extra)]:
        requirement = Requirement(line)
        if requirement.name != project["name"]:  # an extra may name others of ours
            yield requirement


def _pinned(requirement: Requirement) -> str:
    bounds = [each.version for each in requirement.specifier if each.operator in (">=", "==")]
    if len(bounds) != 1:
        raise ValueError(f"{requirement}: must have one lower bound")
    marker = f"; {requirement.marker}" if requirement.marker else ""
    return f"{requirement.name}=={bounds[0]}{marker}"


if __name__ == "__main__":
    main()
