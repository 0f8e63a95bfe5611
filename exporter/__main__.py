"""`python -m exporter` is `heartbeat-exporter`."""

from exporter.cli import main

main()
