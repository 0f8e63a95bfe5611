"""What pyproject.toml and constraints.txt say about the libraries that the programs need."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PROJECT = PYPROJECT["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
DIRECT = [
    Requirement(line) for line in [*PROJECT["dependencies"], *(each for of in EXTRAS.values() for each in of)]
]
OTHERS = {str(each): each for each in DIRECT if each.name != PROJECT["name"]}
TESTED = {
    canonicalize_name(name): Version(version)
    for name, version in re.findall(
        r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text("utf-8"), re.M
    )
}
# Imported by name and always brought, in the one version that fits, by the library beside it.
BROUGHT = {"aiormq": "aio-pika", "markupsafe": "jinja2", "pydantic-core": "pydantic"}


def names(lines: Iterable[str]) -> set[str]:
    return {canonicalize_name(Requirement(line).name) for line in lines}


def imported(folder: str) -> Iterator[str]:
    """The distributions that modules of a folder import, wherever in the file."""
    homes = packages_distributions()
    for file in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            match node:
                case ast.Import(names=aliases):
                    modules = [alias.name for alias in aliases]
                case ast.ImportFrom(module=str(module), level=0):
                    modules = [module]
                case _:
                    continue
            for top in {module.partition(".")[0] for module in modules} - {*sys.stdlib_module_names}:
                if not (ROOT / top).is_dir():
                    (home,) = {canonicalize_name(one) for one in homes[top]}
                    yield BROUGHT.get(home, home)


@pytest.mark.parametrize("folder", ["exporter", "worker_agent"])
def test_what_is_imported_is_required(folder: str) -> None:
    """By the programs themselves, or by an extra: no library is there only because another brings it."""
    of_users = [line for extra in ("worker", "amqp", "postgres", "system") for line in EXTRAS[extra]]
    assert set(imported(folder)) - names([*PROJECT["dependencies"], *of_users]) == set()


@pytest.mark.parametrize("folder", ["tests", "scripts", "grafana"])
def test_what_tests_import_is_required(folder: str) -> None:
    """Of the extra `dev`, or of those that it names."""
    everything = names([*PROJECT["dependencies"], *(line for extra in EXTRAS.values() for line in extra)])
    assert set(imported(folder)) - everything == set()


@pytest.mark.parametrize("requirement", OTHERS.values(), ids=str)
def test_versions_are_those_of_tests(requirement: Requirement) -> None:
    """Each has one lower bound, `make lowest` runs with it; and the tested version is allowed."""
    (specifier,) = requirement.specifier
    assert specifier.operator in (">=", "==")
    assert requirement.specifier.contains(TESTED[canonicalize_name(requirement.name)])


def test_the_lowest_versions_are_printed() -> None:
    """As constraints, each library once: without extras, with the marker that says where it is needed."""
    script = ROOT / "scripts/lowest_versions.py"
    printed = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True).stdout
    lines = printed.splitlines()
    assert lines == sorted(lines, key=str.lower)
    found = {canonicalize_name(Requirement(line).name): Requirement(line) for line in lines}
    assert len(found) == len(lines)
    assert set(found) == {canonicalize_name(each.name) for each in OTHERS.values()}
    for each in OTHERS.values():
        (bound,) = each.specifier
        lowest = found[canonicalize_name(each.name)]
        assert (str(lowest.specifier), lowest.extras) == (f"=={bound.version}", set())
        assert str(lowest.marker) == str(each.marker)


def test_the_build_backend_is_that_of_the_tests() -> None:
    """What builds the packages for users has the bound that `make lowest` uses."""
    (backend,) = PYPROJECT["build-system"]["requires"]
    assert Requirement(backend) in DIRECT


def test_nothing_under_the_gpl_is_needed() -> None:
    """starlette-prometheus is an extra of its own, and in what developers install."""
    assert "starlette-prometheus" not in names(PROJECT["dependencies"])
    assert [extra for extra, lines in EXTRAS.items() if "starlette-prometheus" in names(lines)] == ["worker"]
