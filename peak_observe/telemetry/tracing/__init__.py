"""OpenTelemetry spans and log-based events."""
