"""Exporter: one process per host that serves the metrics of all its processes, backups and checks."""
