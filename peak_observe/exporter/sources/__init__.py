"""The sources of the exporter: what each one contributes to `/metrics`."""
