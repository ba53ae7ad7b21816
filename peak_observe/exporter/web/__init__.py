"""HTTP side of the exporter: server, application, authentication and status page."""
