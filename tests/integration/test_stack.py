"""What a test says when the system does not get there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.stack import Stack


class Halted(Stack):
    """Two workers whose statuses stand still; or none is known, as the exporter does not answer."""

    def __init__(self, directory: Path, statuses: dict[str, tuple[str, str]] | None) -> None:
        super().__init__(directory)
        self._statuses = statuses
        for name in ("one", "two"):
            self.workers[name] = subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"])
            self.workers[name].wait()
            (directory / f"{name}.log").write_text(f"{name} gave up\n")
        (directory / "exporter.log").write_text("loading\n")

    def statuses(self) -> dict[str, tuple[str, str]]:
        if self._statuses is None:
            raise OSError("refused")
        return self._statuses


def failure(stack: Stack) -> str:
    """The lines after the first, which says what was waited for."""
    with stack, pytest.raises(AssertionError) as caught:
        stack.wait_until_alive("one", "two", within=0.0)
    first, _, rest = str(caught.value).partition("\n")
    assert first.startswith("not within 0.0 s: statuses")
    return rest


def test_who_is_missing_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    """Every worker's status is in the message, and the log of each that is not as it should be."""
    assert failure(Halted(tmp_path, {"one": ("alive", "heartbeat")})) == (
        "one: alive (heartbeat), ended with 3\n"
        "two: unknown (to the exporter), ended with 3\n"
        "the end of two.log:\ntwo gave up\n\n"
        "the end of exporter.log:\nloading\n"
    )


def test_an_exporter_that_does_not_answer_is_told(tmp_path: Path) -> None:
    """Then its own log is what there is."""
    assert failure(Halted(tmp_path, None)) == (
        "the exporter does not answer: refused\nthe end of exporter.log:\nloading\n"
    )
