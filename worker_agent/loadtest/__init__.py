"""`heartbeat-exporter loadtest`: many workers in one process, against any exporter."""
