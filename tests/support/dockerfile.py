"""Reads a Dockerfile and a .dockerignore as far as this project uses them, and replays build stages.

Replaying runs a stage's RUN lines on this machine with the image's absolute paths moved below a
directory. It proves that the steps install a working program; it says nothing about the base image.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple

ROOT = Path(__file__).parents[2]


class Instruction(NamedTuple):
    keyword: str
    value: str

    def words(self) -> list[str]:
        return self.value.split()


class Stage(NamedTuple):
    name: str
    base: str
    instructions: list[Instruction]

    def last(self, keyword: str) -> str:
        """The value that holds of an instruction that replaces its predecessors; LookupError without one."""
        return [each.value for each in self.instructions if each.keyword == keyword][-1]


def stages(file: Path = ROOT / "Dockerfile") -> dict[str, Stage]:
    """The stages by name, in their order; instructions written over several lines are joined."""
    text = re.sub(r"^#.*\n", "", file.read_text("utf-8"), flags=re.MULTILINE).replace("\\\n", " ")
    found: dict[str, Stage] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        keyword, value = line.split(maxsplit=1)
        if keyword == "FROM":
            base, _, name = value.split()
            current = found[name] = Stage(name, base, [])
        else:
            current.instructions.append(Instruction(keyword, value))
    return found


def lineage(name: str) -> list[Stage]:
    """The stage and those it is made from, the first one first."""
    known = stages()
    line: list[Stage] = []
    while name in known:
        line.insert(0, known[name])
        name = known[name].base
    return line


def effective(name: str, keyword: str) -> str:
    """What an image has of an instruction, its own or inherited; LookupError without one."""
    for stage in reversed(lineage(name)):
        try:
            return stage.last(keyword)
        except LookupError:
            continue
    raise LookupError(f"{name} has no {keyword}")


def health_check(name: str) -> list[str]:
    """The command of an image's HEALTHCHECK, which is in exec form."""
    command: list[str] = json.loads(effective(name, "HEALTHCHECK").partition("CMD")[2])
    return command


def ignored(path: str, patterns: Iterable[str]) -> bool:
    """Whether .dockerignore `patterns` keep a file out: the last that names it or a parent decides."""
    whole = PurePosixPath(path)
    candidates = [str(whole), *(str(parent) for parent in whole.parents if str(parent) != ".")]
    out = False
    for pattern in patterns:
        expression = _expression(pattern.removeprefix("!"))
        if any(expression.fullmatch(candidate) for candidate in candidates):
            out = not pattern.startswith("!")
    return out


def ignore_patterns(file: Path = ROOT / ".dockerignore") -> list[str]:
    lines = map(str.strip, file.read_text("utf-8").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def copied(source: str) -> list[Path]:
    """The files that COPY takes from the checkout for one source; empty when there are none."""
    start = ROOT / source
    patterns = ignore_patterns()
    files = [start] if start.is_file() else sorted(start.rglob("*"))
    return [file for file in files if file.is_file() and not ignored(str(file.relative_to(ROOT)), patterns)]


class Replay:
    """Build stages run below `directory`, which stands for the root of the image's file system."""

    def __init__(self, directory: Path) -> None:
        self.root = directory / "image"
        self._work = PurePosixPath("/")
        python = directory / "python"
        subprocess.run([sys.executable, "-m", "venv", str(python)], check=True)
        kept = {
            key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV"))
        }
        self.env: dict[str, str] = {**kept, "PATH": f"{python / 'bin'}:{os.environ['PATH']}"}
        (self.root / "tmp").mkdir(parents=True)

    def path(self, inside: str | PurePosixPath) -> Path:
        """Where a path of the image is on this machine."""
        return self.root / PurePosixPath("/", self._work, inside).relative_to("/")

    def run(self, stage: Stage) -> None:
        """Every instruction of a stage; RuntimeError with the output of a step that fails."""
        for keyword, value in stage.instructions:
            match keyword:
                case "ENV":
                    self.env.update(word.split("=", 1) for word in value.split())
                case "WORKDIR":
                    self._work = PurePosixPath(value)
                    self.path(".").mkdir(parents=True, exist_ok=True)
                case "COPY":
                    *sources, target = value.split()
                    for source in sources:
                        self._copy(source, target)
                case "RUN":
                    self._shell(value)
                case _:
                    raise RuntimeError(f"not replayed: {keyword} {value}")

    def _copy(self, source: str, target: str) -> None:
        start = ROOT / source
        for file in copied(source):
            # A directory's content goes to the target, a file into it.
            inside = file.relative_to(start) if start.is_dir() else Path(file.name)
            place = self.path(target) / inside
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, place)

    def _shell(self, command: str) -> None:
        moved = re.sub(r"(?<![\w./-])/(?=(?:opt|dist|tmp)\b)", f"{self.root}/", command)
        done = subprocess.run(
            ["sh", "-c", moved], cwd=self.path("."), env=self.env, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise RuntimeError(f"RUN {moved}\n{done.stdout[-2000:]}{done.stderr[-4000:]}")


def port_moved(command: list[str], old: int, new: int) -> list[str]:
    """A command that names a port, naming another."""
    assert any(str(old) in word for word in command), command
    return [word.replace(str(old), str(new)) for word in command]


def environment(name: str) -> Mapping[str, str]:
    """The variables that an image sets, its own and inherited."""
    return {
        key: value
        for stage in lineage(name)
        for instruction in stage.instructions
        if instruction.keyword == "ENV"
        for key, value in (word.split("=", 1) for word in instruction.words())
    }


def _expression(pattern: str) -> re.Pattern[str]:
    parts = re.split(r"(\*\*/|\*|\?)", pattern.strip("/"))
    meaning = {"**/": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(meaning.get(part, re.escape(part)) for part in parts))
