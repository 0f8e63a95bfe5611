"""How large and how long, from the environment: fewer workers give a quick look, and other figures."""

from __future__ import annotations

import os

WORKERS = int(os.environ.get("BENCH_WORKERS", "10000"))
"""How many there are where nothing else is said."""

SECONDS = float(os.environ.get("BENCH_SECONDS", "20"))
"""How long a steady state is measured."""

INTERVAL = 5.0
"""Seconds between two heartbeats of a worker: the exporter's default."""
