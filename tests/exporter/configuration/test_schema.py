"""The JSON schema of the YAML format."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from exporter.configuration.document import parse
from exporter.configuration.schema import json_schema

ROOT = Path(__file__).parents[3]
TESTDATA = Path(__file__).parent / "testdata"

# What a schema cannot know: other places of the file, other files, and how a text is made up.
BEYOND = {
    "action-without-hook.yml",
    "no-such-file.yml",
    "timeout-above-interval.yml",
    "two-requests.yml",
    "unknown-action.yml",
    "unknown-probe.yml",
    "wrong-scheme.yml",
}
NOT_YAML = {
    "control-character.yml",
    "duplicate-keys.yml",
    "huge-number.yml",
    "key-is-a-list.yml",
    "nested-too-deeply.yml",
    "not-utf-8.yml",
    "recursion.yml",
    "syntax.yml",
    "tab.yml",
    "tag.yml",
    "two-documents.yml",
}


def accepts(path: Path) -> bool:
    return Draft202012Validator(json_schema()).is_valid(parse(path.read_text()).data)


def test_the_schema_is_current() -> None:
    """`make docs` would write the same file."""
    printed = subprocess.run(
        [sys.executable, "-m", "exporter.configuration.schema"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert (ROOT / "docs/config.schema.json").read_text() == printed.stdout


def test_it_is_a_schema() -> None:
    """Of the draft that it names."""
    Draft202012Validator.check_schema(json_schema())
    assert json.loads(json.dumps(json_schema())) == json_schema()


def test_it_describes_what_is_common() -> None:
    """Every key that probes, actions and the file itself have is explained where an editor shows it."""
    schema = json_schema()
    common = {name: schema["$defs"][name] for name in schema["$defs"] if name.endswith("Section")}
    common |= {"Action": schema["$defs"]["Action"], "File": schema}
    assert len(common) == 6
    assert [
        f"{name}.{key}"
        for name, definition in common.items()
        for key, value in definition["properties"].items()
        if "description" not in value
    ] == []


def test_it_accepts_what_is_accepted() -> None:
    """A file that uses all there is."""
    assert accepts(TESTDATA / "good.yml")


@pytest.mark.parametrize(
    "path",
    [path for path in sorted((TESTDATA / "rejected").glob("*.yml")) if path.name not in NOT_YAML],
    ids=lambda path: path.name,
)
def test_it_refuses_what_is_refused(path: Path) -> None:
    """All that can be told from the shape of a file alone."""
    assert accepts(path) is (path.name in BEYOND)
