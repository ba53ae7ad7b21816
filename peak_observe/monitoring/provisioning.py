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

EXISTING = f"""\
{BY_HAND}\
# For a Prometheus that runs already: parts for its own configuration. Take over what you need, and look at it with
# `promtool check config` before you reload it.

# The rules: copy alerts/ to where it can read them.
rule_files:
  - /etc/prometheus/peak-observe/*.rules.yaml

scrape_configs:
  # The rules PeakExporterDown and PeakExporterAbsent know the job by this name. Of one scrape a minute or less the
  # rates of 5 minutes have little left: 30 s at most.
  - job_name: {exporter.JOB}
    scrape_interval: {SCRAPE_INTERVAL}
    # With a password, for an exporter whose web.yml has `basic_auth_users` (`--web.config.file`). The password stands
    # in a file that only Prometheus may read.
    basic_auth:
      username: prometheus
      password_file: /etc/prometheus/peak-observe.password
    # With TLS, for one whose web.yml has `tls_server_config`:
    # scheme: https
    # tls_config:
    #   ca_file: /etc/prometheus/peak-observe.ca.pem
    static_configs:
      - targets: ["bots.example:17325"]
        # Labels of yours, such as env or team, reach Alertmanager's routes.
        labels:
          env: production
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
    # Others, each with what it needs. Take away the `#` of one, and the webhook above. From Alertmanager 0.26 on each
    # secret can be a file too (`bot_token_file`, `webhook_url_file`, `api_url_file`, `auth_password_file`).
    #
    # Telegram: the token is BotFather's, the number that of the chat, with its minus sign.
    # telegram_configs:
    #   - bot_token: "123456:the-token-of-your-bot"
    #     chat_id: -1001234567890
    #     parse_mode: ""
    #     send_resolved: true
    #
    # Discord: the address is made in the settings of the channel, under Integrations.
    # discord_configs:
    #   - webhook_url: https://discord.com/api/webhooks/123/the-token
    #
    # Slack: the address of an app with Incoming Webhooks.
    # slack_configs:
    #   - api_url: https://hooks.slack.com/services/T000/B000/the-token
    #     channel: "#trading"
    #     title: "{{{{ .CommonLabels.alertname }}}}"
    #     text: "{{{{ range .Alerts }}}}{{{{ .Annotations.summary }}}}\\n{{{{ end }}}}"
    #     send_resolved: true
    #
    # E-mail.
    # email_configs:
    #   - to: you@example.org
    #     from: alertmanager@example.org
    #     smarthost: mail.example.org:587
    #     auth_username: alertmanager@example.org
    #     auth_password: the-password
    #     require_tls: true
    #
    # ntfy (a topic that nobody guesses is its only password), or any other service that takes a webhook.
    # webhook_configs:
    #   - url: https://ntfy.sh/a-long-topic-that-nobody-guesses?template=alertmanager
    #     send_resolved: true
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
      - alertname =~ "PeakExchange(Error|Quiet|Slow).*|PeakMarketDataStale|PeakReconcileStale|PeakBreaker.+|PeakRetr.+"
    equal: [job, instance, process, exchange]
  # A clock at which exchanges refuse requests is one message, of those that say what it costs.
  - source_matchers: ['alertname = "PeakExchangeClockSkew"', 'severity = "critical"']
    target_matchers: ['alertname = "PeakClockSkew"']
    equal: [job, instance]
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


def prometheus() -> dict[str, str]:
    """Return the files of Prometheus and Alertmanager by their paths below the folder that is written."""
    return {
        "prometheus.yaml": PROMETHEUS,
        "prometheus-existing.example.yaml": EXISTING,
        "alertmanager.yaml": ALERTMANAGER,
    }


def grafana() -> dict[str, str]:
    """Return the files of Grafana by their paths below the folder that is written."""
    return {
        "provisioning/datasources/prometheus.yaml": DATASOURCES,
        "provisioning/dashboards/peak-observe.yaml": DASHBOARDS,
    }
