"""Sources of the exporter: each contributes metric families to `/metrics`."""
