"""Metric snapshots of one process on disk, for the exporter."""
