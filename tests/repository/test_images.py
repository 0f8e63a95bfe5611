"""The Dockerfile: what goes in, what its images run, and its build stages replayed on this machine."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.support.dockerfile import (
    ROOT,
    Replay,
    copied,
    effective,
    environment,
    health_check,
    ignore_patterns,
    ignored,
    lineage,
    port_moved,
    stages,
)
from tests.support.packages import in_wheel, shipped_files
from tests.support.processes import eventually, free_port, http_get, running

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
WORKER_TWO = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))["services"]["worker2"]
PINNED = re.compile(r"python:\d+\.\d+\.\d+-slim-[a-z]+")


class TestDockerfile:
    def test_base_image_is_pinned(self) -> None:
        """Every stage starts from another stage or an image of a named version."""
        bases = {stage.base for stage in stages().values()} - set(stages())
        assert len(bases) == 1
        assert all(PINNED.fullmatch(base) for base in bases)

    @pytest.mark.parametrize("name", ["exporter", "worker"])
    def test_image_runs_a_console_script_as_nobody_special(self, name: str) -> None:
        """A numeric user that is not root, and an entry point in exec form that the package installs."""
        assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", effective(name, "USER"))
        entry: list[str] = json.loads(effective(name, "ENTRYPOINT"))
        assert len(entry) == 1
        assert entry[0] in PROJECT["scripts"]

    def test_exporter_is_what_is_built_without_a_target(self) -> None:
        """`docker build .` gives the image without the GPL dependency."""
        assert list(stages())[-1] == "exporter"
        assert "worker-build" not in [stage.name for stage in lineage("exporter")]
        assert (
            "COPY --from=worker-build"
            not in (ROOT / "Dockerfile").read_text("utf-8").split(" AS exporter\n")[1]
        )

    def test_every_copied_source_reaches_the_engine(self) -> None:
        """Each COPY of the checkout finds files that .dockerignore lets through."""
        sources = [
            source
            for stage in stages().values()
            for instruction in stage.instructions
            if instruction.keyword == "COPY" and "--from=" not in instruction.value
            for source in instruction.words()[:-1]
        ]
        assert sources
        assert [source for source in sources if not copied(source)] == []

    @pytest.mark.parametrize(
        "path",
        [
            ".env",
            ".git/config",
            "deploy/secrets/grafana-admin-password",
            "tests/conftest.py",
            "heartbeat.db",
            "exporter/core/__pycache__/fleet.cpython-313.pyc",
        ],
    )
    def test_engine_is_not_sent(self, path: str) -> None:
        """Secrets, history, tests and left-overs stay out of the build."""
        assert ignored(path, ignore_patterns())

    @pytest.mark.parametrize("path", ["pyproject.toml", "exporter/core/fleet.py", "prometheus/rules/any.yml"])
    def test_engine_is_sent(self, path: str) -> None:
        """What the build needs passes."""
        assert not ignored(path, ignore_patterns())


@pytest.fixture(scope="module")
def exporter_image(tmp_path_factory: pytest.TempPathFactory) -> Replay:
    """The exporter's build stage, replayed: installs from the package index, which takes half a minute."""
    image = Replay(tmp_path_factory.mktemp("exporter"))
    for stage in lineage("exporter-build"):
        image.run(stage)
    return image


def installed(image: Replay, distribution: str) -> bool:
    asked = f"import importlib.metadata as m; m.version({distribution!r})"
    python = image.path("/opt/heartbeat/bin/python")
    return subprocess.run([python, "-c", asked], capture_output=True, check=False).returncode == 0


@pytest.mark.slow
class TestReplay:
    def test_wheel_holds_the_shipped_configuration(self, exporter_image: Replay) -> None:
        """Every file of Prometheus, Alertmanager and Grafana that people point servers at is installed."""
        (wheel,) = exporter_image.path("/dist").glob("*.whl")
        assert {f"exporter/shipped/{name}" for name in shipped_files()} <= in_wheel(wheel).keys()

    def test_images_serve_and_part_in_peace(self, exporter_image: Replay, tmp_path: Path) -> None:
        """Both entry points run, their health checks tell up from down, and SIGTERM ends in a goodbye.

        The exporter is installed without starlette-prometheus, the worker with it.
        """
        assert not installed(exporter_image, "starlette-prometheus")
        assert not installed(exporter_image, "pip")
        exporter_port, worker_port = free_port(), free_port()
        bin_path = exporter_image.path("/opt/heartbeat/bin")
        env = {**exporter_image.env, "PATH": f"{bin_path}:/usr/bin:/bin"}

        def healthy(name: str, **given: str) -> bool:
            check = health_check(name)
            moved = port_moved(check, 8000, exporter_port) if name == "exporter" else check
            done = subprocess.run(moved, env={**env, **given}, capture_output=True, check=False)
            return done.returncode == 0

        def worker_two() -> tuple[str, str] | None:
            found = json.loads(http_get(f"http://127.0.0.1:{exporter_port}/workers"))
            return next(
                ((each["status"], each["reason"]) for each in found if each["name"] == "Worker 2"), None
            )

        (entry,) = json.loads(effective("exporter", "ENTRYPOINT"))
        command = port_moved(json.loads(effective("exporter", "CMD")), 8000, exporter_port)
        with running(
            [str(bin_path / entry), *command],
            log=tmp_path / "exporter.log",
            ready=lambda: healthy("exporter"),
            env={
                **env,
                **environment("exporter"),
                "PATH": env["PATH"],
                "SQLITE_PATH": str(tmp_path / "heartbeat.db"),
            },
        ):
            for stage in lineage("worker-build")[len(lineage("exporter-build")) :]:
                exporter_image.run(stage)
            assert installed(exporter_image, "starlette-prometheus")

            (entry,) = json.loads(effective("worker", "ENTRYPOINT"))
            given = {key: value for key, value in WORKER_TWO["environment"].items() if value is not None}
            given |= {
                "WORKER_PORT": str(worker_port),
                "MANAGER_HOST": "127.0.0.1",
                "MANAGER_PORT": str(exporter_port),
            }
            assert not healthy("worker", **given)
            with running(
                [str(bin_path / entry)],
                log=tmp_path / "worker.log",
                ready=lambda: healthy("worker", **given),
                env={**env, **environment("worker"), "PATH": env["PATH"], **given},
            ):
                eventually(lambda: worker_two() == ("alive", "heartbeat"), within=10, what="worker 2 alive")
            assert worker_two() == ("disconnected", "shutdown")
            assert not healthy("worker", **given)
        assert not healthy("exporter")
