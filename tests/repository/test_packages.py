"""The sdist and the wheel: what is in them, and what they say of themselves."""

from __future__ import annotations

import email
import importlib
import tomllib
from configparser import ConfigParser
from pathlib import Path
from typing import NamedTuple

import pytest
from packaging.metadata import Metadata
from packaging.utils import parse_sdist_filename, parse_wheel_filename
from packaging.version import Version
from trove_classifiers import classifiers

from exporter import __version__
from tests.support.packages import (
    ROOT,
    build,
    copy_project,
    in_sdist,
    in_wheel,
    project_files,
    shipped_files,
)

pytestmark = pytest.mark.slow

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
INFO = f"heartbeat_exporter-{__version__}.dist-info"
# What lies about in a checkout that is worked with, and must not get into a package.
LYING_ABOUT = (
    ".env",
    ".coverage",
    ".venv/bin/python",
    "deploy/secrets/grafana-admin-password",
    "dist/heartbeat_exporter-0.0.1.tar.gz",
    "exporter/__pycache__/app.cpython-311.pyc",
    "exporter/heartbeat.db",
    "heartbeat.db",
    "prometheus/__pycache__/any.cpython-311.pyc",
    "prometheus/heartbeat.db-wal",
    "tests/browser/node_modules/axe-core/axe.min.js",
    "worker_agent/.env",
)


class Built(NamedTuple):
    source: Path
    sdist: Path
    wheel: Path
    """Of the sdist, as an installer makes one."""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Both packages, built of a checkout in which there is more than belongs to it."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    copy_project(source)
    for name in LYING_ABOUT:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text("left here")
    build(source, out)
    (sdist,) = out.glob("*.tar.gz")
    (wheel,) = out.glob("*.whl")
    return Built(source, sdist, wheel)


def test_the_sdist_is_the_project(built: Built) -> None:
    """All that belongs to it, tests and deployment included, and nothing that lies about."""
    assert project_files().isdisjoint(LYING_ABOUT)
    assert in_sdist(built.sdist).keys() == {*project_files(), "PKG-INFO"}


def test_the_wheel_is_what_runs(built: Built) -> None:
    """Both programs with their templates and types, the configuration that is shipped, and the licence."""
    programs = {name for name in project_files() if name.startswith(("exporter/", "worker_agent/"))}
    about = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"}
    assert in_wheel(built.wheel).keys() == (
        programs
        | {f"exporter/shipped/{name}" for name in shipped_files()}
        | {f"{INFO}/{name}" for name in about}
    )
    assert {
        "exporter/py.typed",
        "worker_agent/py.typed",
        "exporter/web/templates/page.html",
        "exporter/web/static/page.css",
    } <= programs
    assert {
        "prometheus/prometheus.yml",
        "prometheus/rules/availability.yml",
        "alertmanager/alertmanager.yml",
        "grafana/dashboards/heartbeat-fleet.json",
        "grafana/provisioning/datasources/heartbeat.yaml",
    } <= shipped_files()


def test_the_wheel_does_not_tell_where_it_was_built(built: Built, tmp_path: Path) -> None:
    """Of the sdist or of the checkout, now or later: the same bytes."""
    build(built.source, tmp_path, "--wheel")
    assert (tmp_path / built.wheel.name).read_bytes() == built.wheel.read_bytes()


def test_both_say_the_same_and_it_is_valid(built: Built) -> None:
    """The core metadata, every field of it, and classifiers that there are."""
    raw = in_wheel(built.wheel)[f"{INFO}/METADATA"]
    metadata = Metadata.from_email(raw, validate=True)
    assert metadata.name == PROJECT["name"]
    assert metadata.version == Version(__version__)
    assert parse_wheel_filename(built.wheel.name)[:2] == (PROJECT["name"], metadata.version)
    assert parse_sdist_filename(built.sdist.name) == (PROJECT["name"], metadata.version)
    assert metadata.license_expression == "Apache-2.0"
    assert str(metadata.requires_python) == PROJECT["requires-python"]
    assert metadata.classifiers == sorted(PROJECT["classifiers"])
    assert set(metadata.classifiers) <= classifiers
    assert metadata.description_content_type == "text/markdown"
    assert str(metadata.description).strip() == (ROOT / "README.md").read_text("utf-8").strip()
    assert metadata.provides_extra == sorted(PROJECT["optional-dependencies"])
    of_sdist = in_sdist(built.sdist)["PKG-INFO"]
    assert email.message_from_bytes(of_sdist).items() == email.message_from_bytes(raw).items()


def test_the_commands_are_there(built: Built) -> None:
    """Each console script names a function."""
    parser = ConfigParser()
    parser.read_string(in_wheel(built.wheel)[f"{INFO}/entry_points.txt"].decode())
    scripts = dict(parser["console_scripts"])
    assert scripts == PROJECT["scripts"]
    for target in scripts.values():
        module, _, function = target.partition(":")
        assert callable(getattr(importlib.import_module(module), function))
