"""What belongs to the project, and the packages that are built of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[2]

# Where a wheel has what lies beside the programs in a checkout.
SHIPPED = ("prometheus", "alertmanager", "grafana/provisioning", "grafana/dashboards")
_FOR_OTHER_TOOLS = ("kustomization.yaml", ".lint")


def project_files() -> set[str]:
    """The files that git has, by their paths below the root; in an unpacked sdist all that there are."""
    if not (ROOT / ".git").exists():
        return set(_all_files())
    # A checkout may be somebody else's, as in a container.
    command = ["git", "-c", f"safe.directory={ROOT}", "-C", ROOT, "ls-files", "-z"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True)
    return {name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()}


def _all_files() -> Iterator[str]:
    """But for those that .gitignore names, all by their last part: what tests and tools leave behind."""
    patterns = [line.strip("/") for line in (ROOT / ".gitignore").read_text("utf-8").splitlines()]

    def wanted(names: Iterable[str]) -> list[str]:
        return [name for name in names if not any(fnmatch(name, pattern) for pattern in patterns)]

    for directory, folders, files in os.walk(ROOT):
        folders[:] = wanted(folders)
        yield from (str((Path(directory) / file).relative_to(ROOT)) for file in wanted(files))


def shipped_files() -> set[str]:
    """The configuration that a user points servers at, by its paths in a checkout."""
    return {
        name
        for name in project_files()
        if name.startswith(tuple(f"{folder}/" for folder in SHIPPED))
        and PurePosixPath(name).name not in _FOR_OTHER_TOOLS
    }


def copy_project(directory: Path) -> None:
    """What a clone would be, but with the files as they are now."""
    for name in project_files():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, directory / name)


def build(source: Path, out: Path, *kinds: str) -> None:
    """Build `--sdist` or `--wheel`; the sdist, and the wheel of it, without either. No index is asked."""
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", out, *kinds, source]
    # In a directory where nothing is named like the module.
    done = subprocess.run(command, cwd=source.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def in_sdist(sdist: Path) -> dict[str, bytes]:
    """Each file with its content, by its path below the one directory that an sdist has."""
    top = sdist.name.removesuffix(".tar.gz")
    with tarfile.open(sdist) as archive:
        files = {member.name: archive.extractfile(member) for member in archive if member.isfile()}
        read = {name: file.read() for name, file in files.items() if file is not None}
    return {str(PurePosixPath(name).relative_to(top)): content for name, content in read.items()}


def in_wheel(wheel: Path) -> dict[str, bytes]:
    """Each file with its content, by its path below site-packages."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}
