"""One process on the host that tells Prometheus what no trading process can tell about itself."""
