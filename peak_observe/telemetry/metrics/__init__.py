"""Metric families of the primitives, their text exposition and the Prometheus collector."""
