"""Files that run the exporter and its bots somewhere: systemd, Kubernetes, Compose."""
