"""Write every dashboard as JSON: `python -m grafana.source [DIRECTORY]`, by default grafana/dashboards.

The JSON is committed, so that neither Grafana nor a user needs this program; a test builds it again
and accepts no difference. Run from the root of a checkout with the `dev` extra installed.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

with warnings.catch_warnings():
    # The SDK recommends its newer schema, which Grafana's file provisioning does not read.
    warnings.simplefilter("ignore", DeprecationWarning)
    from grafana.source import exporter, fleet, probes, service, worker

from grafana_foundation_sdk.cog.encoder import JSONEncoder

DASHBOARDS = (exporter.build, fleet.build, probes.build, service.build, worker.build)


def main(directory: Path) -> None:
    for build in DASHBOARDS:
        dashboard = build().build()
        for control in (*dashboard.links, *dashboard.annotations.list_val):
            control.placement = None  # The SDK's default is a menu, in which Grafana shows no dropdowns.
        text = json.dumps(dashboard, cls=JSONEncoder, indent=2, sort_keys=True)
        (directory / f"{dashboard.uid}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent.parent / "dashboards")
