"""What the primitives did, told to Prometheus, OpenTelemetry and the log."""
