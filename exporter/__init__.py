"""The exporter: judges who is alive and shows it on /metrics."""

__version__ = "0.1.0"
