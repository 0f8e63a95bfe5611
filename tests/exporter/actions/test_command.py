"""What a command can be told, and what it is told."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from exporter.actions.base import Ran
from exporter.actions.command import CommandOptions, run
from exporter.core.acting import RunFailure


def options(command: str | list[str]) -> CommandOptions:
    """As the configuration makes them."""
    return CommandOptions.model_validate({"command": command})


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("service nginx start", ("service", "nginx", "start")),
        (
            """say 'two words' "and \\"three\\" more" \\$HOME""",
            ("say", "two words", 'and "three" more', "$HOME"),
        ),
        (["say", "two words", ""], ("say", "two words", "")),
        (["~/a", "$HOME", "*", "a|b"], ("~/a", "$HOME", "*", "a|b")),
    ],
)
def test_a_line_is_split_like_a_shell_does_it_and_a_list_is_taken_as_it_is(
    command: str | list[str], words: tuple[str, ...]
) -> None:
    """And nothing is expanded in either."""
    assert options(command).command == words


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("", "must name a program"),
        ("   ", "must name a program"),
        ("''", "must name a program"),
        ([], "must name a program"),
        (["", "start"], "must name a program"),
        ('say "hello', "cannot be split into words: no closing quotation"),
        ("say \\", "cannot be split into words: no escaped character"),
        (["say", "\0"], "must not contain a NUL character"),
        ("say \0", "must not contain a NUL character"),
    ],
)
def test_what_names_no_program_is_refused_at_once(command: object, why: str) -> None:
    """When the configuration is read, and not when it is needed."""
    with pytest.raises(ValidationError) as caught:
        CommandOptions.model_validate({"command": command})
    assert [error["msg"] for error in caught.value.errors()] == [f"Value error, {why}"]


@pytest.mark.parametrize("data", [{}, {"command": 5}, {"command": ["a", 5]}, {"command": "a", "shell": True}])
def test_nothing_else_is_taken_for_a_command(data: dict[str, Any]) -> None:
    """Neither numbers nor options that do not exist."""
    with pytest.raises(ValidationError):
        CommandOptions.model_validate(data)


def test_it_is_shown_as_one_would_type_it() -> None:
    """Ready to be pasted into a shell."""
    assert CommandOptions(command=("say", "it's")).shown == """say 'it'"'"'s'"""


async def test_it_is_told_of_the_change_and_keeps_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the exporter, but for what is the exporter's alone."""
    for name in ("REDIS_URL", "redis_url", "REDIS_URL_FILE"):
        monkeypatch.setenv(name, "redis://:secret@host")
    monkeypatch.setenv("REDIS_HOST", "host")
    ran = await run(options("env"), {"HEARTBEAT_CAUSE": "web"}, 10.0)
    told = dict(line.split("=", 1) for line in ran.output.splitlines() if "=" in line)
    assert (told["HEARTBEAT_CAUSE"], told["REDIS_HOST"]) == ("web", "host")
    assert "PATH" in told
    assert "secret" not in ran.output


async def test_it_runs_apart_from_the_exporter() -> None:
    """In a session and a process group of its own, with nothing to read."""
    command = [
        "python3",
        "-c",
        "import os, sys; print(os.getpid() == os.getpgid(0) == os.getsid(0), sys.stdin.read())",
    ]
    ran = await run(options(command), {}, 10.0)
    assert (ran.failure, ran.output) == (None, "True \n")


async def test_what_cannot_be_started_says_why(tmp_path: Path) -> None:
    """Not there, not a program, not allowed, not possible."""
    script = tmp_path / "script"
    script.write_text("no program")
    found = {}
    for name, command in {"absent": "/nonexistent/program", "directory": "/", "plain": str(script)}.items():
        ran = await run(options(command), {}, 10.0)
        assert ran.failure is RunFailure.START
        found[name] = ran.detail
    assert found == {
        "absent": "/nonexistent/program: No such file or directory",
        "directory": "/: Permission denied",
        "plain": f"{script}: Permission denied",
    }
    script.chmod(0o755)
    ran = await run(options(str(script)), {}, 10.0)
    assert (ran.failure, ran.detail) == (RunFailure.START, f"{script}: Exec format error")
    ran = await run(options("true"), {"HEARTBEAT_DETAIL": "x" * 3_000_000}, 10.0)
    assert (ran.failure, ran.detail) == (RunFailure.START, "true: Argument list too long")


async def test_who_may_open_no_more_files_cannot_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed run like any other, and no defect."""

    def full() -> tuple[int, int]:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr("exporter.actions.command.os.pipe", full)
    ran = await run(options("true"), {}, 10.0)
    assert ran == Ran(RunFailure.START, "true: Too many open files")
