"""OpenTelemetry metrics: observable instruments, and histograms through the exporter."""
