"""Write what the Prometheus operator reads: the shipped rules, and how the workers are scraped.

`make docs` puts it into deploy/kubernetes/overlays/operator; a test accepts no difference.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
OVERLAY = ROOT / "deploy/kubernetes/overlays/operator"

_HEAD = "# Written by `make docs` from prometheus/{source}.\n"
_LABELS = {"app.kubernetes.io/part-of": "heartbeat"}
_RELABELING = {
    "source_labels": "sourceLabels",
    "target_label": "targetLabel",
    "separator": "separator",
    "regex": "regex",
    "replacement": "replacement",
}
"""Prometheus' words and the operator's."""


class _Text(yaml.SafeDumper):
    """Keeps the lines of what has several: an expression is to be read."""


_Text.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style="|" if "\n" in text else None
    ),
)


def main(directory: Path) -> None:
    for name, source, resources in (
        ("rules.yaml", "rules/*.yml", list(rules())),
        ("workers.yaml", "prometheus.yml", [workers()]),
    ):
        text = yaml.dump_all(resources, Dumper=_Text, sort_keys=False, width=110, allow_unicode=True)
        (directory / name).write_text(_HEAD.format(source=source) + text, encoding="utf-8")


def rules() -> Iterator[dict[str, Any]]:
    """One PrometheusRule for each file: groups stay together, and no object grows too large.

    A group that leaves its interval to Prometheus is given ours: the operator's default is six times as long.
    """
    interval = _configuration()["global"]["evaluation_interval"]
    for file in sorted((ROOT / "prometheus/rules").glob("*.yml")):
        yield {
            "apiVersion": "monitoring.coreos.com/v1",
            "kind": "PrometheusRule",
            "metadata": {"name": f"heartbeat-{file.stem}", "labels": _LABELS},
            "spec": {
                "groups": [
                    {"name": group["name"], "interval": interval, **group}
                    for group in yaml.safe_load(file.read_text("utf-8"))["groups"]
                ]
            },
        }


def workers() -> dict[str, Any]:
    """The workers' own metrics, discovered through the exporter."""
    configuration = _configuration()
    (job,) = (job for job in configuration["scrape_configs"] if job["job_name"] == "heartbeat-workers")
    (discovery,) = job["http_sd_configs"]
    return {
        "apiVersion": "monitoring.coreos.com/v1alpha1",
        "kind": "ScrapeConfig",
        "metadata": {"name": "heartbeat-workers", "labels": _LABELS},
        "spec": {
            "scrapeInterval": configuration["global"]["scrape_interval"],
            "scrapeTimeout": configuration["global"]["scrape_timeout"],
            "httpSDConfigs": [
                {
                    # Prometheus may live in another namespace.
                    "url": discovery["url"].replace("//manager:", "//manager.heartbeat.svc:"),
                    "refreshInterval": discovery["refresh_interval"],
                }
            ],
            "relabelings": [
                {"targetLabel": "job", "replacement": job["job_name"]},
                *(
                    {_RELABELING[key]: value for key, value in relabeling.items()}
                    for relabeling in job["relabel_configs"]
                ),
            ],
        },
    }


def _configuration() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "prometheus/prometheus.yml").read_text("utf-8"))
    return found


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else OVERLAY)
