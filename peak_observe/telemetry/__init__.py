"""Telemetry of the primitives: Prometheus, OpenTelemetry and the log."""
