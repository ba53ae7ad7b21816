"""Configuration files around the alerts: Prometheus, Alertmanager and Grafana provisioning.

The files fit each other on one host, and so in `compose.yaml`, whose services share one network of their own.
"""

from __future__ import annotations

from peak_observe.monitoring.alert_files import BY_HAND
from peak_observe.monitoring.rules import exporter

SCRAPE_INTERVAL = "15s"
DATASOURCE_UID = "peak-prometheus"
FOLDER = "peak_observe"

PROMETHEUS = f"""\
{BY_HAND}\
global:
  scrape_interval: {SCRAPE_INTERVAL}
  evaluation_interval: {SCRAPE_INTERVAL}

rule_files:
  - alerts/*.rules.yaml

alerting:
  alertmanagers:
    - static_configs:
        - targets: ["127.0.0.1:9093"]

scrape_configs:
  # The rules PeakExporterDown and PeakExporterAbsent know the job by this name.
  - job_name: {exporter.JOB}
    static_configs:
      - targets: ["127.0.0.1:17325"]
      # Programs that serve themselves. One that also writes snapshots for the exporter does not belong here: everything
      # of it would be there twice, and so would its alerts.
      # - targets: ["127.0.0.1:17326"]
"""

ALERTMANAGER = f"""\
{BY_HAND}\
# An example: the receivers are yours to fill in. No host under .invalid exists, so Alertmanager's log says what it
# cannot deliver until then. Of a url that is a secret, put a file into `url_file` (Alertmanager 0.26).
route:
  receiver: chat
  # What is wrong with one process is one message.
  group_by: [job, instance, process]
  group_wait: 30s
  group_interval: 5m
  repeat_interval: 12h
  routes:
    # A service outside that calls somebody when this stops to arrive.
    - receiver: dead-mans-switch
      matchers: ['alertname = "PeakWatchdog"']
      group_by: [alertname]
      group_wait: 0s
      # A message is repeated when the group is looked at next: an interval as long as the repetition would double it.
      group_interval: 10s
      repeat_interval: 1m
    - receiver: pager
      matchers: ['severity = "critical"']
      repeat_interval: 1h
    - receiver: chat
      matchers: ['severity = "info"']
      repeat_interval: 1d

receivers:
  - name: pager
    webhook_configs:
      - url: https://alerts.invalid/pager
  - name: chat
    webhook_configs:
      - url: https://alerts.invalid/chat
  - name: dead-mans-switch
    webhook_configs:
      - url: https://alerts.invalid/dead-mans-switch
        send_resolved: false

inhibit_rules:
  # What is critical need not be a warning too.
  - source_matchers: ['severity = "critical"']
    target_matchers: ['severity = "warning"']
    equal:
      [alertname, job, instance, process, breaker, operation, check, task, exchange, endpoint, repository, kind, source]
  # Nothing is known of what a target tells while it is down.
  - source_matchers: ['alertname = "PeakExporterDown"']
    target_matchers:
      ['alertname =~ "Peak.+"', 'alertname !~ "PeakExporterDown|PeakExchangeFateUnknown"', 'severity != "info"']
    equal: [job, instance]
  - source_matchers: ['alertname = "PeakExporterAbsent"']
    target_matchers: ['alertname =~ "Peak.+"', 'alertname != "PeakExporterAbsent"', 'severity != "info"']
    equal: [job]
  # Nor of what a process tells that is gone; but orders of unknown fate matter most when nobody looks after them.
  - source_matchers: ['alertname = "PeakProcessDied"']
    target_matchers: ['alertname =~ "Peak.+"', 'alertname !~ "PeakProcessDied|PeakExchangeFateUnknown"']
    equal: [job, instance, process]
  # An exchange that is down, bans us or refuses the key is one message, not one for each circuit and endpoint.
  - source_matchers: ['alertname =~ "PeakExchangeDown|PeakExchangeBanned|PeakExchangeKeyRefused"']
    target_matchers:
      - alertname =~ "PeakExchange(Error|Quiet|Slow).*|PeakMarketDataStale|PeakBreaker.+|PeakRetr.+"
    equal: [job, instance, process, exchange]
"""

DATASOURCES = f"""\
{BY_HAND}\
apiVersion: 1
datasources:
  - name: Prometheus
    uid: {DATASOURCE_UID}
    type: prometheus
    access: proxy
    url: http://127.0.0.1:9090
    isDefault: true
    editable: false
    jsonData:
      httpMethod: POST
      prometheusType: Prometheus
      timeInterval: {SCRAPE_INTERVAL} # Prometheus' scrape interval, from which $__rate_interval follows
      manageAlerts: true
      alertmanagerUid: peak-alertmanager
  - name: Alertmanager
    uid: peak-alertmanager
    type: alertmanager
    access: proxy
    url: http://127.0.0.1:9093
    editable: false
    jsonData:
      implementation: prometheus
      handleGrafanaManagedAlerts: false
"""

DASHBOARDS = f"""\
{BY_HAND}\
apiVersion: 1
providers:
  - name: {FOLDER}
    orgId: 1
    folder: {FOLDER}
    type: file
    disableDeletion: true
    allowUiUpdates: false
    updateIntervalSeconds: 30
    options:
      path: /var/lib/grafana/dashboards/{FOLDER}
"""


def files() -> dict[str, str]:
    """Return the files by their paths below the folder that is written."""
    return {
        "prometheus.yaml": PROMETHEUS,
        "alertmanager.yaml": ALERTMANAGER,
        "provisioning/datasources/prometheus.yaml": DATASOURCES,
        "provisioning/dashboards/peak-observe.yaml": DASHBOARDS,
    }
