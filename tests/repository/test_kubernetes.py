"""deploy/kubernetes builds, is valid, and agrees with the code, with compose and with the shipped files."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import kubernetes_validate
import pytest
import yaml

from exporter.app import create_app
from exporter.settings import Settings
from tests.support.dockerfile import effective
from tests.support.kubernetes import (
    OVERLAYS,
    ROOT,
    Resource,
    built,
    container,
    environment,
    of_kind,
    pod,
    selected,
    workloads,
)
from tests.support.processes import program
from worker_agent.settings import WorkerSettings

pytestmark = pytest.mark.servers("kubectl")

EVERY_OVERLAY = sorted(path.name for path in OVERLAYS.iterdir())
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))["services"]
CUSTOM = {"PrometheusRule", "ScrapeConfig", "ServiceMonitor"}
"""The operator's own kinds, whose schemas do not come with Kubernetes."""

SKAFFOLD: dict[str, Any] = yaml.safe_load((ROOT / "skaffold.yaml").read_text("utf-8"))


@pytest.mark.parametrize("overlay", EVERY_OVERLAY)
@pytest.mark.parametrize("version", ["1.31", "1.37"])
def test_every_resource_is_valid(overlay: str, version: str) -> None:
    """By the schemas of the oldest and the newest Kubernetes that are supported, without unknown fields."""
    for resource in built(overlay):
        if resource["kind"] not in CUSTOM:
            kubernetes_validate.validate(resource, version, strict=True)


def test_a_misspelt_field_is_noticed() -> None:
    """The schemas used here do notice a field that Kubernetes does not know."""
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {"port": []}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(service, "1.37", strict=True)


def test_the_operator_is_used_where_it_is_there_only() -> None:
    """Its kinds are in its overlay and in no other."""
    kinds = {overlay: {resource["kind"] for resource in built(overlay)} & CUSTOM for overlay in EVERY_OVERLAY}
    assert kinds == {"complete": set(), "operator": CUSTOM}


class TestPods:
    """Of the overlay that has them all."""

    @pytest.mark.parametrize("overlay", EVERY_OVERLAY)
    def test_are_confined(self, overlay: str) -> None:
        """No root, no writable image, no capability, no token, no environment from other services."""
        for name, workload in workloads(overlay).items():
            spec, runs = pod(workload), container(workload)
            assert spec["enableServiceLinks"] is False, name
            assert spec["automountServiceAccountToken"] is False, name
            assert spec["securityContext"]["runAsNonRoot"] is True, name
            assert spec["securityContext"]["runAsUser"] > 0, name
            assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
            assert runs["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name

    @pytest.mark.parametrize("overlay", EVERY_OVERLAY)
    def test_say_what_they_need(self, overlay: str) -> None:
        """Requests of both, and a limit of memory; none is throttled."""
        for workload in workloads(overlay).values():
            resources = container(workload)["resources"]
            assert set(resources["requests"]) == {"cpu", "memory"}
            assert set(resources["limits"]) == {"memory"}

    def test_run_the_images_of_compose(self) -> None:
        """The same versions of what others make, and our two by the names that skaffold builds."""
        images = {name: container(workload)["image"] for name, workload in workloads("complete").items()}
        assert images == {
            "manager": "heartbeat-exporter",
            "worker": "heartbeat-worker",
            **{name: COMPOSE[name]["image"] for name in ("alertmanager", "grafana", "prometheus", "redis")},
        }
        assert {
            artifact["image"]: artifact["docker"]["target"] for artifact in SKAFFOLD["build"]["artifacts"]
        } == {
            "heartbeat-exporter": "exporter",
            "heartbeat-worker": "worker",
        }

    def test_run_ours_as_the_image_does(self) -> None:
        """The numeric user of the Dockerfile, and the port that it exposes."""
        for name, target in (("manager", "exporter"), ("worker", "worker")):
            workload = workloads("complete")[name]
            context = pod(workload)["securityContext"]
            assert f"{context['runAsUser']}:{context['runAsGroup']}" == effective(target, "USER")
            port = container(workload)["ports"][0]
            assert (port["name"], str(port["containerPort"])) == ("http", effective(target, "EXPOSE"))

    def test_are_asked_where_they_answer(self) -> None:
        """Ours at their own health paths, and at a port that they have."""
        paths = {route.path for route in _routes()}
        for name in ("manager", "worker"):
            runs = container(workloads("complete")[name])
            ports = {port["name"] for port in runs["ports"]}
            asked = {kind: runs[f"{kind}Probe"]["httpGet"] for kind in ("startup", "readiness", "liveness")}
            assert {kind: get["path"] for kind, get in asked.items()} == {
                "startup": "/health/startup",
                "readiness": "/health/ready",
                "liveness": "/health/live",
            }
            assert {get["path"] for get in asked.values()} <= paths
            assert {get["port"] for get in asked.values()} <= ports

    def test_are_told_settings_that_exist(self) -> None:
        """Each variable of ours is a setting; name and address of a worker come from its pod."""
        exporter, worker = (environment(workloads("complete")[name]) for name in ("manager", "worker"))
        assert set(exporter) <= {name.upper() for name in Settings.model_fields}
        assert set(worker) <= {name.upper() for name in WorkerSettings.model_fields}
        assert worker["WORKER_NAME"] == {"fieldRef": {"fieldPath": "metadata.name"}}
        assert worker["WORKER_HOST"] == {"fieldRef": {"fieldPath": "status.podIP"}}
        assert worker["WORKER_LEAVE_ON_SHUTDOWN"] == "true"
        health = {
            port["name"]: port["containerPort"]
            for port in container(workloads("complete")["worker"])["ports"]
        }
        assert worker["WORKER_HEALTH_PORT"] == str(health["health"])
        assert worker["WORKER_PORT"] == str(health["http"])

    def test_have_the_time_to_start(self) -> None:
        """Whatever has work to do before it answers is not restarted meanwhile."""
        for name in ("manager", "worker", "prometheus", "grafana"):
            probe = container(workloads("complete")[name])["startupProbe"]
            assert probe["periodSeconds"] * probe["failureThreshold"] >= 60, name

    def test_of_an_application_may_write_temporary_files(self) -> None:
        """As its image is read-only: the agent needs it where several processes share a port."""
        mounts = container(workloads("complete")["worker"])["volumeMounts"]
        assert [mount["mountPath"] for mount in mounts] == ["/tmp"]

    def test_have_the_time_to_end(self) -> None:
        """A worker drains, then has 10 s for requests; all of it before it would be killed."""
        worker = workloads("complete")["worker"]
        assert (
            pod(worker)["terminationGracePeriodSeconds"]
            >= int(environment(worker)["WORKER_DRAIN_DELAY"]) + 15
        )

    def test_of_the_exporter_are_never_two(self) -> None:
        """One replica, and the old one is gone before the new one comes: there is one lease."""
        for overlay in EVERY_OVERLAY:
            spec = workloads(overlay)["manager"]["spec"]
            assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


class TestConnections:
    @pytest.mark.parametrize("overlay", EVERY_OVERLAY)
    def test_services_find_their_pods(self, overlay: str) -> None:
        """Each selects exactly one workload, and sends to a port that it has."""
        for name, service in of_kind(overlay, "Service").items():
            (workload,) = selected(overlay, service["spec"]["selector"])
            assert workload["metadata"]["name"] == name
            (port,) = service["spec"]["ports"]
            numbers = {port["name"]: port["containerPort"] for port in container(workload)["ports"]}
            assert numbers[port["targetPort"]] == port["port"]

    def test_shipped_configuration_names_services(self) -> None:
        """Every address in the shipped files and in the settings is a service with that port."""
        there = {
            f"{name}:{service['spec']['ports'][0]['port']}"
            for name, service in of_kind("complete", "Service").items()
        }
        assert set(_addresses()) <= there

    @pytest.mark.parametrize("overlay", EVERY_OVERLAY)
    def test_policies_and_budgets_are_about_somebody(self, overlay: str) -> None:
        """What they select is there, as is every port and peer inside that they allow."""
        for policy in of_kind(overlay, "NetworkPolicy").values():
            spec = policy["spec"]
            assert list(selected(overlay, spec["podSelector"]["matchLabels"]))
            for rule in spec.get("ingress", []):
                (target,) = selected(overlay, spec["podSelector"]["matchLabels"])
                numbers = {port["containerPort"] for port in container(target)["ports"]}
                assert {port["port"] for port in rule["ports"]} <= numbers
        for budget in of_kind(overlay, "PodDisruptionBudget").values():
            assert len(list(selected(overlay, budget["spec"]["selector"]["matchLabels"]))) == 1
            assert budget["spec"]["maxUnavailable"] == 1, "a node must be drainable"
            assert budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow", "also of what is broken"

    @pytest.mark.parametrize(("client", "server"), [
        ("manager", "redis"), ("worker", "manager"), ("worker", "redis"), ("prometheus", "manager"),
        ("prometheus", "worker"), ("prometheus", "alertmanager"), ("grafana", "prometheus"),
        ("grafana", "alertmanager"),
    ])  # fmt: skip
    def test_policies_allow_what_is_needed(self, client: str, server: str) -> None:
        """Out of the one and into the other, by the policies of both."""
        port = container(workloads("complete")[server])["ports"][0]["containerPort"]
        assert _allowed(client, server, port, direction="egress")
        assert _allowed(server, client, port, direction="ingress")

    @pytest.mark.parametrize(("client", "server"), [
        ("grafana", "redis"), ("grafana", "manager"), ("worker", "prometheus"), ("manager", "alertmanager"),
    ])  # fmt: skip
    def test_policies_forbid_the_rest(self, client: str, server: str) -> None:
        """What nobody needs, at one end at least."""
        port = container(workloads("complete")[server])["ports"][0]["containerPort"]
        assert not (
            _allowed(client, server, port, direction="egress")
            and _allowed(server, client, port, direction="ingress")
        )

    def test_skaffold_forwards_what_people_open(self) -> None:
        """The exporter at 8000, a worker at 9000, Prometheus at 9090, Grafana at 3000."""
        services = of_kind("complete", "Service")
        forwarded = {}
        for forward in SKAFFOLD["portForward"]:
            (port,) = services[forward["resourceName"]]["spec"]["ports"]
            assert forward["port"] == port["port"]
            forwarded[forward["resourceName"]] = forward["localPort"]
        assert forwarded == {
            "manager": 8000,
            "worker": 9000,
            "prometheus": 9090,
            "grafana": 3000,
            "alertmanager": 9093,
        }
        (path,) = SKAFFOLD["manifests"]["kustomize"]["paths"]
        assert ROOT / path == OVERLAYS / "complete"


class TestShippedFiles:
    @pytest.mark.parametrize(("part", "names"), [
        ("prometheus", ["prometheus.yml", "rules/*.yml"]),
        ("alertmanager", ["alertmanager.yml", "templates/*.tmpl", "receivers/[!m]*.yml"]),
        ("grafana", ["provisioning/*/*.yaml", "dashboards/*.json"]),
    ])  # fmt: skip
    def test_are_all_there_as_they_are(self, part: str, names: list[str]) -> None:
        """Every shipped file is the content of a ConfigMap, byte for byte; nothing is written twice."""
        files = sorted(path.read_text("utf-8") for name in names for path in (ROOT / part).glob(name))
        assert files
        contents = [
            text
            for name, configuration in of_kind("complete", "ConfigMap").items()
            if name.startswith(part)
            for text in configuration["data"].values()
        ]
        assert sorted(contents) == files

    def test_are_mounted_where_they_are_read(self) -> None:
        """Every volume is one that exists, at the path that compose has it at or that the command names."""
        there = {
            *(
                resource["metadata"]["name"]
                for resource in built("complete")
                if resource["kind"] == "ConfigMap"
            ),
            *(resource["metadata"]["name"] for resource in built("complete") if resource["kind"] == "Secret"),
        }
        used = {name for workload in workloads("complete").values() for name in _sources(pod(workload))}
        assert used == there

    def test_no_object_outgrows_the_server(self) -> None:
        """Kubernetes takes objects of up to one MiB."""
        for overlay in EVERY_OVERLAY:
            for resource in built(overlay):
                assert len(yaml.safe_dump(resource)) < 1_000_000, resource["metadata"]["name"]

    def test_dashboards_are_found_by_the_sidecar(self) -> None:
        """In both overlays each is in a ConfigMap of its own, labelled as Grafana's chart looks for it."""
        count = len(list((ROOT / "grafana/dashboards").glob("*.json")))
        for overlay in EVERY_OVERLAY:
            labelled = [
                configuration
                for configuration in of_kind(overlay, "ConfigMap").values()
                if configuration["metadata"].get("labels", {}).get("grafana_dashboard") == "1"
            ]
            assert [len(configuration["data"]) for configuration in labelled] == [1] * count

    def test_programs_start_as_in_compose(self) -> None:
        """The flags of Prometheus, and what Grafana is told."""
        prometheus = container(workloads("complete")["prometheus"])
        assert prometheus["args"] == COMPOSE["prometheus"]["command"]
        told = {
            name: value
            for name, value in environment(workloads("complete")["grafana"]).items()
            if not name.endswith("__FILE")
        }
        assert told == {
            name: value
            for name, value in COMPOSE["grafana"]["environment"].items()
            if not name.endswith("__FILE")
        }


class TestOperator:
    def test_its_resources_are_built_from_the_shipped_files(self, tmp_path: Path) -> None:
        """Writing them again gives the committed files, byte for byte."""
        subprocess.run([sys.executable, "scripts/operator_resources.py", str(tmp_path)], cwd=ROOT, check=True)
        written = {path.name: path.read_text("utf-8") for path in tmp_path.iterdir()}
        assert written
        assert written == {name: (OVERLAYS / "operator" / name).read_text("utf-8") for name in written}

    def test_no_rule_differs(self) -> None:
        """Each PrometheusRule is one file of prometheus/rules, and none is left out.

        Groups are evaluated as often as elsewhere, whatever the operator's Prometheus does by default.
        """
        configuration = yaml.safe_load((ROOT / "prometheus/prometheus.yml").read_text("utf-8"))
        interval = configuration["global"]["evaluation_interval"]
        rules = {
            name.removeprefix("heartbeat-"): resource["spec"]
            for name, resource in of_kind("operator", "PrometheusRule").items()
        }
        shipped = {
            path.stem: yaml.safe_load(path.read_text("utf-8"))
            for path in (ROOT / "prometheus/rules").glob("*.yml")
        }
        for file in shipped.values():
            file["groups"] = [{"interval": interval, **group} for group in file["groups"]]
        assert rules == shipped

    @pytest.mark.servers("kubectl", "promtool")
    def test_its_rules_are_rules(self, tmp_path: Path) -> None:
        """Prometheus takes what the operator would write of them."""
        for name, resource in of_kind("operator", "PrometheusRule").items():
            (tmp_path / f"{name}.yml").write_text(yaml.safe_dump(resource["spec"]), "utf-8")
        files = map(str, tmp_path.iterdir())
        checked = subprocess.run(
            [program("promtool"), "check", "rules", *files], capture_output=True, text=True, check=False
        )
        assert checked.returncode == 0, checked.stderr

    def test_the_exporter_is_scraped_as_elsewhere(self) -> None:
        """The same job name and interval, at the port of its service."""
        configuration = yaml.safe_load((ROOT / "prometheus/prometheus.yml").read_text("utf-8"))
        (monitor,) = of_kind("operator", "ServiceMonitor").values()
        (endpoint,) = monitor["spec"]["endpoints"]
        service = of_kind("operator", "Service")["manager"]
        assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
        assert endpoint["port"] == service["spec"]["ports"][0]["name"]
        assert endpoint["relabelings"] == [
            {"targetLabel": "job", "replacement": configuration["scrape_configs"][0]["job_name"]}
        ]
        assert (endpoint["interval"], endpoint["scrapeTimeout"]) == (
            configuration["global"]["scrape_interval"],
            configuration["global"]["scrape_timeout"],
        )


def _routes() -> Iterator[Any]:
    from fastapi.routing import iter_route_contexts

    yield from iter_route_contexts(create_app(Settings(sqlite_path=Path("unused.db"))).routes)


def _addresses() -> Iterator[str]:
    """host:port of every other program that a shipped file or a setting names."""
    prometheus = yaml.safe_load((ROOT / "prometheus/prometheus.yml").read_text("utf-8"))
    for job in prometheus["scrape_configs"]:
        for static in job.get("static_configs", []):
            yield from (target for target in static["targets"] if not target.startswith("localhost:"))
        for discovery in job.get("http_sd_configs", []):
            yield urlsplit(discovery["url"]).netloc
    for alertmanager in prometheus["alerting"]["alertmanagers"]:
        for static in alertmanager["static_configs"]:
            yield from static["targets"]
    sources = yaml.safe_load((ROOT / "grafana/provisioning/datasources/heartbeat.yaml").read_text("utf-8"))
    for source in sources["datasources"]:
        yield urlsplit(source["url"]).netloc
    exporter, worker = (environment(workloads("complete")[name]) for name in ("manager", "worker"))
    yield f"{exporter['REDIS_HOST']}:{exporter['REDIS_PORT']}"
    yield f"{worker['MANAGER_HOST']}:{worker['MANAGER_PORT']}"
    (needs,) = container(workloads("complete")["worker"])["args"]
    yield needs.removeprefix("--needs=")


def _sources(spec: Resource) -> Iterator[str]:
    """Names of ConfigMaps and Secrets that a pod mounts."""
    for volume in spec.get("volumes", []):
        for source in (volume, *volume.get("projected", {}).get("sources", [])):
            if "configMap" in source:
                yield source["configMap"]["name"]
            if "secret" in source:
                yield source["secret"]["secretName"]


def _allowed(of: str, peer: str, port: int, *, direction: str) -> bool:
    """Whether a policy of the one's pods lets it talk with the other's at this port."""
    labels = workloads("complete")[of]["spec"]["template"]["metadata"]["labels"]
    others = workloads("complete")[peer]["spec"]["template"]["metadata"]["labels"]
    for policy in of_kind("complete", "NetworkPolicy").values():
        if not policy["spec"]["podSelector"]["matchLabels"].items() <= labels.items():
            continue
        for rule in policy["spec"].get(direction, []):
            peers = rule.get("to" if direction == "egress" else "from")
            ports = rule.get("ports")
            if ports is not None and port not in {allowed["port"] for allowed in ports}:
                continue
            if peers is None or any(
                "namespaceSelector" in allowed
                or allowed["podSelector"]["matchLabels"].items() <= others.items()
                for allowed in peers
            ):
                return True
    return False
