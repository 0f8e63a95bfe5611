"""Errors that end the program."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from exporter import errors
from exporter.errors import (
    AlreadyRunning,
    CannotListen,
    ExporterError,
    StoreInUse,
    StoreUnusable,
    UsageError,
)

CODES = {
    ExporterError: 1,
    UsageError: 2,
    StoreInUse: 4,
    CannotListen: 5,
    StoreUnusable: 6,
    AlreadyRunning: 7,
}


@pytest.mark.parametrize(("kind", "code"), CODES.items())
def test_every_error_has_an_exit_code_of_its_own(kind: type[ExporterError], code: int) -> None:
    """A supervisor tells by it what happened, and the tree drawn in the module says the same."""
    assert kind.exit_code == code
    lines = [line.strip(" ├└─") for line in str(errors.__doc__).splitlines()]
    assert [line.split()[1] for line in lines if line.startswith(f"{kind.__name__} ")] == [str(code)]


def test_no_other_error_has_a_code_of_its_own() -> None:
    """Codes are given in one file, and all that are given there are known."""
    here = Path(str(errors.__file__))
    given = re.compile(r"^    exit_code\b.*=", re.MULTILINE)
    assert [file for file in here.parent.rglob("*.py") if given.search(file.read_text())] == [here]
    kinds = {kind for kind in vars(errors).values() if isinstance(kind, type)} - {Path}
    assert kinds == set(CODES)


def test_an_address_that_cannot_be_had() -> None:
    """The sentence names the address, the cause and the flag that changes it."""
    error = CannotListen(":8000", "the address is already in use")
    assert str(error) == (
        "cannot listen on :8000: the address is already in use (--web.listen-address sets another)"
    )
