"""docker-compose.yml agrees with its schema, the Dockerfile, the shipped configuration and the code."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from jsonschema import Draft202012Validator
from pydantic_settings import BaseSettings

from exporter.settings import Settings
from tests.support.dockerfile import ROOT, effective, health_check, stages
from tests.support.processes import program
from worker_agent.settings import WorkerSettings

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
WORKERS = ("worker1", "worker2", "worker3", "worker4")
BUILT = ("manager", *WORKERS)

EVERY_SERVICE = [pytest.param(service, id=name) for name, service in SERVICES.items()]
PINNED = re.compile(r"[\w./-]+:v?\d+\.\d+\.\d+(-[a-z0-9-]+)?")


def setting_names(model: type[BaseSettings]) -> set[str]:
    return {name.upper() for name in model.model_fields}


def listens_on(name: str) -> int:
    """The port a service answers on inside the compose network."""
    if name in BUILT:
        return int(effective(SERVICES[name]["build"]["target"], "EXPOSE"))
    return int(SERVICES[name]["ports"][0].rpartition(":")[2])


def mounts() -> Iterator[tuple[str, str, str]]:
    """Each mount as source, target and mode."""
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source, target, mode = (*volume.split(":"), "rw")[:3]
            yield source, target, mode


class TestCompose:
    schema = json.loads(
        files("check_jsonschema").joinpath("builtin_schemas/vendor/compose-spec.json").read_text("utf-8")
    )

    def test_follows_the_compose_specification(self) -> None:
        """The file is valid by the JSON schema of the compose specification, and has no `version`."""
        problems = [
            f"{'.'.join(map(str, problem.absolute_path))}: {problem.message}"
            for problem in Draft202012Validator(self.schema).iter_errors(COMPOSE)
        ]
        assert problems == []
        assert "version" not in COMPOSE

    def test_the_schema_refuses_a_misspelt_key(self) -> None:
        """The schema used here does notice a key that compose does not know."""
        broken = {"services": {"redis": {"image": "redis:8.10.0", "restarts": "always"}}}
        assert not Draft202012Validator(self.schema).is_valid(broken)

    def test_has_the_services_people_know(self) -> None:
        """One store, one manager, four workers, and what makes alerts and dashboards of them."""
        assert set(SERVICES) == {
            "redis",
            "manager",
            *WORKERS,
            "prometheus",
            "alertmanager",
            "grafana",
            "mailpit",
        }

    @pytest.mark.parametrize("service", EVERY_SERVICE)
    def test_image_is_built_here_or_pinned(self, service: dict[str, Any]) -> None:
        """A service has an image of a named version, or a target of the Dockerfile, never both."""
        assert ("image" in service) != ("build" in service)
        if "image" in service:
            assert PINNED.fullmatch(service["image"])
        else:
            assert service["build"]["target"] in stages()

    @pytest.mark.parametrize("service", EVERY_SERVICE)
    def test_service_is_confined_and_comes_back(self, service: dict[str, Any]) -> None:
        """Restarted unless stopped, read-only, without capabilities or ways to gain privileges."""
        assert service["restart"] == "unless-stopped"
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]

    @pytest.mark.parametrize("service", EVERY_SERVICE)
    def test_service_has_a_health_check(self, service: dict[str, Any]) -> None:
        """In exec form: the service's own here, that of the built ones in their image."""
        test = (
            service["healthcheck"]["test"] if "image" in service else ["CMD", *health_check(target(service))]
        )
        assert test[0] == "CMD"
        assert len(test) > 1

    def test_starts_in_the_order_of_health(self) -> None:
        """Each service waits until what it needs is healthy; nobody waits for less."""
        conditions = [
            condition["condition"]
            for service in SERVICES.values()
            for condition in service.get("depends_on", {}).values()
        ]
        assert set(conditions) == {"service_healthy"}
        assert {name: sorted(service.get("depends_on", {})) for name, service in SERVICES.items()} == {
            "redis": [],
            "mailpit": [],
            "manager": ["redis"],
            **{worker: ["manager"] for worker in WORKERS},
            "alertmanager": ["mailpit"],
            "prometheus": ["alertmanager", "manager"],
            "grafana": ["prometheus"],
        }

    def test_publishes_only_what_a_person_opens_and_only_here(self) -> None:
        """Five pages, reachable from this machine alone; no store, worker or mail port."""
        assert {name: service["ports"] for name, service in SERVICES.items() if "ports" in service} == {
            "manager": ["127.0.0.1:8000:8000"],
            "prometheus": ["127.0.0.1:9090:9090"],
            "alertmanager": ["127.0.0.1:9093:9093"],
            "grafana": ["127.0.0.1:3000:3000"],
            "mailpit": ["127.0.0.1:8025:8025"],
        }

    def test_mounts_shipped_configuration_read_only(self) -> None:
        """Everything mounted from the checkout exists there and cannot be written from a container."""
        bound = [(source, mode) for source, _, mode in mounts() if source.startswith(".")]
        assert {source for source, _ in bound} == {
            "./prometheus",
            "./alertmanager",
            "./grafana/provisioning",
            "./grafana/dashboards",
        }
        for source, mode in bound:
            assert mode == "ro"
            assert any((ROOT / source).iterdir()), source

    def test_keeps_data_in_named_volumes(self) -> None:
        """Each declared volume is mounted once, and none is anonymous."""
        named = sorted(source for source, _, _ in mounts() if not source.startswith("."))
        assert named == sorted(COMPOSE["volumes"])

    def test_secrets_are_files_that_a_fresh_clone_has(self) -> None:
        """Every secret a service asks for is declared, a file, and there without preparation."""
        asked = {name for service in SERVICES.values() for name in service.get("secrets", [])}
        assert asked == set(COMPOSE["secrets"])
        for secret in COMPOSE["secrets"].values():
            default = re.fullmatch(r"\$\{[A-Z_]+_FILE:-(.+)\}", secret["file"])
            assert default
            assert (ROOT / default[1]).read_text("utf-8").strip()

    def test_grafana_reads_what_is_mounted(self) -> None:
        """The secret, the provider's path and the home dashboard are where the container has them."""
        inside = {target: ROOT / source for source, target, _ in mounts() if source.startswith("./grafana")}
        env = SERVICES["grafana"]["environment"]
        assert env["GF_SECURITY_ADMIN_PASSWORD__FILE"] == "/run/secrets/" + SERVICES["grafana"]["secrets"][0]
        provider = yaml.safe_load(
            (ROOT / "grafana/provisioning/dashboards/heartbeat.yaml").read_text("utf-8")
        )
        folder = provider["providers"][0]["options"]["path"]
        assert list(inside[folder].glob("*.json"))
        home = Path(env["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
        assert (inside[str(home.parent)] / home.name).is_file()

    def test_redis_keeps_an_append_only_file(self) -> None:
        """What was written survives a restart of Redis, in its volume."""
        redis = SERVICES["redis"]
        assert redis["command"] == ["redis-server", "--appendonly", "yes"]
        assert redis["volumes"] == ["redis-data:/data"]

    def test_prometheus_keeps_five_weeks(self) -> None:
        """35 days stay on disk."""
        assert "--storage.tsdb.retention.time=35d" in SERVICES["prometheus"]["command"]

    def test_a_restart_of_prometheus_ends_no_alert(self) -> None:
        """What fired does not wait for longer than Alertmanager, which waits 4 minutes for the next word."""
        assert "--rules.alert.for-grace-period=1m" in SERVICES["prometheus"]["command"]

    @pytest.mark.servers("prometheus", "alertmanager")
    @pytest.mark.parametrize("name", ["prometheus", "alertmanager"])
    def test_flags_are_known_to_the_program(self, name: str) -> None:
        """Each flag on the command line is one the program has."""
        shown = subprocess.run([program(name), "--help"], capture_output=True, text=True, check=False)
        known = set(re.findall(r"--(?:\[no-\])?([\w.-]+)", shown.stdout + shown.stderr))
        used = set(re.findall(r"--([\w.-]+)=", " ".join(SERVICES[name]["command"])))
        assert used
        assert used <= known

    @pytest.mark.servers("amtool")
    def test_alertmanager_gets_a_whole_configuration(self, tmp_path: Path) -> None:
        """What its command puts together is valid, with its templates, and mails to the catcher."""
        (script,) = SERVICES["alertmanager"]["command"]
        prepare, _, started = script.partition("exec ")
        here = prepare.replace("/tmp", str(tmp_path)).replace("/etc/alertmanager", str(ROOT / "alertmanager"))
        subprocess.run(["sh", "-ec", here], check=True)
        assert "--config.file=/tmp/alertmanager.yml" in started

        made = tmp_path / "alertmanager.yml"
        checked = subprocess.run(
            [program("amtool"), "check-config", str(made)], capture_output=True, text=True, check=False
        )
        assert checked.returncode == 0, checked.stderr
        assert "SUCCESS" in checked.stdout
        assert (tmp_path / "templates").is_dir()
        default = next(
            receiver
            for receiver in yaml.safe_load(made.read_text("utf-8"))["receivers"]
            if receiver["name"] == "default"
        )
        assert [mail["smarthost"] for mail in default["email_configs"]] == ["mailpit:1025"]

    def test_health_checks_ask_the_port_that_is_open(self) -> None:
        """Each health check that names an address names the port on which its service answers."""
        for name in ("prometheus", "alertmanager", "grafana"):
            asked = re.search(r"http://127\.0\.0\.1:(\d+)/?", SERVICES[name]["healthcheck"]["test"][-1])
            assert asked
            assert int(asked[1]) == listens_on(name)

    def test_settings_are_ones_the_programs_have(self) -> None:
        """Every variable given to a manager or worker is a setting of that program."""
        assert set(SERVICES["manager"]["environment"]) <= setting_names(Settings)
        for worker in WORKERS:
            assert set(SERVICES[worker]["environment"]) <= setting_names(WorkerSettings)

    def test_settings_are_accepted(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """Both programs start with the values given here."""
        monkeypatch.chdir(tmp_path)
        for name, model in (("manager", Settings), *((worker, WorkerSettings) for worker in WORKERS)):
            with monkeypatch.context() as given:
                for key, value in SERVICES[name]["environment"].items():
                    if value is not None:
                        given.setenv(key, value)
                model()

    def test_programs_find_each_other(self) -> None:
        """Workers know the manager's service and port, the manager Redis', and all give their own name."""
        manager = SERVICES["manager"]["environment"]
        assert (manager["REDIS_HOST"], manager["REDIS_PORT"]) == ("redis", "6379")
        for number, worker in enumerate(WORKERS, start=1):
            env = SERVICES[worker]["environment"]
            assert env["WORKER_NAME"] == f"Worker {number}"
            assert env["WORKER_HOST"] == worker
            assert int(env["WORKER_PORT"]) == listens_on(worker)
            assert (env["MANAGER_HOST"], int(env["MANAGER_PORT"])) == ("manager", listens_on("manager"))
            assert SERVICES[worker]["command"] == [f"--needs=redis:{manager['REDIS_PORT']}"]

    def test_shipped_configuration_names_these_services(self) -> None:
        """Prometheus' targets and Grafana's data sources are services here, on the ports they answer on."""
        prometheus = yaml.safe_load((ROOT / "prometheus/prometheus.yml").read_text("utf-8"))
        grafana = yaml.safe_load(
            (ROOT / "grafana/provisioning/datasources/heartbeat.yaml").read_text("utf-8")
        )
        named = [
            *static_targets(prometheus["alerting"]["alertmanagers"]),
            *static_targets(prometheus["scrape_configs"]),
            *(
                urlsplit(discovery["url"]).netloc
                for job in prometheus["scrape_configs"]
                for discovery in job.get("http_sd_configs", [])
            ),
            *(urlsplit(source["url"]).netloc for source in grafana["datasources"]),
        ]
        answering = {f"{name}:{listens_on(name)}" for name in ("manager", "alertmanager", "prometheus")}
        itself = f"localhost:{listens_on('prometheus')}"
        assert set(named) == answering | {itself}

    def test_a_stopped_program_has_time_for_its_goodbye(self) -> None:
        """SIGTERM reaches the program through an init, and nobody is killed within ten seconds."""
        for name in BUILT:
            assert SERVICES[name]["init"] is True
            assert int(SERVICES[name]["stop_grace_period"].removesuffix("s")) > 10
            assert effective(target(SERVICES[name]), "STOPSIGNAL") == "SIGTERM"


def test_example_environment_names_every_setting() -> None:
    """.env.example has each setting of both programs, and marks those that compose hands on."""
    text = (ROOT / ".env.example").read_text("utf-8")
    named = set(re.findall(r"^# ([A-Z][A-Z_]+)=", text, flags=re.MULTILINE))
    interpolated = set(re.findall(r"\$\{([A-Z_]+)", (ROOT / "docker-compose.yml").read_text("utf-8")))
    assert named == setting_names(Settings) | setting_names(WorkerSettings) | interpolated

    marked = set()
    for block in text.split("\n\n"):
        for comment, keys in re.findall(
            r"((?:^# [^=\n]*\n)+)((?:^# [A-Z][A-Z_]+=.*\n?)+)", block, flags=re.MULTILINE
        ):
            if "[compose]" in comment:
                marked |= set(re.findall(r"^# ([A-Z_]+)=", keys, flags=re.MULTILINE))
    handed_on = {
        key for name in BUILT for key, value in SERVICES[name]["environment"].items() if value is None
    }
    assert marked == handed_on


def target(service: dict[str, Any]) -> str:
    name: str = service["build"]["target"]
    return name


def static_targets(holders: list[dict[str, Any]]) -> Iterator[str]:
    for holder in holders:
        for group in holder.get("static_configs", []):
            yield from group["targets"]
