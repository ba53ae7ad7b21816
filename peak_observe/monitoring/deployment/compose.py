"""Compose file for a host that runs its exporter, Prometheus, Alertmanager and Grafana in containers."""

from __future__ import annotations

from peak_observe._version import __version__
from peak_observe.monitoring.alert_files import BY_HAND

COMPOSE = f"""\
{BY_HAND}\
# The exporter with Prometheus, Alertmanager and Grafana. In the folder that holds this file and what
# `peak-observe monitoring write` puts beside it:
#   install --directory --mode=0700 secrets
#   openssl rand -base64 24 > secrets/grafana_admin_password
#   docker compose up --detach --build --wait
# Grafana is http://127.0.0.1:3000, user admin. Nothing listens beyond this machine.
# Images have exact versions, each tried with these files, and not `latest`: an update is a decision. Not their digests
# either, which differ by platform and are yours to add: `docker compose config --resolve-image-digests`.
name: peak-observe

x-guarded: &guarded
  restart: unless-stopped
  read_only: true
  tmpfs: [/tmp]
  cap_drop: [ALL]
  security_opt: ["no-new-privileges:true"]
  logging:
    driver: json-file
    options: {{max-size: 10m, max-file: "3"}}

# All share one network, in which they find each other at 127.0.0.1 as they would on one host: so the files fit both.
x-beside: &beside
  network_mode: service:prometheus
  depends_on:
    prometheus:
      condition: service_started
      restart: true

services:
  exporter:
    <<: [*beside, *guarded]
    image: peak-observe-exporter:{__version__}
    build:
      dockerfile_inline: |
        FROM python:3.13-slim
        RUN pip install --no-cache-dir 'peak-observe[exporter]=={__version__}' \\
            && useradd --system --uid 17325 peak-observe \\
            && install --directory --owner=peak-observe --mode=0770 /run/peak-observe
        USER peak-observe
        ENV PEAK_OBSERVE_DIR=/run/peak-observe
        ENTRYPOINT ["peak-observe", "exporter"]
    mem_limit: 256m
    # With the host's processes in sight it knows at once that a bot died. Bots write into the same volume.
    pid: host
    volumes:
      - snapshots:/run/peak-observe
      # - ./peak-observe.toml:/peak-observe.toml:ro
    healthcheck:
      test: [CMD, python, -c, "import urllib.request as r; r.urlopen('http://127.0.0.1:17325/-/healthy', timeout=5)"]

  prometheus:
    <<: *guarded
    image: prom/prometheus:v3.5.0
    mem_limit: 1g
    command:
      - --config.file=/etc/prometheus/prometheus.yaml
      - --storage.tsdb.path=/prometheus
      - --enable-feature=exemplar-storage
    ports:
      - 127.0.0.1:3000:3000 # Grafana
      - 127.0.0.1:9090:9090 # Prometheus
      - 127.0.0.1:9093:9093 # Alertmanager
      - 127.0.0.1:17325:17325 # the exporter
    volumes:
      - ./prometheus.yaml:/etc/prometheus/prometheus.yaml:ro
      - ./alerts:/etc/prometheus/alerts:ro
      - prometheus:/prometheus
    healthcheck:
      test: [CMD, wget, --quiet, --spider, "http://127.0.0.1:9090/-/ready"]
      start_period: 30s

  alertmanager:
    <<: [*beside, *guarded]
    image: prom/alertmanager:v0.28.1
    mem_limit: 128m
    command:
      - --config.file=/etc/alertmanager/alertmanager.yaml
      - --storage.path=/alertmanager
      - --cluster.listen-address=
    volumes:
      - ./alertmanager.yaml:/etc/alertmanager/alertmanager.yaml:ro
      - alertmanager:/alertmanager
    healthcheck:
      test: [CMD, wget, --quiet, --spider, "http://127.0.0.1:9093/-/ready"]
      start_period: 30s

  grafana:
    <<: [*beside, *guarded]
    image: grafana/grafana:12.1.1
    mem_limit: 512m
    secrets: [grafana_admin_password]
    environment:
      GF_SECURITY_ADMIN_PASSWORD__FILE: /run/secrets/grafana_admin_password
      GF_LOG_MODE: console
      GF_AUTH_ANONYMOUS_ENABLED: "false"
      GF_USERS_ALLOW_SIGN_UP: "false"
      GF_ANALYTICS_REPORTING_ENABLED: "false"
      GF_ANALYTICS_CHECK_FOR_UPDATES: "false"
      GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH: /var/lib/grafana/dashboards/peak_observe/peak-overview.json
    volumes:
      - ./provisioning/datasources:/etc/grafana/provisioning/datasources:ro
      - ./provisioning/dashboards:/etc/grafana/provisioning/dashboards:ro
      # Prometheus and Alertmanager alert here, and Grafana shows that. Its own rules are the same: take them instead,
      # without rule_files in prometheus.yaml, or everybody is woken twice.
      # - ./provisioning/alerting:/etc/grafana/provisioning/alerting:ro
      - ./dashboards:/var/lib/grafana/dashboards/peak_observe:ro
      - grafana:/var/lib/grafana
    healthcheck:
      test: [CMD, wget, --quiet, --spider, "http://127.0.0.1:3000/api/health"]
      start_period: 60s

secrets:
  grafana_admin_password:
    file: ./secrets/grafana_admin_password

volumes:
  snapshots:
  prometheus:
  alertmanager:
  grafana:
"""


def files() -> dict[str, str]:
    """Return the file by its path below the folder that is written; it is to be edited."""
    return {"compose.yaml": COMPOSE}
