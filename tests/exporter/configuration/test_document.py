"""YAML that knows its lines."""

from __future__ import annotations

import pytest

from exporter.configuration.document import parse


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("on", "on"),
        ("yes", "yes"),
        ("No", "No"),
        ("true", True),
        ("FALSE", False),
        ("~", None),
        ("", None),
        ("null", None),
        ("5", 5),
        ("-5", -5),
        ("080", "080"),
        ("1_000", "1_000"),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        (".inf", ".inf"),
        ("22:30", "22:30"),
        ("2026-01-01", "2026-01-01"),
        ("1.2.3", "1.2.3"),
        ('"5"', "5"),
    ],
)
def test_scalars(written: str, value: object) -> None:
    """As in YAML 1.2: what looks like a word, a time or a date is a text."""
    assert parse(f"key: {written}").data == {"key": value}


def test_keys_are_texts() -> None:
    """At every depth, merged ones too."""
    assert parse("1: {true: {null: 2}, <<: {3: 4}}").data == {"1": {"true": {"null": 2}, "3": 4}}


def test_lines() -> None:
    """Of keys and items; what is not there is where it should be; what is merged is where it is written."""
    document = parse(
        """\
probes:
  a: &a
    host: x
    list:
      - 1
      - 2
  b:
    <<: *a
    host: y
"""
    )
    assert {
        path: document.line(path)
        for path in [
            (),
            ("probes",),
            ("probes", "a", "host"),
            ("probes", "a", "port"),
            ("probes", "a", "list", 1),
            ("probes", "a", "list", 2),
            ("probes", "b", "host"),
            ("probes", "b", "list", 0),
            ("nowhere", "at all"),
        ]
    } == {
        (): 1,
        ("probes",): 1,
        ("probes", "a", "host"): 3,
        ("probes", "a", "port"): 2,
        ("probes", "a", "list", 1): 6,
        ("probes", "a", "list", 2): 4,
        ("probes", "b", "host"): 9,
        ("probes", "b", "list", 0): 5,
        ("nowhere", "at all"): 1,
    }
    assert parse("").line(("probes",)) == 1
