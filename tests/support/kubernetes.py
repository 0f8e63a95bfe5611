"""The Kubernetes resources as they are applied: each overlay built by kustomize."""

from __future__ import annotations

import functools
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.support.processes import program

ROOT = Path(__file__).parents[2]
OVERLAYS = ROOT / "deploy/kubernetes/overlays"

Resource = dict[str, Any]


@functools.cache
def built(overlay: str) -> tuple[Resource, ...]:
    """All resources of an overlay."""
    done = subprocess.run(
        [program("kubectl"), "kustomize", str(OVERLAYS / overlay)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return tuple(yaml.safe_load_all(done.stdout))


def of_kind(overlay: str, kind: str) -> dict[str, Resource]:
    """Those of one kind, by name. A generated name is without the hash that kustomize adds."""
    return {
        _plain(resource["metadata"]["name"], kind): resource
        for resource in built(overlay)
        if resource["kind"] == kind
    }


def workloads(overlay: str) -> dict[str, Resource]:
    """What runs pods, by name."""
    return {**of_kind(overlay, "Deployment"), **of_kind(overlay, "StatefulSet")}


def pod(workload: Resource) -> Resource:
    spec: Resource = workload["spec"]["template"]["spec"]
    return spec


def container(workload: Resource) -> Resource:
    """The one container of its pods."""
    (only,) = pod(workload)["containers"]
    found: Resource = only
    return found


def environment(workload: Resource) -> dict[str, Any]:
    """Values by name; of one that Kubernetes fills in, where it comes from."""
    return {
        variable["name"]: variable.get("value", variable.get("valueFrom"))
        for variable in container(workload).get("env", [])
    }


def selected(overlay: str, labels: dict[str, str]) -> Iterator[Resource]:
    """The workloads whose pods have these labels."""
    for workload in workloads(overlay).values():
        if labels.items() <= workload["spec"]["template"]["metadata"]["labels"].items():
            yield workload


def _plain(name: str, kind: str) -> str:
    return name.rpartition("-")[0] if kind in ("ConfigMap", "Secret") else name
