"""What docs/probes.md shows works, and leaves nothing out that can be said in a configuration."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import BaseModel

from exporter.actions.base import VARIABLES
from exporter.configuration.loading import load
from exporter.configuration.model import Configuration, Daemon
from exporter.configuration.schema import (
    ActionSection,
    BrakeSection,
    DefaultsSection,
    FileSection,
    OnSection,
    ProbeSection,
    WorkersSection,
)
from exporter.core.probing import Failure, Phase
from exporter.probes import varieties
from exporter.probes.http import HttpExpectations
from exporter.probes.tls import TlsOptions
from exporter.probes.websocket import WebSocketExpectations

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "probes.md").read_text("utf-8")


def examples(page: str) -> list[tuple[str, str]]:
    """Format and text of each."""
    return re.findall(r"^```(yaml|ini)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


EXAMPLES = examples(PAGE)

OPTIONS: dict[str, tuple[type[BaseModel], ...]] = {
    "": (
        *(FileSection, DefaultsSection, ProbeSection, ActionSection, BrakeSection, TlsOptions),
        *(variety.options for variety in varieties.VARIETIES.values()),
    ),
    "expect.": (HttpExpectations, WebSocketExpectations),
    "on.": (OnSection,),
    "on.workers.": (WorkersSection,),
}
"""By what is before their names, the models of all that can be said."""

HEADINGS = {"defaults", "brake"}
"""What is told under a name of its own."""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Where the files are that the examples name."""
    for name in ("ca.pem", "token"):
        (tmp_path / name).touch()
    return tmp_path


def loaded(suffix: str, text: str, directory: Path) -> Configuration:
    path = directory / f"example.{suffix}"
    path.write_text(text, "utf-8")
    return load(path)


@pytest.mark.parametrize(
    ("suffix", "text"),
    [*examples((ROOT / "README.md").read_text("utf-8")), *EXAMPLES],
    ids=lambda part: part.partition("\n")[0],
)
def test_every_example_is_a_configuration(suffix: str, text: str, directory: Path) -> None:
    """A reader can copy it whole: it has a probe at least, and nothing to warn of."""
    configuration = loaded(suffix, text, directory)
    assert configuration.probes
    assert configuration.warnings == ()


def test_both_formats_say_the_same(directory: Path) -> None:
    """The INI file, and what is called the same in YAML, which has no daemon."""
    ini, yaml = (loaded(suffix, text, directory) for suffix, text in EXAMPLES[-2:])
    assert EXAMPLES[-2][0] == "ini"
    assert replace(ini, daemon=Daemon()) == yaml


@pytest.mark.parametrize("prefix", OPTIONS)
def test_every_option_is_told(prefix: str) -> None:
    """What is nowhere on the page as code, nobody would find."""
    told = set(re.findall(r"`([\w.]+)(?::[^`]*)?`", PAGE))
    told |= {name.rpartition(".")[0] for name in told}
    names = {f"{prefix}{name}" for model in OPTIONS[prefix] for name in model.model_fields}
    assert names - told - HEADINGS == set()


def test_every_word_of_a_closed_list_is_told() -> None:
    """Kinds, reasons, phases and variables."""
    words = {*varieties.VARIETIES, *Failure, *Phase, *(f"HEARTBEAT_{name.upper()}" for name in VARIABLES)}
    assert {word for word in words if f"`{word}`" not in PAGE} == set()
    assert {name for name in VARIABLES if f"`{{{{{name}}}}}`" not in PAGE} == set()
